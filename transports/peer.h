/* A peer that is spoken with both ways, whatever carries it: what its host
 * shows of it, and what its handler provides. The host carries texts; what they
 * say is the handler's.
 *
 * Units    bytes. Codes are those of a WebSocket's close frame (RFC 6455
 * section 7.4, docs/PROTOCOL.md), also where there is no such frame. Errors   a
 * connection that fails tells gone(), never its caller. Threads  the worker's
 * loop. Memory   a peer is embedded in its host's struct, and that in its
 * handler's, which is freed in gone() at the earliest. gone() comes from the
 * loop, never inside a call of the handler's.
 */
#ifndef RUNG_PEER_H
#define RUNG_PEER_H

#include "server/frame_head.h"
#include "server/worker.h"

struct peer {
    const struct peer_wire *wire;
    const struct peer_handler *handler;
    struct worker *worker;
    void *owner;         /* the handler's, for itself */
    uint16_t close_code; /* 0: open */
    bool full;           /* the socket takes no more for now */
    bool established;
    bool told; /* it was told why it will be closed: bye is out */
    struct wheel_node deadline; /* header_timeout_ms at first, until the handler
                                   disarms it; later, of closing */
};

/* --- what a host provides ------------------------------------------------- */

#define PEER_PIECES_MAX 7 /* in one peer_send() */

struct peer_wire {
    enum format format; /* in which bursts are sent */
    /* Write what goes before a text of `size` bytes; returns its length. */
    size_t (*head)(char out[FRAME_HEAD_MAX], size_t size);
    struct span tail; /* what goes behind it */
    /* See below. */
    bool (*send)(struct peer *peer, const struct span *pieces, size_t count);
    size_t (*ping)(struct peer *peer, char out[FRAME_HEAD_MAX]);
    void (*flush_later)(struct peer *peer);
    void (*resume_later)(struct peer *peer);
    void (*pause)(struct peer *peer, bool paused);
    void (*close)(struct peer *peer, uint16_t code, const char *reason);
    void (*kill)(struct peer *peer);
};

/* Send texts, ready-made and in any pieces, with one system call, as far as the
 * socket takes them; of the rest a copy is kept. False: full; writable() will
 * be called. A peer that is closing takes everything and sends nothing. */
static inline bool peer_send(struct peer *peer, const struct span *pieces,
                             size_t count)
{
    return peer->wire->send(peer, pieces, count);
}

/* Ask for a sign of life: what is to be sent for it is written, whole; returns
 * its size, which may be 0. A peer that did not even answer the last time is
 * killed. */
static inline size_t peer_ping(struct peer *peer, char out[FRAME_HEAD_MAX])
{
    return peer->wire->ping(peer, out);
}

/* flush() comes when this turn of the loop ends. */
static inline void peer_flush_later(struct peer *peer)
{
    peer->wire->flush_later(peer);
}

/* There is more to send, but others first: writable() comes. */
static inline void peer_resume_later(struct peer *peer)
{
    peer->wire->resume_later(peer);
}

/* Stop reading, or go on. */
static inline void peer_pause(struct peer *peer, bool paused)
{
    peer->wire->pause(peer, paused);
}

#define PEER_NO_CODE 1005 /* the peer closes, and gives no code for it */

/* Close with a code, after what was sent; flushes. `reason` is static. */
static inline void peer_close(struct peer *peer, uint16_t code,
                              const char *reason)
{
    peer->wire->close(peer, code, reason);
}

/* At once, without a word. */
static inline void peer_kill(struct peer *peer)
{
    peer->wire->kill(peer);
}

/* --- what a handler provides ---------------------------------------------- */

struct peer_handler {
    void (*established)(struct peer *peer);
    /* One text, valid UTF-8. */
    void (*text)(struct peer *peer, struct span text);
    /* The socket takes more, or peer_resume_later() was asked for. */
    void (*writable)(struct peer *peer);
    /* Send what has been put off, unless the socket is full. */
    void (*flush)(struct peer *peer);
    void (*late)(struct peer *peer); /* the deadline, while open */
    /* The peer closes, and says nothing more: peer_close() with its own code
     * once what it has asked for is answered. */
    void (*closing)(struct peer *peer, uint16_t code);
    /* Before anything was established, or after the end. Frees the peer, or
     * does so when nothing of it is under way any more. */
    void (*gone)(struct peer *peer);
    /* The server is going away: close, unless that is under way. */
    void (*drain)(struct peer *peer);
};

#endif
