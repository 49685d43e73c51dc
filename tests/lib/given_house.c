/* See given_house.h. */
#include "tests/lib/given_house.h"

#include "server/base/clock.h"
#include "server/base/mem.h"
#include "server/watch.h"
#include "store/reader.h"
#include "tests/lib/given_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* --- the house ------------------------------------------------------------ */

static void on_announce(struct port *port, struct commit *commit)
{
    struct hub *hub = container_of(port, struct worker, port)->hub;

    hub_announce(hub, commit);
    while (!hub_deliver(hub))
        ;
}

static void make_worker(struct house *house)
{
    struct worker *worker = &house->worker;

    house->workers[0] = worker;
    house->ports[0] = &worker->port;
    worker->server = &house->server;
    worker->config = house->server.config;
    worker->now_ms = clock_mono_ms();
    assert_int_equal(uv_loop_init(&worker->loop), 0);
    wheel_init(&worker->wheel, worker->now_ms);
    assert_int_equal(reader_create(&worker->reader, house->store), ERR_NONE);
    assert_int_equal(hub_create(&worker->hub, worker), ERR_NONE);
    assert_int_equal(port_init(&worker->port, &worker->loop, on_announce),
                     ERR_NONE);
}

struct house *given_house(void)
{
    struct house *house = calloc(1, sizeof *house);
    struct store_options options = {
        .dir = house->dir, .map_size_bytes = 256 << 20, .relaxed = true};
    struct sequencer_options sequencer = {.ports = house->ports,
                                          .port_count = 1};

    snprintf(house->dir, sizeof house->dir, "/tmp/rung-house-XXXXXX");
    assert_non_null(mkdtemp(house->dir));
    assert_int_equal(store_open(&house->store, &options, NULL), ERR_NONE);
    assert_int_equal(config_defaults(&house->server.config), ERR_NONE);
    house->server.store = house->store;
    house->server.workers = house->workers;
    house->server.worker_count = 1;
    make_worker(house);
    sequencer.store = house->store;
    sequencer.config = house->server.config;
    assert_int_equal(
        sequencer_start(&house->server.sequencer, &sequencer, NULL), ERR_NONE);
    return house;
}

void end_house(struct house *house)
{
    sequencer_stop(house->server.sequencer);
    uv_run(&house->worker.loop, UV_RUN_NOWAIT); /* the last letters */
    port_close(&house->worker.port, NULL);
    uv_run(&house->worker.loop, UV_RUN_DEFAULT);
    assert_true(list_empty(&house->worker.hub->all));
    hub_destroy(house->worker.hub);
    reader_destroy(house->worker.reader);
    uv_loop_close(&house->worker.loop);
    store_close(house->store);
    config_unref(house->server.config);
    remove_dir(house->dir);
    free(house);
}

/* --- writing -------------------------------------------------------------- */

struct entry saying(const char *user, const char *conversation,
                    const char *json)
{
    return (struct entry){.kind = ENTRY_MESSAGE,
                          .ts = 1,
                          .app = SPAN("demo"),
                          .conversation = span_of(conversation),
                          .from = span_of(user),
                          .device = SPAN("phone"),
                          .type = SPAN("text"),
                          .body = span_of(json)};
}

struct entry changing(enum entry_kind kind, const char *by,
                      const char *conversation, struct span users)
{
    static char text[2][256];
    bool all = strstr(conversation, "open") != NULL; /* its history, to all */
    struct conv_settings settings = {
        .history_all = all, .joinable = true, .open = true};
    struct entry entry = {.kind = kind,
                          .ts = 1,
                          .app = SPAN("demo"),
                          .conversation = span_of(conversation),
                          .from = span_of(by),
                          .users = users};
    struct buf body;

    if (kind != ENTRY_CREATE)
        return entry;
    buf_init(&body, sizeof text[all]);
    conv_settings_write(&body, &settings);
    buf_append_text(&body, "{}");
    assert_int_equal(buf_status(&body), ERR_NONE);
    memcpy(text[all], body.data, body.size);
    entry.body = (struct span){text[all], body.size};
    buf_fini(&body);
    return entry;
}

struct entry marking(enum entry_kind kind, const char *user,
                     const char *conversation, uint64_t seq)
{
    return (struct entry){.kind = kind,
                          .ts = 1,
                          .app = SPAN("demo"),
                          .conversation = span_of(conversation),
                          .from = span_of(user),
                          .mark = seq};
}

struct commit *house_commit(struct house *house, const struct entry *entries,
                            size_t count)
{
    struct commit *commit = mem_zalloc(sizeof *commit);
    size_t *starts = calloc(count + 1, sizeof *starts);
    struct append *append;

    atomic_init(&commit->refs, 1);
    commit->entries = mem_zalloc(count * sizeof *commit->entries);
    commit->count = count;
    buf_init(&commit->bytes, SIZE_MAX / 2);
    assert_int_equal(append_begin(&append, house->store), ERR_NONE);
    for (size_t i = 0; i < count; i++) {
        struct entry entry = entries[i];
        struct applied applied;

        starts[i] = commit->bytes.size;
        assert_int_equal(append_entry(append, &entry, &applied, &commit->bytes),
                         ERR_NONE);
        assert_int_equal(applied.err, ERR_NONE);
        assert_true(applied.lsn);
        commit->entries[i].created = applied.created;
        commit->head = applied.lsn;
    }
    assert_int_equal(append_commit(append), ERR_NONE);
    starts[count] = commit->bytes.size;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(
            entry_decode(&commit->entries[i].entry,
                         (struct span){commit->bytes.data + starts[i],
                                       starts[i + 1] - starts[i]}),
            ERR_NONE);
    free(starts);
    return commit;
}

