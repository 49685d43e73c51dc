/* Any text as what a receiving request asks for. A cursor that is accepted is
 * written again as it was; whatever else is said, a carrier is refused in words
 * or opened, brought to its end within bounds, and leaves nothing behind. */
#include "server/base/clock.h"
#include "server/watch.h"
#include "transports/transport.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MESSAGES 50
#define THIS_EPOCH "5f3a1c22" /* stands for the store's, which is random */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[64];
static struct server server;
static struct worker worker;
static struct worker *workers[] = {&worker};
static struct port *ports[] = {&worker.port};

static void must(bool it)
{
    if (!it)
        abort();
}

/* --- a worker with two conversations ---------------------------------------
 */

static void announce(struct port *port, struct commit *commit)
{
    struct hub *hub = container_of(port, struct worker, port)->hub;

    hub_announce(hub, commit);
    while (!hub_deliver(hub))
        ;
}

static void remove_store(void)
{
    static const char *const files[] = {"rung.mdb", "rung.mdb-lock", "lock"};
    char path[96];

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
        (void)unlink(path);
    }
    (void)rmdir(dir);
}

static void write_entry(struct append *append, struct entry entry)
{
    struct applied applied;

    entry.ts = 1;
    entry.app = SPAN("demo");
    must(!append_entry(append, &entry, &applied, NULL) && applied.lsn);
}

static void fill_store(void)
{
    struct conv_settings settings = {0};
    struct append *append;
    struct buf body;

    buf_init(&body, 1024);
    conv_settings_write(&body, &settings);
    buf_append_text(&body, "{}");
    must(!append_begin(&append, server.store));
    write_entry(append, (struct entry){.kind = ENTRY_CREATE,
                                       .conversation = SPAN("0:2:team"),
                                       .from = SPAN("alice"),
                                       .users = SPAN("bob\0"),
                                       .body = {body.data, body.size}});
    for (int i = 0; i < MESSAGES; i++)
        write_entry(append, (struct entry){.kind = ENTRY_MESSAGE,
                                           .conversation =
                                               i % 2 ? SPAN("0:2:team")
                                                     : SPAN("0:1:alice:bob"),
                                           .from = SPAN("alice"),
                                           .type = SPAN("text"),
                                           .body = SPAN("\"hi\"")});
    write_entry(append, (struct entry){.kind = ENTRY_TRIM,
                                       .conversation = SPAN("0:2:team"),
                                       .mark = MESSAGES / 4});
    must(!append_commit(append));
    buf_fini(&body);
}

static void start(void)
{
    struct store_options options = {
        .dir = dir, .map_size_bytes = 64 << 20, .relaxed = true};
    struct sequencer_options sequencer = {.ports = ports, .port_count = 1};

    (void)snprintf(dir, sizeof(dir), "/tmp/rung-fuzz-XXXXXX");
    must(mkdtemp(dir) && !atexit(remove_store));
    must(!store_open(&server.store, &options, NULL));
    fill_store();
    must(!config_defaults(&server.config));
    server.workers = workers;
    server.worker_count = 1;
    worker.server = &server;
    worker.config = server.config;
    worker.now_ms = clock_mono_ms();
    wheel_init(&worker.wheel, worker.now_ms);
    must(!uv_loop_init(&worker.loop));
    must(!reader_create(&worker.reader, server.store));
    must(!hub_create(&worker.hub, &worker));
    must(!port_init(&worker.port, &worker.loop, announce));
    sequencer.store = server.store;
    sequencer.config = server.config;
    must(!sequencer_start(&server.sequencer, &sequencer, NULL));
}

/* --- the request ------------------------------------------------------------
 */

static const struct transport nothing = {.name = "fuzz", .by = BY_POLL};

static void check_cursor(struct span text)
{
    char epoch[9], again[CURSOR_MAX_BYTES];
    lsn at;

    if (cursor_parse(text, epoch, &at) || span_is(text, "0"))
        return;
    must(cursor_write(again, epoch, at) == text.size);
    must(memcmp(again, text.data, text.size) == 0);
}

static void read_to_the_end(struct carrier *carrier)
{
    bool more = true;

    for (int reads = 0; more; reads++) {
        struct burst *burst;

        must(reads < 2 * MESSAGES);
        must(!carrier_next(carrier, 1 << 16, &burst, &more, NULL));
        must(!burst || (burst->count && burst_bytes(burst, FORMAT_SSE)));
        burst_unref(burst);
    }
    must(carrier->level && carrier_seq(carrier) <= MESSAGES);
}

/* A line for each field; a line that is only "-" leaves it out. */
static struct span take_line(struct span *rest)
{
    const char *end = memchr(rest->data, '\n', rest->size);
    struct span line = {rest->data,
                        end ? (size_t)(end - rest->data) : rest->size};

    rest->data += line.size + (end != NULL);
    rest->size -= line.size + (end != NULL);
    return span_is(line, "-") ? (struct span){0} : line;
}

static struct span of_this_epoch(struct span cursor, char text[64])
{
    if (cursor.size < 8 || cursor.size > 64 ||
        memcmp(cursor.data, THIS_EPOCH, 8) != 0)
        return cursor;
    memcpy(text, cursor.data, cursor.size);
    memcpy(text, store_epoch(server.store), 8);
    return (struct span){text, cursor.size};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = {(const char *)data, size};
    struct identity who = {
        .app = "demo", .user = "bob", .expires_ms = UINT64_MAX / 2};
    struct carrier carrier = {0};
    struct failure why = {0};
    struct follow follow;
    char cursor[64];

    if (!server.store)
        start();
    follow.cursor = of_this_epoch(take_line(&rest), cursor);
    follow.conversation = take_line(&rest);
    follow.after = take_line(&rest);
    follow.limit = take_line(&rest);
    if (follow.cursor.data)
        check_cursor(follow.cursor);
    if (carrier_open(&carrier, &worker, &nothing, &who, &follow, &why)) {
        must(why.err && why.err == err_wire(why.err) && why.message[0]);
    } else {
        read_to_the_end(&carrier);
        carrier_close(&carrier);
    }
    must(list_empty(&worker.hub->all));
    worker.now_ms += 50;
    wheel_advance(&worker.wheel, worker.now_ms);
    uv_run(&worker.loop, UV_RUN_NOWAIT);
    return 0;
}
