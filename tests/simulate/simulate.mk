# The simulator's rules, for the Makefile to include. docs/RELIABILITY.md says
# what it does.
#
#   make simulate [SEEDS=1-300] [JOBS=2]

SEEDS ?= 1-300
JOBS  ?= $(shell nproc)
SIMULATE      := $B/tests/simulate/simulate
SIMULATE_OBJS := $(patsubst %.c,$B/%.o,$(wildcard tests/simulate/*.c)) \
                 $B/tests/lib/given_store.o

simulate: $(SIMULATE)
	@$(SIMULATE) $(SEEDS) -j $(JOBS)

# Its open(), epoll_wait() and so on come before the libraries'.
$(SIMULATE): $(SIMULATE_OBJS) $B/parts.a
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -rdynamic -o $@ $(SIMULATE_OBJS) \
	    $B/parts.a $(LIBS)

.PHONY: simulate