void house_announce(struct house *house, struct commit *commit)
{
    hub_announce(house->worker.hub, commit);
    while (!hub_deliver(house->worker.hub))
        ;
    commit_unref(commit);
}

lsn house_write(struct house *house, const struct entry *entry)
{
    struct commit *commit = house_commit(house, entry, 1);
    lsn at = commit->head;

    house_announce(house, commit);
    return at;
}

struct said {
    struct submission submission;
    bool done;
};

static void said_done(struct submission *submission)
{
    container_of(submission, struct said, submission)->done = true;
}

struct applied house_submit(struct house *house, const struct entry *entry)
{
    struct said said = {.submission = {.port = &house->worker.port,
                                       .done = said_done,
                                       .entry = *entry}};

    assert_int_equal(
        sequencer_submit(house->server.sequencer, &said.submission, NULL),
        ERR_NONE);
    while (!said.done)
        uv_run(&house->worker.loop, UV_RUN_ONCE);
    return said.submission.applied;
}

/* Its answer comes behind those of all that was submitted before. */
static void ask_last(struct house *house)
{
    struct entry refused =
        changing(ENTRY_LEAVE, "nobody", "0:2:nowhere", SPAN("nobody\0"));

    (void)house_submit(house, &refused);
}

void house_hear(struct house *house)
{
    ask_last(house);
    while (hub_head(house->worker.hub) < store_head(house->store))
        uv_run(&house->worker.loop, UV_RUN_ONCE);
}

void house_wait(struct house *house, uint64_t ms)
{
    house->worker.now_ms += ms;
    wheel_advance(&house->worker.wheel, house->worker.now_ms);
}

/* --- a transport that takes notes ------------------------------------------
 */

static void take_notes(struct note *note, const struct burst *burst)
{
    for (size_t i = 0; i < burst->count; i++) {
        json_t *event =
            json_loadb(burst->events[i]->json, burst->events[i]->size, 0, NULL);

        assert_non_null(event);
        json_array_append_new(note->events, event);
    }
}

void read_on(struct note *note)
{
    bool more = true;

    while (more && !note->blocked && note->carrier.open) {
        struct burst *burst;
        enum err rc =
            carrier_next(&note->carrier, 1 << 16, &burst, &more, NULL);

        if (rc == ERR_NOMEM) { /* a transport would try again later */
            note->blocked = true;
            return;
        }
        assert_int_equal(rc, ERR_NONE);
        if (burst)
            take_notes(note, burst);
        burst_unref(burst);
    }
}

static void note_deliver(struct carrier *carrier, struct burst *burst)
{
    struct note *note = container_of(carrier, struct note, carrier);

    take_notes(note, burst); /* what was accepted is accepted … */
    if (note->blocked)
        carrier_behind(carrier); /* … and there is no room for more */
}

static void note_wake(struct carrier *carrier)
{
    read_on(container_of(carrier, struct note, carrier));
}

static void note_beat(struct carrier *carrier)
{
    (void)carrier;
}

static void note_end(struct carrier *carrier, const struct farewell *why)
{
    struct note *note = container_of(carrier, struct note, carrier);

    note->ended = strdup(why->reason);
    note->left_at = carrier_at(carrier);
    carrier_close(carrier);
}

static const struct transport notes = {
    .name = "notes",
    .by = BY_POLL,
    .deliver = note_deliver,
    .wake = note_wake,
    .beat = note_beat,
    .end = note_end,
};

enum err try_open(struct house *house, struct note *note, const char *user,
                  const struct follow *follow)
{
    return try_open_on(house, note, user, "phone", follow);
}

enum err try_open_on(struct house *house, struct note *note, const char *user,
                     const char *device, const struct follow *follow)
{
    struct identity who = {.expires_ms = clock_wall_ms() + 3600000};

    snprintf(who.app, sizeof who.app, "demo");
    snprintf(who.user, sizeof who.user, "%s", user);
    snprintf(who.device, sizeof who.device, "%s", device);
    memset(note, 0, sizeof *note);
    note->events = json_array();
    return carrier_open(&note->carrier, &house->worker, &notes, &who, follow,
                        NULL);
}

void open_note(struct house *house, struct note *note, const char *user,
               const char *cursor)
{
    struct follow follow = {.cursor = span_of(cursor)};

    assert_int_equal(try_open(house, note, user, &follow), ERR_NONE);
    read_on(note);
}

void open_chain(struct house *house, struct note *note, const char *user,
                const char *conversation, const char *after)
{
    struct follow follow = {.conversation = span_of(conversation),
                            .after = span_of(after)};

    assert_int_equal(try_open(house, note, user, &follow), ERR_NONE);
    read_on(note);
}

void end_note(struct note *note)
{
    carrier_close(&note->carrier);
    json_decref(note->events);
    free(note->ended);
}

const char *heard(const struct note *note)
{
    static char text[16384];
    size_t i;
    json_t *event;

    text[0] = 0;
    json_array_foreach (note->events, i, event) {
        const char *kind = json_string_value(json_object_get(event, "event"));
        const char *what = kind;

        if (!strcmp(kind, "message"))
            what = json_string_value(json_object_get(event, "body"));
        else if (!strcmp(kind, "conversation"))
            what = json_string_value(json_object_get(event, "change"));
        else if (!strcmp(kind, "receipt"))
            what = json_string_value(json_object_get(event, "kind"));
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s",
                 i ? " " : "", what ? what : "?");
    }
    return text;
}

const char *cursor_at(const struct house *house, lsn at)
{
    static char text[CURSOR_MAX_BYTES];

    cursor_write(text, store_epoch(house->store), at);
    return text;
}
