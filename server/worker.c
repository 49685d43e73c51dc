/* A worker: one thread and one loop. What comes from other threads comes
 * through three mailboxes: the sequencer's commits (the port), the main
 * thread's orders (control), what other workers want done here (errands). */
#include "server/worker.h"

#include "server/auth.h"
#include "server/base/clock.h"
#include "server/base/mem.h"
#include "server/base/trace.h"
#include "server/front_door.h"
#include "server/guests.h"
#include "server/hub.h"
#include "server/recorder.h"
#include "store/reader.h"

#include <stdio.h>
#include <sys/prctl.h>

enum order {
    ORDER_RELOAD,
    ORDER_RENEW,
    ORDER_END_HINDERED,
    ORDER_DRAIN,
    ORDER_STOP
};

struct order_letter {
    struct letter letter;
    enum order order;
    struct config *config; /* RELOAD: a reference */
    struct identity who;   /* RENEW, END_HINDERED */
};

/* --- the clock ---------------------------------------------------------- */

static void refresh(struct worker *worker)
{
    worker->now_ms = clock_mono_ms();
}

/* The last connections end; what they were waiting for may end on another
 * worker, which is a call until it has. */
static void close_door(struct worker *worker)
{
    worker->door_closed = true;
    front_door_close(worker->door);
    uv_prepare_stop(&worker->turn);
    uv_idle_stop(&worker->busy);
}

/* From here on nothing of this worker calls the sequencer; only letters are
 * still received. */
static void fall_quiet(struct worker *worker)
{
    worker->quiet_posted = true;
    hub_store_marks(worker->hub);
    uv_timer_stop(&worker->ticker);
    mailbox_post(&worker->server->main, &worker->quiet);
}

/* Everything has been told to go: has it gone? After the deadline, only method
 * calls are waited for, whose memory the sequencer borrows. */
static void look_if_quiet(struct worker *worker)
{
    bool late = worker->now_ms >= worker->drain_until_ms;

    if (!worker->door_closed && !worker->calls &&
        (late || front_door_empty(worker->door)))
        close_door(worker);
    if (worker->door_closed && !worker->calls)
        fall_quiet(worker);
}

static void tick(uv_timer_t *timer)
{
    struct worker *worker = timer->data;
    uint64_t before = worker->metrics.heartbeat_ms;

    refresh(worker);
    worker->lag_ms = worker->now_ms > before + 2ull * WHEEL_TICK_MS
                         ? worker->now_ms - before - WHEEL_TICK_MS
                         : worker->lag_ms * 7 / 8;
    atomic_store_explicit(&worker->metrics.heartbeat_ms, worker->now_ms,
                          memory_order_relaxed);
    wheel_advance(&worker->wheel, worker->now_ms);
    metrics_add(worker->metrics.tokens_verified,
                auth_take_checked(worker->auth));
    if (worker->draining)
        look_if_quiet(worker);
}

static void do_nothing(uv_idle_t *idle)
{
    (void)idle; /* its being active keeps the loop from sleeping */
}

/* Before the loop sleeps: whatever this turn has stirred up. */
static void end_of_turn(uv_prepare_t *prepare)
{
    struct worker *worker = prepare->data;
    bool done;

    refresh(worker);
    done = port_turn(&worker->port);
    if (front_door_turn(worker->door) && done)
        uv_idle_stop(&worker->busy);
    else
        uv_idle_start(&worker->busy, do_nothing);
}

/* --- letters ------------------------------------------------------------ */

static void announce(struct port *port, struct commit *commit)
{
    struct worker *worker = container_of(port, struct worker, port);

    refresh(worker);
    hub_announce(worker->hub, commit);
}

static bool deliver(struct port *port)
{
    return hub_deliver(container_of(port, struct worker, port)->hub);
}

static void reload(struct worker *worker, struct config *config)
{
    config_unref(worker->config);
    worker->config = config;
    auth_use(worker->auth, config);
}

static void drain(struct worker *worker)
{
    worker->draining = true;
    worker->drain_until_ms = clock_mono_ms() + worker->config->drain_timeout_ms;
    hub_drain(worker->hub);
    front_door_drain(worker->door);
}

static void stop(struct worker *worker)
{
    worker->stopping = true;
    uv_stop(&worker->loop);
}

