# Copyright (C) The ngx_http_otpreg_module authors
# SPDX-License-Identifier: BSD-2-Clause

# "make help" says what there is.  Everything that is made is under build/.

MODULE = ngx_http_otpreg_module
NGX_SRC ?= /usr/share/nginx/src
CC = gcc
SHELL = /bin/bash

NGX_FLAGS ?= --with-compat --with-threads --with-debug \
	--with-http_ssl_module --with-http_v2_module --with-http_realip_module \
	--with-http_auth_request_module
WARNINGS = -Wall -Wextra -Werror -Wpointer-arith -Wno-unused-parameter

SOURCES = config $(wildcard src/*/*.[ch])

# configure writes into its tree: a copy for each tree, compiler and use
space = $(subst ,, )
as_name = $(subst $(space),_,$(subst /,_,$(1)))
TREE = build/nginx/$(call as_name,$(abspath $(NGX_SRC))-$(notdir $(CC)))
ADD = dynamic-module

# for one make at a time: two on one tree would spoil it
LOCKED = mkdir -p build/nginx && flock $(1).lock \
	$(MAKE) --no-print-directory TREE=$(1)

.PHONY: all build nginx check quick test flows asan tsan valgrind faults faults-asan \
	mysql mysql-inside galera big demo clean help

all: build

help:
	@echo 'make             build/$(MODULE).so for the installed nginx'
	@echo 'make NGX_SRC=dir       the same for a source tree of nginx'
	@echo 'make nginx NGX_SRC=dir build/nginx-static, with the module in it'
	@echo 'make CC=clang          with another compiler'
	@echo 'make demo              a sign-up to try, on 127.0.0.1'
	@echo 'make quick             the tests of a minute'
	@echo 'make test              all tests; their parts are'
	@echo '     check unit unit-asan fuzz-replay unit-smtp unit-store'
	@echo '     flows asan valgrind'
	@echo 'make fuzz              FUZZ_SECONDS for each target'
	@echo 'make faults            20,000 sign-ups while everything fails'
	@echo 'make faults-asan       2,000 with sanitizers'
	@echo 'make tsan              what ends in a bad order, with ThreadSanitizer'
	@echo 'make galera            10,000 on a Galera cluster whose nodes fail'
	@echo 'make mysql             with MySQL, its client and newer packages'
	@echo 'make big               rows read by each statement, of 10 million users'
	@echo 'make clean             remove build/'
	@echo
	@echo 'Missing Debian packages are installed when make runs as root.'


# ----- packages

PACKAGES_BUILD = gcc make pkg-config libc6-dev libsodium-dev libmariadb-dev \
	libcurl4-openssl-dev libjansson-dev libidn2-dev libutf8proc-dev \
	libpcre2-dev zlib1g-dev libssl-dev
PACKAGES_NGINX = nginx nginx-dev
PACKAGES_RUN = mariadb-server-core mariadb-client-core openssl curl util-linux \
	procps
PACKAGES_TEST = perl libtest-base-perl libtest-longstring-perl \
	liblist-moreutils-perl libhttp-message-perl libipc-run-perl \
	liburi-perl python3 python3-aiosmtpd chromium chromium-driver \
	clang libclang-rt-14-dev valgrind exuberant-ctags util-linux dpkg-dev
PACKAGES_GALERA = galera-4 mariadb-server rsync python3

# nginx is started by its package's postinst unless a policy forbids it
define install
	@missing=$$(printf '%s\n' $(sort $(1)) | grep -vxF "$$(dpkg-query -W \
	    -f '$${db:Status-Status} $${Package}\n' $(1) 2>/dev/null \
	    | sed -n 's/^installed //p')"); \
	if [ -n "$$missing" ]; then \
	    if [ "$$(id -u)" != 0 ]; then \
	        echo "missing Debian packages:" $$missing >&2; \
	        echo "as root: apt-get install --no-install-recommends" \
	            $$missing >&2; \
	        exit 1; \
	    fi; \
	    t/apt-install.sh $$missing; \
	fi
endef

.PHONY: packages-build packages-run packages-test

packages-build:
	$(call install,$(PACKAGES_BUILD) $(if \
	    $(filter /usr/share/nginx/src,$(NGX_SRC)),$(PACKAGES_NGINX)))

packages-run: packages-build
	$(call install,$(PACKAGES_NGINX) $(PACKAGES_RUN))

packages-test: packages-run
	$(call install,$(PACKAGES_TEST))


# ----- the module

build: build/$(MODULE).so

# the module alone, by any compiler, and not installed into build/
.PHONY: module
module:
	@$(call LOCKED,$(TREE)) $(TREE)/objs/$(MODULE).so

build/$(MODULE).so: FORCE | packages-build
	@$(call LOCKED,$(TREE)) $(TREE)/objs/$(MODULE).so
	@cmp -s $(TREE)/objs/$(MODULE).so $@ \
	    || install -m 755 $(TREE)/objs/$(MODULE).so $@

nginx: build/nginx-static

build/nginx-static: FORCE | packages-build
	@test -f "$(NGX_SRC)/src/core/nginx.c" || { \
	    echo "$(NGX_SRC) has no source files of nginx: set NGX_SRC to a" \
	        "tree that has them" >&2; exit 1; }
	@$(call LOCKED,$(TREE)-static) ADD=module $(TREE)-static/objs/nginx
	install -m 755 $(TREE)-static/objs/nginx $@

.PHONY: FORCE
FORCE:

$(TREE)/objs/$(MODULE).so: $(TREE)/objs/Makefile $(SOURCES)
	@echo "building $@"; $(MAKE) -s -C $(TREE) -f objs/Makefile modules
	@touch $@

$(TREE)/objs/nginx: $(TREE)/objs/Makefile $(SOURCES)
	@echo "building $@"; $(MAKE) -s -C $(TREE) -f objs/Makefile binary
	@touch $@

# New are a new file and other flags, an edited file is not.  The link to here
# is for configure, which splits the path of a module at spaces.
$(TREE)/objs/Makefile: config build/sources $(TREE).flags
	@test -d "$(NGX_SRC)/src/core" || { \
	    echo "$(NGX_SRC) is no source tree of nginx: install Debian's" \
	        "nginx-dev, or set NGX_SRC" >&2; exit 1; }
	@echo "configuring $(TREE)"; rm -rf $(TREE)
	@cp -aL "$(NGX_SRC)" $(TREE)
	@ln -s "$(CURDIR)" $(TREE)/otpreg
	@cd $(TREE) && rm -rf objs .git && NGX_CONF_FLAGS=($(NGX_FLAGS)) \
	    && if [ -f conf_flags ]; then . ./conf_flags; fi \
	    && { [ -x configure ] || ln -s auto/configure configure; } \
	    && ./configure "$${NGX_CONF_FLAGS[@]}" --with-cc="$$OTPREG_CC" \
	        --with-cc-opt="$$OTPREG_CC_OPT" --with-ld-opt="$$OTPREG_LD_OPT" \
	        --add-$(ADD)=otpreg > configure.log 2>&1 \
	    || { tail -n 15 configure.log >&2; exit 1; }

$(TREE)/objs/Makefile: export OTPREG_CC = $(CC)
$(TREE)/objs/Makefile: export OTPREG_CC_OPT = -O2 -g -fPIC \
	-fstack-protector-strong -D_FORTIFY_SOURCE=2 $(WARNINGS) $(CC_OPT)
$(TREE)/objs/Makefile: export OTPREG_LD_OPT = -Wl,-z,relro -Wl,-z,now $(LD_OPT)

# what is written anew only where it is another: if_changed < text
if_changed = cat > $@.$$$$ && { cmp -s $@.$$$$ $@ && rm $@.$$$$ \
	|| mv $@.$$$$ $@; }

build/sources: FORCE
	@mkdir -p build
	@ls $(SOURCES) | { $(if_changed); }

# all that a configured tree was made of but for the files of the module
$(TREE).flags: FORCE
	@mkdir -p $(@D)
	@{ printf '%s\n' "$$OTPREG_FLAGS"; find -L "$(NGX_SRC)" \
	    \( -name objs -o -name .git \) -prune -o -type f \
	    -printf '%P %s %T@\n' 2> /dev/null | sort; } \
	    | { $(if_changed); }

$(TREE).flags: export OTPREG_FLAGS = $(CC) | $(NGX_SRC) | $(NGX_FLAGS) \
	| $(WARNINGS) | $(CC_OPT) | $(LD_OPT) | $(ADD) | $(CURDIR) \
	| $(OTPREG_CFLAGS) | $(OTPREG_LIBS)


# ----- tests

# ours steps aside where the real Test::Nginx is installed
RUNNER = $(shell perl -MTest::Nginx::Socket -e1 2>/dev/null || echo -It/compat)
PROVE = PATH=$$PATH:/usr/sbin prove $(RUNNER)
FLOWS = $(sort $(wildcard t/*.t t/self/*.t))

# not: what tests the tests, counts memory, measures time, or would be much
# too slow
FLOWS_ASAN = $(filter-out t/browser% t/self/compat.t t/core-dump.t t/demo.t \
	t/enumeration.t t/faults.t t/translations.t t/self/lib.t t/overload.t \
	t/secrets.t,$(FLOWS))
FLOWS_VALGRIND = t/flow.t

# where threads and the event loop meet, and break-offs in every phase
FLOWS_TSAN = t/aio.t t/flow.t t/breach.t t/couriers.t t/faults.t t/reload.t \
	t/response-time.t t/stall.t

# t/faults.t has fewer sign-ups as one of the flows
FAULT_SIGNUPS ?= 20000
FAULT_SIGNUPS_ASAN ?= 2000
FAULT_CLIENTS ?= 32
FAULT_OUTAGES ?= 1

GALERA_SIGNUPS ?= 10000

# an hour, 20 GB below build/, and this much memory for the server
BIG_ROWS ?= 10000000
BIG_MEMORY ?= 4G

include t/unit/unit.mk
include t/unit/smtp.mk

test: packages-test
	@$(MAKE) --no-print-directory build build/nginx-asan
	@$(MAKE) --no-print-directory CC=clang module
	@$(MAKE) --no-print-directory check unit unit-asan fuzz-replay \
	    unit-smtp
	@$(MAKE) --no-print-directory -j2 unit-store
	@$(MAKE) --no-print-directory flows
	@$(MAKE) --no-print-directory asan valgrind

# in under a minute: what somebody who has changed one file wants to know

FLOWS_QUICK = t/conf.t t/flow.t t/register.t t/verify.t t/resend.t t/sms.t

quick: packages-test build
	@$(MAKE) --no-print-directory check unit
	$(PROVE) -j2 $(FLOWS_QUICK)

check:
	t/check.sh

flows:
	$(PROVE) -j2 $(FLOWS)

asan: build/nginx-asan
	OTPREG_MODULE= TEST_NGINX_BINARY="$(CURDIR)/build/nginx-asan" \
	    ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 \
	    LSAN_OPTIONS="suppressions='$(CURDIR)/t/lsan.supp':print_suppressions=0" \
	    UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
	    $(PROVE) -j2 $(FLOWS_ASAN)

# not part of "make test": most of its time goes into memory
tsan: packages-test build/nginx-tsan
	OTPREG_MODULE= TEST_NGINX_BINARY="$(CURDIR)/build/nginx-tsan" \
	    TSAN_OPTIONS="suppressions='$(CURDIR)/t/tsan.supp'" \
	    $(PROVE) $(FLOWS_TSAN)

faults: packages-test build
	OTPREG_FAULT_SIGNUPS=$(FAULT_SIGNUPS) \
	    OTPREG_FAULT_OUTAGES=$(FAULT_OUTAGES) \
	    OTPREG_FAULT_CLIENTS=$(FAULT_CLIENTS) $(PROVE) -v t/faults.t

faults-asan: packages-test
	OTPREG_FAULT_SIGNUPS=$(FAULT_SIGNUPS_ASAN) \
	    OTPREG_FAULT_OUTAGES=$(FAULT_OUTAGES) \
	    OTPREG_FAULT_CLIENTS=$(FAULT_CLIENTS) \
	    $(MAKE) --no-print-directory asan FLOWS_ASAN=t/faults.t

galera: packages-run build
	$(call install,$(PACKAGES_GALERA))
	PATH=$$PATH:/usr/sbin GALERA_SIGNUPS=$(GALERA_SIGNUPS) perl t/galera.pl

big: packages-test
	BIG_ROWS=$(BIG_ROWS) BIG_MEMORY=$(BIG_MEMORY) PATH=$$PATH:/usr/sbin \
	    prove -v t/unit/big.t

valgrind:
	TEST_NGINX_USE_VALGRIND=1 $(PROVE) $(FLOWS_VALGRIND)


# nginx of Debian's source package, with the module in it, under sanitizers;
# NGX_DEBUG_PALLOC: each allocation is a malloc(), so that overruns are seen

SANITIZE = -fsanitize=address,undefined -fno-omit-frame-pointer
SANITIZE_CC = $(SANITIZE) -fno-sanitize=alignment,nonnull-attribute \
	-U_FORTIFY_SOURCE -O1 -DNGX_DEBUG_PALLOC

.PHONY: nginx-source
nginx-source:
	@mkdir -p build/source; flock build/source.lock sh -c \
	    'test -d build/source/nginx || t/nginx-source.sh build/source/nginx'

build/nginx-asan: FORCE nginx-source
	@$(call LOCKED,build/nginx/asan-static) ADD=module \
	    NGX_SRC=build/source/nginx CC_OPT='$(strip $(SANITIZE_CC))' \
	    LD_OPT='$(SANITIZE)' build/nginx/asan-static/objs/nginx
	@cmp -s build/nginx/asan-static/objs/nginx $@ \
	    || install -m 755 build/nginx/asan-static/objs/nginx $@

# nginx stores the end of a lock and of a thread plainly, which is right on the
# machines it is for, and which ThreadSanitizer cannot see: atomic stores there

SANITIZE_THREAD = -fsanitize=thread -fno-omit-frame-pointer

build/source/nginx-tsan: nginx-source
	@flock build/source.lock sh -c 'test -d $@ || { rm -rf $@.new \
	    && cp -a build/source/nginx $@.new \
	    && sed -i "s/ \*(lock) = 0$$/ __atomic_store_n(lock, 0, 3)/" \
	        $@.new/src/os/unix/ngx_atomic.h \
	    && sed -i -e "s/\*lock = 0;/__atomic_store_n(lock, 0, 3);/" \
	        -e "s/while (lock)/while (__atomic_load_n(\&lock, 2))/" \
	        $@.new/src/core/ngx_thread_pool.c && mv $@.new $@; }'

build/nginx-tsan: FORCE build/source/nginx-tsan
	@$(call LOCKED,build/nginx/tsan-static) ADD=module \
	    NGX_SRC=build/source/nginx-tsan \
	    CC_OPT='$(SANITIZE_THREAD) -U_FORTIFY_SOURCE -O1 -DNGX_DEBUG_PALLOC' \
	    LD_OPT='$(SANITIZE_THREAD)' build/nginx/tsan-static/objs/nginx
	@cmp -s build/nginx/tsan-static/objs/nginx $@ \
	    || install -m 755 build/nginx/tsan-static/objs/nginx $@


# Debian's unstable suite in a tree of its own: MySQL, libmysqlclient, a newer
# nginx and a newer compiler.  What needs a browser, or Debian 12 itself, is
# left out.

MYSQL_TREE = build/mysql
FLOWS_MYSQL = $(filter-out t/browser% t/self/build.t t/self/compat.t t/demo.t \
	t/quickstart.t,$(FLOWS))

mysql:
	$(call install,debootstrap util-linux)
	@t/mysql.sh $(MYSQL_TREE) tree
	@echo 'left out there:' $(filter-out $(FLOWS_MYSQL),$(FLOWS))
	@t/mysql.sh $(MYSQL_TREE) run make mysql-inside \
	    FLOWS='$(FLOWS_MYSQL)' PACKAGES_BUILD= PACKAGES_NGINX=

mysql-inside: build
	@mysqld --version; nginx -v; $(CC) --version | head -n 1
	@dpkg-query -W libmysqlclient24 libcurl4t64
	@$(MAKE) --no-print-directory -k unit-store-plain flows


# ----- generated

sql/schema.sql: $(wildcard sql/migrations/*.sql)
	{ head -n 3 $@; cat $^; } > build/schema.sql
	cat build/schema.sql > $@


# ----- to try it

demo: build packages-run
	@conf-examples/demo/run.sh

# what is mounted there belongs to somebody else
clean:
	@if grep -F ' $(CURDIR)/build/' /proc/self/mountinfo >&2; then \
	    echo 'this is mounted below build/: unmount it first' >&2; exit 1; \
	fi
	rm -rf build t/servroot
