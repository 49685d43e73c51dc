/* Engine.IO servers, protocols 4 and 3: sessions of messages, text or binary,
 * over HTTP polling and WebSocket, and from the one to the other
 * (github.com/socketio/engine.io-protocol; where it is silent, as the reference
 * server does).
 *
 * A session belongs to the worker that its sid names. A request that another
 * worker reads is carried there and its answer back; a WebSocket handshake
 * moves there with its socket. So there is nothing sticky about a session.
 *
 *     eio_door.c     what a request asks for        eio_carry.c  to its worker
 *     eio_session.c  a session and its heartbeat    eio_queue.c  its packets
 *     eio_poll.c     its polls and posts            eio_ws.c     its WebSocket
 *
 * Units    bytes, milliseconds.
 * Errors   a peer's faults end its session; those of a request are answered
 *          with {"code","message"}, codes 0 to 5.
 * Threads  the loop of the worker that owns the session.
 * Memory   a session lives until its server's closed() has returned, and the
 *          turn of the loop has ended.
 */
#ifndef RUNG_EIO_H
#define RUNG_EIO_H

#include "server/worker.h"
#include "transports/eio_packet.h"

struct eio_session;

struct eio_options {
    bool protocol_3; /* its clients are let in */
    /* Sessions share what is in one worker's memory, rooms for example: all
     * are the first worker's. */
    bool together;
    uint32_t ping_interval_ms, ping_timeout_ms;
    uint64_t max_payload;  /* of one POST, of one WebSocket message */
    uint64_t max_waiting;  /* sent and not taken: beyond, a session ends */
    uint64_t max_sessions; /* of a worker */
};

/* Who speaks through sessions. The owner of a session is whatever open() makes
 * of it. */
struct eio_server {
    /* "/socket.io/", which may be asked for without its last slash. */
    const char *(*path)(const struct config *config);
    void (*options)(const struct config *config, struct eio_options *out);

    void *(*open)(struct eio_session *session); /* NULL: no memory */
    /* May send and close. */
    void (*message)(void *owner, const struct eio_packet *packet);
    /* All that was sent has left, and there is room for more: send now what had
     * to wait. NULL: nothing has to. */
    void (*room)(void *owner);
    /* It has ended; the owner may be freed. */
    void (*closed)(void *owner);
};

/* NULL-terminated (eio_table.c); a test program may link its own. */
extern const struct eio_server *const eio_servers[];

struct worker *eio_worker(const struct eio_session *session);
enum eio_protocol eio_protocol(const struct eio_session *session);
uint64_t eio_max_payload(const struct eio_session *session);

/* A message as many sessions may be sent it. NULL: no memory. `room` is where
 * its `size` bytes go. */
struct shared *eio_text_create(size_t size, char **room);
struct shared *eio_binary_create(size_t size, char **room);
/* Behind all that was sent before. Borrows. */
void eio_send_text(struct eio_session *session, struct shared *text);
void eio_send_binary(struct eio_session *session, struct shared *binary);
/* Whether a message would leave at once, more or less. */
bool eio_has_room(const struct eio_session *session);
/* There is something to say that was not sent: room() comes when there is room,
 * this turn if there is now. */
void eio_wants_room(struct eio_session *session);
/* Read no more of it for now, or go on; over HTTP, what comes is heard. */
void eio_hold(struct eio_session *session, bool hold);
/* A parameter of the handshake of a protocol 3 session, whose clients have no
 * other way to say who they are; data NULL: none. Followed by a NUL. */
struct span eio_param(const struct eio_session *session, const char *name);
/* End it, when what was sent has been taken. */
void eio_close(struct eio_session *session);
/* End it now. */
void eio_break(struct eio_session *session);

/* --- a worker's part ------------------------------------------------------ */

struct eio_host;

MUST_CHECK enum err eio_host_create(struct eio_host **out,
                                    struct worker *worker);
/* Once per turn of the loop: what was sent in it leaves. */
bool eio_host_turn(struct eio_host *host);
/* Nothing has been sent since its turn. */
bool eio_host_idle(const struct eio_host *host);
/* Every session is closed, and no new one begins. */
void eio_host_drain(struct eio_host *host);
/* … and ends at once. Before ws_host_close(). */
void eio_host_close(struct eio_host *host);
void eio_host_free(struct eio_host *host); /* closed; NULL: nothing */

#endif
