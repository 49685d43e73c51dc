# make          the server: build/rung
# make run      install what it needs, build, serve the demo on localhost:8080
# make test     install what the tests need, build, run every test
# make test-c   only the C tests
# SANITIZE=address,undefined or SANITIZE=thread: the same in a folder of its own
# make simulate the server with the clock, network and disk of a seed
# make prove    every proof of docs/RELIABILITY.md, long; ARGS=--quick: short
# make packets  loses each of the six packets N times (N=1000)
# Also: lint format fuzz install clean deps deps-test.  WERROR=1 for no warnings.

PKGS     := libuv libwebsockets libmicrohttpd lmdb jansson libjwt openssl libcurl zlib
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wvla -Wpointer-arith -Wformat=2 -Wundef
CFLAGS   ?= -O2 -g
PREFIX   ?= /usr/local
VERSION  := 0.1.0

SHELL    := /bin/sh
# V=1 shows the commands
Q         = $(if $(V),,@echo "  $@";)
SUDO     := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:

# ---- one folder for each kind of build -------------------------------------

FUZZ_SECONDS ?= 30
HARDEN   := -fstack-protector-strong $(if $(filter -O0,$(CFLAGS)),,\
            -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
LINKING  := -pie -Wl,-z,relro,-z,now
ifeq ($(SANITIZE),)
  B      ?= build
  PKGS   += jemalloc # the sanitizers bring an allocator of their own
else
  comma  := ,
  SLUG   := $(subst $(comma),-,$(SANITIZE))
  HARDEN := -fsanitize=$(SANITIZE) -fno-omit-frame-pointer \
            -fno-sanitize-recover=all
  ifeq ($(SANITIZE),address,undefined)
    SLUG := asan
  else ifeq ($(SANITIZE),thread)
    SLUG := tsan
  else ifeq ($(SANITIZE),fuzz)
    override CC := clang
    HARDEN := -fsanitize=fuzzer-no-link,address,undefined \
              -fno-omit-frame-pointer -fno-sanitize-recover=all
  endif
  B      ?= build/$(SLUG)
endif
ifeq ($(WERROR),1)
  WARNINGS += -Werror
endif

ALL_CPPFLAGS = -I. -D_DEFAULT_SOURCE -DRUNG_VERSION='"$(VERSION)"' -MMD -MP \
               $(CPPFLAGS) $(PKG_CFLAGS)
ALL_CFLAGS   = -std=c11 -fPIE $(WARNINGS) $(HARDEN) $(CFLAGS)
ALL_LDFLAGS  = $(HARDEN) $(LINKING) $(LDFLAGS)
LIBS         = $(PKG_LIBS) -lpthread
PKG_CFLAGS  := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS    := $(shell pkg-config --libs $(PKGS) 2>/dev/null)

# ---- what there is ---------------------------------------------------------

DIRS     := server/base server server/methods server/cli store transports
SRCS     := $(wildcard $(addsuffix /*.c,$(DIRS)))
OBJS      = $(SRCS:%.c=$B/%.o) $B/web_files.o
PARTS     = $(filter-out $B/server/main.o,$(OBJS))
SDK      := $(wildcard web/rung.js web/rung/*.js web/carry/*.js)
CLASSIC  := web/rung.classic.js # the same for <script>, made from SDK
WEB      := $(sort $(CLASSIC) $(shell find web -type f -name '*.html' \
            -o -name '*.js' -o -name '*.css' -o -name '*.svg' -o -name '*.png'))
UNITS    := $(patsubst %.c,%,$(wildcard tests/unit/test_*.c))
HELPERS  := $(wildcard tests/lib/*.c)
FUZZERS  := $(patsubst %.c,%,$(wildcard tests/fuzz/fuzz_*.c))
OWN_C    := $(SRCS) $(wildcard tools/*.c tests/unit/*.c tests/lib/*.c \
            tests/fuzz/*.c tests/crash/*.c tests/conformance/*.c \
            tests/simulate/*.c tests/disk/*.c bench/*.c \
            bench/load/*.c clients/*.c)
OWN_H    := $(wildcard $(addsuffix /*.h,$(DIRS)) tests/lib/*.h tests/unit/*.h \
            tests/conformance/*.h tests/simulate/*.h bench/load/*.h)
JS_DIRS  := *
JS_TESTS  = $(sort $(wildcard $(foreach d,$(JS_DIRS),\
            tests/$d/*.test.js tests/$d/*.test.mjs)))

all: $B/rung

$B/rung: $(OBJS)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(OBJS) $(LIBS)

# The tests take from it what they need; so may a broken part stay untested
# without keeping the others from their tests (make -k).
$B/parts.a: $(PARTS)
	@rm -f $@
	$(AR) rcsP $@ $(PARTS) # P: two rooms may have a file of one name

$B/%.o: %.c $B/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

$B/web_files.o: $B/web_files.c $B/flags
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

$B/web_files.c: $B/pack_web $B/web_list $(WEB)
	$(Q)$B/pack_web web $(WEB) > $@

$(CLASSIC): tools/classic_script.awk $(SDK)
	$(Q)awk -f $< -v root=web -v entry=rung.js -v name=Rung > $@.$$$$ && \
	    mv $@.$$$$ $@ # whole or not at all: several builds share it

$B/pack_web: tools/pack_web.c server/assets.c server/assets.h
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c11 $(WARNINGS) -I. -o $@ tools/pack_web.c server/assets.c

# Rewritten only when what they hold has changed: other flags or another
# compiler build anew, a file gone from web/ leaves the binary.
$B/flags: FORCE
	@pkg-config --exists $(PKGS) || { echo "something is missing: make deps" >&2; exit 1; }
	@mkdir -p $(@D)
	@echo '$(subst ','\'',$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(LIBS))' | cmp -s - $@ || \
	    echo '$(subst ','\'',$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(LIBS))' > $@
$B/web_list: FORCE
	@mkdir -p $(@D)
	@echo '$(WEB)' | cmp -s - $@ || echo '$(WEB)' > $@
FORCE:

-include $(shell [ ! -d $B ] || find $B -name '*.d')

# ---- to run and install ----------------------------------------------------

run: deps
	@$(MAKE) --no-print-directory all
	$B/rung serve --demo $(ARGS)

install: all
	install -D -m 755 $B/rung $(DESTDIR)$(PREFIX)/bin/rung
	install -D -m 644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/rung/LICENSE

clean:
	rm -rf build $(CLASSIC)

# ---- tests -----------------------------------------------------------------

# tests/tsan.supp and tests/lsan.supp, if ever needed, say why in each line.
supp     = $(if $(wildcard tests/$1.supp),suppressions=$(abspath tests/$1.supp):)
SAN_ENV  = ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 \
           LSAN_OPTIONS=$(call supp,lsan)print_suppressions=0 \
           TSAN_OPTIONS=$(call supp,tsan)halt_on_error=1 $(FIXED)
# The sanitizers of gcc 12 and clang 14 stumble over a kernel that spreads its
# mappings wider than they expect; where we may, we keep it from doing so.
FIXED   := $(if $(SANITIZE),$(shell setarch -R true 2>/dev/null && \
           echo setarch -R))

test: deps-test
	@$(MAKE) --no-print-directory test-all

test-all:
	@bad=; for part in test-c test-includes test-js; do \
	    $(MAKE) --no-print-directory $$part || bad="$$bad $$part"; done; \
	[ -z "$$bad" ] || { echo "failed:$$bad" >&2; exit 1; }

test-c: $(UNITS:%=$B/%)
	@bad=; for t in $(UNITS); do echo "# $$t"; \
	    $(SAN_ENV) timeout 300 $B/$$t 2>&1; status=$$?; \
	    [ $$status = 0 ] || bad="$$bad $$t"; \
	    [ $$status -lt 124 ] || echo "not ok program $$t ($$status)"; done; \
	[ -z "$$bad" ] || { echo "failed:$$bad" >&2; exit 1; }

# One file at a time: they start servers and measure time.
test-js: all $B/tests/conformance_server $B/tests/disk/shim.so
	@[ -z "$(JS_TESTS)" ] || RUNG_BIN="$${RUNG_BIN:-$(abspath $B/rung)}" \
	    $(SAN_ENV) node --test --test-concurrency=2 --test-reporter=spec $(JS_TESTS)

# Each of the six packets lost N times; the tests do it a hundred times.
N ?= 1000
packets: all
	RUNG_PACKETS=$(N) RUNG_BIN="$${RUNG_BIN:-$(abspath $B/rung)}" \
	    node --test --test-reporter=spec tests/packets/*.test.mjs

test-includes:
	@sh tests/check-includes.sh

$B/tests/unit/%: $B/tests/unit/%.o $(HELPERS:%.c=$B/%.o) $B/parts.a
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $B/parts.a \
	    $(LIBS) $(shell pkg-config --libs cmocka)

# Loaded into the server; never instrumented, for it comes first.
$B/tests/disk/shim.so: tests/disk/shim.c $B/flags
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c11 $(WARNINGS) -O2 -fPIC -shared -o $@ $<

CONFORMANCE := $(wildcard tests/conformance/*.c)
$B/tests/conformance_server: $(CONFORMANCE:%.c=$B/%.o) $B/parts.a
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $B/parts.a \
	    $(LIBS)

# ---- fuzzing: seeds in tests/fuzz/corpus/NAME, finds in build/fuzz ----------

fuzz:
	@$(MAKE) --no-print-directory SANITIZE=fuzz fuzz-run

fuzz-run: $(FUZZERS:%=$B/%)
	@bad=; for f in $(FUZZERS); do name=$${f##*/fuzz_}; log=$B/$$name.log; \
	    mkdir -p $B/corpus/$$name tests/fuzz/corpus/$$name; \
	    if $(SAN_ENV) $B/$$f -max_total_time=$(FUZZ_SECONDS) -timeout=10 \
	        -rss_limit_mb=2048 -print_final_stats=1 \
	        -artifact_prefix=$B/found-$$name- \
	        $B/corpus/$$name tests/fuzz/corpus/$$name >$$log 2>&1; \
	    then echo "ok fuzz $$name:" \
	        $$(sed -n 's/^stat::number_of_executed_units: *//p' $$log) runs; \
	    else tail -n 50 $$log; echo "not ok fuzz $$name"; bad=1; fi; \
	done; [ -z "$$bad" ]

$B/tests/fuzz/%: $B/tests/fuzz/%.o $B/parts.a
	$(Q)$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer $(ALL_LDFLAGS) -o $@ $< $B/parts.a $(LIBS)

# ---- benchmarks ------------------------------------------------------------

include bench/bench.mk

# ---- whatever breaks --------------------------------------------------------

include tests/simulate/simulate.mk

# The long versions of what docs/RELIABILITY.md tells; ARGS=--quick: short ones.
prove: all $B/tests/conformance_server $B/tests/disk/shim.so $(SIMULATE)
	@CC="$(CC)" RUNG_BIN="$${RUNG_BIN:-$(abspath $B/rung)}" \
	    node tests/prove.mjs $(ARGS)

# ---- layout and advice -----------------------------------------------------

format:
	clang-format -i $(OWN_C) $(OWN_H)

lint: lint-format lint-tidy lint-cppcheck

lint-format:
	clang-format --dry-run -Werror $(OWN_C) $(OWN_H)

# One file at a time, so that each is advised about once; all cores.
lint-tidy:
	@echo clang-tidy
	@printf '%s\n' $(OWN_C) | xargs -P "$$(nproc)" -n 1 sh -c \
	    'out=$$(clang-tidy --quiet "$$0" -- -std=c11 -I. -D_DEFAULT_SOURCE \
	        -DRUNG_VERSION=\"$(VERSION)\" $(PKG_CFLAGS) 2>&1) || \
	    { printf "%s\n" "$$out"; exit 1; }'

lint-cppcheck:
	cppcheck --quiet --std=c11 --language=c -I. -j "$$(nproc)" \
	    -D_DEFAULT_SOURCE -DRUNG_VERSION='"$(VERSION)"' \
	    --enable=warning,performance,portability --inline-suppr \
	    --suppressions-list=.cppcheck --error-exitcode=1 $(SRCS) tools

# ---- pages that are made ---------------------------------------------------

screenshots: all # docs/demo*.png, of the README
	RUNG_BIN="$(abspath $B/rung)" node tests/browser/screenshot.mjs

docs/CLIENTS.md: FORCE # from clients/
	@sh tools/include_clients.sh

# ---- packages of a bare Debian, only those that are missing -----------------

APT = $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get

# $(call need,TEST,PACKAGES): ask for the packages when the test fails
need = { $1; } >/dev/null 2>&1 || want="$$want $2";
apt  = [ -z "$$want" ] || { command -v apt-get >/dev/null || \
       { echo "please install:$$want" >&2; exit 1; }; \
       echo "installing:$$want"; \
       $(APT) update -q && $(APT) install -q -y --no-install-recommends $$want; }

deps:
	@want=; \
	$(call need,command -v $(firstword $(CC)),gcc libc6-dev) \
	$(call need,echo '#include <stdio.h>' | $(CC) -E -,libc6-dev) \
	$(call need,command -v pkg-config,pkg-config) \
	$(call need,pkg-config --exists libuv,libuv1-dev) \
	$(call need,pkg-config --exists libwebsockets,libwebsockets-dev) \
	$(call need,ls /usr/lib/*/libwebsockets-evlib_uv.so,libwebsockets-evlib-uv) \
	$(call need,pkg-config --exists libmicrohttpd,libmicrohttpd-dev) \
	$(call need,pkg-config --exists lmdb,liblmdb-dev) \
	$(call need,pkg-config --exists jansson,libjansson-dev) \
	$(call need,pkg-config --exists libjwt,libjwt-dev) \
	$(call need,pkg-config --exists openssl,libssl-dev) \
	$(call need,pkg-config --exists libcurl,libcurl4-openssl-dev) \
	$(call need,pkg-config --exists zlib,zlib1g-dev) \
	$(call need,pkg-config --exists jemalloc,libjemalloc-dev) \
	$(call need,echo '#include <uthash.h>' | $(CC) -E -,uthash-dev) \
	$(apt)

deps-test: deps
	@want=; \
	$(call need,pkg-config --exists cmocka,libcmocka-dev) \
	$(call need,command -v clang,clang) \
	$(call need,command -v clang-tidy,clang-tidy) \
	$(call need,command -v clang-format,clang-format) \
	$(call need,command -v cppcheck,cppcheck) \
	$(call need,ls $$(clang -print-resource-dir)/lib/linux/libclang_rt.fuzzer-*.a,libclang-rt-14-dev) \
	$(call need,command -v node,nodejs) \
	$(call need,command -v npm,npm) \
	$(call need,command -v chromium,chromium) \
	$(call need,command -v curl,curl) \
	$(call need,command -v jq,jq) \
	$(call need,nc -h 2>&1 | grep -q OpenBSD,netcat-openbsd) \
	$(call need,command -v python3,python3) \
	$(call need,/usr/bin/python3 -c 'import socketio',python3-socketio) \
	$(call need,/usr/bin/python3 -c 'import requests',python3-requests) \
	$(call need,/usr/bin/python3 -c 'import websocket',python3-websocket) \
	$(call need,perl -MHTTP::Tiny -MJSON::PP -MTime::HiRes -e 1,perl) \
	$(call need,command -v php,php-cli) \
	$(call need,command -v javac,default-jdk-headless) \
	$(apt)
	@[ tests/node_modules/.package-lock.json -nt tests/package-lock.json ] || \
	    (cd tests && npm ci --no-audit --no-fund && \
	     touch node_modules/.package-lock.json)

.PHONY: all run install screenshots clean packets prove test test-all test-c test-js test-includes fuzz \
        fuzz-run bench format lint lint-format lint-tidy lint-cppcheck deps \
        deps-test FORCE
