/* rung serve: assembles the parts, waits for a signal, undoes it in reverse. */
#include "server/base/clock.h"
#include "server/base/mem.h"
#include "server/base/trace.h"
#include "server/cli/cli.h"
#include "server/config.h"
#include "server/demo_again.h"
#include "server/guests.h"
#include "server/listener.h"
#include "server/sequencer.h"
#include "server/version.h"
#include "server/worker.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define WORKERS_MAX 256

struct serving {
    struct server server;
    uv_loop_t loop; /* the main thread's: signals, and the workers' `quiet` */
    uv_signal_t term, interrupt, hangup;
    struct port **ports;
    struct letter lost_letter; /* from the sequencer */
    size_t quiet;
    bool draining, lost;
};

/* --- the process -------------------------------------------------------- */

static void ready_process(void)
{
    struct rlimit files;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file at its limit is an error like others */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &files))
            trace(TRACE_WARN, "cannot raise the limit of open files",
                  "limit=%llu", (unsigned long long)files.rlim_cur);
    }
}

static size_t worker_count(const struct config *config)
{
    unsigned cores = uv_available_parallelism();

    if (config->workers)
        return (size_t)config->workers;
    return cores < WORKERS_MAX ? cores : WORKERS_MAX;
}

/* --- signals ------------------------------------------------------------ */

static void drain(struct serving *serving)
{
    serving->draining = true;
    trace(TRACE_INFO, "draining", "timeout_ms=%llu",
          (unsigned long long)serving->server.config->drain_timeout_ms);
    for (size_t i = 0; i < serving->server.worker_count; i++)
        worker_drain(serving->server.workers[i]);
}

static void on_stop(uv_signal_t *handle, int number)
{
    struct serving *serving = handle->data;

    (void)number;
    if (!serving->draining) {
        drain(serving);
        return;
    }
    /* The log needs no goodbye: what was acknowledged is on the disk. */
    trace(TRACE_WARN, "stopped at once", "reason=signal");
    _exit(CLI_FAILED);
}

static void on_hangup(uv_signal_t *handle, int number)
{
    struct serving *serving = handle->data;
    struct server *server = &serving->server;
    struct config *config;
    struct failure why;

    (void)number;
    if (config_reload(&config, server->config, &why)) {
        trace(TRACE_ERROR, "the config stays as it was", "reason=\"%s\"",
              why.message);
        return;
    }
    for (size_t i = 0; i < server->worker_count; i++)
        worker_reload(server->workers[i], config);
    sequencer_reload(server->sequencer, config);
    config_unref(server->config);
    server->config = config;
    trace(TRACE_INFO, "reloaded", "config=%s",
          config->path ? config->path : "none");
}

/* On the sequencer's thread. */
static void on_lost(void *arg)
{
    struct serving *serving = arg;

    mailbox_post(&serving->server.main, &serving->lost_letter);
}

/* The log cannot be used until it is opened anew, which is best done by a new
 * process: whoever started this one starts the next. */
static void give_up(struct serving *serving)
{
    trace(TRACE_ERROR, "the store must be opened again", "reason=%s",
          err_code(ERR_IO));
    serving->lost = true;
    if (!serving->draining)
        drain(serving);
}

static void on_letters(struct mailbox *box, struct letter *oldest)
{
    struct server *server = container_of(box, struct server, main);
    struct serving *serving = container_of(server, struct serving, server);

    for (struct letter *next; oldest; oldest = next) {
        next = oldest->next;
        if (oldest == &serving->lost_letter)
            give_up(serving);
        else
            serving->quiet++;
    }
    if (serving->quiet == server->worker_count)
        uv_stop(&serving->loop);
}

static enum err watch_signal(struct serving *serving, uv_signal_t *handle,
                             int number, uv_signal_cb callback)
{
    handle->data = serving;
    return uv_signal_init(&serving->loop, handle) ||
                   uv_signal_start(handle, callback, number)
               ? ERR_UNAVAILABLE
               : ERR_NONE;
}

