# The bench's own rules, for the Makefile to include. What each part does:
# bench/README.md

LOAD_OBJS := $(patsubst %.c,$B/%.o,$(wildcard bench/load/*.c))
BENCHES   := append sequence
BENCH_ENV  = RUNG_BIN=$(abspath $B/rung) BENCH_BIN=$(abspath $B/bench)

bench-tools: all $B/bench/load-gen $B/bench/ceiling $(BENCHES:%=$B/bench/%)

bench-quick: bench-tools
	@$(BENCH_ENV) bench/run --quick $(ARGS)

bench: bench-tools
	@bench/peers/setup
	@$(BENCH_ENV) bench/run --full $(ARGS)

$B/bench/load-gen: $(LOAD_OBJS)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ -lcrypto

$B/bench/ceiling: $B/bench/ceiling.o
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $<

$(BENCHES:%=$B/bench/%): %: %.o $B/parts.a
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $< $B/parts.a $(LIBS)

.PHONY: bench bench-quick bench-tools
