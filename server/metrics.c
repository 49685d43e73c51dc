/* Counters in Prometheus text: the threads' own, summed at the scrape. */
#include "server/metrics.h"
#include "server/base/clock.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const char *const carried_by[BY_COUNT] = {
    [BY_WS] = "ws",
    [BY_SSE] = "sse",
    [BY_LONGPOLL] = "longpoll",
    [BY_POLL] = "poll",
    [BY_STREAM] = "stream",
    [BY_MULTIPART] = "multipart",
    [BY_IFRAME] = "iframe",
    [BY_JSONP] = "jsonp",
    [BY_TCP] = "tcp",
    [BY_SOCKETIO] = "socketio",
};

struct scrape {
    struct buf *out;
    struct metrics *const *all;
    size_t count;
};

static uint64_t load(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* A gauge that one thread raised and another lowered comes out right, too:
 * unsigned sums wrap. */
static uint64_t sum(const struct scrape *scrape, size_t offset)
{
    uint64_t total = 0;

    for (size_t i = 0; i < scrape->count; i++)
        total +=
            load((const atomic_uint_fast64_t
                      *)(const void *)((const char *)scrape->all[i] + offset));
    return total;
}

static void head(struct buf *out, const char *name, const char *kind,
                 const char *help)
{
    buf_printf(out, "# HELP rung_%s %s\n# TYPE rung_%s %s\n", name, help, name,
               kind);
}

static bool ends_with(const char *text, const char *ending)
{
    size_t size = strlen(text), ending_size = strlen(ending);

    return size >= ending_size &&
           strcmp(text + size - ending_size, ending) == 0;
}

/* One of METRICS_LIST: counters gain "_total", microseconds become seconds. */
static void plain(const struct scrape *scrape, const char *field,
                  const char *kind, const char *help, size_t offset)
{
    bool micro = ends_with(field, "_us");
    uint64_t value = sum(scrape, offset);
    char name[64];

    (void)snprintf(name, sizeof(name), "%.*s%s%s",
                   (int)(strlen(field) - (micro ? 3 : 0)), field,
                   micro ? "_seconds" : "",
                   strcmp(kind, "counter") == 0 ? "_total" : "");
    if (micro && strncmp(help, "microseconds", 12) == 0)
        help += strlen("micro");
    head(scrape->out, name, kind, help);
    if (micro)
        buf_printf(scrape->out, "rung_%s %" PRIu64 ".%06" PRIu64 "\n", name,
                   value / 1000000, value % 1000000);
    else
        buf_printf(scrape->out, "rung_%s %" PRIu64 "\n", name, value);
}

static void by_transport(const struct scrape *scrape, const char *name,
                         const char *kind, const char *help, size_t offset)
{
    head(scrape->out, name, kind, help);
    for (size_t i = 0; i < BY_COUNT; i++)
        buf_printf(scrape->out, "rung_%s{transport=\"%s\"} %" PRIu64 "\n", name,
                   carried_by[i],
                   sum(scrape, offset + i * sizeof(atomic_uint_fast64_t)));
}

/* Every code that a client can be told, so that no series appears late. */
static void by_code(const struct scrape *scrape)
{
    uint64_t told[ERR_COUNT] = {0};

    for (int i = 1; i < ERR_COUNT; i++)
        told[err_wire((enum err)i)] +=
            sum(scrape, offsetof(struct metrics, errors) +
                            (size_t)i * sizeof(atomic_uint_fast64_t));
    head(scrape->out, "errors_total", "counter", "error replies by code");
    for (int i = 1; i < ERR_COUNT; i++)
        if (err_wire((enum err)i) == (enum err)i)
            buf_printf(scrape->out,
                       "rung_errors_total{code=\"%s\"} %" PRIu64 "\n",
                       err_code((enum err)i), told[i]);
}

uint64_t metrics_silent_ms(const struct metrics *metrics)
{
    uint64_t now = clock_mono_ms(), seen = load(&metrics->heartbeat_ms);

    return now > seen ? now - seen : 0;
}

static void by_thread(const struct scrape *scrape)
{
    head(scrape->out, "thread_silence_seconds", "gauge",
         "time since a thread's last sign of life");
    for (size_t i = 0; i < scrape->count; i++) {
        uint64_t silence = metrics_silent_ms(scrape->all[i]);

        if (load(&scrape->all[i]->heartbeat_ms))
            buf_printf(scrape->out,
                       "rung_thread_silence_seconds{thread=\"%zu\"} %" PRIu64
                       ".%03" PRIu64 "\n",
                       i, silence / 1000, silence % 1000);
    }
}

static void gauge(struct buf *out, const char *name, const char *help,
                  uint64_t value)
{
    head(out, name, "gauge", help);
    buf_printf(out, "rung_%s %" PRIu64 "\n", name, value);
}

static void extras(struct buf *out, const struct metrics_extra *extra)
{
    gauge(out, "head_lsn", "position of the newest entry of the log",
          extra->head_lsn);
    gauge(out, "map_used_bytes", "bytes of the log's map in use",
          extra->map_used_bytes);
    gauge(out, "map_size_bytes", "bytes the log's map may grow to",
          extra->map_size_bytes);
    gauge(out, "queue_length", "entries waiting for the sequencer",
          extra->queue_length);
    head(out, "build_info", "gauge", "1, with the version as its label");
    buf_printf(out, "rung_build_info{version=\"%s\"} 1\n", extra->version);
}

void metrics_render(struct buf *out, struct metrics *const *all, size_t count,
                    const struct metrics_extra *extra)
{
    const struct scrape scrape = {out, all, count};

#define M(name, kind, help)                                                    \
    plain(&scrape, #name, #kind, help, offsetof(struct metrics, name));
    METRICS_LIST(M)
#undef M
    by_transport(&scrape, "carriers", "gauge", "streams and polls attached",
                 offsetof(struct metrics, carriers));
    by_transport(&scrape, "deliveries_total", "counter", "events handed over",
                 offsetof(struct metrics, deliveries));
    by_transport(&scrape, "writes_total", "counter",
                 "sends that carried events", offsetof(struct metrics, writes));
    by_code(&scrape);
    by_thread(&scrape);
    extras(out, extra);
}