static enum err open_loop(struct serving *serving, struct failure *why)
{
    if (uv_loop_init(&serving->loop) ||
        watch_signal(serving, &serving->term, SIGTERM, on_stop) ||
        watch_signal(serving, &serving->interrupt, SIGINT, on_stop) ||
        watch_signal(serving, &serving->hangup, SIGHUP, on_hangup) ||
        mailbox_init(&serving->server.main, &serving->loop, on_letters))
        return fail(why, ERR_UNAVAILABLE, "the main loop could not be made");
    return ERR_NONE;
}

static void close_loop(struct serving *serving)
{
    uv_close((uv_handle_t *)&serving->term, NULL);
    uv_close((uv_handle_t *)&serving->interrupt, NULL);
    uv_close((uv_handle_t *)&serving->hangup, NULL);
    mailbox_close(&serving->server.main, NULL);
    uv_run(&serving->loop, UV_RUN_DEFAULT);
    uv_loop_close(&serving->loop);
}

/* --- workers ------------------------------------------------------------ */

static void name_url(char *out, size_t room, const char *scheme,
                     const struct listener *listener)
{
    const char *host = listener->host;
    bool any = !*host || !strcmp(host, "0.0.0.0") || !strcmp(host, "::");

    if (any)
        host = "localhost";
    snprintf(out, room, strchr(host, ':') ? "%s://[%s]:%u" : "%s://%s:%u",
             scheme, host, listener->port);
}

static void name_urls(struct server *server, const struct listeners *listeners)
{
    name_url(server->url, sizeof(server->url), "http", &listeners->http);
    if (listeners->lines.count)
        name_url(server->tcp_url, sizeof(server->tcp_url), "tcp",
                 &listeners->lines);
}

/* On the ports that `out` holds from the worker before; 0: this is the first,
 * which takes them. */
static enum err listen_to_all(struct listeners *out,
                              const struct config *config, struct failure *why)
{
    enum err rc =
        listener_open(&out->http, config->listen, out->http.port, why);

    if (rc || !*config->listen_tcp)
        return rc;
    rc = listener_open(&out->lines, config->listen_tcp, out->lines.port, why);
    if (rc)
        listener_close(&out->http);
    return rc;
}

/* The first takes the ports, the others share them. */
static enum err make_workers(struct serving *serving, size_t count,
                             struct failure *why)
{
    struct server *server = &serving->server;
    struct listeners listeners = {0};

    for (size_t i = 0; i < count; i++) {
        enum err rc = listen_to_all(&listeners, server->config, why);

        if (rc)
            return rc;
        if (i == 0)
            name_urls(server, &listeners);
        rc = worker_create(&server->workers[i], server, (unsigned)i, &listeners,
                           why);
        listener_close(&listeners.http); /* what it has not taken */
        listener_close(&listeners.lines);
        if (rc)
            return rc;
        serving->ports[server->worker_count++] = &server->workers[i]->port;
    }
    return ERR_NONE;
}

/* Those that run already cannot be taken back in order before they serve: so a
 * failure here ends the process, which the log does not mind. */
static void run_workers(struct serving *serving)
{
    struct server *server = &serving->server;
    struct failure why;

    for (size_t i = 0; i < server->worker_count; i++)
        if (worker_run(server->workers[i], &why))
            _exit(cli_fail("serve", &why));
}

static void destroy_workers(struct serving *serving)
{
    struct server *server = &serving->server;

    for (size_t i = 0; i < server->worker_count; i++)
        worker_stop(server->workers[i]);
    for (size_t i = 0; i < server->worker_count; i++)
        worker_destroy(server->workers[i]);
    server->worker_count = 0;
}

static enum err start_sequencer(struct serving *serving, struct failure *why)
{
    struct server *server = &serving->server;
    struct sequencer_options options = {
        .store = server->store,
        .config = server->config,
        .ports = serving->ports,
        .port_count = server->worker_count,
        .lost = on_lost,
        .lost_arg = serving,
    };

    return sequencer_start(&server->sequencer, &options, why);
}

/* --- the whole ---------------------------------------------------------- */

