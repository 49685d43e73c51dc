/* The clocks and the kernel's random numbers, as the server and its libraries
 * see them: in place of the C library's. */
#include "tests/simulate/time.h"
#include "tests/simulate/fiber.h"

#include <string.h>
#include <sys/random.h>
#include <sys/time.h>
#include <time.h>

#define BEGIN_S 1763600000 /* the Unix time at which every run begins */
#define LOOKS 500          /* while nothing else happens */
#define MONOTONIC_S 1000   /* what the machine has been up for by then */

static uint64_t now_us, looks;
static struct chance random_numbers;

void time_begin(uint64_t seed)
{
    now_us = 0;
    random_numbers = chance_of(seed, UINT64_C(0xbadcafe));
}

uint64_t time_now_us(void)
{
    return now_us;
}

void time_pass(uint64_t until_us)
{
    looks = 0;
    if (until_us > now_us)
        now_us = until_us;
}

uint64_t time_wall_s(void)
{
    return BEGIN_S + now_us / 1000000;
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */
/* Looking takes no time, or the allocator, which looks when it pleases, would
 * change what happens; but whoever waits by looking must not wait for ever. */
int clock_gettime(clockid_t clock, struct timespec *out)
{
    uint64_t base = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE
                        ? BEGIN_S
                        : MONOTONIC_S;

    if (++looks > LOOKS)
        now_us++;
    out->tv_sec = (time_t)(base + now_us / 1000000);
    out->tv_nsec = (long)(now_us % 1000000 * 1000);
    return 0;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    (void)zone;
    out->tv_sec = (time_t)time_wall_s();
    out->tv_usec = (suseconds_t)(now_us % 1000000);
    return 0;
}

time_t time(time_t *out)
{
    time_t now = (time_t)time_wall_s();

    if (out)
        *out = now;
    return now;
}

ssize_t getrandom(void *out, size_t size, unsigned flags)
{
    char *at = out;

    (void)flags;
    for (size_t left = size; left;) {
        uint64_t number = chance_next(&random_numbers);
        size_t part = left < sizeof number ? left : sizeof number;

        memcpy(at, &number, part);
        at += part;
        left -= part;
    }
    return (ssize_t)size;
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
