/* Methods: one table, the same parameters, results and errors over HTTP POST,
 * WebSocket frames (and later Socket.IO and JSONP). docs/PROTOCOL.md section 4.
 *
 * A caller fills a call, runs it, and hears of its end exactly once, before
 * method_run() returns or later on the same loop (after a commit).
 *
 * Errors   in `failure`, with a message that names the parameter and what is
 *          accepted.
 * Threads  the worker's loop.
 * Memory   the call is the caller's and lives until `done`. params and token
 * are borrowed until method_run() returns. If the peer leaves before `done`,
 *          the caller must still wait for it.
 */
#ifndef RUNG_METHOD_H
#define RUNG_METHOD_H

#include "server/session.h"

#include <jansson.h>

struct call {
    struct worker *worker;
    struct span method;         /* "message.send" */
    json_t *params;             /* borrowed; an object, or NULL for {} */
    const struct identity *who; /* NULL: not authenticated. Borrowed until
                                   method_run() returns */
    struct carrier *carrier; /* the stream it came over (ws), or NULL. Borrowed;
                                used only before method_run() returns, by
                                auth.refresh */
    void (*done)(struct call *call);

    /* Filled in before done(): */
    struct failure failure; /* err ERR_NONE: success */
    json_t *result;         /* owned by the caller after done(); an object; NULL
                               on failure */
    /* After success of `auth` or `auth.refresh`: who it is. */
    bool authenticated;
    struct identity identity;
};

/* Run it. Unknown methods are ERR_NOT_FOUND, a missing identity
 * ERR_UNAUTHORIZED; the user's rate is spent here. */
void method_run(struct call *call);

/* The names, NULL-terminated, for tests and for docs. */
const char *const *method_names(void);

/* Parse a JSON object of at most max_bytes, nesting at most 32 deep; duplicate
 * keys and NUL characters refused. NULL with *why on failure; owned. */
json_t *params_parse(struct span text, size_t max_bytes, struct failure *why);
/* Compact text of a result or error object ({"error":{…}}), appended. */
void result_write(struct buf *out, const struct call *call);
void failure_write(struct buf *out, const struct failure *failure);

#endif
