/* Server-Sent Events (WHATWG HTML, section 9.2): the log as an endless
 * response, ended by closing it, so that every reader gets the same bytes.
 * Recycled by bytes and by time, which the cursor in each `id:` makes free. */
#include "server/base/clock.h"
#include "server/origin.h"
#include "transports/request.h"
#include "transports/stream_conn.h"
#include "transports/transport.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BURST_BYTES (64u << 10)
#define BURSTS_AT_ONCE 16 /* then the other connections get their turn */
#define RETRY_MS 1000
#define PADDING 256 /* gets the first events past buffering middle boxes */

extern const struct transport sse_transport;

struct sse {
    struct carrier carrier;
    struct stream_conn conn;
    uint64_t recycle_at_ms;
};

static struct sse *of_carrier(struct carrier *carrier)
{
    return container_of(carrier, struct sse, carrier);
}

static struct sse *of_conn(struct stream_conn *conn)
{
    return container_of(conn, struct sse, conn);
}

/* --- sending ------------------------------------------------------------ */

static void send_text(struct sse *sse, const char *text, size_t size)
{
    struct shared *bytes = shared_create(0, size);

    if (bytes)
        memcpy(bytes->data, text, size);
    else
        stream_break(&sse->conn);
    if (!bytes || !stream_send(&sse->conn, bytes))
        carrier_behind(&sse->carrier);
    shared_unref(bytes);
}

static void send_burst(struct sse *sse, struct burst *burst)
{
    struct shared *bytes = burst_bytes(burst, FORMAT_SSE);

    if (!bytes) {
        stream_break(&sse->conn); /* it comes back with its cursor */
        carrier_behind(&sse->carrier);
        return;
    }
    metrics_add(sse->conn.worker->metrics.writes[BY_SSE], 1);
    if (!stream_send(&sse->conn, bytes))
        carrier_behind(&sse->carrier);
}

/* An event of no burst, as its block. Takes the reference; NULL: no memory. */
static struct shared *block(const char *epoch, struct event *given)
{
    struct burst *burst = given ? burst_create(epoch) : NULL;
    struct shared *bytes = NULL;

    if (!burst)
        event_unref(given);
    else if (burst_add(burst, given))
        bytes = burst_bytes(burst, FORMAT_SSE);
    if (bytes)
        shared_ref(bytes);
    burst_unref(burst);
    return bytes;
}

static struct shared *bye(const struct farewell *why)
{
    return block(NULL, /* it has no cursor */
                 event_bye(why->reason, why->message, why->retry_after_ms));
}

static void sse_end(struct carrier *carrier, const struct farewell *why)
{
    struct sse *sse = of_carrier(carrier);

    carrier_close(carrier);
    stream_finish(&sse->conn, bye(why)); /* may free it */
}

/* Long enough, in time or in bytes: the client comes back with its cursor. */
static bool recycle(struct sse *sse)
{
    const struct config *config = sse->carrier.worker->config;
    struct farewell why = {.reason = "recycled",
                           .message = "come back with your cursor",
                           .come_back = true};

    if (sse->conn.sent_bytes < config->stream_max_bytes &&
        clock_mono_ms() < sse->recycle_at_ms)
        return false;
    sse_end(&sse->carrier, &why);
    return true;
}

