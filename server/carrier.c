/* A carrier's life: opened and closed, its beat, parked, its token renewed.
 * Where it starts is in attach.c, how it reads on in catch_up.c.
 */
#include "server/base/clock.h"
#include "server/base/mem.h"
#include "server/demo_rungs.h"
#include "server/watch.h"
#include "transports/transport.h"

#include <string.h>

/* --- the beat ----------------------------------------------------------- */

static void arm_beat(struct carrier *carrier)
{
    struct worker *worker = carrier->worker;
    uint64_t wall_ms = clock_wall_ms();
    uint64_t grace_ms = worker->config->token_grace_ms;
    uint64_t beat_ms = worker->config->heartbeat_ms;
    uint64_t at_ms = carrier->deadline_ms;
    uint64_t left_ms = carrier->expires_ms + grace_ms > wall_ms
                           ? carrier->expires_ms + grace_ms - wall_ms
                           : 0;

    if (!at_ms)
        at_ms = worker->now_ms + beat_ms - random_below(beat_ms / 10 + 1);
    if (worker->now_ms + left_ms < at_ms)
        at_ms = worker->now_ms + left_ms;
    wheel_arm(&worker->wheel, &carrier->beat, at_ms);
}

/* dead_note: a heartbeat says that all is well. While the sequencer stalls it is
 * not, and there are none: who watches over its stream tries elsewhere, instead
 * of waiting on a connection that lives for a business that does not. */
static void beat(struct wheel_node *node)
{
    struct carrier *carrier = container_of(node, struct carrier, beat);
    struct worker *worker = carrier->worker;

    if (clock_wall_ms() >=
        carrier->expires_ms + worker->config->token_grace_ms) {
        struct farewell farewell = {
            .reason = err_code(ERR_TOKEN_EXPIRED),
            .message = err_text(ERR_TOKEN_EXPIRED),
        };
        carrier->via->end(carrier, &farewell);
        return;
    }
    if (!carrier->deadline_ms)
        arm_beat(carrier); /* before the call, which may free the carrier */
    else if (worker->now_ms < carrier->deadline_ms) {
        arm_beat(carrier); /* the expiry moved */
        return;
    }
    /* See dead_note; a poll's end of waiting is no heartbeat. */
    if (carrier->level &&
        (carrier->deadline_ms || !worker_business_dead(worker)))
        carrier->via->beat(carrier);
}

/* --- open, close -------------------------------------------------------- */

static enum err join_session(struct carrier *carrier,
                             const struct identity *who, struct failure *why)
{
    uint64_t most = carrier->worker->config->max_parked_per_user;

    carrier->session = session_get(carrier->worker, who);
    if (!carrier->session)
        return fail_plain(why, ERR_UNAVAILABLE);
    if (carrier->session->carrier_count >= most) {
        fail(why, ERR_RATE_LIMITED,
             "more than %llu parked polls and streams of this user",
             (unsigned long long)most);
        why->retry_after_ms = 1000;
        return ERR_RATE_LIMITED;
    }
    return ERR_NONE;
}

enum err carrier_open(struct carrier *carrier, struct worker *worker,
                      const struct transport *via, const struct identity *who,
                      const struct follow *follow, struct failure *why)
{
    enum err rc;

    carrier->via = via;
    carrier->worker = worker;
    carrier->expires_ms = who->expires_ms;
    carrier->greeted = !via->stream;
    list_init(&carrier->link);
    list_init(&carrier->all);
    list_init(&carrier->own);
    list_init(&carrier->due);
    list_init(&carrier->leaving);
    wheel_node_init(&carrier->beat, beat);
    rc = join_session(carrier, who, why);
    if (!rc)
        rc = carrier_attach(carrier, who, follow, why);
    if (rc) {
        session_put(carrier->session);
        return rc;
    }
    carrier->open = true;
    list_append(&worker->hub->all, &carrier->all);
    list_append(&carrier->session->own, &carrier->own);
    carrier->session->carrier_count++;
    metrics_add(worker->metrics.carriers[via->by], 1);
    if (via->stream)
        arm_beat(carrier);
    return ERR_NONE;
}

