/* Time, which tests substitute, and the kernel's random numbers. */
#include "server/base/clock.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static uint64_t (*substitute_wall_ms)(void);
static uint64_t (*substitute_mono_us)(void);

void clock_substitute(uint64_t (*wall_ms)(void), uint64_t (*mono_us)(void))
{
    substitute_wall_ms = wall_ms;
    substitute_mono_us = mono_us;
}

static uint64_t read_us(clockid_t clock)
{
    struct timespec now;
    int rc = clock_gettime(clock, &now);

    assert(rc == 0);
    (void)rc;
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_wall_ms(void)
{
    if (substitute_wall_ms)
        return substitute_wall_ms();
    return read_us(CLOCK_REALTIME) / 1000;
}

uint64_t clock_wall_us(void)
{
    if (substitute_wall_ms)
        return substitute_wall_ms() * 1000;
    return read_us(CLOCK_REALTIME);
}

uint64_t clock_mono_us(void)
{
    if (substitute_mono_us)
        return substitute_mono_us();
    return read_us(CLOCK_MONOTONIC);
}

uint64_t clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}

void random_bytes(void *out, size_t size)
{
    char *at = out;

    while (size) {
        ssize_t got = getrandom(at, size, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            abort(); /* no kernel that we run on lacks it: do not guess keys */
        at += got;
        size -= (size_t)got;
    }
}

uint64_t random_below(uint64_t below)
{
    if (below == 0)
        return 0;

    /* Numbers from the last, incomplete run of `below` would favour the small
     * ones; draw again. */
    uint64_t limit = UINT64_MAX - UINT64_MAX % below;
    uint64_t number;

    do
        random_bytes(&number, sizeof(number));
    while (number >= limit);
    return number % below;
}