/* On stdout, for people and for scripts: the URL, and with --demo a line to
 * try. */
static void announce(const struct server *server)
{
    printf("Rung listens on %s%s%s\n", server->url,
           *server->tcp_url ? " and " : "", server->tcp_url);
    if (server->config->demo)
        printf("Try: TOKEN=$(curl -s %s/v1/demo.login -d '{\"user\":\"alice\"}'"
               " | sed 's/.*\"token\":\"\\([^\"]*\\)\".*/\\1/'); "
               "curl -N -H \"Authorization: Bearer $TOKEN\" "
               "'%s/v1/sse?cursor=0' & "
               "curl -s -H \"Authorization: Bearer $TOKEN\" "
               "%s/v1/message.send -d '{\"to\":\"bob\",\"body\":"
               "{\"text\":\"hi\"}}'; echo\n",
               server->url, server->url, server->url);
    fflush(stdout);
    trace(TRACE_INFO, "listening", "url=%s%s%s workers=%zu data=%s version=%s",
          server->url, *server->tcp_url ? " tcp_url=" : "", server->tcp_url,
          server->worker_count, server->config->data, RUNG_VERSION);
}

static enum err open_store(struct server *server, struct failure *why)
{
    const struct config *config = server->config;
    struct store_options options = {
        .dir = config->data,
        .map_size_bytes = config->map_size_mb << 20,
        .relaxed = config->durability == DURABILITY_RELAXED,
    };

    return store_open(&server->store, &options, why);
}

/* From here on it ends by itself, soon: a signal that comes now must not turn a
 * clean exit into a death. */
static void end_undisturbed(void)
{
    sigset_t stops;

    sigemptyset(&stops);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stops, NULL);
}

static enum err serve(struct serving *serving, struct failure *why)
{
    struct server *server = &serving->server;
    size_t count = worker_count(server->config);
    enum err rc = open_store(server, why);

    if (rc)
        return rc;
    rc = open_loop(serving, why);
    if (rc)
        goto close_store;
    if (server->config->demo)
        demo_again_alive();
    server->workers = mem_zalloc(count * sizeof(struct worker *));
    serving->ports = mem_zalloc(count * sizeof(struct port *));
    if (!server->workers || !serving->ports) {
        rc = fail_plain(why, ERR_NOMEM);
        goto free_arrays;
    }
    rc = guests_create(&server->guests);
    if (rc) {
        rc = fail_plain(why, rc);
        goto free_arrays;
    }
    rc = make_workers(serving, count, why);
    if (rc)
        goto stop_workers;
    rc = start_sequencer(serving, why);
    if (rc)
        goto stop_workers;
    run_workers(serving);
    announce(server);
    uv_run(&serving->loop, UV_RUN_DEFAULT); /* until all workers are quiet */
    sequencer_stop(server->sequencer);
    if (serving->lost)
        rc =
            fail(why, ERR_IO,
                 "%s: the disk failed where the log cannot go on without being "
                 "opened again; nothing that was acknowledged is lost",
                 server->config->data);

stop_workers:
    destroy_workers(serving);
    guests_destroy(server->guests);
    end_undisturbed();
free_arrays:
    mem_free(server->workers);
    mem_free(serving->ports);
    close_loop(serving);
close_store:
    store_close(server->store);
    return rc;
}

int cli_serve(int argc, char **argv)
{
    static struct serving serving;
    struct failure why;
    enum err rc = config_load(&serving.server.config, argc, argv, &why);

    if (rc == ERR_END) /* --help and the like */
        return CLI_OK;
    if (rc)
        return cli_fail("serve", &why);
    trace_setup((enum trace_level)serving.server.config->log_level,
                serving.server.config->log_format == 1);
    ready_process();
    if (serving.server.config->demo)
        demo_again_ready(argc, argv);
    rc = serve(&serving, &why);
    config_unref(serving.server.config);
    if (rc)
        return cli_fail("serve", &why);
    trace(TRACE_INFO, "stopped", "status=0");
    return CLI_OK;
}
