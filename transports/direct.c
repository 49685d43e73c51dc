/* The direct host: its connections, from their first byte to their last. */
#include "transports/direct_inside.h"

#include "server/base/clock.h"
#include "server/refusal.h"
#include "server/socket.h"

#include <unistd.h>

#define STEPS_AT_ONCE 32 /* then the other connections get their turn */

void direct_arm(struct direct *direct, uint64_t ms)
{
    wheel_arm(&direct->request.worker->wheel, &direct->deadline,
              clock_mono_ms() + ms);
}

/* --- its end ------------------------------------------------------------ */

/* The connection is no more; its socket, unless it was taken, is the caller's.
 */
int direct_release(struct direct *direct)
{
    int fd = direct->fd;

    if (fd >= 0)
        poller_remove(&direct->request.worker->poller, fd, &direct->watch);
    wheel_disarm(&direct->deadline);
    list_remove(&direct->link);
    list_remove(&direct->again);
    request_fini(&direct->request);
    direct_held_free(direct->held);
    shared_unref(direct->rest);
    mem_free(direct);
    return fd;
}

void direct_end(struct direct *direct)
{
    struct worker *worker = direct->request.worker;
    bool sound = !direct->rest && !direct->broken;
    int fd = direct_release(direct);

    if (fd < 0) { /* it goes on as a stream */
        worker_disconnected(worker, -1);
        return;
    }
    worker_disconnected(worker, fd);
    if (sound)
        socket_close_answered(fd); /* an answer may still be on its way */
    else
        close(fd);
}

void direct_refuse(struct direct *direct, int status, const struct failure *why)
{
    struct worker *worker = direct->request.worker;

    refuse_socket(worker, direct_release(direct), status, why);
}

static void late(struct wheel_node *node)
{
    direct_end(container_of(node, struct direct, deadline));
}

/* Its peer left, or the server ends: nobody is there to be answered. */
static void give_up(struct direct *direct)
{
    if (direct->request.stage == STAGE_PARKED)
        request_forsaken(&direct->request);
    direct_end(direct);
}

/* --- one request -------------------------------------------------------- */

void direct_next(struct direct *direct)
{
    struct request *request = &direct->request;

    request_fini(request);
    request->stage = STAGE_NEW;
    direct->begun = false;
    direct_arm(direct, request->worker->config->idle_timeout_ms);
}

/* --- its life ----------------------------------------------------------- */

/* False: no more can be done now, or the connection is no more. */
static bool step(struct direct *direct)
{
    if (direct->request.stage == STAGE_ANSWERED)
        direct_flush(direct);
    if (direct->broken) {
        give_up(direct);
        return false;
    }
    switch (direct->request.stage) {
    case STAGE_NEW:
        return direct->more && direct_look(direct);
    case STAGE_BODY:
        return direct->more && direct_gather(direct);
    case STAGE_PARKED:
        if (direct->left && direct->request.gone)
            give_up(direct);
        return false;
    case STAGE_ANSWERED:
        if (direct->rest)
            return false;
        direct->closing = direct->closing || direct->request.worker->draining;
        if (!direct->closing) {
            direct_next(direct);
            return true;
        }
        break;
    default: /* taken */
        break;
    }
    direct_end(direct);
    return false;
}

static void go_on(struct direct *direct)
{
    for (int i = 0; i < STEPS_AT_ONCE; i++)
        if (!step(direct))
            return;
    direct_again(direct);
}

static void ready(struct watch *watch, uint32_t events)
{
    struct direct *direct = container_of(watch, struct direct, watch);

    direct->more = direct->more || (events & (EPOLLIN | POLLER_GONE));
    direct->left = direct->left || (events & POLLER_GONE);
    go_on(direct);
}

void direct_again(struct direct *direct)
{
    if (list_empty(&direct->again))
        list_append(&direct->request.worker->direct->again, &direct->again);
}

enum err direct_host_adopt(struct direct_host *host, int fd)
{
    struct worker *worker = host->worker;
    struct direct *direct = mem_zalloc(sizeof(*direct));

    if (!direct)
        return ERR_NOMEM;
    direct->request.backend = &direct_backend;
    direct->request.worker = worker;
    direct->fd = fd;
    direct->begun = true; /* who connects has something to say */
    direct->watch.ready = ready;
    wheel_node_init(&direct->deadline, late);
    list_init(&direct->again);
    if (poller_add(&worker->poller, fd, POLLER_BOTH, &direct->watch)) {
        mem_free(direct);
        return ERR_UNAVAILABLE;
    }
    list_append(&host->all, &direct->link);
    direct_arm(direct, worker->config->header_timeout_ms);
    return ERR_NONE;
}

/* --- the host ----------------------------------------------------------- */

enum err direct_host_create(struct direct_host **out, struct worker *worker,
                            direct_pass *pass)
{
    struct direct_host *host = mem_zalloc(sizeof(*host));

    if (!host)
        return ERR_NOMEM;
    host->worker = worker;
    host->pass = pass;
    list_init(&host->all);
    list_init(&host->again);
    *out = host;
    return ERR_NONE;
}

bool direct_host_turn(struct direct_host *host)
{
    struct list work;

    list_take(&work, &host->again);
    while (!list_empty(&work)) {
        struct direct *direct = container_of(work.next, struct direct, again);

        list_remove(&direct->again);
        go_on(direct);
    }
    return list_empty(&host->again);
}

void direct_host_drain(struct direct_host *host)
{
    list_each_safe (link, &host->all) {
        struct direct *direct = container_of(link, struct direct, link);

        if (direct->request.stage == STAGE_NEW)
            direct_end(direct);
    }
}

void direct_host_destroy(struct direct_host *host)
{
    if (!host)
        return;
    list_each_safe (link, &host->all)
        give_up(container_of(link, struct direct, link));
    mem_free(host);
}
