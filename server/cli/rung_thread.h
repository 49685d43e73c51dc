/* One open rung: a thread that follows over one transport, and tells of it in a
 * queue that it shares with the others.
 *
 * Errors   a rung that cannot begin tells so like one that ends; ERR_NOMEM or
 *          NULL when it is not even made.
 * Threads  rung_open(), rung_drop() and what takes from the queue on one; each
 *          rung on its own.
 * Memory   a rung is freed by whoever takes its NEWS_OVER; news by whoever took
 *          them. What waits in the queue is bounded: a rung that tells faster
 *          than is taken waits.
 */
#ifndef RUNG_RUNG_THREAD_H
#define RUNG_RUNG_THREAD_H

#include "server/base/list.h"
#include "server/cli/follow.h"

#include <uv.h>

enum news_kind {
    NEWS_ACCEPTED, /* it may be a proxy's word */
    NEWS_EVENT,    /* `text` */
    NEWS_LEVEL,    /* all up to `position` has been told */
    NEWS_OVER      /* `why`; the last of this rung */
};

struct rung {
    struct follower follower;
    struct remote remote; /* its own, but for the texts */
    struct news_queue *queue;
    size_t index;
    bool placeless;      /* opened without a cursor: from "now" on */
    atomic_bool dropped; /* what it tells counts no more */
    struct list link;    /* of whoever opened it */
    const char *transport;
    struct failure why;
    uv_thread_t thread;
    char *token; /* owned */
};

struct news {
    struct list link;
    struct rung *rung;
    enum news_kind kind;
    struct position position;
    size_t size;
    char text[];
};

struct news_queue {
    uv_mutex_t lock;
    uv_cond_t some, room;
    struct list news;
    size_t bytes;
};

MUST_CHECK enum err news_init(struct news_queue *queue);
void news_fini(struct news_queue *queue);
/* The oldest, after waiting for at most so long; NULL: none. */
struct news *news_take(struct news_queue *queue, uint64_t wait_ms);

/* Follow as `like` does, from where it stands, over `transport`. NULL: no
 * memory, or no thread. */
struct rung *rung_open(struct news_queue *queue, const struct follower *like,
                       const char *transport, size_t index);
/* It is wanted no more: it ends within a second or so, and tells NEWS_OVER. */
void rung_drop(struct rung *rung);
void rung_free(struct rung *rung);

#endif
