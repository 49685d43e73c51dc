/* Engine.IO packets as bytes, protocols 4 and 3: what a WebSocket message, the
 * body of a POST and the answer to a poll say. (github.com/socketio/
 * engine.io-protocol: v4 on main, v3 on the branch of that name; where they are
 * silent, as the reference server does.)
 *
 *              protocol 4                  protocol 3
 *   text       <digit><data>               the same
 *   binary     the message's bytes         <byte 0 to 6><data>
 *   in base64  b<base64>, a message        b<digit><base64>
 *   a payload  packets between U+001E      <length>:<packet> …, the length in
 *                                          UTF-16 code units; with binary ones
 *                                          and a client that takes them, each
 *                                          as <0 text, 1 binary><the length in
 *                                          bytes, a byte per
 * digit><255><packet> JSONP      the text payload in a script, its POST in a
 * form
 *
 * Units    bytes, unless said otherwise.
 * Errors   ERR_BAD_REQUEST: malformed, the session ends; ERR_NOMEM.
 * Threads  pure functions.
 * Memory   packets are borrowed from what they were read from, or from the
 *          scratch when they were base64.
 */
#ifndef RUNG_EIO_PACKET_H
#define RUNG_EIO_PACKET_H

#include "server/base/buf.h"

#define EIO_POLL_PACKETS 16 /* in one answer: some clients refuse more */

enum eio_protocol { EIO_PROTOCOL_3 = 3, EIO_PROTOCOL_4 = 4 };

/* Their digits on the wire are '0' to '6'. */
enum eio_type {
    EIO_OPEN,
    EIO_CLOSE,
    EIO_PING,
    EIO_PONG,
    EIO_MESSAGE,
    EIO_UPGRADE,
    EIO_NOOP
};

struct eio_packet {
    enum eio_type type;
    bool binary;      /* a message of bytes; else `data` is UTF-8 */
    struct span data; /* may be empty */
};

/* --- reading -------------------------------------------------------------- */

/* A whole WebSocket message, text (UTF-8, checked already) or binary. `scratch`
 * is overwritten when the packet is base64. */
MUST_CHECK enum err eio_read_frame(enum eio_protocol protocol,
                                   struct span frame, bool binary,
                                   struct buf *scratch, struct eio_packet *out);

/* The body of a POST, packet by packet:
 *
 *   eio_payload_begin(&in, protocol, body, octets);
 *   while (!(err = eio_payload_next(&in, &scratch, &packet))) …
 *   if (err != ERR_END) it was malformed from there on
 *
 * so that a close packet can be obeyed before what follows it is looked at. An
 * empty body is malformed. */
struct eio_payload {
    enum eio_protocol protocol;
    bool octets;      /* protocol 3's binary form */
    bool begun;       /* a packet was read */
    bool over;        /* … and it was the last */
    struct span rest; /* still to read */
};

/* `octets`: the Content-Type was application/octet-stream, which protocol 4
 * does not know: the caller refuses it before. */
void eio_payload_begin(struct eio_payload *in, enum eio_protocol protocol,
                       struct span body, bool octets);
/* ERR_END: no more. `scratch` is overwritten, so a packet lives until the next
 * call. */
MUST_CHECK enum err eio_payload_next(struct eio_payload *in,
                                     struct buf *scratch,
                                     struct eio_packet *out);

/* What a JSONP POST holds: the text payload in its field `d`, form-encoded,
 * with "\n" for a line feed and "\\n" for a backslash and an n. */
MUST_CHECK enum err eio_form_read(struct span body, struct buf *payload);

/* --- writing --------------------------------------------------------------
 *
 * Into a buf: check buf_status() at the end. */

/* As a WebSocket message; its opcode is binary when the packet is. */
void eio_write_frame(struct buf *out, enum eio_protocol protocol,
                     const struct eio_packet *packet);

/* The same as text whatever it is: bytes in base64. */
void eio_write_text(struct buf *out, enum eio_protocol protocol,
                    const struct eio_packet *packet);

/* The answer to a poll. */
enum eio_form {
    EIO_FORM_TEXT,   /* binary packets in base64: always right */
    EIO_FORM_OCTETS, /* protocol 3, no `b64` asked for, and some are binary */
    EIO_FORM_JSONP   /* the text in a script */
};

/* From begin to end nobody else writes to `out`. */
struct eio_answer {
    struct buf *out;
    enum eio_protocol protocol;
    enum eio_form form;
    size_t max; /* of the payload */
    unsigned packets;
    size_t begin;     /* where the payload begins in `out` */
    struct span call; /* JSONP's index: digits only */
};

/* `jsonp` is the query's `j`: its digits are kept, the rest is dropped; used
 * for EIO_FORM_JSONP only. */
void eio_answer_begin(struct eio_answer *answer, struct buf *out,
                      enum eio_protocol protocol, enum eio_form form,
                      struct span jsonp, size_t max_payload);
/* False: it is full (EIO_POLL_PACKETS, or max_payload bytes), and the packet
 * was not added. The first one fits whatever its size, or none ever would. */
bool eio_answer_add(struct eio_answer *answer, const struct eio_packet *packet);
/* An answer without packets is not one: add a noop. */
void eio_answer_end(struct eio_answer *answer);
/* The Content-Type that goes with it. */
const char *eio_answer_type(enum eio_form form);

/* --- the handshake -------------------------------------------------------- */

struct eio_open {
    struct span sid;  /* nothing that JSON would escape */
    bool may_upgrade; /* to a WebSocket */
    uint32_t ping_interval_ms, ping_timeout_ms;
    uint64_t max_payload;
};

/* The data of the open packet. */
void eio_open_write(struct buf *out, const struct eio_open *open);

#endif
