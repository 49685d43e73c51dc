/* What websocket.c, which moves the cursor, and ws_calls.c, which runs the
 * calls, share.
 *
 * Threads  the worker's loop.
 * Memory   websocket.c makes it, and frees it when its peer is gone; a call in
 *          flight may outlive it.
 */
#ifndef RUNG_WEBSOCKET_INSIDE_H
#define RUNG_WEBSOCKET_INSIDE_H

#include "server/query.h"
#include "server/worker.h"
#include "transports/transport.h"
#include "transports/ws_host.h"

struct websocket {
    struct ws_peer socket;
    struct peer *peer; /* the socket's */
    struct carrier carrier;
    struct worker *worker;
    bool known;   /* then its carrier says who it is */
    bool leaving; /* bye is out; closes when no call is in flight any more */
    uint16_t leave_code;
    uint16_t refused; /* requests in a row */
    unsigned call_count;
    const char *leave_reason;
    struct bucket bucket;
    struct list calls;   /* in flight */
    struct burst *held;  /* put off; before the replies */
    struct buf replies;  /* put off; behind FRAME_HEAD_MAX bytes */
    struct asked *asked; /* until known: what the handshake asked for */
};

struct asked {
    struct query query;
    char text[]; /* the query's */
};

static inline struct websocket *websocket_of(struct peer *peer)
{
    return peer->owner;
}

extern const struct transport websocket_transport;

/* --- websocket.c --------------------------------------------------------- */

/* What was put off, in order, and behind it more pieces of frames (those that
 * are empty count for nothing), with one call. */
void websocket_send(struct websocket *ws, const struct span *more,
                    size_t more_count);
/* What was put off, unless the socket is full. */
void websocket_flush(struct websocket *ws);
/* Replies, and the log from the cursor on, as long as the socket takes it. */
void websocket_pump(struct websocket *ws);
/* Close, when it is leaving and no call is in flight any more. */
void websocket_maybe_leave(struct websocket *ws);

/* --- ws_calls.c ----------------------------------------------------------- */

/* A message of the peer's: calls, one a line. */
void websocket_text(struct peer *peer, struct span text);
/* Its carrier is open: it says who it is from now on. */
void websocket_known(struct websocket *ws);
/* Who has too much in flight, or takes no replies, is not read. */
void websocket_decide_reading(struct websocket *ws);
/* Drop the replies that wait; also makes an empty buffer for them. */
void websocket_forget_replies(struct websocket *ws);
/* The peer has gone: calls in flight end without it. */
void websocket_forsake_calls(struct websocket *ws);

#endif
