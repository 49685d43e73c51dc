/* The server of a run. */
#define _GNU_SOURCE
#include "tests/simulate/house.h"

#include "server/base/mem.h"
#include "server/listener.h"
#include "server/sequencer.h"
#include "server/watch.h"
#include "server/worker.h"
#include "tests/lib/given_store.h"
#include "tests/simulate/disk.h"
#include "tests/simulate/fiber.h"
#include "tests/simulate/model.h"
#include "tests/simulate/net.h"
#include "tests/simulate/run.h"
#include "tests/simulate/story.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define FDS_MAX 1024
#define LEFT_BYTES (64u << 10) /* what libraries make once and keep */

#define FAILED_STARTS_MOST                                                     \
    20 /* in a row: no fault that is made lasts longer                         \
        */

struct life {
    struct server server;
    struct worker *workers[HOUSE_WORKERS];
    struct port *ports[HOUSE_WORKERS];
    uv_loop_t loop; /* hears of the workers' `quiet` */
    size_t quiet;
    bool up, over, draining;
    struct letter lost; /* from the sequencer: the store can do no more */
    struct fiber *fiber;
};

static struct house_options options;
static char root[128], dir[160];
static char backup[160];
static bool has_backup;
static unsigned lives, failed_starts, era;
static struct life *life;

const char *house_dir(void)
{
    return dir;
}

const struct house_options *house_options(void)
{
    return &options;
}

bool house_forgets(void)
{
    return options.keep_count || options.keep_age_s;
}

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "simulate: %s\n", what);
    exit(2);
}

static void make_folder(void)
{
    (void)snprintf(dir, sizeof dir, "%s/%u", root, ++lives);
    must(mkdir(dir, 0700) == 0, "cannot make a folder");
}

void house_root(int pid, char *out, size_t size)
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

    (void)snprintf(out, size, "%s/rung-simulate-%d", base, pid);
}

void house_found(const struct house_options *given)
{
    options = *given;
    house_root(getpid(), root, sizeof root);
    must(mkdir(root, 0700) == 0, "cannot make a folder");
    (void)snprintf(backup, sizeof backup, "%s/backup", root);
    make_folder();
}

void house_raze(void)
{
    remove_dir(dir);
    remove_dir(backup);
    must(rmdir(root) == 0, "cannot remove the folder");
}

/* --- a life, as cli/serve.c leads it ---------------------------------------
 */

static struct config *configured(void)
{
    struct config *config;

    must(!config_defaults(&config), "no config");
    must(!config_add_key(config, HOUSE_APP, HOUSE_SECRET, NULL, NULL),
         "no key");
    config->durability = options.relaxed ? DURABILITY_RELAXED : DURABILITY_SYNC;
    config->heartbeat_ms = options.heartbeat_ms;
    config->stream_max_ms = options.stream_max_ms;
    config->map_size_mb = 64;
    config->retention_max_count = options.keep_count;
    config->retention_max_age_s = options.keep_age_s;
    config->retention_interval_ms = options.retention_ms;
    return config;
}

static int listen_at(unsigned place)
{
    struct sockaddr_un address;
    unsigned size = net_address(&address, place);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    must(fd >= 0 && !bind(fd, (struct sockaddr *)&address, size) &&
             !listen(fd, 128),
         "cannot listen");
    return fd;
}

static void drain(struct life *now)
{
    if (now->draining)
        return;
    now->draining = true;
    for (size_t i = 0; i < HOUSE_WORKERS; i++)
        worker_drain(now->workers[i]);
}

static void on_lost(void *arg)
{
    struct life *now = arg;

    story_tell("the store must be opened again");
    mailbox_post(&now->server.main, &now->lost);
}

static void on_letters(struct mailbox *box, struct letter *oldest)
{
    struct server *server = container_of(box, struct server, main);
    struct life *now = container_of(server, struct life, server);

    for (struct letter *next; oldest; oldest = next) {
        next = oldest->next;
        if (oldest == &now->lost)
            drain(now);
        else
            now->quiet++;
    }
    if (now->quiet == HOUSE_WORKERS)
        uv_stop(&now->loop);
}

static enum err open_store(struct life *now, struct failure *why)
{
    struct store_options store = {
        .dir = dir,
        .map_size_bytes = now->server.config->map_size_mb << 20,
        .relaxed = options.relaxed,
    };

    return store_open(&now->server.store, &store, why);
}

static void make_workers(struct life *now)
{
    struct server *server = &now->server;

    server->workers = now->workers;
    server->worker_count = HOUSE_WORKERS;
    for (unsigned i = 0; i < HOUSE_WORKERS; i++) {
        struct listeners listeners = {
            .http = {.fds = {listen_at(i)}, .count = 1},
            .lines = {.fds = {listen_at(HOUSE_LINES + i)}, .count = 1},
        };

        must(!worker_create(&now->workers[i], server, i, &listeners, NULL),
             "no worker");
        now->workers[i]->hub->at_once = 1; /* every round takes turns */
        now->ports[i] = &now->workers[i]->port;
    }
}

