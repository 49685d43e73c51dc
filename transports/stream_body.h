/* The body of an endless response, in any wire format: from its first bytes to
 * its `bye`. Everything here is the same for all streams over HTTP; a transport
 * adds a table of how its bytes look.
 *
 * It reads the log from the cursor on, as long as the socket takes it, sends
 * each commit's burst in bytes that all readers share, and is recycled by bytes
 * and by time, which the cursor makes free. It is ended by closing, not in
 * chunks: so every reader gets the same bytes.
 *
 * Errors   what cannot be sent for lack of memory ends the stream: the peer
 *          comes back with its cursor. A refusal is answered as HTTP.
 * Threads  the worker's loop.
 * Memory   a body frees itself when its connection is gone; the wire is static.
 */
#ifndef RUNG_STREAM_BODY_H
#define RUNG_STREAM_BODY_H

#include "server/script_text.h"
#include "transports/request.h"
#include "transports/stream_conn.h"
#include "transports/transport.h"

struct stream_wire;

struct stream_body {
    struct carrier carrier;
    struct stream_conn conn;
    const struct stream_wire *wire;
    const char *type; /* the wire's, unless the request asks for another */
    char callback[CALLBACK_MAX_BYTES + 1]; /* what a script calls; else "" */
    uint64_t recycle_at_ms;
};

/* How a transport's bytes look. */
struct stream_wire {
    const struct transport *transport;
    enum format format; /* of a burst */
    const char *type;   /* Content-Type */
    /* What the request asks for beyond `follow`, which it may change; NULL:
     * nothing. */
    enum err (*ask)(struct stream_body *body, struct request *request,
                    struct follow *follow, struct failure *why);
    /* More fields of the head, whose texts may lie in `scratch`; NULL: none. */
    void (*fields)(struct response *head, struct buf *scratch,
                   const struct config *config);
    /* The first bytes behind the head. */
    void (*opening)(struct buf *out, const struct stream_body *body);
    const char *beat; /* what comes before each heartbeat; NULL: nothing */
    /* A burst's bytes as this reader is to get them, the `last` ones of the
     * response or not: a reference, NULL without memory. Borrows. NULL: as they
     * are. */
    struct shared *(*dress)(const struct stream_body *body,
                            struct shared *bytes, bool last);
};

/* Owns the request, as a transport's open() does. */
void stream_body_open(const struct stream_wire *wire, struct worker *worker,
                      struct request *request, const struct identity *who,
                      const struct follow *follow);

/* For the transport's table. */
void stream_body_deliver(struct carrier *carrier, struct burst *burst);
void stream_body_wake(struct carrier *carrier);
void stream_body_beat(struct carrier *carrier);
void stream_body_end(struct carrier *carrier, const struct farewell *why);

#endif
