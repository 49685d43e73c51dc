/* The demo's death: the process replaces itself. */
#define _POSIX_C_SOURCE 200809L
#include "server/demo_again.h"
#include "server/base/mem.h"
#include "server/base/trace.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SELF "/proc/self/exe"
#define DOWN "RUNG_DEMO_DOWN_MS" /* from the one that died to the next */
#define ADDRESS_ROOM 512

static int known_argc;
static char **known_argv;

/* signal_note: what would end a server comes in good time or not at all: it is
 * blocked from before the death until there are handlers again, and looked for
 * while the server is dead. */
static void block_stops(int how)
{
    sigset_t stops;

    sigemptyset(&stops);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGINT);
    sigaddset(&stops, SIGHUP);
    (void)pthread_sigmask(how, &stops, NULL);
}

static void stay_dead(long ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    sigset_t ends;

    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    block_stops(SIG_BLOCK);
    if (sigtimedwait(&ends, NULL, &time) > 0) {
        trace(TRACE_INFO, "stopped", "status=0");
        exit(EXIT_SUCCESS);
    }
}

void demo_again_ready(int argc, char **argv)
{
    const char *text = getenv(DOWN);
    long ms = text ? strtol(text, NULL, 10) : 0;

    known_argc = argc;
    known_argv = argv;
    (void)unsetenv(DOWN);
    if (ms > 0 && ms <= DEMO_DOWN_MAX_MS)
        stay_dead(ms);
}

void demo_again_alive(void)
{
    block_stops(SIG_UNBLOCK);
}

/* Where it listened: it may have been given port 0. */
static void name_address(char room[ADDRESS_ROOM], const char *listen,
                         const char *url)
{
    const char *colon = strrchr(listen, ':');
    int host = (int)(colon ? colon - listen : 0);

    (void)snprintf(room, ADDRESS_ROOM, "%.*s:%s", host, listen,
                   strrchr(url, ':') + 1);
}

/* What a thread of ours blocks would stay blocked. */
static void set_signals(void)
{
    sigset_t none;

    sigemptyset(&none);
    (void)pthread_sigmask(SIG_SETMASK, &none, NULL);
    block_stops(SIG_BLOCK); /* see signal_note */
}

enum err demo_again(const char *listen, const char *url, uint64_t down_ms,
                    struct failure *why)
{
    char address[ADDRESS_ROOM], down[24], name[] = "rung", flag[] = "--listen";
    char **argv = mem_zalloc(((size_t)known_argc + 4) * sizeof(*argv));
    int count = 0;

    if (!known_argv || !argv) {
        mem_free(argv);
        return fail(why, ERR_UNAVAILABLE, "this server cannot begin again");
    }
    name_address(address, listen, url);
    argv[count++] = name;
    for (int i = 0; i < known_argc; i++)
        argv[count++] = known_argv[i];
    if (strcmp(argv[count - 1], address) != 0) { /* died before: it is there */
        argv[count++] = flag;
        argv[count++] = address;
    }
    (void)snprintf(down, sizeof(down), "%llu", (unsigned long long)down_ms);
    (void)setenv(DOWN, down, 1);
    trace(TRACE_WARN, "killed, as asked; begins again", "down_ms=%s", down);
    set_signals();
    (void)execv(SELF, argv);
    block_stops(SIG_UNBLOCK);
    (void)unsetenv(DOWN);
    mem_free(argv);
    return fail(why, ERR_UNAVAILABLE, "%s: %s", SELF, strerror(errno));
}
