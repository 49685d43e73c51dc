/* The body of an endless response, in any wire format. */
#include "transports/stream_body.h"

#include "server/base/clock.h"
#include "server/origin.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BURST_BYTES (64u << 10)
#define BURSTS_AT_ONCE 16 /* then the other connections get their turn */

static struct stream_body *of_carrier(struct carrier *carrier)
{
    return container_of(carrier, struct stream_body, carrier);
}

static struct stream_body *of_conn(struct stream_conn *conn)
{
    return container_of(conn, struct stream_body, conn);
}

/* --- sending ------------------------------------------------------------ */

static void send_text(struct stream_body *body, const char *text, size_t size)
{
    struct shared *bytes = shared_create(0, size);

    if (bytes)
        memcpy(bytes->data, text, size);
    else
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
    struct shared *bytes = bytes_of(body, burst, false);

    if (!bytes) {
        stream_break(&body->conn); /* it comes back with its cursor */
        carrier_behind(&body->carrier);
        return;
    }
    metrics_add(body->conn.worker->metrics.writes[body->carrier.via->by], 1);
    if (!stream_send(&body->conn, bytes))
        carrier_behind(&body->carrier);
    shared_unref(bytes);
}

/* An event of no burst, as its block. Takes the reference; NULL: no memory. */
static struct shared *block(const struct stream_body *body, const char *epoch,
                            struct event *given, bool last)
{
    struct burst *burst = given ? burst_create(epoch) : NULL;
    struct shared *bytes = NULL;

    if (!burst)
        event_unref(given);
    else if (burst_add(burst, given))
        bytes = bytes_of(body, burst, last);
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

static void write_head(struct buf *out, const struct stream_body *body,
                       const struct head *head)
{
    buf_printf(out,
               "HTTP/1.1 200 OK\r\n"
               "Content-Type: %s\r\n"
               "Cache-Control: no-store, no-transform\r\n"
               "Connection: close\r\n"
               "X-Accel-Buffering: no\r\n"
               "X-Content-Type-Options: nosniff\r\n"
               "Vary: Origin\r\n",
               body->type);
    if (origin_is_foreign(head))
        buf_printf(out, "Access-Control-Allow-Origin: %.*s\r\n",
                   (int)head->origin.size, head->origin.data);
    if (body->wire->fields)
        body->wire->fields(out, body->carrier.worker->config);
    buf_append_text(out, "\r\n");
}

static void send_opening(struct stream_body *body, const struct head *head)
{
    const struct config *config = body->carrier.worker->config;
    struct buf out;

    buf_init(&out, HEAD_MAX_BYTES + 8192 + strlen(config->allowed_origins));
    write_head(&out, body, head);
    body->wire->opening(&out, body);
    if (buf_status(&out))
        stream_break(&body->conn);
    else
        send_text(body, out.data, out.size);
    buf_fini(&out);
}

/* From here on the request is gone and the stream answers for itself. */
static void start(struct stream_body *body, struct worker *worker, int fd,
                  const struct head *head)
{
    if (stream_init(&body->conn, worker, fd, &owner)) {
        close(fd);
        carrier_close(&body->carrier);
        mem_free(body);
        return;
    }
    body->recycle_at_ms = clock_mono_ms() + worker->config->stream_max_ms;
    send_opening(body, head);
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
    start(body, worker, fd, request_head(request));
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

void stream_body_beat(struct carrier *carrier)
{
    const char *epoch = store_epoch(worker_store(carrier->worker));
    struct stream_body *body = of_carrier(carrier);
    struct shared *beat;
    struct buf out;

    if (recycle(body))
        return;
    beat = block(body, epoch,
                 event_heartbeat(epoch, carrier_at(carrier), clock_wall_ms()),
                 false);
    buf_init(&out, HEAD_MAX_BYTES);
    buf_append_text(&out, body->wire->beat);
    if (beat)
        buf_append(&out, beat->data, beat->size);
    if (!beat || buf_status(&out))
        stream_break(&body->conn);
    else
        send_text(body, out.data, out.size);
    shared_unref(beat);
    buf_fini(&out);
}
