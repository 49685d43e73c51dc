/* Socket.IO servers on Engine.IO, protocols 5 and 4: namespaces, events and
 * acknowledgements both ways, with or without attachments
 * (github.com/socketio/socket.io-protocol; where it is silent, as the reference
 * server does).
 *
 * A client is an Engine.IO session; a socket is a client in one namespace. What
 * is said there is a handler's.
 *
 * Units    bytes, milliseconds. Arguments are JSON text without the brackets
 *          around them: `"a",{"b":1}`, or nothing.
 * Errors   a peer's faults end its client.
 * Threads  the loop of the worker that owns the client.
 * Memory   a socket lives until its on_disconnect() has returned, and so has
 *          the call in which it was disconnected.
 */
#ifndef RUNG_SIO_H
#define RUNG_SIO_H

#include "transports/eio.h"
#include "transports/sio_packet.h"

#define SIO_ID_CHARS 20

struct sio_client;
struct sio_message;

struct sio_socket {
    struct sio_client *client;
    void *user;  /* the handler's */
    char *space; /* its namespace; owned */
    char id[SIO_ID_CHARS + 1];
    bool connected;
    /* the rest is sio_client.c's, and sio_rooms.c's */
    bool gone;
    uint64_t asked;     /* events that asked for a reply so far */
    unsigned ask_count; /* not answered */
    struct list asks, link, rooms, member;
};

struct sio_event {
    struct jtext name; /* a JTEXT_STRING, or a number */
    struct span args;
    const struct span *attachments;
    unsigned attachment_count;
    bool wants_ack;
    uint64_t id; /* for sio_ack() */
};

enum sio_end {
    SIO_LEFT,      /* the client left the namespace */
    SIO_DISMISSED, /* sio_disconnect(), sio_kick() */
    SIO_LOST,      /* its connection ended */
};

struct sio_handler {
    uint32_t (*connect_timeout_ms)(const struct config *config);
    bool (*has)(struct span space);
    /* Somebody wants in: sio_accept() or sio_refuse(), now or later, unless
     * on_disconnect() comes first. `auth` is a JSON object. */
    void (*on_connect)(struct sio_socket *socket, struct span auth);
    /* Of a socket that was accepted. */
    void (*on_event)(struct sio_socket *socket, const struct sio_event *event);
    /* Once, whether it was accepted or not; not after sio_refuse(). */
    void (*on_disconnect)(struct sio_socket *socket, enum sio_end how);
    /* See eio.h's room(); NULL: nothing ever waits. */
    void (*on_room)(struct sio_socket *socket);
};

/* --- sockets -------------------------------------------------------------- */

/* It is in. `pid` is what it may resume with; NULL: nothing. Its id may have
 * been replaced before. */
void sio_accept(struct sio_socket *socket, const char *pid);
/* It stays out, and is told why; `data` is JSON, or empty. Frees it. */
void sio_refuse(struct sio_socket *socket, struct span message,
                struct span data);
void sio_emit(struct sio_socket *socket, const struct sio_message *message);
/* What an event asked for. */
void sio_ack(struct sio_socket *socket, uint64_t id, struct span args,
             const struct span *attachments, unsigned count);

/* Emit, and hear the reply, or never. Attachments of a reply are lent. */
typedef void sio_reply(struct sio_socket *socket,
                       const struct sio_event *reply);
void sio_ask(struct sio_socket *socket, struct span name, struct span args,
             const struct span *attachments, unsigned count, sio_reply *reply);

/* From its namespace. */
void sio_disconnect(struct sio_socket *socket);
/* From all, and the connection ends. */
void sio_kick(struct sio_socket *socket);
/* Spend one of what the connection may ask for in a second, as each CONNECT
 * does: see bucket_spend(). */
uint32_t sio_spend(struct sio_socket *socket);
struct eio_session *sio_session(const struct sio_socket *socket);
struct worker *sio_worker(const struct sio_socket *socket);

/* --- messages, encoded once ----------------------------------------------- */

struct sio_message {
    struct shared *text;
    unsigned count;
    struct shared *attachments[SIO_ATTACHMENTS_MAX];
};

/* The event `name`, with `args`, as it is sent in `space`. False: no memory. */
MUST_CHECK bool sio_message_event(struct sio_message *out, struct span space,
                                  struct span name, struct span args,
                                  const struct span *attachments,
                                  unsigned count);
/* A packet's text, and what goes with it. False: no memory, or it has failed.
 * Frees `text`. */
MUST_CHECK bool sio_message_packet(struct sio_message *out, struct buf *text,
                                   const struct span *attachments,
                                   unsigned count);
void sio_message_fini(struct sio_message *message);

/* --- on Engine.IO: for a struct eio_server ---------------------------------
 */

void *sio_open(struct eio_session *session, const struct sio_handler *handler);
void sio_hear(void *owner, const struct eio_packet *packet);
void sio_room(void *owner);
void sio_closed(void *owner);

#endif
