/* What the two hosts that read requests share; the others see request.h.
 *
 * A host embeds struct request, keeps it for as long as request.h says, and
 * lends it what it has read; its backend is how an answer leaves by it.
 *
 * Errors   a backend that has no memory for an answer closes the connection.
 * Threads  the worker's loop.
 * Memory   `origin` and `callback` are the request's; head, query and body are
 *          the host's, for the time of route(). An answer is counted: whoever
 *          keeps it takes a reference.
 */
#ifndef RUNG_REQUEST_INSIDE_H
#define RUNG_REQUEST_INSIDE_H

#include "server/response.h"
#include "transports/request.h"

#include <assert.h>

enum stage {
    STAGE_NEW,      /* its head is being read */
    STAGE_BODY,     /* checked; its body is being read */
    STAGE_ROUTED,   /* given to route(), not answered yet */
    STAGE_PARKED,   /* its answer comes later */
    STAGE_ANSWERED, /* the answer is ready, or on its way */
    STAGE_OVER,     /* gone or taken: close */
};

/* Each is called once the request's stage allows it, and moves it. */
struct backend {
    void (*reply)(struct request *request, const struct response *response);
    void (*answer)(struct request *request, struct answer *answer);
    void (*park)(struct request *request); /* it is STAGE_PARKED already */
    int (*take)(struct request *request);
    bool (*left)(const struct request *request); /* while it is parked */
    int (*fd)(const struct request *request);
};

struct request {
    const struct backend *backend;
    struct worker *worker;
    enum stage stage;
    void (*gone)(void *owner); /* when parked, and not by a call */
    void *owner;
    const struct place
        *place;     /* whose it is, or NULL; once the head is known */
    void *expected; /* what that place made of it before its body */
    char *origin;   /* to be named in the answer, or NULL; owned */
    char *callback; /* to be called by the answer, or NULL; owned */
    /* Borrowed from the host until route() returns: */
    const struct head *head;
    struct query query;
    struct span body;
};

/* It has that head; good for request_fail(), whatever is wrong with it. */
void request_begin(struct request *request, const struct head *head);
/* Its body is still to come, and may never. */
void request_expect(struct request *request, const struct head *head);
/* Answer it: 429 when it must wait, else route(). Its query, which is decoded
 * in place, must be writable, and a byte behind it. */
void request_run(struct request *request, char *query, uint32_t wait_ms);
/* A parked one's peer left, or the server ends: nobody is there to be answered,
 * and its owner is told. */
void request_forsaken(struct request *request);
/* What request_begin() made is freed. */
void request_fini(struct request *request);

/* text_note: `text` is the answer as it is sent, Date and all; a backend that
 * makes something else of it hangs that on `other`. */
struct answer {
    int refs;
    struct shared *text;
    struct span body; /* in it */
    uint64_t second;  /* of its Date */
    void *other;      /* or NULL */
    void (*drop)(void *other);
};

/* Of today's date, borrowed; NULL: no memory. */
struct shared *answer_text(struct answer *answer);
void answer_response(const struct answer *answer, struct response *out);

#endif
