/* What the run, not the server, has to do with time; more in fiber.h.
 *
 * Threads  one. */
#ifndef RUNG_SIMULATE_TIME_H
#define RUNG_SIMULATE_TIME_H

#include <stdint.h>

void time_begin(uint64_t seed); /* the clocks, and what getrandom() gives */
uint64_t time_wall_s(void);     /* since the Unix epoch */

#endif
