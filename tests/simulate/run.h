/* One run: a seed's steps, one after the other, and the checks behind them.
 *
 * Threads  one. A process makes one run.
 */
#ifndef RUNG_SIMULATE_RUN_H
#define RUNG_SIMULATE_RUN_H

#include "tests/simulate/chance.h"

#include <stddef.h>

struct run_options {
    uint64_t seed;
    unsigned steps;
    const bool *left_out; /* of each step whether; NULL: none is */
};

/* Afterwards story_failed() says how it ended. */
void run(const struct run_options *options);

/* Of the step being made: for whatever happens by chance meanwhile. */
struct chance *run_chance(void);
/* Let time pass, and everything that it brings. */
void run_for(uint64_t us);

#endif
