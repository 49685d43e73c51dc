/* A worker: one thread, one libuv loop, and every connection born on it.
 *
 * The main thread's order of calls:
 *
 *     worker_create × n → sequencer_start with their ports → worker_run × n
 *     → worker_drain × n → each posts `quiet` → sequencer_stop
 *     → worker_stop × n → worker_destroy × n
 *
 * Threads  worker_create/run/reload/drain/stop/destroy are called by the main
 *          thread; everything else here is the worker's loop thread's own.
 * Memory   the worker owns all it points at unless said otherwise.
 */
#ifndef RUNG_WORKER_H
#define RUNG_WORKER_H

#include "server/base/mailbox.h"
#include "server/base/poller.h"
#include "server/base/wheel.h"
#include "server/config.h"
#include "server/hub.h"
#include "server/metrics.h"
#include "server/sequencer.h"

#include <stdbool.h>

struct front_door;
struct recorder;
struct direct_host;
struct http_host;
struct ws_host;
struct eio_host;
struct tcp_host;
struct server;
struct listeners;
struct guests;

struct worker {
    struct server *server; /* borrowed: what all workers share */
    unsigned index;
    uv_loop_t loop;
    uv_thread_t thread;
    struct config *config; /* a reference; replaced by SIGHUP */
    struct reader *reader;
    struct hub *hub;
    struct recorder *recorder; /* NULL: none. Read by all workers */
    struct auth *auth;
    struct metrics metrics;
    struct wheel wheel; /* advanced by a 50 ms timer */
    struct port port;   /* from the sequencer */
    struct front_door *door;
    struct direct_host *direct;
    struct http_host *http;
    struct ws_host *ws;
    struct eio_host *eio;
    struct tcp_host *tcp;
    uint64_t now_ms; /* monotonic, refreshed once per loop turn */
    bool draining;
    size_t calls; /* method calls in flight */
    /* the rest is worker.c's */
    struct poller poller; /* of sockets; of those that libmicrohttpd holds only
                             for their peers' leaving */
    struct list streams;  /* transports/stream_conn.c's: closed at the end */
    struct list relays;   /* transports/relay.c's, likewise */
    struct mailbox control;
    struct mailbox errands;
    uv_timer_t ticker;
    uv_prepare_t turn;
    uv_idle_t busy; /* active while there is work that must not wait */
    uint64_t drain_until_ms;
    uint64_t lag_ms; /* how late the last tick was */
    bool stopping, running;
    struct letter quiet; /* to server->main: nothing is in flight any more */
    bool door_closed, quiet_posted;
};

/* Something to be done on another worker's loop: run there, once, in the order
 * of posting. Its memory is what `run` says it is. */
struct errand {
    struct letter letter;
    void (*run)(struct errand *errand, struct worker *worker);
};

/* What all workers share; made by cli/serve.c before the first starts. */
struct server {
    struct config *config;
    struct store *store;
    struct sequencer *sequencer;
    struct worker **workers;
    size_t worker_count;
    atomic_uint_fast64_t connections; /* open, over all workers */
    struct guests *guests;            /* by address */
    char url[128];                    /* http://localhost:8080 */
    char tcp_url[128];                /* tcp://localhost:8081, or empty */
    struct mailbox main; /* the main thread's: receives each worker's `quiet` */
};

/* Takes the listening sockets out of `listeners`. */
MUST_CHECK enum err worker_create(struct worker **out, struct server *server,
                                  unsigned index, struct listeners *listeners,
                                  struct failure *why);
MUST_CHECK enum err worker_run(struct worker *worker, struct failure *why);
void worker_reload(struct worker *worker, struct config *config); /* refs it */
/* hub_renew() on this worker's loop. Any thread. */
void worker_renew(struct worker *worker, const struct identity *who);
/* hub_end_hindered() likewise. */
void worker_end_hindered(struct worker *worker, const struct identity *who);
/* Any thread of a worker that is not quiet, or will not be before it has run:
 * worker_call_begins() sees to that. */
void worker_send(struct worker *worker, struct errand *errand);
/* No new connections; every peer is told; then `quiet`, at the latest after
 * drain_timeout_ms (but a method call in flight is always waited for). */
void worker_drain(struct worker *worker);
/* End the loop and join the thread. Only when quiet, or never run. */
void worker_stop(struct worker *worker);
void worker_destroy(struct worker *worker); /* NULL: nothing */

/* Whether the server is short of time: polls are then asked to slow down. How
 * long, in milliseconds; 0: all is well. */
uint32_t worker_pressure(const struct worker *worker);

/* Nothing that is sent to us can be stored: the sequencer has been silent for
 * longer than stall_ms. */
bool worker_business_dead(const struct worker *worker);

/* A TCP connection of this worker began, or ended, wherever it is carried: in
 * that case, before its fd is closed. */
void worker_connected(struct worker *worker);
void worker_disconnected(struct worker *worker, int fd);

/* A method call runs, or has ended: it borrows memory until then. */
static inline void worker_call_begins(struct worker *worker)
{
    worker->calls++;
}
static inline void worker_call_ends(struct worker *worker)
{
    worker->calls--;
}

static inline struct store *worker_store(struct worker *worker)
{
    return worker->server->store;
}

#endif
