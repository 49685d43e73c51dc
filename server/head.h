/* The head of an HTTP/1 request, checked strictly: what RFC 9112 calls invalid
 * is refused here, whatever the library behind us would have made of it, so
 * that no proxy in front of us can see another request than we do.
 *
 * Two ways in. The direct host has raw bytes and calls head_parse(). The HTTP
 * host has the fields that libmicrohttpd took apart, on every later request of
 * a connection, and calls head_init(), head_request_line(), head_field() for
 * each, head_finish(): the same rules in the same functions.
 *
 * Errors   ERR_BAD_REQUEST with words for the client.
 * Threads  pure functions.
 * Memory   all spans point into what was given.
 */
#ifndef RUNG_HEAD_H
#define RUNG_HEAD_H

#include "server/base/buf.h"
#include "server/base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define HEAD_MAX_BYTES 8192
#define HEAD_MAX_PIECES 200

/* Fields that decide something. F(member, name): absent ones have data NULL. */
#define HEAD_FIELDS(F)                                                         \
    F(host, "host")                                                            \
    F(origin, "origin")                                                        \
    F(authorization, "authorization")                                          \
    F(last_event_id, "last-event-id")                                          \
    F(if_none_match, "if-none-match")                                          \
    F(content_type, "content-type")                                            \
    F(asked_method, "access-control-request-method")                           \
    F(asked_fields, "access-control-request-headers")                          \
    F(ws_key, "sec-websocket-key")                                             \
    F(ws_version, "sec-websocket-version")

struct head {
    struct span method;
    struct span path, query; /* the target's; query without its '?' */
    unsigned minor;          /* HTTP/1.minor: 0 or 1 */
#define F(member, name) struct span member;
    HEAD_FIELDS(F)
#undef F
    bool has_length, chunked;
    uint64_t length;     /* of the body, when has_length */
    bool upgrade;        /* Connection: upgrade */
    bool close;          /* Connection: close */
    bool expect;         /* Expect, whatever of */
    bool websocket;      /* Upgrade: websocket */
    bool ws_protocols;   /* Sec-WebSocket-Protocol is there … */
    bool ws_protocol_ok; /* … and lists WS_SUBPROTOCOL */
    bool accepts_mixed;  /* Accept lists multipart/mixed */
    bool transfer_encoding;
    size_t size; /* bytes up to and with the empty line; head_parse() only */
    /* What a library may keep a record of: fields, parameters, cookies. */
    size_t pieces;
    size_t cookie_bytes;
};

#define WS_SUBPROTOCOL "rung.v1"

enum head_state { HEAD_PARTIAL, HEAD_WHOLE, HEAD_BAD };

/* Look at what has arrived of a request so far. HEAD_BAD fills *why, as soon as
 * that is certain. */
enum head_state head_parse(struct head *out, struct span bytes,
                           struct failure *why);

void head_init(struct head *head);
MUST_CHECK enum err head_request_line(struct head *head, struct span method,
                                      struct span target, struct span version,
                                      struct failure *why);
MUST_CHECK enum err head_field(struct head *head, struct span name,
                               struct span value, struct failure *why);
MUST_CHECK enum err head_finish(struct head *head, struct failure *why);

/* Whether a comma-separated list holds `word`, in any case. */
bool head_list_has(struct span list, const char *word);

#endif
