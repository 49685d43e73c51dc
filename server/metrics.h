/* Counters in Prometheus text exposition format 0.0.4.
 *
 * Each thread owns a `struct metrics` and adds to it without locks (relaxed
 * atomics, so that a scrape may read while it counts); a scrape sums them.
 *
 * Units    in each name, per Prometheus conventions (_total, _seconds, _bytes).
 * Threads  metrics_add() by the owner, metrics_render() by anyone.
 */
#ifndef RUNG_METRICS_H
#define RUNG_METRICS_H

#include "server/base/buf.h"
#include "server/base/err.h"

#include <stdatomic.h>
#include <stdint.h>

enum carried_by {
    BY_WS,
    BY_SSE,
    BY_LONGPOLL,
    BY_POLL,
    BY_STREAM,
    BY_MULTIPART,
    BY_IFRAME,
    BY_JSONP,
    BY_TCP,
    BY_SOCKETIO,
    BY_COUNT
};

/* M(name, kind, help): plain counters and gauges */
#define METRICS_LIST(M)                                                        \
    M(connections, gauge, "open TCP connections")                              \
    M(accepted, counter, "accepted TCP connections")                           \
    M(refused, counter, "connections refused by a limit or a bad head")        \
    M(socketio_refused, counter,                                               \
      "Socket.IO sessions refused for there are many of the address")          \
    M(requests, counter, "HTTP requests and ws method frames")                 \
    M(sent_bytes, counter, "bytes of answers, streams and frames sent")        \
    M(received_bytes, counter, "bytes of request bodies and ws frames")        \
    M(log_reads, counter, "reads from the log by carriers that were behind")   \
    M(appends, counter, "entries appended to the log")                         \
    M(duplicates, counter, "sends answered from the dedup table")              \
    M(refusals, counter, "entries refused by apply")                           \
    M(commits, counter, "group commits")                                       \
    M(commit_entries, counter, "entries in group commits")                     \
    M(commit_us, counter, "microseconds spent in group commits")               \
    M(commit_failures, counter, "group commits that failed")                   \
    M(trims, counter, "trims written by retention")                            \
    M(tokens_verified, counter, "token signatures checked")

struct metrics {
#define M(name, kind, help) atomic_uint_fast64_t name;
    METRICS_LIST(M)
#undef M
    atomic_uint_fast64_t carriers[BY_COUNT];   /* gauge: attached now */
    atomic_uint_fast64_t deliveries[BY_COUNT]; /* events handed over */
    atomic_uint_fast64_t writes[BY_COUNT];     /* sends that carried them */
    atomic_uint_fast64_t errors[ERR_COUNT];    /* error replies by code */
    atomic_uint_fast64_t heartbeat_ms; /* monotonic time of last sign of life */
};

/* Nobody else writes: no need for a locked instruction. */
static inline void metrics_count(atomic_uint_fast64_t *counter, uint64_t n)
{
    uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, before + n, memory_order_relaxed);
}
#define metrics_add(counter, n) metrics_count(&(counter), (n))
#define metrics_sub(counter, n) metrics_count(&(counter), -(uint64_t)(n))

/* Since its owner's last sign of life. Any thread. */
uint64_t metrics_silent_ms(const struct metrics *metrics);

/* What a scrape shows besides the counters. */
struct metrics_extra {
    uint64_t head_lsn, map_used_bytes, map_size_bytes, queue_length;
    const char *version;
};

/* Append the page to `out` (check buf_status). */
void metrics_render(struct buf *out, struct metrics *const *all, size_t count,
                    const struct metrics_extra *extra);

#endif
