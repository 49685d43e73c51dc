/* A request over HTTP, whoever reads it: the HTTP host (http_host.h) or the
 * direct host (direct.h). It was checked, its body gathered, and it was given
 * to route() (route.h), whose side answers it: at once, later (park), or by
 * taking the socket away (take).
 *
 * Errors   an answer that cannot be built for lack of memory closes the
 *          connection: the peer comes back.
 * Threads  the worker's loop.
 * Memory   a request lives until it was answered, given up (`gone`) or taken,
 *          and route() has returned; what its accessors lend is gone when
 *          route() returns. Reply bodies are copied, unless said otherwise.
 */
#ifndef RUNG_REQUEST_H
#define RUNG_REQUEST_H

#include "server/head.h"
#include "server/query.h"
#include "server/response.h"
#include "server/worker.h"

struct request;

/* --- what was asked ----------------------------------------------------- */

struct worker *request_worker(struct request *request);
/* Of its spans, target and query are gone: ask request_param(). */
const struct head *request_head(struct request *request);
const struct query *request_query(struct request *request);
struct span request_param(struct request *request, const char *name);
struct span request_body(struct request *request);
/* What its place's expect() made, once: the caller's from then on; or NULL. */
void *request_expected(struct request *request);

/* JSONP: the name is kept with the request for when it is answered. */
MUST_CHECK enum err request_call_back(struct request *request,
                                      struct span callback,
                                      struct failure *why);
struct span request_callback(struct request *request); /* data NULL: plainly */

/* --- the answer: exactly one of these, or gone -------------------------- */

#define REPLY_HEADERS 6

struct reply {
    int status;       /* 0: 200 */
    const char *type; /* NULL: application/json */
    struct span body; /* copied … */
    bool lasting;     /* … unless it lives for ever */
    bool cacheable;   /* no Cache-Control: no-store; `headers` say what */
    bool for_anyone;  /* where every origin is allowed, no one is named */
    struct {
        const char *name, *value;
    } headers[REPLY_HEADERS]; /* copied; ends with a NULL name */
};

void request_reply(struct request *request, const struct reply *reply);
/* The error as JSON, with its Retry-After, WWW-Authenticate. */
void request_fail(struct request *request, const struct failure *why);
/* The same for a method's failure, which the metrics know of already. */
void request_fail_counted(struct request *request, const struct failure *why);
/* The same with an Allow header. */
void request_fail_allow(struct request *request, const struct failure *why,
                        const char *allow);

/* One 200 JSON answer for many requests. */
struct answer;
struct answer *answer_create(struct span body); /* copied; NULL: no memory */
void answer_unref(struct answer *answer);       /* NULL: nothing */
/* Whether this request is answered with what others are, word for word. */
bool request_takes_answer(struct request *request);
void request_answer(struct request *request, struct answer *answer);

/* The answer comes later, from the loop. If the peer leaves before, gone(owner)
 * is called, once, and the request is no more. */
void request_park(struct request *request, void (*gone)(void *owner),
                  void *owner);
/* The same for a method call, which is waited for and answers whether the peer
 * is still there or not. Does nothing when it has answered. */
void request_park_call(struct request *request);
/* Its connection's, as guests.h counts it; borrowed. */
int request_fd(const struct request *request);
/* Whether its peer has said that it is done, and so may not hear the answer. */
bool request_left(const struct request *request);

/* Take the socket out of HTTP: the fd is the caller's, the request is no more
 * when route() returns; until then request_add_cors() helps with the answer. -1 when that fails: answer instead. Not when parked. */
int request_take(struct request *request);
/* For a page of another host that is allowed to read this answer. */
void request_add_cors(struct request *request, struct response *response);

#endif
