/* SIGINT and SIGTERM as a wish to end. */
#include "server/cli/interrupt.h"

#include "server/base/clock.h"

#include <signal.h>
#include <string.h>
#include <time.h>

#define NAP_MS                                                                 \
    100 /* a signal that comes just before a nap is seen after it              \
         */

static volatile sig_atomic_t wanted;

static void want(int number)
{
    (void)number;
    wanted = 1;
}

void interrupt_catch(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = want;
    sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

bool interrupt_wanted(void)
{
    return wanted != 0;
}

bool interrupt_sleep(uint64_t ms)
{
    uint64_t end = clock_mono_ms() + ms;

    while (!wanted) {
        uint64_t now = clock_mono_ms();

        if (now >= end)
            return true;

        uint64_t nap = end - now < NAP_MS ? end - now : NAP_MS;
        struct timespec time = {.tv_nsec = (long)(nap * 1000000)};

        (void)nanosleep(&time, NULL);
    }
    return false;
}