static void begin(struct life *now)
{
    struct server *server = &now->server;
    struct sequencer_options sequencer = {.store = server->store,
                                          .config = server->config,
                                          .ports = now->ports,
                                          .port_count = HOUSE_WORKERS,
                                          .lost = on_lost,
                                          .lost_arg = now};

    must(!uv_loop_init(&now->loop) &&
             !mailbox_init(&server->main, &now->loop, on_letters),
         "no loop");
    make_workers(now);
    sequencer.store = server->store;
    must(!sequencer_start(&server->sequencer, &sequencer, NULL),
         "no sequencer");
    for (size_t i = 0; i < HOUSE_WORKERS; i++)
        must(!worker_run(now->workers[i], NULL), "no thread");
}

static void finish(struct life *now)
{
    struct server *server = &now->server;

    sequencer_stop(server->sequencer);
    for (size_t i = 0; i < HOUSE_WORKERS; i++)
        worker_stop(now->workers[i]);
    for (size_t i = 0; i < HOUSE_WORKERS; i++)
        worker_destroy(now->workers[i]);
    mailbox_close(&server->main, NULL);
    uv_run(&now->loop, UV_RUN_DEFAULT);
    uv_loop_close(&now->loop);
    store_close(server->store);
}

static void lead(void *arg)
{
    struct life *now = arg;
    struct failure why;

    now->server.config = configured();
    if (open_store(now, &why)) {
        story_tell("the server cannot start: %s", why.message);
        if (++failed_starts == FAILED_STARTS_MOST)
            story_fail("the server does not start any more: %s", why.message);
    } else {
        failed_starts = 0;
        begin(now);
        story_tell("the server listens");
        now->up = true;
        uv_run(&now->loop, UV_RUN_DEFAULT);
        now->up = false;
        finish(now);
        story_tell("the server has stopped");
    }
    config_unref(now->server.config);
    now->over = true;
}

void house_start(void)
{
    life = calloc(1, sizeof *life);
    must(life != NULL, "no memory");
    net_new_life();
    story_tell("the server starts");
    life->fiber = fiber_start("main", lead, life);
}

bool house_up(void)
{
    return life && life->up;
}

/* Of a life that has come to its end in order. */
static void bury(void)
{
    if (fibers_memory() > LEFT_BYTES && fibers_memory() < SIZE_MAX / 2)
        story_fail("the server has ended and left %llu bytes",
                   (unsigned long long)fibers_memory());
    fibers_forget();
    free(life);
    life = NULL;
}

bool house_down(void)
{
    if (life && life->over && fiber_done(life->fiber))
        bury();
    return !life;
}

void house_drain(void)
{
    if (life->draining) {
        house_kill(false);
        return;
    }
    story_tell("the server is told to stop");
    drain(life);
    fibers_stir();
}

static void hang_up(void)
{
    for (int fd = 3; fd < FDS_MAX; fd++)
        if (!net_is_marked(fd))
            close(fd);
    fibers_stir();
}

/* What ran runs no more; what `from` keeps is what the next life has. */
static void begin_anew(const char *from, bool power)
{
    char before[sizeof dir];

    hang_up();
    fibers_forget();
    life = NULL;
    memcpy(before, dir, sizeof dir);
    make_folder();
    disk_survive(from ? from : before, dir, power, run_chance());
    remove_dir(before);
}

void house_kill(bool power)
{
    power = power && !options.relaxed; /* which promises nothing then */
    story_tell(power ? "the power is cut" : "the server is killed");
    if (power)
        tally.cuts++;
    else
        tally.kills++;
    begin_anew(NULL, power);
}

/* --- backups -------------------------------------------------------------- */

void house_backup(void)
{
    struct failure why;
    enum err err;

    remove_dir(backup);
    disk_elsewhere(true);
    err = store_backup(life->server.store, backup, true, NULL, NULL, &why);
    disk_elsewhere(false);
    has_backup = !err;
    story_tell("a backup: %s", err ? why.message : "made");
}

bool house_has_backup(void)
{
    return has_backup;
}

static lsn head_of_backup(void)
{
    struct store_options store = {
        .dir = backup, .read_only = true, .map_size_bytes = 64u << 20};
    struct store *copy;
    struct failure why;
    lsn head;

    disk_elsewhere(true);
    must(!store_open(&copy, &store, &why), "the backup does not open");
    head = store_head(copy);
    store_close(copy);
    disk_elsewhere(false);
    return head;
}

void house_restore(void)
{
    lsn head = head_of_backup();

    story_tell("the machine is lost; a backup up to %llu is restored",
               (unsigned long long)head);
    tally.restores++;
    begin_anew(backup, false);
    remove_dir(backup);
    has_backup = false;
    era++;
    model_restored(head);
}

unsigned house_era(void)
{
    return era;
}
