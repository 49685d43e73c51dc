/* The transports as a client speaks them: requests as bytes, and the JSON in
 * whatever shape of answer.
 *
 * Errors   bytes that are no such answer fail the run (story.h).
 * Threads  pure. Memory: a wire's is the caller's; JSON is lent to the callee.
 */
#ifndef RUNG_SIMULATE_WIRE_H
#define RUNG_SIMULATE_WIRE_H

#include "server/base/buf.h"

#include <jansson.h>

enum via {
    VIA_WS,
    VIA_SSE,
    VIA_STREAM,
    VIA_MULTIPART,
    VIA_IFRAME,
    VIA_LONGPOLL,
    VIA_POLL,
    VIA_JSONP,
    VIA_TCP,
    VIA_COUNT,
    VIA_CALL = VIA_COUNT, /* the answer of a POST */
};

const char *via_name(enum via via);
bool via_polls(enum via via);     /* asked again after each answer */
bool via_both_ways(enum via via); /* calls go over it, too */

/* The status of a connection over which calls may go: a WebSocket whose head
 * has come, lines whose `auth` is answered. */
#define WIRE_BOTH_WAYS 101

struct wire {
    enum via via;
    int status;      /* 0 until a head has come; WIRE_BOTH_WAYS: see there */
    bool whole_body; /* the answer has an end: `length` bytes of it are left */
    bool closes;     /* the peer will close behind it */
    int close_code;  /* a WebSocket's; 0: open */
    size_t length;
    size_t frame; /* of a frame under way, bytes that were looked at */
};

/* Told each JSON value, whole; `status` is the answer's. False: look no further
 * (the wire may be gone). */
typedef bool (*wire_json)(void *arg, int status, const json_t *value);

void wire_begin(struct wire *wire, enum via via);
/* Take out of `in` whatever is whole. False: `heard` said so. */
bool wire_take(struct wire *wire, struct buf *in, wire_json heard, void *arg);

void wire_get(struct buf *out, enum via via, const char *query,
              const char *token);
void wire_post(struct buf *out, const char *method, const char *params,
               const char *token);
/* A call, over what goes both ways. */
void wire_frame(struct buf *out, enum via via, const char *text);
/* Of lines the first: who it is, and the members of what it asks for. */
void wire_auth(struct buf *out, const char *asked, const char *token);

/* HS256; owned by the caller. */
char *wire_token(const char *user, const char *device, uint64_t expires_s);

#endif
