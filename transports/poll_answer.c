/* What a poll is answered. */
#include "transports/poll_answer.h"

#include "server/base/clock.h"
#include "server/worker.h"
#include "transports/transport.h"

#include <stdio.h>

static void write_hello(struct buf *out, struct carrier *carrier)
{
    struct worker *worker = carrier->worker;
    struct event *hello =
        event_hello(store_epoch(worker_store(worker)), carrier_at(carrier),
                    worker->config->heartbeat_ms, clock_wall_ms(),
                    span_of(carrier->session->who.user));

    if (!hello)
        return;
    buf_append_text(out, "\"hello\":");
    buf_append(out, hello->json, hello->size);
    buf_append_text(out, ",");
    event_unref(hello);
}

void poll_answer_write(struct buf *out, struct carrier *carrier,
                       struct burst *burst, bool more)
{
    struct shared *events = burst ? burst_bytes(burst, FORMAT_ARRAY) : NULL;
    lsn at = burst && burst->last ? burst->last : carrier_at(carrier);
    char cursor[CURSOR_MAX_BYTES];

    cursor_write(cursor, store_epoch(worker_store(carrier->worker)), at);
    buf_append_text(out, "{");
    if (carrier->now)
        write_hello(out, carrier);
    buf_printf(out, "\"cursor\":\"%s\",", cursor);
    if (carrier->conv)
        buf_printf(out, "\"after\":%llu,",
                   (unsigned long long)carrier_seq(carrier));
    buf_append_text(out, "\"events\":[");
    if (events)
        buf_append(out, events->data, events->size);
    else if (burst)
        out->failed = out->short_of_memory = true;
    buf_printf(out, "],\"more\":%s}", more ? "true" : "false");
}

void poll_answer(struct request *request, struct carrier *carrier,
                 struct burst *burst, bool more, uint32_t retry_after_ms)
{
    struct reply reply = {0};
    struct failure why;
    struct buf out;
    char seconds[16];

    buf_init(&out, SIZE_MAX / 2);
    poll_answer_write(&out, carrier, burst, more);
    if (retry_after_ms) {
        snprintf(seconds, sizeof(seconds), "%u", (retry_after_ms + 999) / 1000);
        reply.headers[0].name = "Retry-After";
        reply.headers[0].value = seconds;
    }
    reply.body = (struct span){out.data, out.size};
    if (buf_status(&out)) {
        fail_plain(&why, buf_status(&out));
        request_fail(request, &why);
    } else {
        metrics_add(carrier->worker->metrics.writes[carrier->via->by], 1);
        metrics_add(carrier->worker->metrics.sent_bytes, out.size);
        request_reply(request, &reply);
    }
    buf_fini(&out);
}
