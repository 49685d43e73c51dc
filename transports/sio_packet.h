/* Socket.IO packets as text, protocols 5 and 4: what an Engine.IO message says.
 * (github.com/socketio/socket.io-protocol: v5 on main, v4 at the tag of that
 * name; where they are silent, as the reference server does.)
 *
 *     <type>[<attachments>-][<namespace>,][<ack id>][<data as JSON>]
 *
 * Protocol 4, which Engine.IO 3 carries, differs in three things: CONNECT has
 * no data, its namespace may bring a query ("/chat?token=x"), and type 4 says
 * what went wrong as any JSON value, a string most times.
 *
 * An event is never encoded anew: its arguments are passed on as the text that
 * came. What it brings in bytes are attachments, messages of their own behind
 * it; its text has {"_placeholder":true,"num":n} in their places. In a packet
 * without attachments, such an object is like any other.
 *
 * Units    bytes.
 * Errors   ERR_BAD_REQUEST: malformed, the connection ends; ERR_NOMEM.
 * Threads  pure functions.
 * Memory   what was read is borrowed from its text.
 */
#ifndef RUNG_SIO_PACKET_H
#define RUNG_SIO_PACKET_H

#include "server/jtext.h"

#define SIO_ATTACHMENTS_MAX 10 /* of one packet: what stock clients take */
#define SIO_NAMESPACE_MAX 512  /* with its query */
#define SIO_ID_MAX ((UINT64_C(1) << 53) - 1) /* of an ack */

enum sio_protocol { SIO_PROTOCOL_4 = 4, SIO_PROTOCOL_5 = 5 };

/* Their digits on the wire are '0' to '6'. */
enum sio_type {
    SIO_CONNECT,
    SIO_DISCONNECT,
    SIO_EVENT,
    SIO_ACK,
    SIO_CONNECT_ERROR, /* protocol 4: ERROR */
    SIO_BINARY_EVENT,
    SIO_BINARY_ACK
};

struct sio_packet {
    enum sio_type type;
    unsigned attachments; /* 1 or more for the binary types, else 0 */
    struct span space;    /* the namespace: begins with '/' */
    struct span query;    /* protocol 4: behind its '?'; may be empty */
    bool has_id;
    uint64_t id;
    struct span data; /* JSON; data NULL: none */

    /* Of events and acks: */
    struct jtext name; /* of an event: a JTEXT_STRING, or a number */
    struct span args;  /* what stands between the brackets behind the name:
                          values and commas, or nothing */
};

/* Read a packet's text. Whether placeholders say what they may (a number below
 * `attachments`) is known from it, so nothing is left to check when the
 * attachments are there. */
MUST_CHECK enum err sio_read(enum sio_protocol protocol, struct span text,
                             struct sio_packet *out);

/* The arguments, one by one; false: no more.
 *   struct span rest = packet.args;
 *   while (sio_next(&rest, &argument)) … `rest` is now what follows it */
bool sio_next(struct span *rest, struct jtext *out);

/* Whether the name or an argument is the string `text`. */
bool sio_says(const struct jtext *value, const char *text);

/* Whether an emitted event may not be called so: connect, connect_error,
 * disconnect, disconnecting, newListener, removeListener. (sio_read() refuses
 * them.) */
bool sio_is_reserved(struct span name);

/* --- writing --------------------------------------------------------------
 *
 * Into a buf: check buf_status() at the end. */

/* All before the data. `attachments` makes an event or ack a binary one; `id`
 * NULL: none. "/" is not written. */
void sio_write_head(struct buf *out, enum sio_type type, unsigned attachments,
                    struct span space, const uint64_t *id);
/* head and ["name",args]; `name` is plain text, and becomes a JSON string;
 * `args` as in struct sio_packet. */
void sio_write_event(struct buf *out, unsigned attachments, struct span space,
                     const uint64_t *id, struct span name, struct span args);
/* head and [args]. */
void sio_write_ack(struct buf *out, unsigned attachments, struct span space,
                   uint64_t id, struct span args);

#endif
