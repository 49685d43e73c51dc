/* See rung_thread.h. */
#include "server/cli/rung_thread.h"

#include "server/base/mem.h"

#include <string.h>

#define QUEUE_MAX_BYTES ((size_t)1 << 20)

/* --- the queue ------------------------------------------------------------ */

enum err news_init(struct news_queue *queue)
{
    if (uv_mutex_init(&queue->lock))
        return ERR_NOMEM;
    if (uv_cond_init(&queue->some))
        goto destroy_lock;
    if (uv_cond_init(&queue->room))
        goto destroy_some;
    list_init(&queue->news);
    queue->bytes = 0;
    return ERR_NONE;

destroy_some:
    uv_cond_destroy(&queue->some);
destroy_lock:
    uv_mutex_destroy(&queue->lock);
    return ERR_NOMEM;
}

void news_fini(struct news_queue *queue)
{
    uv_cond_destroy(&queue->room);
    uv_cond_destroy(&queue->some);
    uv_mutex_destroy(&queue->lock);
}

struct news *news_take(struct news_queue *queue, uint64_t wait_ms)
{
    struct news *news = NULL;

    uv_mutex_lock(&queue->lock);
    if (list_empty(&queue->news) && wait_ms)
        (void)uv_cond_timedwait(&queue->some, &queue->lock, wait_ms * 1000000);
    if (!list_empty(&queue->news)) {
        news = container_of(queue->news.next, struct news, link);
        list_remove(&news->link);
        queue->bytes -= sizeof(*news) + news->size;
        uv_cond_broadcast(&queue->room);
    }
    uv_mutex_unlock(&queue->lock);
    return news;
}

static void put(struct news_queue *queue, struct news *news)
{
    uv_mutex_lock(&queue->lock);
    while (queue->bytes > QUEUE_MAX_BYTES && news->kind != NEWS_OVER &&
           !atomic_load(&news->rung->dropped))
        uv_cond_wait(&queue->room, &queue->lock);
    queue->bytes += sizeof(*news) + news->size;
    list_append(&queue->news, &news->link);
    uv_cond_signal(&queue->some);
    uv_mutex_unlock(&queue->lock);
}

/* False: no memory. Nothing may be left out, so the rung must end then. */
static bool tell(struct rung *rung, enum news_kind kind, struct span text)
{
    struct news *news = mem_alloc(sizeof(*news) + text.size);

    if (!news)
        return false;
    news->rung = rung;
    news->kind = kind;
    news->position = rung->follower.position;
    news->size = text.size;
    if (text.size)
        memcpy(news->text, text.data, text.size);
    put(rung->queue, news);
    return true;
}

/* --- on the rung's thread ------------------------------------------------- */

static struct rung *of(struct follower *follower)
{
    return container_of(follower, struct rung, follower);
}

static bool event(struct follower *follower, const json_t *json,
                  struct span text)
{
    (void)json;
    return !atomic_load(&of(follower)->dropped) &&
           tell(of(follower), NEWS_EVENT, text);
}

static bool flush(struct follower *follower)
{
    return !atomic_load(&of(follower)->dropped) &&
           (!follower->heard ||
            tell(of(follower), NEWS_LEVEL, (struct span){0}));
}

static void idle(struct follower *follower)
{
    (void)follower; /* the thread that takes the news has other clocks */
}

static void accepted(struct follower *follower)
{
    (void)tell(of(follower), NEWS_ACCEPTED, (struct span){0});
}

static void run(void *arg)
{
    struct rung *rung = arg;

    (void)!follow_over(&rung->follower, rung->transport, &rung->why);
    if (rung->follower.stopped && !atomic_load(&rung->dropped))
        (void)fail(&rung->why, ERR_UNAVAILABLE, "out of memory");
    while (!tell(rung, NEWS_OVER, (struct span){0}))
        uv_sleep(10); /* it must be told: somebody waits for it */
}

/* --- on the other's ------------------------------------------------------- */

void rung_free(struct rung *rung)
{
    (void)uv_thread_join(&rung->thread);
    http_client_destroy(rung->remote.http);
    mem_free(rung->token);
    mem_free(rung);
}

struct rung *rung_open(struct news_queue *queue, const struct follower *like,
                       const char *transport, size_t index)
{
    struct rung *rung = mem_zalloc(sizeof(*rung));
    const char *token = like->remote->token;

    if (!rung)
        return NULL;
    rung->queue = queue;
    rung->transport = transport;
    rung->index = index;
    rung->follower = *like;
    rung->follower.event = event;
    rung->follower.flush = flush;
    rung->follower.idle = idle;
    rung->follower.accepted = accepted;
    rung->follower.cancelled = &rung->dropped;
    rung->follower.remote = &rung->remote;
    rung->remote = *like->remote;
    rung->remote.http = NULL;
    rung->remote.user = NULL; /* logging in is not a rung's */
    rung->token = mem_strndup(token ? token : "", token ? strlen(token) : 0);
    rung->remote.token = rung->token;
    rung->placeless = like->position.conversation ? !like->position.has_after
                                                  : !*like->position.cursor;
    list_init(&rung->link);
    if (!rung->token || http_client_create(&rung->remote.http))
        goto free_rung;
    if (!uv_thread_create(&rung->thread, run, rung))
        return rung;
    http_client_destroy(rung->remote.http);

free_rung:
    mem_free(rung->token);
    mem_free(rung);
    return NULL;
}

void rung_drop(struct rung *rung)
{
    atomic_store(&rung->dropped, true);
    uv_mutex_lock(&rung->queue->lock);
    uv_cond_broadcast(&rung->queue->room);
    uv_mutex_unlock(&rung->queue->lock);
}
