# The mail part against servers: smtp.t drives smtp_send, built here.
#
# Debian packages: libcurl4-openssl-dev libsodium-dev libjansson-dev
# libutf8proc-dev openssl perl, python3 python3-aiosmtpd (always called as
# /usr/bin/python3).

SMTP_SRCS = t/unit/smtp_send.c src/mail/otpreg_smtp.c \
	src/mail/otpreg_smtp_thread.c src/mail/otpreg_mime.c \
	src/core/otpreg_message.c src/core/otpreg_str.c
SMTP_DEPS = $(SMTP_SRCS) src/mail/otpreg_smtp.h src/mail/otpreg_mime.h \
	src/mail/otpreg_smtp_thread.h src/core/otpreg_message.h \
	src/core/otpreg_str.h t/unit/smtp.mk
SMTP_CFLAGS = -std=c11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Werror \
	-Wpointer-arith -Isrc/core -Isrc/mail
SMTP_LIBS = -lcurl -lsodium -ljansson -lutf8proc -lpthread

.PHONY: unit-smtp

unit-smtp: build/unit/smtp_send build/unit-asan/smtp_send
	SMTP_SEND=build/unit/smtp_send prove t/unit/smtp.t
	SMTP_SEND=build/unit-asan/smtp_send prove t/unit/smtp.t

build/unit/smtp_send: $(SMTP_DEPS)
	@mkdir -p $(@D)
	$(CC) $(SMTP_CFLAGS) -o $@ $(SMTP_SRCS) $(SMTP_LIBS)

build/unit-asan/smtp_send: $(SMTP_DEPS)
	@mkdir -p $(@D)
	gcc $(SMTP_CFLAGS) -fsanitize=address,undefined \
		-fno-sanitize-recover=all -fno-omit-frame-pointer \
		-o $@ $(SMTP_SRCS) $(SMTP_LIBS)
