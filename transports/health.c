/* What an operator asks. */
#include "transports/health.h"

#include "server/version.h"
#include "server/worker.h"

void health_serve(struct request *request)
{
    struct worker *worker = request_worker(request);
    struct server *server = worker->server;
    uint64_t limit = worker->config->stall_ms;
    uint64_t sequencer =
        metrics_silent_ms(sequencer_metrics(server->sequencer));
    bool stalled = sequencer > limit;
    struct reply reply = {0};
    struct buf out, list;

    buf_init(&out, 64u << 10);
    buf_init(&list, 32u << 10);
    for (size_t i = 0; i < server->worker_count; i++) {
        uint64_t ms = metrics_silent_ms(&server->workers[i]->metrics);

        stalled = stalled || ms > limit;
        buf_printf(&list, "%s{\"silent_ms\":%llu}", i ? "," : "",
                   (unsigned long long)ms);
    }
    buf_printf(&out,
               "{\"status\":\"%s\",\"draining\":%s,\"workers\":[%.*s],"
               "\"sequencer\":{\"silent_ms\":%llu,\"queue\":%zu}}",
               stalled ? "stalled" : "ok", worker->draining ? "true" : "false",
               (int)list.size, list.data, (unsigned long long)sequencer,
               sequencer_queue(server->sequencer));
    reply.status = stalled ? 503 : 200;
    reply.body = (struct span){out.data, out.size};
    request_reply(request, &reply);
    buf_fini(&list);
    buf_fini(&out);
}

static enum err render(struct server *server, struct buf *out)
{
    size_t count = server->worker_count + 1;
    struct metrics **all = mem_alloc(count * sizeof(struct metrics *));
    struct metrics_extra extra = {.version = RUNG_VERSION};

    if (!all)
        return ERR_NOMEM;
    for (size_t i = 0; i < server->worker_count; i++)
        all[i] = &server->workers[i]->metrics;
    all[server->worker_count] = sequencer_metrics(server->sequencer);
    extra.head_lsn = store_head(server->store);
    store_usage(server->store, &extra.map_used_bytes, &extra.map_size_bytes);
    extra.queue_length = sequencer_queue(server->sequencer);
    metrics_render(out, all, count, &extra);
    mem_free(all);
    return buf_status(out);
}

void metrics_serve(struct request *request)
{
    struct server *server = request_worker(request)->server;
    struct reply reply = {.type = "text/plain; version=0.0.4; charset=utf-8"};
    struct failure why;
    struct buf out;

    buf_init(&out, 1u << 20);
    if (render(server, &out)) {
        fail_plain(&why, ERR_NOMEM);
        request_fail(request, &why);
    } else {
        reply.body = (struct span){out.data, out.size};
        request_reply(request, &reply);
    }
    buf_fini(&out);
}
