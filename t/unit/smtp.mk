# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# src/mail against SMTP servers on 127.0.0.1: smtp.t drives smtp_send.
# Included by the top Makefile after unit.mk, whose variables and objects it
# uses; smtp.t, run by hand, makes smtp_send with this file alone.
#
# Needs openssl, and aiosmtpd for /usr/bin/python3 (python3-aiosmtpd).

ifndef UNIT_MAIL
include t/unit/unit.mk
endif


.PHONY: unit-smtp unit-smtp-plain unit-smtp-asan

unit-smtp: unit-smtp-plain unit-smtp-asan

unit-smtp-plain: build/unit/smtp_send
	SMTP_SEND=build/unit/smtp_send prove t/unit/smtp.t

unit-smtp-asan: build/unit-asan/smtp_send
	SMTP_SEND=build/unit-asan/smtp_send prove t/unit/smtp.t


build/unit/smtp_send: t/unit/smtp_send.c $(UNIT_MAIL:%=build/unit/%) \
		$(UNIT_CORE:%=build/unit/%) $(UNIT_HEADERS)
	$(UNIT_CC) $(UNIT_CPPFLAGS) $(UNIT_CFLAGS) -pthread -o $@ \
	    $(filter %.c %.o,$^) $(UNIT_MAIL_LIBS) $(UNIT_LIBS)

build/unit-asan/smtp_send: t/unit/smtp_send.c $(UNIT_MAIL:%=build/unit-asan/%) \
		$(UNIT_CORE:%=build/unit-asan/%) $(UNIT_HEADERS)
	$(UNIT_ASAN_CC) $(UNIT_CPPFLAGS) $(UNIT_CFLAGS) $(UNIT_SANITIZE) \
	    -pthread -o $@ $(filter %.c %.o,$^) $(UNIT_MAIL_LIBS) $(UNIT_LIBS)
