/* Methods: one table, the same parameters, results and errors over HTTP POST,
 * JSONP, WebSocket frames (and later Socket.IO). docs/PROTOCOL.md section 4.
 *
 * A caller fills a call, runs it, and hears of its end exactly once, before
 * method_run() returns or later on the same loop (after a commit).
 *
 * Errors   in `failure`, with a message that names the parameter and what is
 *          accepted.
 * Threads  the worker's loop.
 * Memory   the call is the caller's and lives until `done`. method, params and
 *          who are borrowed until method_run() returns. If the peer leaves
 *          before `done`, the caller must still wait for it.
 */
#ifndef RUNG_METHOD_H
#define RUNG_METHOD_H

#include "server/jtext.h"
#include "server/session.h"

struct scrap;

struct call {
    struct worker *worker;
    struct span method;                /* "message.send" */
    const struct jtext_object *params; /* borrowed; NULL for {} */
    const struct identity *who; /* NULL: not authenticated. Borrowed until
                                   method_run() returns */
    struct carrier *carrier; /* the stream it came over (ws), or NULL. Borrowed;
                                used only before method_run() returns, by
                                auth.refresh */
    void (*done)(struct call *call);
    /* Of a call that takes its time: whether the peer has left, so that nobody
     * would hear the answer. NULL: it stays. */
    bool (*left)(const struct call *call);

    /* Filled in before done(): */
    struct failure failure; /* err ERR_NONE: success */
    struct buf result;      /* JSON text, an object; empty on failure. The
                               caller's after done(): buf_fini() */
    /* After success of `auth` or `auth.refresh`: who it is. */
    bool authenticated;
    struct identity identity;

    struct scrap **scraps; /* params.h's: what was unescaped of params */
};

/* Run it. Unknown methods are ERR_NOT_FOUND, a missing identity
 * ERR_UNAUTHORIZED; the user's rate is spent here. */
void method_run(struct call *call);

/* The names, NULL-terminated, for tests and for docs. */
const char *const *method_names(void);

/* Read a JSON object of at most max_bytes, or nothing but blanks; see jtext.h
 * for what is accepted. On failure *why says what is wrong, and where. */
MUST_CHECK enum err params_read(struct jtext_object *out, struct span text,
                                size_t max_bytes, struct failure *why);
/* The same where the parameters are the member `params` of a larger object. */
MUST_CHECK enum err request_read(struct jtext_object *out,
                                 struct jtext_object *params, struct span text,
                                 size_t max_bytes, struct failure *why);
/* Compact text of an error object ({"error":{…}}), appended. */
void failure_write(struct buf *out, const struct failure *failure);

#endif
