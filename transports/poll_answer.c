/* What a poll is answered.
 *
 * same_note: an answer depends on the burst (when it has a cursor of its own),
 * on `more`, and, where one conversation is followed, on the seq reached. */
#include "transports/poll_answer.h"

#include "server/base/clock.h"
#include "server/worker.h"
#include "transports/jsonp_answer.h"
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

    (void)buf_reserve(out, 128 + (events ? events->size : 0));
    buf_append_text(out, "{");
    if (carrier->now)
        write_hello(out, carrier);
    buf_append_text(out, "\"cursor\":\"");
    buf_append(
        out, cursor,
        cursor_write(cursor, store_epoch(worker_store(carrier->worker)), at));
    if (carrier->conv) {
        buf_append_text(out, "\",\"after\":");
        buf_append_u64(out, carrier_seq(carrier));
        buf_append_text(out, ",\"events\":[");
    } else {
        buf_append_text(out, "\",\"events\":[");
    }
    if (events)
        buf_append(out, events->data, events->size);
    else if (burst)
        out->failed = out->short_of_memory = true;
    buf_append_text(out, more ? "],\"more\":true}" : "],\"more\":false}");
}

/* --- shared ------------------------------------------------------------- */

struct ready {
    struct answer *answer;
    uint64_t seq;
    bool more;
};

/* What hangs on a burst: it may be both one conversation's followers' and the
 * mixed chain's. */
struct answers {
    struct ready mixed, single;
};

static void detach(void *attached)
{
    struct answers *answers = attached;

    answer_unref(answers->mixed.answer);
    answer_unref(answers->single.answer);
    mem_free(answers);
}

static void make_ready(struct ready *ready, struct carrier *carrier,
                       struct burst *burst, bool more)
{
    struct buf out;

    buf_init(&out, SIZE_MAX / 2);
    poll_answer_write(&out, carrier, burst, more);
    if (!buf_status(&out))
        ready->answer = answer_create((struct span){out.data, out.size});
    ready->seq = carrier_seq(carrier);
    ready->more = more;
    buf_fini(&out);
}

/* See same_note. The response that hangs on the burst, made by the first who
 * needs it; NULL: it is another one, or there is no memory. */
static struct ready *find_ready(struct carrier *carrier, struct burst *burst,
                                bool more)
{
    struct answers *answers;
    struct ready *ready;

    if (!burst->attached) {
        burst->attached = mem_zalloc(sizeof(struct answers));
        burst->detach = burst->attached ? detach : NULL;
    }
    answers = burst->attached;
    if (!answers)
        return NULL;
    ready = carrier->conv ? &answers->single : &answers->mixed;
    if (!ready->answer)
        make_ready(ready, carrier, burst, more);
    if (!ready->answer || ready->more != more ||
        (carrier->conv && ready->seq != carrier_seq(carrier)))
        return NULL;
    return ready;
}

static bool answer_alike(struct request *request, struct carrier *carrier,
                         struct burst *burst, bool more)
{
    struct metrics *metrics = &carrier->worker->metrics;
    struct ready *ready = NULL;

    if (burst && burst->last && !carrier->now && request_takes_answer(request))
        ready = find_ready(carrier, burst, more);
    if (!ready)
        return false;
    metrics_add(metrics->writes[carrier->via->by], 1);
    request_answer(request, ready->answer);
    return true;
}

/* --- answering ---------------------------------------------------------- */

void poll_answer(struct request *request, struct carrier *carrier,
                 struct burst *burst, bool more, uint32_t retry_after_ms)
{
    struct reply reply = {0};
    struct failure why;
    struct buf out;
    char seconds[16];

    /* Worth it when others hold the burst, too. */
    if (burst && (burst->refs > 1 || burst->attached) && !retry_after_ms &&
        answer_alike(request, carrier, burst, more))
        return;
    buf_init(&out, SIZE_MAX / 2);
    poll_answer_write(&out, carrier, burst, more);
    if (retry_after_ms) {
        snprintf(seconds, sizeof(seconds), "%u", retry_after_s(retry_after_ms));
        reply.headers[0].name = "Retry-After";
        reply.headers[0].value = seconds;
    }
    reply.body = (struct span){out.data, out.size};
    if (buf_status(&out)) {
        fail_plain(&why, buf_status(&out));
        jsonp_or_fail(request, &why);
    } else {
        metrics_add(carrier->worker->metrics.writes[carrier->via->by], 1);
        jsonp_or_reply(request, &reply);
    }
    buf_fini(&out);
}
