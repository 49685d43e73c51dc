/* Time, which tests substitute.
 *
 * Units    milliseconds, or microseconds where the name says so; wall time
 * since the Unix epoch UTC, monotonic time from an arbitrary start. Threads
 * any. A substitute is set before other threads start.
 */
#ifndef RUNG_BASE_CLOCK_H
#define RUNG_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

uint64_t clock_wall_ms(void);
uint64_t clock_wall_us(void); /* the same, finer */
uint64_t clock_mono_ms(void);
uint64_t clock_mono_us(void);

/* Tests only: wall and monotonic time come from here until NULL is given. */
void clock_substitute(uint64_t (*wall_ms)(void), uint64_t (*mono_us)(void));

/* Uniform random number in [0, below) from the kernel's generator, for jitter
 * and ids; 0 when below is 0. */
uint64_t random_below(uint64_t below);
void random_bytes(void *out, size_t size);

#endif