static void obey(struct mailbox *box, struct letter *oldest)
{
    struct worker *worker = container_of(box, struct worker, control);

    while (oldest) {
        struct order_letter *letter =
            container_of(oldest, struct order_letter, letter);

        oldest = oldest->next;
        switch (letter->order) {
        case ORDER_RELOAD:
            reload(worker, letter->config);
            break;
        case ORDER_RENEW:
            hub_renew(worker->hub, &letter->who);
            break;
        case ORDER_END_HINDERED:
            hub_end_hindered(worker->hub, &letter->who);
            break;
        case ORDER_DRAIN:
            drain(worker);
            break;
        case ORDER_STOP:
            stop(worker);
            break;
        }
        mem_free(letter);
    }
}

static void run_errands(struct mailbox *box, struct letter *oldest)
{
    struct worker *worker = container_of(box, struct worker, errands);

    refresh(worker);
    while (oldest) {
        struct errand *errand = container_of(oldest, struct errand, letter);

        oldest = oldest->next;
        errand->run(errand, worker);
    }
}

/* --- the thread --------------------------------------------------------- */

/* The loop runs on until every handle is closed: the libraries' ones take a few
 * turns. Letters that came before the order to stop are received on the way. */
static void wind_up(struct worker *worker)
{
    uv_run(&worker->loop, UV_RUN_NOWAIT);
    while (!port_turn(&worker->port))
        ;
    if (!worker->door_closed)
        front_door_close(worker->door);
    uv_close((uv_handle_t *)&worker->ticker, NULL);
    uv_close((uv_handle_t *)&worker->turn, NULL);
    uv_close((uv_handle_t *)&worker->busy, NULL);
    port_close(&worker->port, NULL);
    mailbox_close(&worker->control, NULL);
    mailbox_close(&worker->errands, NULL);
    poller_close(&worker->poller);
    uv_run(&worker->loop, UV_RUN_DEFAULT);
}

static void run(void *arg)
{
    struct worker *worker = arg;
    char name[16]; /* prctl(2) takes no more; `top -H` shows it */

    snprintf(name, sizeof(name), "worker %u", worker->index);
    prctl(PR_SET_NAME, name);
    refresh(worker);
    while (!worker->stopping)
        uv_run(&worker->loop, UV_RUN_DEFAULT);
    wind_up(worker);
}

/* --- for the main thread ------------------------------------------------ */

static enum err start_handles(struct worker *worker)
{
    if (uv_timer_init(&worker->loop, &worker->ticker) ||
        uv_prepare_init(&worker->loop, &worker->turn) ||
        uv_idle_init(&worker->loop, &worker->busy))
        return ERR_UNAVAILABLE;
    worker->ticker.data = worker->turn.data = worker;
    uv_timer_start(&worker->ticker, tick, WHEEL_TICK_MS, WHEEL_TICK_MS);
    uv_prepare_start(&worker->turn, end_of_turn);
    if (mailbox_init(&worker->errands, &worker->loop, run_errands))
        return ERR_UNAVAILABLE;
    return mailbox_init(&worker->control, &worker->loop, obey);
}

static enum err start_recorder(struct worker *worker)
{
    size_t points = worker->config->trace_points;

    if (!points)
        return ERR_NONE;
    worker->recorder = recorder_create(points);
    return worker->recorder ? ERR_NONE : ERR_NOMEM;
}

static enum err open_parts(struct worker *worker, struct listeners *listeners,
                           struct failure *why)
{
    enum err rc = reader_create(&worker->reader, worker_store(worker));

    if (rc)
        return fail_plain(why, rc);
    rc = auth_create(&worker->auth, worker->config);
    if (rc)
        goto destroy_reader;
    rc = start_recorder(worker);
    if (rc)
        goto destroy_auth;
    rc = hub_create(&worker->hub, worker);
    if (rc)
        goto destroy_recorder;
    rc = front_door_create(&worker->door, worker, listeners, why);
    if (rc)
        goto destroy_hub;
    return ERR_NONE;

destroy_hub:
    hub_destroy(worker->hub);
destroy_recorder:
    recorder_destroy(worker->recorder);
destroy_auth:
    auth_destroy(worker->auth);
destroy_reader:
    reader_destroy(worker->reader);
    return fail_plain(why, rc);
}

enum err worker_create(struct worker **out, struct server *server,
                       unsigned index, struct listeners *listeners,
                       struct failure *why)
{
    struct worker *worker = mem_zalloc(sizeof(*worker));
    enum err rc = ERR_UNAVAILABLE;

