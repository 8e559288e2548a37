# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# Unit tests and fuzzing of what knows nothing of nginx; included by the top
# Makefile.  t/unit/X_test.c is linked with all of src/core, store_test with
# src/store too, and needs a server: store.t starts it.  For src/mail see
# smtp.mk.

UNIT_CC ?= $(CC)
UNIT_ASAN_CC ?= gcc
FUZZ_CC ?= clang
FUZZ_SECONDS ?= 60
FUZZ_SECONDS_MAX ?= 600
FUZZ_TARGETS ?= $(FUZZ_NAMES)

PKG_CONFIG ?= pkg-config

UNIT_PACKAGES = libsodium jansson libidn2 libutf8proc
UNIT_CPPFLAGS = -D_GNU_SOURCE -Isrc/core -Isrc/mail -Isrc/store -It/unit \
	$(shell $(PKG_CONFIG) --cflags $(UNIT_PACKAGES))
UNIT_CFLAGS = -std=c11 -O2 -g -Wall -Wextra -Werror -Wpointer-arith
UNIT_LIBS = $(shell $(PKG_CONFIG) --libs $(UNIT_PACKAGES))
UNIT_SANITIZE = -O1 -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer

UNIT_MAIL_LIBS = $(shell $(PKG_CONFIG) --libs libcurl)
UNIT_MYSQL := $(shell $(PKG_CONFIG) --exists libmariadb && echo libmariadb \
	|| echo mysqlclient)
UNIT_STORE_CPPFLAGS = $(shell $(PKG_CONFIG) --cflags $(UNIT_MYSQL))
UNIT_STORE_LIBS = $(shell $(PKG_CONFIG) --libs $(UNIT_MYSQL))

