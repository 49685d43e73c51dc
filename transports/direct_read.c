/* Reading requests: what was looked at or read of a connection becomes one, or
 * is passed on; see peek_note in direct.h.
 */
#include "transports/direct_inside.h"

#include "server/base/clock.h"
#include "server/socket.h"
#include "transports/place.h"
#include "transports/relay.h"
#include "transports/transport.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define GATHER_BYTES 8192 /* of a body, at least, when it comes in pieces */

static struct direct_host *host_of(const struct direct *direct)
{
    return direct->request.worker->direct;
}

void direct_held_free(struct held *held)
{
    if (held)
        buf_fini(&held->text);
    mem_free(held);
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
    int fd = direct_release(direct);

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
        direct_refuse(direct, 431, why);
        return false;
    }
    if (direct->left) {
        fail(why, ERR_BAD_REQUEST, "the head ends before its empty line");
        direct_refuse(direct, 0, why);
        return false;
    }
    if (direct->ours)
        hold(direct, seen, 0);
    if (direct->broken) {
        direct_end(direct);
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
        direct_held_free(held);
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
        direct_end(direct);
        return false;
    }
    direct->more = direct->left || (size_t)got == room;
    *out = size;
    return true;
}

/* Is a request there? False: not yet, or the connection is no more. */
bool direct_look(struct direct *direct)
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
        direct_refuse(direct, 0, &host->refusal);
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
    direct_held_free(held);
}

/* More of a body, for which memory grows as it comes. False: that was all, for
 * now; or the connection is no more. */
bool direct_gather(struct direct *direct)
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
        direct_end(direct);
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
        direct_end(direct);
        return false;
    }
    metrics_add(direct->request.worker->metrics.received_bytes, (size_t)got);
    text->size += (size_t)got;
    direct->more = direct->left || (size_t)got == room;
    if (text->size == held->wanted)
        run_held(direct);
    return true;
}
