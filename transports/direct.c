/* The direct host: reading requests, and the connections that they come over.
 */
#include "transports/direct_inside.h"

#include "server/base/clock.h"
#include "server/refusal.h"
#include "server/socket.h"
#include "transports/transport.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GATHER_BYTES 8192 /* of a body, at least, when it comes in pieces */
#define STEPS_AT_ONCE 32  /* then the other connections get their turn */

static struct direct_host *host_of(const struct direct *direct)
{
    return direct->request.worker->direct;
}

void direct_arm(struct direct *direct, uint64_t ms)
{
    wheel_arm(&direct->request.worker->wheel, &direct->deadline,
              clock_mono_ms() + ms);
}

/* --- its end ------------------------------------------------------------ */

static void gathering_free(struct gathering *gathering)
{
    if (gathering)
        buf_fini(&gathering->text);
    mem_free(gathering);
}

/* The connection is no more; its socket, unless it was taken, is the caller's.
 */
static int release(struct direct *direct)
{
    int fd = direct->fd;

    if (fd >= 0)
        poller_remove(&direct->request.worker->poller, fd, &direct->watch);
    wheel_disarm(&direct->deadline);
    list_remove(&direct->link);
    list_remove(&direct->again);
    request_fini(&direct->request);
    gathering_free(direct->gathering);
    shared_unref(direct->rest);
    mem_free(direct);
    return fd;
}

static void end(struct direct *direct)
{
    struct worker *worker = direct->request.worker;
    bool sound = !direct->rest && !direct->broken;
    int fd = release(direct);

    if (fd >= 0 && sound)
        socket_close_answered(fd); /* an answer may still be on its way */
    else if (fd >= 0)
        close(fd);
    worker_disconnected(worker);
}

static void refuse(struct direct *direct, int status, const struct failure *why)
{
    struct worker *worker = direct->request.worker;

    refuse_socket(worker, release(direct), status, why);
}

static void late(struct wheel_node *node)
{
    end(container_of(node, struct direct, deadline));
}

