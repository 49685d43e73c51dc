/* HTTP on a worker's loop: http_*.c are the only room that knows libmicrohttpd.
 *
 * A connection arrives with its first request's head waiting in the socket.
 * Each request is checked (server/head.h), its body gathered, and then given to
 * route() (route.h), whose side answers it: at once, later (park), or by taking
 * the socket away (take).
 *
 * Errors   an answer that cannot be built for lack of memory closes the
 *          connection: the peer comes back.
 * Threads  the worker's loop.
 * Memory   a request lives until it was answered, given up (`gone`) or taken;
 * what its accessors lend lives as long. Reply bodies are copied, unless said
 * otherwise.
 *
 * libmicrohttpd's sharp edges (0.9.75), dealt with in http_*.c:
 *   - A resume sweeps all suspended connections of its daemon, so there are
 * many daemons of few connections, and one sweep per loop turn.
 *   - A suspended connection does not notice that its peer leaves: a poller
 *     (EPOLLRDHUP) does.
 *   - An answer in the first handler call forces Connection: close; so only
 * what must end the connection is answered there.
 *   - Its timeouts do not cut a peer that drips bytes: the deadlines are ours.
 *   - It takes lines that end in LF, folded ones and NULs; and a head that does
 * not fit its pool, in bytes or in the records it keeps of fields, parameters
 * and cookies, gets no answer. So heads are checked, and pools chosen, by us.
 *   - A chunk's extension longer than its buffer keeps it busy for ever, also
 * when the peer has left: it is let rest, and timed out.
 *   - Closing a connection shuts the socket down, also for a duplicate of its
 * fd, unless MHD_USE_TURBO.
 *   - Everything suspended must be resumed before the daemon stops.
 */
#ifndef RUNG_HTTP_HOST_H
#define RUNG_HTTP_HOST_H

#include "server/head.h"
#include "server/query.h"
#include "server/worker.h"

struct request;

MUST_CHECK enum err http_host_create(struct http_host **out,
                                     struct worker *worker);
/* A socket where the next request, of that head, waits. Takes fd. */
void http_host_adopt(struct http_host *host, int fd, const struct head *head);
/* Once per loop turn: let the daemons do what is waiting. False when some have
 * more to do already, so that the loop must not sleep. */
bool http_host_turn(struct http_host *host);
/* From now on each connection closes when its request is answered; those that
 * wait for a request close now. */
void http_host_drain(struct http_host *host);
/* Close every connection. No request may be parked by a method call. */
void http_host_destroy(struct http_host *host);

/* --- what was asked ----------------------------------------------------- */

struct worker *request_worker(struct request *request);
/* Of its spans, target and query are gone: ask request_param(). */
const struct head *request_head(struct request *request);
const struct query *request_query(struct request *request);
struct span request_param(struct request *request, const char *name);
struct span request_body(struct request *request);

/* --- the answer: exactly one of these, or gone -------------------------- */

#define REPLY_HEADERS 6

struct reply {
    int status;       /* 0: 200 */
    const char *type; /* NULL: application/json */
    struct span body; /* copied … */
    bool lasting;     /* … unless it lives for ever */
    bool cacheable;   /* no Cache-Control: no-store; `headers` say what */
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
/* Whether this request needs no headers of its own in its answer. */
bool request_takes_answer(struct request *request);
void request_answer(struct request *request, struct answer *answer);

/* The answer comes later, from the loop. If the peer leaves before, gone(owner)
 * is called, once, and the request is no more. */
void request_park(struct request *request, void (*gone)(void *owner),
                  void *owner);
/* The same for a method call, which is waited for and answers whether the peer
 * is still there or not. Does nothing when it has answered. */
void request_park_call(struct request *request);

/* Take the socket out of HTTP: the fd is the caller's, the request is no more
 * when route() returns. -1 when that fails: answer instead. Not when parked. */
int request_take(struct request *request);

#endif
