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

void demo_again_ready(int argc, char **argv)
{
    const char *text = getenv(DOWN);
    long ms = text ? strtol(text, NULL, 10) : 0;
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};

    known_argc = argc;
    known_argv = argv;
    (void)unsetenv(DOWN);
    if (ms > 0 && ms <= DEMO_DOWN_MAX_MS)
        (void)nanosleep(&pause, NULL);
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

/* Signals that a thread of ours blocks would stay blocked. */
static void unblock_signals(void)
{
    sigset_t none;

    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
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
    unblock_signals();
    (void)execv(SELF, argv);
    (void)unsetenv(DOWN);
    mem_free(argv);
    return fail(why, ERR_UNAVAILABLE, "%s: %s", SELF, strerror(errno));
}
