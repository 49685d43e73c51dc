/* Chance by a seed (splitmix64): the same seed, the same numbers, everywhere.
 *
 * Threads  the simulator has one.
 */
#ifndef RUNG_SIMULATE_CHANCE_H
#define RUNG_SIMULATE_CHANCE_H

#include <stdbool.h>
#include <stdint.h>

struct chance {
    uint64_t state;
};

static inline uint64_t chance_next(struct chance *chance)
{
    uint64_t z = chance->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Of a seed's nth step, so that a step is the same whichever others are left
 * out. */
static inline struct chance chance_of(uint64_t seed, uint64_t nth)
{
    struct chance chance = {seed * UINT64_C(0xd1342543de82ef95) + nth};

    chance_next(&chance);
    return chance;
}

/* In [0, below); 0 when below is 0. The bias is of no account here. */
static inline uint64_t chance_below(struct chance *chance, uint64_t below)
{
    return below ? chance_next(chance) % below : 0;
}

/* In [least, most]. */
static inline uint64_t chance_between(struct chance *chance, uint64_t least,
                                      uint64_t most)
{
    return least + chance_below(chance, most - least + 1);
}

static inline bool chance_percent(struct chance *chance, unsigned percent)
{
    return chance_below(chance, 100) < percent;
}

#endif