/* The log from the cursor on, as long as the socket takes it. */
static void pump(struct sse *sse)
{
    struct failure why;
    struct burst *burst;
    bool more = true;

    for (int i = 0; more && sse->carrier.open && !stream_full(&sse->conn);
         i++) {
        if (recycle(sse))
            return;
        if (i == BURSTS_AT_ONCE) {
            stream_again(&sse->conn);
            return;
        }
        if (carrier_next(&sse->carrier, BURST_BYTES, &burst, &more, &why)) {
            struct farewell end = {.reason = err_code(err_wire(why.err)),
                                   .message = why.message,
                                   .come_back = true};

            sse_end(&sse->carrier, &end);
            return;
        }
        if (!burst)
            return;
        send_burst(sse, burst);
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
    struct sse *sse = of_conn(conn);

    carrier_close(&sse->carrier);
    mem_free(sse);
}

static const struct stream_owner owner = {.drained = drained, .gone = gone};

static void write_head(struct buf *out, const struct head *head)
{
    buf_append_text(out, "HTTP/1.1 200 OK\r\n"
                         "Content-Type: text/event-stream; charset=utf-8\r\n"
                         "Cache-Control: no-store, no-transform\r\n"
                         "Connection: close\r\n"
                         "X-Accel-Buffering: no\r\n"
                         "X-Content-Type-Options: nosniff\r\n"
                         "Vary: Origin\r\n");
    if (origin_is_foreign(head))
        buf_printf(out, "Access-Control-Allow-Origin: %.*s\r\n",
                   (int)head->origin.size, head->origin.data);
    buf_append_text(out, "\r\n");
}

static void send_opening(struct sse *sse, const struct head *head)
{
    struct buf out;

    buf_init(&out, HEAD_MAX_BYTES + 1024);
    write_head(&out, head);
    buf_printf(&out, ":%*s\nretry: %d\n\n", PADDING, "", RETRY_MS);
    if (buf_status(&out))
        stream_break(&sse->conn);
    else
        send_text(sse, out.data, out.size);
    buf_fini(&out);
}

static void reply_to_head(struct request *request)
{
    request_reply(request,
                  &(struct reply){.type = "text/event-stream; charset=utf-8"});
}

/* From here on the request is gone and the stream answers for itself. */
static void start(struct sse *sse, int fd, struct request *request)
{
    struct worker *worker = request_worker(request);

    if (stream_init(&sse->conn, worker, fd, &owner)) {
        close(fd);
        carrier_close(&sse->carrier);
        mem_free(sse);
        return;
    }
    sse->recycle_at_ms = clock_mono_ms() + worker->config->stream_max_ms;
    send_opening(sse, request_head(request));
    pump(sse);
}

static void sse_open(struct worker *worker, struct request *request,
                     const struct identity *who, const struct follow *follow)
{
    const struct head *head = request_head(request);
    struct follow asked = *follow;
    struct failure why;
    struct sse *sse;
    int fd;

    if (span_is(head->method, "HEAD")) {
        reply_to_head(request);
        return;
    }
    if (head->last_event_id.data && head->last_event_id.size) {
        asked.cursor = head->last_event_id; /* newer than what the URL says */
        asked.after = (struct span){0};
    }
    sse = mem_zalloc(sizeof(*sse));
    if (!sse) {
        fail_plain(&why, ERR_NOMEM);
        goto refuse;
    }
    if (carrier_open(&sse->carrier, worker, &sse_transport, who, &asked, &why))
        goto free_sse;
    if (session_spend(sse->carrier.session, &why))
        goto close_carrier;
    fd = request_take(request);
    if (fd < 0) {
        fail_plain(&why, ERR_UNAVAILABLE);
        goto close_carrier;
    }
    start(sse, fd, request);
    return;

close_carrier:
    carrier_close(&sse->carrier);
free_sse:
    mem_free(sse);
refuse:
    request_fail(request, &why);
}

/* --- the transport ------------------------------------------------------ */

static void sse_deliver(struct carrier *carrier, struct burst *burst)
{
    struct sse *sse = of_carrier(carrier);

    send_burst(sse, burst);
}

static void sse_wake(struct carrier *carrier)
{
    pump(of_carrier(carrier));
}

/* A comment, for who only looks whether bytes come, and an event whose id moves
 * the client's Last-Event-ID past what does not concern it. */
static void sse_beat(struct carrier *carrier)
{
    static const char comment[] = ": heartbeat\n";
    const char *epoch = store_epoch(worker_store(carrier->worker));
    struct sse *sse = of_carrier(carrier);
    struct shared *beat;
    struct buf out;

    if (recycle(sse))
        return;
    beat = block(epoch,
                 event_heartbeat(epoch, carrier_at(carrier), clock_wall_ms()));
    buf_init(&out, HEAD_MAX_BYTES);
    buf_append(&out, comment, sizeof(comment) - 1);
    if (beat)
        buf_append(&out, beat->data, beat->size);
    if (!beat || buf_status(&out))
        stream_break(&sse->conn);
    else
        send_text(sse, out.data, out.size);
    shared_unref(beat);
    buf_fini(&out);
}

const struct transport sse_transport = {
    .name = "sse",
    .by = BY_SSE,
    .stream = true,
    .open = sse_open,
    .deliver = sse_deliver,
    .wake = sse_wake,
    .beat = sse_beat,
    .end = sse_end,
};
