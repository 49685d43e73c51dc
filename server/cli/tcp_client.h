/* Raw TCP for the commands: a line goes out, lines come in.
 *
 * Units    milliseconds.
 * Errors   tcp_client_run() returns when the connection is over: ERR_END when
 *          `line` said stop, it was cancelled or the user wants to end,
 *          ERR_UNAVAILABLE when it was lost, ERR_BAD_REQUEST for an address that
 *          is none.
 * Threads  one at a time.
 */
#ifndef RUNG_TCP_CLIENT_H
#define RUNG_TCP_CLIENT_H

#include "server/base/buf.h"

#include <stdatomic.h>

struct tcp_client_options {
    const char *address;          /* HOST:PORT */
    struct span first;            /* line, with its end; sent at once */
    const uint64_t *silence_ms;   /* lines must come at least so often */
    const atomic_bool *cancelled; /* see http_client.h */
    void (*accepted)(void *arg);  /* it is connected */
    /* What has come at once: whole lines. False: stop. */
    bool (*line)(void *arg, struct span line);
    bool (*batch)(void *arg); /* behind them */
    void (*idle)(void *arg);  /* several times a second */
    void *arg;
};

MUST_CHECK enum err tcp_client_run(const struct tcp_client_options *options,
                                   struct failure *why);

#endif
