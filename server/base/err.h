/* The failure vocabulary: every way an operation can end, its wire code, its
 * HTTP status and a default text, all grown from one list.
 *
 * The first group is the wire contract (docs/PROTOCOL.md, section 7); the
 * second never reaches a client as such: err_wire() says what a client is told
 * instead.
 *
 * Units    retry_after_ms is milliseconds; 0 means "no hint".
 * Errors   none of these functions fails.
 * Threads  any.
 * Memory   the texts are static; struct failure is plain data, copy it freely.
 */
#ifndef RUNG_BASE_ERR_H
#define RUNG_BASE_ERR_H

#include <stdarg.h>
#include <stdint.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* X(name, wire code, HTTP status, default text) */
#define ERR_LIST(X)                                                            \
    X(BAD_REQUEST, "bad_request", 400, "the request is malformed")             \
    X(UNAUTHORIZED, "unauthorized", 401, "a valid token is required")          \
    X(TOKEN_EXPIRED, "token_expired", 401, "the token has expired")            \
    X(FORBIDDEN, "forbidden", 403, "this is not allowed")                      \
    X(NOT_MEMBER, "not_member", 403, "you are not in this conversation")       \
    X(NOT_FOUND, "not_found", 404, "there is no such thing here")              \
    X(METHOD_NOT_ALLOWED, "method_not_allowed", 405, "wrong HTTP method")      \
    X(CONFLICT, "conflict", 409, "this conflicts with what exists")            \
    X(GONE, "gone", 410, "this is gone")                                       \
    X(RETIRED, "retired", 410, "this is retired")                              \
    X(TOO_LARGE, "too_large", 413, "the request is too large")                 \
    X(UNSUPPORTED_VERSION, "unsupported_version", 426, "unsupported version")  \
    X(RATE_LIMITED, "rate_limited", 429, "too many requests")                  \
    X(OVERLOADED, "overloaded", 429, "the server is overloaded")               \
    X(INTERNAL, "internal", 500, "an internal error")                          \
    X(UNAVAILABLE, "unavailable", 503, "temporarily unavailable")              \
    X(STORAGE_FULL, "storage_full", 507, "the store is full")                  \
    /* never on the wire under their own name: */                              \
    X(NOMEM, "nomem", 503, "out of memory")                                    \
    X(IO, "io", 503, "input/output error")                                     \
    X(LOCKED, "locked", 503, "the data directory is in use")                   \
    X(NEWER_FORMAT, "newer_format", 503, "written by a newer version")         \
    X(DAMAGED, "damaged", 503, "the store is damaged")                         \
    X(CLOSED, "closed", 503, "the peer is gone")                               \
    X(END, "end", 500, "nothing more")

enum err {
    ERR_NONE = 0,
#define X(name, code, status, text) ERR_##name,
    ERR_LIST(X)
#undef X
        ERR_COUNT
};

/* Why something failed, in words for the person who can mend it. */
struct failure {
    enum err err;
    uint32_t retry_after_ms; /* 0: no hint */
    uint64_t expected;       /* the number that would be taken; 0: no hint */
    char message[232];       /* always terminated; never empty after fail() */
};

/* As Retry-After has it (RFC 9110 section 10.2.3): in whole seconds, never too
 * early. */
static inline unsigned retry_after_s(uint32_t retry_after_ms)
{
    return retry_after_ms / 1000 + (retry_after_ms % 1000 > 0);
}

const char *err_code(enum err err); /* "storage_full" */
int err_status(enum err err);       /* 507 */
const char *err_text(enum err err); /* the default text */
enum err err_wire(enum err err);    /* what a client is told: NOMEM, IO … →
                                       UNAVAILABLE; wire codes unchanged */

/* Fill *why (may be NULL) and return err, so that `return fail(why, …)` reads
 * as one step. Messages too long for the buffer are cut. */
enum err fail(struct failure *why, enum err err, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* The same with the default text. */
enum err fail_plain(struct failure *why, enum err err);

#endif
