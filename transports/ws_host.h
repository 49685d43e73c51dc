/* WebSocket on a worker's loop: the only file of the server that knows
 * libwebsockets. It carries frames; what they say is a handler's, found by the
 * path of the handshake.
 *
 * Errors   a peer that breaks the protocol is closed with the fitting code:
 *          1002 its frames, 1003 binary, 1007 not UTF-8, 1009 too large; 1013
 *          when memory is short.
 * Threads  the worker's loop.
 * Memory   a peer is embedded in its handler's struct, which is freed in gone()
 *          at the earliest.
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
#include "transports/ws_frames.h"

struct lws;

struct ws_peer {
    const struct ws_handler *handler;
    struct ws_host *host;
    struct lws *wsi;     /* NULL before adoption and after the end */
    int fd;              /* the library's, while there is a wsi */
    uint16_t close_code; /* 0: open */
    bool full;           /* the socket takes no more for now */
    bool heard;          /* something came since the last ping */
    bool close_said;     /* our close frame is out, or will never be */
    bool close_heard;    /* and the peer's is in, or must not be read */
    bool killed;         /* the library does the rest */
    bool established;
    bool paused;
    bool ended;  /* the peer sends nothing more */
    bool unread; /* there may be bytes in the socket that no edge will tell */
    struct watch watch;
    struct list link;
    struct list later; /* host's: to be read or flushed when the turn ends */
    struct ws_frames frames;
    struct wheel_node deadline; /* until the handler disarms it; later, of
                                   closing */
    struct buf *message;        /* one that came in pieces, or NULL */
    struct shared *pong;        /* a frame owed to a full socket, or NULL */
    const char *close_reason;   /* static */
};

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

#define WS_PIECES_MAX 5 /* in one ws_send() */

/* Send frames, ready-made and in any pieces, with one system call, as far as
 * the socket takes them; of the rest a copy is kept. False: full; writable()
 * will be called. A peer that is closing takes everything and sends nothing. */
bool ws_send(struct ws_peer *peer, const struct span *pieces, size_t count);
/* flush() comes when this turn of the loop ends. */
void ws_flush_later(struct ws_peer *peer);
/* There is more to send, but others first: writable() comes. */
void ws_resume_later(struct ws_peer *peer);
/* Write a ping, whole, to be sent; returns its size. 0: none, since the socket
 * is full, or the peer has not even answered the last and is killed. */
size_t ws_ping(struct ws_peer *peer, char out[FRAME_HEAD_MAX]);
#define WS_NO_CODE 1005 /* a close frame without a code */

/* Close with a code, after what was sent; flushes. */
void ws_close(struct ws_peer *peer, uint16_t code, const char *reason);
/* At once, without a word. */
void ws_kill(struct ws_peer *peer);
/* Stop reading, or go on. */
void ws_pause(struct ws_peer *peer, bool paused);

/* --- what a handler provides -------------------------------------------- */

/* Every call happens on the loop thread of the worker. */
struct ws_handler {
    const char *path; /* "/v1/ws" */

    /* A handshake for this path: a zeroed peer, whose deadline is then armed
     * with header_timeout_ms. NULL: refused, and why. */
    struct ws_peer *(*create)(struct worker *worker, const struct head *head,
                              struct failure *why);
    void (*established)(struct ws_peer *peer);
    /* One text message, valid UTF-8. */
    void (*text)(struct ws_peer *peer, struct span text);
    /* One binary message. NULL: such a frame closes with 1003. */
    void (*binary)(struct ws_peer *peer, struct span data);
    /* The socket takes more, or ws_resume_later() was asked for. */
    void (*writable)(struct ws_peer *peer);
    /* Send what has been put off, unless the socket is full. */
    void (*flush)(struct ws_peer *peer);
    void (*late)(struct ws_peer *peer); /* peer->deadline, while open */
    /* The peer closes, and says nothing more: ws_close() with its own code once
     * what it has asked for is answered. */
    void (*closing)(struct ws_peer *peer, uint16_t code);
    /* Before anything was established, or after the end. Frees the peer, or
     * does so when nothing of it is under way any more. */
    void (*gone)(struct ws_peer *peer);
    /* The server is going away: close, unless that is under way. */
    void (*drain)(struct ws_peer *peer);
};

/* Who speaks where, NULL-terminated (ws_table.c). */
extern const struct ws_handler *const ws_handlers[];

#endif