/* Its peer left, or the server ends: nobody is there to be answered. */
static void give_up(struct direct *direct)
{
    if (direct->request.stage == STAGE_PARKED)
        request_forsaken(&direct->request);
    end(direct);
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

/* Whether a request is ours: what is asked for again and again, of the plainest
 * kind. Everything else, also what is wrong with it, is for others. */
static bool is_ours(const struct config *config, const struct head *head)
{
    const struct transport *transport;
    struct span name = head->path;

    if (head->minor < 1 || head->upgrade || head->close || head->expect ||
        head->transfer_encoding || head->pieces > HEAD_MAX_PIECES ||
        name.size < 4 || memcmp(name.data, "/v1/", 4) != 0)
        return false;
    name.data += 4;
    name.size -= 4;
    if (span_is(head->method, "GET")) {
        transport = transport_find(name);
        return transport && transport->open && !head->length;
    }
    return span_is(head->method, "POST") && head->has_length &&
           head->length <= config->max_message_bytes &&
           memchr(name.data, '.', name.size);
}

/* The head, which begins at `text`, and the body last until this returns. */
static void run(struct direct *direct, const struct head *head, char *text,
                struct span body)
{
    struct request *request = &direct->request;
    struct worker *worker = request->worker;
    uint32_t wait_ms = bucket_spend(
        &direct->bucket, worker->config->connection_rate, clock_mono_us());

    metrics_add(worker->metrics.requests, 1);
    wheel_disarm(&direct->deadline);
    request_begin(request, head);
    request->body = body;
    request_run(request, text + (head->query.data - text), wait_ms);
    request->head = NULL;
    request->query = (struct query){0};
    request->body = (struct span){0};
}

static void start_gathering(struct direct *direct, const struct head *head)
{
    struct worker *worker = direct->request.worker;
    struct gathering *gathering = mem_alloc(sizeof(*gathering));

    if (!gathering) {
        direct->broken = true;
        return;
    }
    gathering->size = head->size + (size_t)head->length;
    buf_init(&gathering->text, gathering->size);
    buf_append(&gathering->text, worker->direct->peeked, head->size);
    direct->gathering = gathering;
    direct->broken = buf_status(&gathering->text) != ERR_NONE ||
                     !socket_skip(direct->fd, head->size);
    direct->request.stage = STAGE_BODY;
    direct_arm(direct, worker->config->body_timeout_ms);
}

/* One whole head, of which at least that many bytes lie in the socket. False:
 * the connection is somebody else's now. */
static bool begin(struct direct *direct, const struct head *head, size_t seen)
{
    struct worker *worker = direct->request.worker;
    struct direct_host *host = worker->direct;
    size_t whole = head->size + (size_t)head->length;

    if (!is_ours(worker->config, head)) {
        host->pass(worker, release(direct), head,
                   (struct span){host->peeked, head->size});
        return false;
    }
    if (whole > seen) {
        direct->more = direct->more || seen > head->size;
        start_gathering(direct, head);
        return true;
    }
    direct->more = direct->more || seen > whole;
    direct->broken = !socket_skip(direct->fd, whole);
    metrics_add(worker->metrics.received_bytes, head->length);
    if (!direct->broken)
        run(direct, head, host->peeked,
            (struct span){host->peeked + head->size, (size_t)head->length});
    return true;
}

/* False: the connection is no more, or waits for its next byte. */
static bool await_head(struct direct *direct, size_t seen)
{
    struct failure *why = &host_of(direct)->refusal;

    if (seen >= HEAD_MAX_BYTES) {
        fail(why, ERR_BAD_REQUEST, "a request's head may have %d bytes",
             HEAD_MAX_BYTES);
        refuse(direct, 431, why);
    } else if (direct->left) {
        fail(why, ERR_BAD_REQUEST, "the head ends before its empty line");
        refuse(direct, 0, why);
    } else if (!direct->begun) {
        direct->begun = true;
        direct_arm(direct, direct->request.worker->config->header_timeout_ms);
    }
    return false;
}

/* What waits in the socket? False: nothing, or the connection is no more. */
static bool look(struct direct *direct)
{
    struct direct_host *host = host_of(direct);
    ssize_t got = recv(direct->fd, host->peeked, sizeof(host->peeked),
                       MSG_PEEK | MSG_DONTWAIT);
    size_t seen = got > 0 ? (size_t)got : 0;
    struct head head;

    if (got < 0 && errno == EINTR)
        return true;
    if (got <= 0 && (got == 0 || errno != EAGAIN)) {
        end(direct);
        return false;
    }
    direct->more = direct->left || seen == sizeof(host->peeked);
    if (got < 0)
        return false;
    switch (
        head_parse(&head,
                   (struct span){host->peeked,
                                 seen < HEAD_MAX_BYTES ? seen : HEAD_MAX_BYTES},
                   &host->refusal)) {
    case HEAD_WHOLE:
        return begin(direct, &head, seen);
    case HEAD_PARTIAL:
        return await_head(direct, seen);
    default:
        refuse(direct, 0, &host->refusal);
        return false;
    }
}

static void run_gathered(struct direct *direct)
{
    struct gathering *gathering = direct->gathering;
    struct buf *text = &gathering->text;
    struct failure why;
    struct head head;

    direct->gathering = NULL;
    if (head_parse(&head, (struct span){text->data, text->size}, &why) !=
        HEAD_WHOLE)
        direct->broken = true; /* it was, when it was seen */
    else
        run(direct, &head, text->data,
            (struct span){text->data + head.size, text->size - head.size});
    gathering_free(gathering);
}

/* More of a body, for which memory grows as it comes. False: that was all, for
 * now; or the connection is no more. */
static bool gather(struct direct *direct)
{
    struct gathering *gathering = direct->gathering;
    struct buf *text = &gathering->text;
    size_t wanted = gathering->size - text->size;
    char *room;
    ssize_t got;

    if (wanted > GATHER_BYTES + text->size)
        wanted = GATHER_BYTES + text->size;
    room = buf_reserve(text, wanted);
    if (!room) {
        end(direct);
        return false;
    }
    got = recv(direct->fd, room, wanted, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR)
        return true;
    if (got < 0 && errno == EAGAIN) {
        direct->more = false;
        return false;
    }
    if (got <= 0) {
        end(direct);
        return false;
    }
    metrics_add(direct->request.worker->metrics.received_bytes, (size_t)got);
    text->size += (size_t)got;
    direct->more = direct->left || (size_t)got == wanted;
    if (text->size == gathering->size)
        run_gathered(direct);
    return true;
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
        return direct->more && look(direct);
    case STAGE_BODY:
        return direct->more && gather(direct);
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
    end(direct);
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
        list_append(&host_of(direct)->again, &direct->again);
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
            end(direct);
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