    if (!worker)
        return fail_plain(why, ERR_NOMEM);
    worker->server = server;
    worker->index = index;
    worker->config = config_ref(server->config);
    refresh(worker);
    worker->metrics.heartbeat_ms = worker->now_ms;
    list_init(&worker->streams);
    list_init(&worker->relays);
    wheel_init(&worker->wheel, worker->now_ms);
    if (uv_loop_init(&worker->loop))
        goto free_worker;
    rc = start_handles(worker);
    if (rc)
        goto close_loop;
    rc = poller_init(&worker->poller, &worker->loop);
    if (rc)
        goto close_loop;
    rc = port_init(&worker->port, &worker->loop, announce);
    if (rc)
        goto close_loop;
    worker->port.deliver = deliver;
    rc = open_parts(worker, listeners, why);
    if (rc)
        goto close_loop;
    *out = worker;
    return ERR_NONE;

close_loop: /* its handles die with the process, which cannot go on */
free_worker:
    config_unref(worker->config);
    return fail(why, rc, "a worker could not be made: %s", err_text(rc));
}

enum err worker_run(struct worker *worker, struct failure *why)
{
    if (uv_thread_create(&worker->thread, run, worker))
        return fail(why, ERR_UNAVAILABLE, "a thread could not be started");
    worker->running = true;
    return ERR_NONE;
}

static void give_order(struct worker *worker, enum order order,
                       struct config *config, const struct identity *who)
{
    struct order_letter *letter;

    while (!(letter = mem_zalloc(sizeof(*letter))))
        uv_sleep(
            10); /* an order must arrive: its giver waits for what it does */
    letter->order = order;
    letter->config = config;
    if (who)
        letter->who = *who;
    mailbox_post(&worker->control, &letter->letter);
}

void worker_reload(struct worker *worker, struct config *config)
{
    give_order(worker, ORDER_RELOAD, config_ref(config), NULL);
}

void worker_renew(struct worker *worker, const struct identity *who)
{
    give_order(worker, ORDER_RENEW, NULL, who);
}

void worker_end_hindered(struct worker *worker, const struct identity *who)
{
    give_order(worker, ORDER_END_HINDERED, NULL, who);
}

void worker_send(struct worker *worker, struct errand *errand)
{
    mailbox_post(&worker->errands, &errand->letter);
}

void worker_drain(struct worker *worker)
{
    give_order(worker, ORDER_DRAIN, NULL, NULL);
}

void worker_stop(struct worker *worker)
{
    if (!worker->running) {
        wind_up(worker);
        return;
    }
    give_order(worker, ORDER_STOP, NULL, NULL);
    uv_thread_join(&worker->thread);
}

void worker_destroy(struct worker *worker)
{
    if (!worker)
        return;
    front_door_free(worker->door);
    hub_destroy(worker->hub);
    recorder_destroy(worker->recorder);
    auth_destroy(worker->auth);
    reader_destroy(worker->reader);
    uv_loop_close(&worker->loop);
    config_unref(worker->config);
    mem_free(worker);
}

/* --- for what lives on the loop ----------------------------------------- */

#define QUEUE_EASY 1024 /* submissions waiting, that no one notices */
#define LAG_EASY_MS 100

uint32_t worker_pressure(const struct worker *worker)
{
    uint64_t queue = sequencer_queue(worker->server->sequencer);
    uint64_t wait_ms = 0;

    if (worker->draining)
        return (uint32_t)random_below(worker->config->bye_spread_ms) + 1000;
    if (queue > QUEUE_EASY)
        wait_ms += queue; /* about a thousand a second are no trouble */
    if (worker->lag_ms > LAG_EASY_MS)
        wait_ms += worker->lag_ms * 10;
    return wait_ms > 60000 ? 60000 : (uint32_t)wait_ms;
}

bool worker_business_dead(const struct worker *worker)
{
    struct sequencer *sequencer = worker->server->sequencer;

    return metrics_silent_ms(sequencer_metrics(sequencer)) >
           worker->config->stall_ms;
}

void worker_connected(struct worker *worker)
{
    atomic_fetch_add(&worker->server->connections, 1);
    metrics_add(worker->metrics.connections, 1);
}

void worker_disconnected(struct worker *worker, int fd)
{
    guests_leave(worker->server->guests, fd);
    atomic_fetch_sub(&worker->server->connections, 1);
    metrics_sub(worker->metrics.connections, 1);
}
