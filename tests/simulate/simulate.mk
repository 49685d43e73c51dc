# The simulator's rules, for the Makefile to include. docs/RELIABILITY.md says
# what it does.
#
#   make simulate [SEEDS=1-300] [JOBS=2]
#   make simulate-same      the same seed tells the same story, byte for byte
#   make sabotage           what is broken on purpose is found

SEEDS ?= 1-300
JOBS  ?= $(shell nproc)
SIMULATE      := $B/tests/simulate/simulate
SIMULATE_OBJS := $(patsubst %.c,$B/%.o,$(wildcard tests/simulate/*.c)) \
                 $B/tests/lib/given_store.o

simulate: $(SIMULATE)
	@$(SIMULATE) $(SEEDS) -j $(JOBS)

simulate-same: $(SIMULATE)
	@for seed in 1 2 3 4 5; do \
	    $(SIMULATE) $$seed --story >$B/story.one && \
	    $(SIMULATE) $$seed --story >$B/story.other && \
	    cmp $B/story.one $B/story.other || exit 1; done; \
	echo "5 stories, told twice, are the same"

sabotage:
	@CC="$(CC)" node tests/simulate/sabotage.mjs

# Its open(), epoll_wait() and so on come before the libraries'.
$(SIMULATE): $(SIMULATE_OBJS) $B/parts.a
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -rdynamic -o $@ $(SIMULATE_OBJS) \
	    $B/parts.a $(LIBS)

.PHONY: simulate simulate-same sabotage
