/* WebSocket on a worker's loop: the only file of the server that knows
 * libwebsockets. It carries frames; what they say is a handler's (peer.h),
 * found by the path of the handshake.
 *
 * Errors   a peer that breaks the protocol is closed with the fitting code:
 *          1002 its frames, 1003 binary, 1007 not UTF-8, 1009 too large; 1013
 *          when memory is short.
 * Threads  the worker's loop.
 * Memory   see peer.h.
 *
 * libwebsockets' sharp edges (4.1.6), dealt with in ws_host.c:
 *   - Its frame parser lets through what RFC 6455 forbids and shows it to no
 *     callback (docs/DESIGN.md, "What libwebsockets is used for"): so it gets
 *     the bytes of the handshake and never one of a frame. Its reading is held
 *     back for good; the worker's poller watches the socket, and ws_frames
 *     takes apart what comes.
 *   - Asking for a writable callback for each message costs three system calls,
 *     and its own writing copies and composes: so frames are ready-made and
 *     written past it, unless lws_partial_buffered(). What is left of a frame
 *     that did not fit is given to it, to go out before anything else.
 *   - rx_buffer_size also caps a single send: tx_packet_size says otherwise.
 *   - Its timers are a sorted list, so there are none per connection: validity
 *     checks are off, the pings are ours.
 *   - Returning nonzero from a writable callback loses the close frame: ours is
 *     written by ourselves.
 *   - Its way to end a connection from outside its callbacks,
 *     LWS_TO_KILL_ASYNC, waits for a timer that only other traffic starts on a
 *     foreign loop: we shut the socket down and let it read the end.
 *   - It is lenient about handshakes: checked before it sees them.
 *   - permessage-deflate can be crashed: not offered.
 */
#ifndef RUNG_WS_HOST_H
#define RUNG_WS_HOST_H

#include "server/head.h"
#include "server/worker.h"
#include "transports/peer.h"
#include "transports/ws_frames.h"

struct lws;

struct ws_peer {
    struct peer peer;
    const struct ws_handler *handler;
    struct ws_host *host;
    struct guest *guest; /* see hold_note, server/guests.h */
    struct lws *wsi;     /* NULL before adoption and after the end */
    int fd;              /* the library's, while there is a wsi */
    bool heard;          /* something came since the last ping */
    bool close_said;     /* our close frame is out, or will never be */
    bool close_heard;    /* and the peer's is in, or must not be read */
    bool killed;         /* the library does the rest */
    bool paused;
    bool ended;  /* the peer sends nothing more */
    bool unread; /* there may be bytes in the socket that no edge will tell */
    struct watch watch;
    struct list link;
    struct list later; /* host's: to be read or flushed when the turn ends */
    struct ws_frames frames;
    struct buf *message;      /* one that came in pieces, or NULL */
    struct shared *pong;      /* a frame owed to a full socket, or NULL */
    const char *close_reason; /* static */
    size_t max_bytes;         /* of a message; 0: as the config has it */
    bool begun;               /* `whole` runs */
    struct wheel_node whole;  /* until when what has begun must have come */
};

static inline struct ws_peer *ws_of(struct peer *peer)
{
    return container_of(peer, struct ws_peer, peer);
}

/* What is spoken at a path. Every call happens on the loop thread of the
 * worker. */
struct ws_handler {
    const char *path; /* "/v1/ws"; NULL: speaks() says */
    bool (*speaks)(const struct config *config, struct span path);

    /* A handshake that is sound, but for its Origin; its bytes were read from
     * the socket, which counts as connected. True: it was refused, or moved to
     * another worker. NULL: it is for create(), once its Origin is right. */
    bool (*receive)(struct worker *worker, int fd, const struct head *head,
                    struct span bytes);
    /* A handshake for this path: a zeroed peer, but for its owner. NULL:
     * refused, and why. */
    struct ws_peer *(*create)(struct worker *worker, const struct head *head,
                              struct failure *why);
    /* One binary message. NULL: such a frame closes with 1003. */
    void (*binary)(struct peer *peer, struct span data);
    struct peer_handler peer;
};

/* Who speaks where, NULL-terminated (ws_table.c). */
extern const struct ws_handler *const ws_handlers[];

MUST_CHECK enum err ws_host_create(struct ws_host **out, struct worker *worker);
/* Whether this request may become a WebSocket; if not, why. */
MUST_CHECK enum err ws_host_check(struct ws_host *host, const struct head *head,
                                  struct failure *why);
/* A handshake that was checked, and its bytes, which have been read from the
 * socket already. Takes fd, which counts as connected. */
void ws_host_adopt(struct ws_host *host, int fd, const struct head *head,
                   struct span bytes);
/* Once per loop turn: whatever it has left to be read and sent, one call a
 * peer. False: there is more, for the next turn. */
bool ws_host_turn(struct ws_host *host);
/* Tell every handler that the server is going away. */
void ws_host_drain(struct ws_host *host);
/* Ends every connection; the loop must turn until they are gone. */
void ws_host_close(struct ws_host *host);
void ws_host_free(struct ws_host *host); /* NULL: nothing */

#endif
