/* Lines over bare TCP on a worker's loop: each line that comes is a text of the
 * peer's (peer.h), and each that is sent a text of ours. For whatever has
 * sockets and no HTTP; `nc` will do.
 *
 * There is no ping: what is sent must be acknowledged (socket_expect), and the
 * heartbeats see to it that something is.
 *
 * Errors   a peer that breaks the rules is closed with the code that fits: 1002
 *          it speaks no JSON, 1007 not UTF-8, 1009 a line too large; 1013 when
 *          memory is short. There is no close frame: the code stands in a last
 *          line (docs/PROTOCOL.md).
 * Threads  the worker's loop.
 * Memory   see peer.h.
 */
#ifndef RUNG_TCP_HOST_H
#define RUNG_TCP_HOST_H

#include "server/base/poller.h"
#include "transports/peer.h"
#include "transports/tcp_lines.h"

struct tcp_host;

struct tcp_peer {
    struct peer peer;
    struct tcp_host *host;
    int fd;
    bool told;   /* our last line is out, and the end behind it */
    bool killed; /* it ends as soon as nobody is inside of it */
    bool paused;
    bool ended;  /* the peer sends nothing more */
    bool unread; /* there may be bytes in the socket that no edge will tell */
    bool again;  /* writable() was asked for */
    struct watch watch;
    struct list link;
    struct list later; /* host's: to be read or flushed when the turn ends */
    struct tcp_lines lines;
    struct shared *rest; /* what the socket did not take, or NULL */
    size_t offset;       /* of what is missing in it */
};

static inline struct tcp_peer *tcp_of(struct peer *peer)
{
    return container_of(peer, struct tcp_peer, peer);
}

/* What is spoken (tcp.c). */
struct tcp_handler {
    /* Somebody has connected: a zeroed peer, but for its owner. NULL: memory is
     * short. */
    struct tcp_peer *(*create)(struct worker *worker);
    struct peer_handler peer;
};
extern const struct tcp_handler tcp_handler;

MUST_CHECK enum err tcp_host_create(struct tcp_host **out,
                                    struct worker *worker);
/* A socket that counts as connected. Takes fd when it succeeds. */
MUST_CHECK enum err tcp_host_adopt(struct tcp_host *host, int fd);
/* Tell somebody who has not been counted as connected why not, and close. Takes
 * fd. */
void tcp_host_refuse(struct worker *worker, int fd, const struct failure *why);
/* Once per loop turn: whatever it has left to be read and sent, one call a
 * peer. False: there is more, for the next turn. */
bool tcp_host_turn(struct tcp_host *host);
/* Tell every handler that the server is going away. */
void tcp_host_drain(struct tcp_host *host);
/* Ends every connection. */
void tcp_host_destroy(struct tcp_host *host); /* NULL: nothing */

#endif