struct burst *take_touch(struct carrier *carrier)
{
    struct touch *first = &carrier->touch, *next = first->next;
    struct burst *burst = first->burst;

    first->burst = NULL;
    if (next) {
        *first = *next;
        mem_free(next);
    }
    return burst;
}

static void drop_touches(struct carrier *carrier)
{
    struct burst *burst;

    while ((burst = take_touch(carrier)) != NULL)
        burst_unref(burst);
}

void carrier_close(struct carrier *carrier)
{
    struct worker *worker = carrier->worker;

    if (!carrier->open)
        return;
    carrier->open = false;
    wheel_disarm(&carrier->beat);
    drop_touches(carrier);
    list_remove(&carrier->link);
    list_remove(&carrier->all);
    list_remove(&carrier->own);
    list_remove(&carrier->due);
    list_remove(&carrier->leaving);
    watch_release(carrier->watch);
    carrier_drop_device(carrier);
    carrier->session->carrier_count--;
    metrics_sub(worker->metrics.carriers[carrier->via->by], 1);
    session_put(carrier->session);
}

/* --- small ones --------------------------------------------------------- */

void carrier_behind(struct carrier *carrier)
{
    carrier->cursor = carrier_at(carrier);
    carrier->level = false;
}

lsn carrier_at(const struct carrier *carrier)
{
    lsn head = carrier->worker->hub->head;
    bool waits = !carrier->level || !list_empty(&carrier->due);

    return !waits && head > carrier->cursor ? head : carrier->cursor;
}

uint64_t carrier_seq(const struct carrier *carrier)
{
    return carrier->seq;
}

void carrier_park(struct carrier *carrier, uint64_t wait_ms)
{
    carrier->deadline_ms = carrier->worker->now_ms + wait_ms;
    arm_beat(carrier);
}

void carrier_identity(const struct carrier *carrier, struct identity *out)
{
    const struct person *who = &carrier->session->who;

    *out = (struct identity){.inbox = who->inbox,
                             .expires_ms = carrier->expires_ms};
    memcpy(out->app, who->app, strlen(who->app));
    memcpy(out->user, who->user, strlen(who->user));
    memcpy(out->device, carrier->device, strlen(carrier->device));
}

void carrier_renew(struct carrier *carrier, const struct identity *who)
{
    carrier->expires_ms = who->expires_ms;
    arm_beat(carrier);
}

void hub_renew(struct hub *hub, const struct identity *who)
{
    struct session *session =
        session_find(hub, span_of(who->app), who->inbox, span_of(who->user));

    if (!session)
        return;
    list_each (node, &session->own) {
        struct carrier *carrier = container_of(node, struct carrier, own);

        if (strcmp(carrier->device, who->device) == 0)
            carrier_renew(carrier, who);
    }
}

void hub_end_hindered(struct hub *hub, const struct identity *who)
{
    struct session *session = session_get(hub->worker, who);
    struct farewell why = {.reason = "unavailable",
                           .message = "this transport is blocked now (demo)",
                           .come_back = true};
    struct identity at;

    if (!session)
        return; /* without memory: they stay */
    list_each_safe (node, &session->own) {
        struct carrier *carrier = container_of(node, struct carrier, own);

        carrier_identity(carrier, &at);
        if (strcmp(at.device, who->device[0] ? who->device : "default") == 0 &&
            demo_rungs_way(&at, carrier->via->by) != DEMO_OPEN)
            carrier->via->end(carrier, &why); /* closes it */
    }
    session_put(session);
}

void carriers_renew(struct worker *worker, const struct identity *who)
{
    const struct server *server = worker->server;

    hub_renew(worker->hub, who);
    for (size_t i = 0; i < server->worker_count; i++)
        if (server->workers[i] != worker)
            worker_renew(server->workers[i], who);
}
