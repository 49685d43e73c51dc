/* The listening sockets of one worker: every worker has its own on the same
 * ports (SO_REUSEPORT), so that the kernel spreads the connections.
 *
 * Errors   ERR_BAD_REQUEST for an address that is none; ERR_UNAVAILABLE when
 *          the kernel refuses; both with words.
 * Threads  any, one at a time.
 */
#ifndef RUNG_LISTENER_H
#define RUNG_LISTENER_H

#include "server/base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define LISTENER_SOCKETS 4

struct listener {
    int fds[LISTENER_SOCKETS];
    size_t count;
    unsigned port; /* the one it got */
    char host[64]; /* as given */
};

/* What one worker listens on. */
struct listeners {
    struct listener http;
    struct listener lines; /* raw TCP; count 0: not at all */
};

/* `address` is "HOST:PORT", "[::1]:PORT" or ":PORT" (every interface). A name
 * that means several addresses ("localhost": 127.0.0.1 and ::1) listens on each
 * that is there. `port` 0: the one in the address; else that one instead. */
MUST_CHECK enum err listener_open(struct listener *out, const char *address,
                                  unsigned port, struct failure *why);
void listener_close(struct listener *listener);

#endif
