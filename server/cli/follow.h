/* Following the log over one transport until the connection is over. Where it
 * stands is in the position, so that whoever calls may go on over any other.
 *
 * Errors   ERR_END when `event` said stop or the user wants to end; else why
 *          the connection is over, as remote.h and ws_client.h have it; bye_ms is the
 *          delay that a bye asked for.
 * Threads  one at a time.
 */
#ifndef RUNG_FOLLOW_H
#define RUNG_FOLLOW_H

#include "server/cli/position.h"
#include "server/cli/remote.h"

struct follower {
    struct remote *remote;
    struct position position;
    const char *device;   /* or NULL */
    const char *limit;    /* or NULL */
    uint64_t wait_s;      /* of a long poll */
    uint64_t interval_ms; /* between short polls */
    /* An event beyond the position, which has moved already; `text` is its
     * JSON. False: stop. */
    bool (*event)(struct follower *follower, const json_t *event,
                  struct span text);
    /* What has come at once is through. False: stop. */
    bool (*flush)(struct follower *follower);
    /* On a stream, about once a second or more often. */
    void (*idle)(struct follower *follower);
    /* A status 200, a handshake: it may be a proxy's. */
    void (*accepted)(struct follower *follower);
    const atomic_bool *cancelled; /* see http_client.h */
    const char *tcp_address;      /* HOST:PORT of raw TCP, or NULL */

    /* the rest is follow.c's */
    uint64_t silence_ms;
    uint32_t bye_ms;
    enum err bye_err; /* ERR_NONE: no reason against coming back */
    uint16_t close_code;
    bool bye, heard; /* since the connection began */
    bool ours;       /* it was refused by the server, not on the way */
    bool stopped;
};

/* "ws or sse or …", for messages. */
const char *follow_transports(void);
bool follow_knows(const char *transport);
MUST_CHECK enum err follow_over(struct follower *follower,
                                const char *transport, struct failure *why);

#endif
