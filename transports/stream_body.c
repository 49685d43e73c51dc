/* The body of an endless response, in any wire format. */
#include "transports/stream_body.h"

#include "server/base/clock.h"

#include <string.h>
#include <unistd.h>

static struct stream_body *of_carrier(struct carrier *carrier)
{
    return container_of(carrier, struct stream_body, carrier);
}

static struct stream_body *of_conn(struct stream_conn *conn)
{
    return container_of(conn, struct stream_body, conn);
}

/* --- sending ------------------------------------------------------------ */

/* Takes the reference; NULL: there was no memory for them, and the peer comes
 * back with its cursor. */
static void send_bytes(struct stream_body *body, struct shared *bytes)
{
    if (!bytes)
        stream_break(&body->conn);
    if (!bytes || !stream_send(&body->conn, bytes))
        carrier_behind(&body->carrier);
    shared_unref(bytes);
}

/* A reference; NULL: no memory. */
static struct shared *bytes_of(const struct stream_body *body,
                               struct burst *burst, bool last)
{
    struct shared *bytes = burst_bytes(burst, body->wire->format);

    if (bytes && body->wire->dress)
        return body->wire->dress(body, bytes, last);
    return bytes ? shared_ref(bytes) : NULL;
}

static void send_burst(struct stream_body *body, struct burst *burst)
{
    metrics_add(body->conn.worker->metrics.writes[body->carrier.via->by], 1);
    send_bytes(body, bytes_of(body, burst, false));
}

/* An event of no burst, as its block. Takes the reference; NULL: no memory. */
static struct shared *block(const struct stream_body *body, const char *epoch,
                            struct event *given, bool last)
{
    struct burst *burst = burst_of(epoch, given);
    struct shared *bytes = burst ? bytes_of(body, burst, last) : NULL;

    burst_unref(burst);
    return bytes;
}

static struct shared *bye(const struct stream_body *body,
                          const struct farewell *why)
{
    return block(body, NULL, /* it has no cursor */
                 event_bye(why->reason, why->message, why->retry_after_ms),
                 true);
}

void stream_body_end(struct carrier *carrier, const struct farewell *why)
{
    struct stream_body *body = of_carrier(carrier);

    carrier_close(carrier);
    stream_finish(&body->conn, bye(body, why)); /* may free it */
}

/* Long enough, in time or in bytes: the client comes back with its cursor. */
static bool recycle(struct stream_body *body)
{
    const struct config *config = body->carrier.worker->config;
    struct farewell why = {.reason = "recycled",
                           .message = "come back with your cursor",
                           .come_back = true};

    if (body->conn.sent_bytes < config->stream_max_bytes &&
        clock_mono_ms() < body->recycle_at_ms)
        return false;
    stream_body_end(&body->carrier, &why);
    return true;
}

/* The log from the cursor on, as long as the socket takes it. */
static void pump(struct stream_body *body)
{
    struct failure why;
    struct burst *burst;
    bool more = true;

    for (int i = 0; more && body->carrier.open && !stream_full(&body->conn);
         i++) {
        if (recycle(body))
            return;
        if (i == BURSTS_AT_ONCE) {
            stream_again(&body->conn);
            return;
        }
        if (carrier_next(&body->carrier, BURST_BYTES, &burst, &more, &why)) {
            struct farewell end = {.reason = err_code(err_wire(why.err)),
                                   .message = why.message,
                                   .come_back = true};

            stream_body_end(&body->carrier, &end);
            return;
        }
        if (!burst)
            return;
        send_burst(body, burst);
        burst_unref(burst);
    }
}

/* --- life --------------------------------------------------------------- */

static void drained(struct stream_conn *conn)
{
    pump(of_conn(conn));
}

static void gone(struct stream_conn *conn)
{
    struct stream_body *body = of_conn(conn);

    carrier_close(&body->carrier);
    mem_free(body);
}

static const struct stream_owner owner = {.drained = drained, .gone = gone};

