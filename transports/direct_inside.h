/* What the direct host's files share: direct.c reads, direct_reply.c answers.
 *
 * Errors   `broken` says that a connection must close, at its next step; who
 *          sets it has nothing else to do.
 * Threads  the worker's loop.
 * Memory   a connection is freed by direct.c alone, from its own event, its
 *          deadline or its turn, never under an answer.
 */
#ifndef RUNG_DIRECT_INSIDE_H
#define RUNG_DIRECT_INSIDE_H

#include "server/base/poller.h"
#include "server/limits.h"
#include "transports/direct.h"
#include "transports/request_inside.h"

#define DIRECT_READ_BYTES (2 * HEAD_MAX_BYTES)

struct direct_host {
    struct worker *worker;
    direct_pass *pass;
    struct list all, again;
    struct failure refusal;        /* scratch */
    char bytes[DIRECT_READ_BYTES]; /* scratch: what was read from one socket */
};

/* Bytes of a connection that were read and not used yet: of a request that
 * comes in pieces, or of one that follows what is being answered. */
struct held {
    size_t wanted; /* of the request, head and body; 0: not known yet */
    struct buf text;
};

/* One TCP connection, and its current request. */
struct direct {
    struct request request;
    int fd;
    bool ours;    /* one of its requests was: see peek_note */
    bool more;    /* there may be something that was not looked at */
    bool begun;   /* some of a head has come: its deadline runs */
    bool left;    /* the peer has said that it is done */
    bool closing; /* its last answer is on its way */
    bool broken;  /* close */
    struct watch watch;
    struct wheel_node deadline; /* of an idle peer, a head, a body */
    struct list link;           /* host->all */
    struct list again;          /* host->again, or nowhere */
    struct bucket bucket;
    struct held *held;   /* or NULL */
    struct shared *rest; /* of an answer, or NULL: … */
    size_t offset;       /* … what the socket has not taken yet */
};

extern const struct backend direct_backend; /* direct_reply.c */

static inline struct direct *direct_of(struct request *request)
{
    return container_of(request, struct direct, request);
}

/* --- direct.c ------------------------------------------------------------- */

/* From now on its peer has that long. */
void direct_arm(struct direct *direct, uint64_t ms);
/* Soon, from the loop, go on with it. */
void direct_again(struct direct *direct);
/* Its request was answered, and nothing of that is left to send. */
void direct_next(struct direct *direct);
/* The connection is no more; its socket (-1: it was taken) is the caller's, and
 * still counts as connected. */
int direct_release(struct direct *direct);
/* The connection is no more; what was sent last still arrives. */
void direct_end(struct direct *direct);
/* The same with an error as its answer; `status` 0: the error's own. */
void direct_refuse(struct direct *direct, int status,
                   const struct failure *why);

/* --- direct_read.c -------------------------------------------------------- */

/* Is a request there? Then run it. False: not yet, or the connection is no
 * more. */
bool direct_look(struct direct *direct);
/* More of a body. False: that was all, for now; or the connection is no more. */
bool direct_gather(struct direct *direct);
void direct_held_free(struct held *held); /* NULL: nothing */

/* --- direct_reply.c ------------------------------------------------------- */

/* Send what is left, as far as the socket takes it. */
void direct_flush(struct direct *direct);

#endif