UNIT_TESTS = $(filter-out store_test,\
	$(patsubst t/unit/%.c,%,$(wildcard t/unit/*_test.c)))
UNIT_CORE = $(patsubst src/%.c,%.o,$(wildcard src/core/*.c))
UNIT_MAIL = $(patsubst src/%.c,%.o,$(wildcard src/mail/*.c))
UNIT_STORE = $(patsubst src/%.c,%.o,$(wildcard src/store/*.c))
UNIT_HEADERS = $(wildcard src/core/*.h src/mail/*.h src/store/*.h t/unit/*.h)

FUZZ_NAMES = $(patsubst t/fuzz/fuzz_%.c,%,$(wildcard t/fuzz/fuzz_*.c))


.PHONY: unit unit-asan unit-build unit-asan-build fuzz fuzz-replay
.PHONY: unit-store unit-store-plain unit-store-asan

unit-build: $(UNIT_TESTS:%=build/unit/%)

unit: unit-build
	prove -e '' $(UNIT_TESTS:%=build/unit/%)

unit-asan-build: $(UNIT_TESTS:%=build/unit-asan/%)

unit-asan: unit-asan-build
	prove -e '' $(UNIT_TESTS:%=build/unit-asan/%)

unit-store: unit-store-plain unit-store-asan

unit-store-plain: build/unit/store_test build/unit/store_big
	STORE_TEST=build/unit/store_test PATH=$$PATH:/usr/sbin \
	    prove t/unit/store.t

unit-store-asan: build/unit-asan/store_test
	STORE_TEST=build/unit-asan/store_test PATH=$$PATH:/usr/sbin \
	    prove t/unit/store.t

fuzz-replay: $(FUZZ_NAMES:%=build/unit-asan/fuzz_%)
	@for name in $(FUZZ_NAMES); do \
	    build/unit-asan/fuzz_$$name t/fuzz/corpus/$$name || exit 1; \
	done

# each to a plateau, see run.pl; new inputs are kept under build/; what is worth it goes to t/fuzz/corpus
fuzz: $(FUZZ_NAMES:%=build/fuzz/fuzz_%)
	@for name in $(FUZZ_TARGETS); do \
	    mkdir -p build/fuzz/corpus/$$name; \
	    FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_SECONDS_MAX=$(FUZZ_SECONDS_MAX) \
	        t/fuzz/run.pl build/fuzz/fuzz_$$name \
	        build/fuzz/corpus/$$name t/fuzz/corpus/$$name || exit 1; \
	done


build/unit/%.o: src/%.c $(UNIT_HEADERS)
	@mkdir -p $(@D)
	$(UNIT_CC) $(UNIT_CPPFLAGS) $(UNIT_STORE_CPPFLAGS) $(UNIT_CFLAGS) \
	    -c -o $@ $<

build/unit-asan/%.o: src/%.c $(UNIT_HEADERS)
	@mkdir -p $(@D)
	$(UNIT_ASAN_CC) $(UNIT_CPPFLAGS) $(UNIT_STORE_CPPFLAGS) $(UNIT_CFLAGS) \
	    $(UNIT_SANITIZE) -c -o $@ $<

build/fuzz/%.o: src/%.c $(UNIT_HEADERS)
	@mkdir -p $(@D)
	$(FUZZ_CC) $(UNIT_CPPFLAGS) $(UNIT_CFLAGS) \
	    -fsanitize=fuzzer-no-link $(UNIT_SANITIZE) -c -o $@ $<


STORE_TEST_FILES = $(wildcard t/unit/store_test_*.c)

build/unit/store_test: $(STORE_TEST_FILES) $(UNIT_STORE:%=build/unit/%)
build/unit/store_test: UNIT_MORE_LIBS = $(UNIT_STORE_LIBS) -pthread
build/unit/store_test: UNIT_CPPFLAGS += $(UNIT_STORE_CPPFLAGS)
build/unit-asan/store_test: $(STORE_TEST_FILES) \
		$(UNIT_STORE:%=build/unit-asan/%)
build/unit-asan/store_test: UNIT_MORE_LIBS = $(UNIT_STORE_LIBS) -pthread
build/unit-asan/store_test: UNIT_CPPFLAGS += $(UNIT_STORE_CPPFLAGS)

# the functions of a connection go through those of the program
BIG_WRAP = -Wl,--wrap=otpreg_db_exec,--wrap=otpreg_db_query \
	-Wl,--wrap=otpreg_db_commit

build/unit/store_big: t/unit/store_big.c $(UNIT_STORE:%=build/unit/%) \
		$(UNIT_CORE:%=build/unit/%) $(UNIT_HEADERS)
	$(UNIT_CC) $(UNIT_CPPFLAGS) $(UNIT_STORE_CPPFLAGS) $(UNIT_CFLAGS) \
	    $(BIG_WRAP) -o $@ $(filter %.c %.o,$^) $(UNIT_LIBS) \
	    $(UNIT_STORE_LIBS) -pthread

build/unit/%_test: t/unit/%_test.c $(UNIT_CORE:%=build/unit/%) $(UNIT_HEADERS)
	$(UNIT_CC) $(UNIT_CPPFLAGS) $(UNIT_CFLAGS) -o $@ \
	    $(filter %.c %.o,$^) $(UNIT_LIBS) $(UNIT_MORE_LIBS)

build/unit-asan/%_test: t/unit/%_test.c $(UNIT_CORE:%=build/unit-asan/%) \
		$(UNIT_HEADERS)
	$(UNIT_ASAN_CC) $(UNIT_CPPFLAGS) $(UNIT_CFLAGS) $(UNIT_SANITIZE) -o $@ \
	    $(filter %.c %.o,$^) $(UNIT_LIBS) $(UNIT_MORE_LIBS)

build/unit-asan/fuzz_%: t/fuzz/fuzz_%.c t/fuzz/replay.c t/fuzz/fuzz.h \
		$(UNIT_CORE:%=build/unit-asan/%)
	$(UNIT_ASAN_CC) $(UNIT_CPPFLAGS) $(UNIT_CFLAGS) $(UNIT_SANITIZE) -o $@ \
	    $(filter %.c %.o,$^) $(UNIT_LIBS)

build/fuzz/fuzz_%: t/fuzz/fuzz_%.c t/fuzz/fuzz.h $(UNIT_CORE:%=build/fuzz/%)
	$(FUZZ_CC) $(UNIT_CPPFLAGS) $(UNIT_CFLAGS) -fsanitize=fuzzer \
	    $(UNIT_SANITIZE) -o $@ $(filter %.c %.o,$^) $(UNIT_LIBS)

# make would remove the objects as intermediate files
.SECONDARY: $(foreach dir,unit unit-asan fuzz,$(UNIT_CORE:%=build/$(dir)/%) \
	$(UNIT_MAIL:%=build/$(dir)/%) $(UNIT_STORE:%=build/$(dir)/%))