/* The head and the first bytes behind it; NULL: no memory. */
static struct shared *opening(const struct stream_body *body,
                              struct request *request)
{
    struct shared *bytes = NULL;
    struct buf scratch, first;
    struct response head;

    buf_init(&scratch, SIZE_MAX / 2);
    buf_init(&first, SIZE_MAX / 2);
    response_init(&head, 200, body->type, false);
    response_field(&head, "X-Accel-Buffering", "no");
    request_add_cors(request, &head);
    if (body->wire->fields)
        body->wire->fields(&head, &scratch, body->carrier.worker->config);
    body->wire->opening(&first, body);
    head.body = (struct span){first.data, first.size};
    head.endless = true;
    if (!buf_status(&scratch) && !buf_status(&first))
        bytes = response_text(&head, true);
    buf_fini(&scratch);
    buf_fini(&first);
    return bytes;
}

/* From here on the request is gone and the stream answers for itself. */
static void start(struct stream_body *body, struct worker *worker, int fd,
                  struct request *request)
{
    if (stream_init(&body->conn, worker, fd, &owner)) {
        close(fd);
        carrier_close(&body->carrier);
        mem_free(body);
        return;
    }
    body->recycle_at_ms = clock_mono_ms() + worker->config->stream_max_ms;
    send_bytes(body, opening(body, request));
    pump(body);
}

/* Follow, if the user's limits let; the request's socket, or -1. */
static int take(struct stream_body *body, struct request *request,
                const struct identity *who, const struct follow *follow,
                struct failure *why)
{
    int fd;

    if (carrier_open(&body->carrier, request_worker(request),
                     body->wire->transport, who, follow, why))
        return -1;
    if (session_spend(body->carrier.session, why))
        goto close_carrier;
    fd = request_take(request);
    if (fd >= 0)
        return fd;
    fail_plain(why, ERR_UNAVAILABLE);

close_carrier:
    carrier_close(&body->carrier);
    return -1;
}

void stream_body_open(const struct stream_wire *wire, struct worker *worker,
                      struct request *request, const struct identity *who,
                      const struct follow *follow)
{
    struct follow asked = *follow;
    struct stream_body *body;
    struct failure why;
    int fd;

    body = mem_zalloc(sizeof(*body));
    if (!body) {
        fail_plain(&why, ERR_NOMEM);
        request_fail(request, &why);
        return;
    }
    body->wire = wire;
    body->type = wire->type;
    if (wire->ask && wire->ask(body, request, &asked, &why))
        goto refuse;
    if (span_is(request_head(request)->method, "HEAD")) {
        request_reply(request, &(struct reply){.type = body->type});
        mem_free(body);
        return;
    }
    fd = take(body, request, who, &asked, &why);
    if (fd < 0)
        goto refuse;
    start(body, worker, fd, request);
    return;

refuse:
    mem_free(body);
    request_fail(request, &why);
}

/* --- for its table ------------------------------------------------------ */

void stream_body_deliver(struct carrier *carrier, struct burst *burst)
{
    struct stream_body *body = of_carrier(carrier);

    send_burst(body, burst);
}

void stream_body_wake(struct carrier *carrier)
{
    pump(of_carrier(carrier));
}

/* Bytes behind a text: takes the reference, gives another; NULL: no memory. */
static struct shared *behind(const char *text, struct shared *bytes)
{
    size_t size = strlen(text);
    struct shared *both = bytes ? shared_create(size + bytes->size) : NULL;

    if (both) {
        memcpy(both->data, text, size);
        memcpy(both->data + size, bytes->data, bytes->size);
    }
    shared_unref(bytes);
    return both;
}

void stream_body_beat(struct carrier *carrier)
{
    const char *epoch = store_epoch(worker_store(carrier->worker));
    struct stream_body *body = of_carrier(carrier);
    struct shared *beat;

    if (recycle(body))
        return;
    beat = block(body, epoch,
                 event_heartbeat(epoch, carrier_at(carrier), clock_wall_ms()),
                 false);
    send_bytes(body, body->wire->beat ? behind(body->wire->beat, beat) : beat);
}
