/* The direct host: reading requests, and the connections that they come over.
 */
#include "transports/direct_inside.h"

#include "server/base/clock.h"
#include "server/refusal.h"
#include "server/socket.h"
#include "transports/place.h"
#include "transports/relay.h"
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

static void held_free(struct held *held)
{
    if (held)
        buf_fini(&held->text);
    mem_free(held);
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
    held_free(direct->held);
    shared_unref(direct->rest);
    mem_free(direct);
    return fd;
}

static void end(struct direct *direct)
{
    struct worker *worker = direct->request.worker;
    bool sound = !direct->rest && !direct->broken;
    int fd = release(direct);

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
    const struct place *place;

    if (head->minor < 1 || head->upgrade || head->close || head->expect ||
        head->transfer_encoding || head->pieces > HEAD_MAX_PIECES)
        return false;
    place = place_find(config, head->path);
    if (place)
        return (span_is(head->method, "GET") && !head->length) ||
               (span_is(head->method, "POST") && head->has_length &&
                head->length <= place_body_max(config, head->path));
    if (name.size < 4 || memcmp(name.data, "/v1/", 4) != 0)
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

/* Bytes that were read wait for more of them, or for their turn. */
static void hold(struct direct *direct, struct span bytes, size_t wanted)
{
    struct held *held = mem_alloc(sizeof(*held));

    direct->broken = direct->broken || !held;
    if (!held)
        return;
    held->wanted = wanted;
    buf_init(&held->text, wanted ? wanted : sizeof(host_of(direct)->bytes));
    buf_append_span(&held->text, bytes);
    direct->broken = direct->broken || buf_status(&held->text) != ERR_NONE;
    direct->held = held;
}

/* Its first request: what was only looked at is ours, and so is what follows.
 * Of the bytes seen that many belong to the request. */
static void become_ours(struct direct *direct, size_t seen, size_t belong)
{
    direct->ours = true;
    direct->more = direct->more || seen > belong;
    direct->broken = !socket_skip(direct->fd, belong);
}

static void pass_on(struct direct *direct, const struct head *head,
                    struct span seen)
{
    struct worker *worker = direct->request.worker;
    bool read = direct->ours;
    int fd = release(direct);

    if (read)
        fd = relay_open(worker, fd, seen);
    if (fd >= 0)
        worker->direct->pass(worker, fd, head,
                             (struct span){seen.data, head->size});
}

/* One whole head, and what follows it. False: the connection is somebody else's
 * now. */
static bool begin(struct direct *direct, const struct head *head,
                  struct span seen)
{
    struct worker *worker = direct->request.worker;
    size_t whole = head->size + (size_t)head->length;
    size_t belong = whole < seen.size ? whole : seen.size;
    struct span beyond = {seen.data + belong, seen.size - belong};

    if (!is_ours(worker->config, head)) {
        pass_on(direct, head, seen);
        return false;
    }
    if (!direct->ours) {
        become_ours(direct, seen.size, belong);
    } else if (beyond.size) {
        hold(direct, beyond, 0);
        direct->more = true;
    }
    if (direct->broken)
        return true;
    if (belong < whole) {
        hold(direct, seen, whole);
        metrics_add(worker->metrics.received_bytes, seen.size - head->size);
        direct->request.stage = STAGE_BODY;
        request_expect(&direct->request, head);
        direct_arm(direct, worker->config->body_timeout_ms);
        return true;
    }
    metrics_add(worker->metrics.received_bytes, head->length);
    run(direct, head, worker->direct->bytes,
        (struct span){seen.data + head->size, (size_t)head->length});
    return true;
}

/* False: the connection is no more, or waits for its next byte. */
static bool await_head(struct direct *direct, struct span seen)
{
    struct failure *why = &host_of(direct)->refusal;

    if (seen.size >= HEAD_MAX_BYTES) {
        fail(why, ERR_BAD_REQUEST, "a request's head may have %d bytes",
             HEAD_MAX_BYTES);
        refuse(direct, 431, why);
        return false;
    }
    if (direct->left) {
        fail(why, ERR_BAD_REQUEST, "the head ends before its empty line");
        refuse(direct, 0, why);
        return false;
    }
    if (direct->ours)
        hold(direct, seen, 0);
    if (direct->broken) {
        end(direct);
        return false;
    }
    if (!direct->begun) {
        direct->begun = true;
        direct_arm(direct, direct->request.worker->config->header_timeout_ms);
    }
    return false;
}

/* What was read before comes first; returns how much that is. */
static size_t take_held(struct direct *direct)
{
    struct held *held = direct->held;
    size_t size = 0;

    if (held) {
        size = held->text.size;
        memcpy(host_of(direct)->bytes, held->text.data, size);
        held_free(held);
        direct->held = NULL;
    }
    return size;
}

/* What has arrived, with what was held, in the host's bytes. False: nothing, or
 * the connection is no more. */
static bool read_some(struct direct *direct, size_t *out)
{
    struct direct_host *host = host_of(direct);
    size_t size = take_held(direct), room = sizeof(host->bytes) - size;
    ssize_t got;

    *out = size;
    do
        got = recv(direct->fd, host->bytes + size, room,
                   MSG_DONTWAIT | (direct->ours ? 0 : MSG_PEEK));
    while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN) {
        direct->more = direct->left;
        return size > 0;
    }
    direct->left = direct->left || got == 0;
    if (got < 0 || !(size += (size_t)got)) {
        end(direct);
        return false;
    }
    direct->more = direct->left || (size_t)got == room;
    *out = size;
    return true;
}

/* Is a request there? False: not yet, or the connection is no more. */
static bool look(struct direct *direct)
{
    struct direct_host *host = host_of(direct);
    struct span seen = {host->bytes, 0};
    struct head head;

    if (!read_some(direct, &seen.size))
        return false;
    switch (head_parse(&head,
                       (struct span){seen.data, seen.size < HEAD_MAX_BYTES
                                                    ? seen.size
                                                    : HEAD_MAX_BYTES},
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

static void run_held(struct direct *direct)
{
    struct held *held = direct->held;
    struct buf *text = &held->text;
    struct failure why;
    struct head head;

    direct->held = NULL;
    if (head_parse(&head, (struct span){text->data, text->size}, &why) !=
        HEAD_WHOLE)
        direct->broken = true; /* it was, when it was seen */
    else
        run(direct, &head, text->data,
            (struct span){text->data + head.size, text->size - head.size});
    held_free(held);
}

/* More of a body, for which memory grows as it comes. False: that was all, for
 * now; or the connection is no more. */
static bool gather(struct direct *direct)
{
    struct held *held = direct->held;
    struct buf *text = &held->text;
    size_t room = held->wanted - text->size;
    char *at;
    ssize_t got;

    if (room > GATHER_BYTES + text->size)
        room = GATHER_BYTES + text->size;
    at = buf_reserve(text, room);
    if (!at) {
        end(direct);
        return false;
    }
    got = recv(direct->fd, at, room, MSG_DONTWAIT);
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
    direct->more = direct->left || (size_t)got == room;
    if (text->size == held->wanted)
        run_held(direct);
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
