/* Carriers on a worker's hub: what each is handed, live and from the log, with
 * a real store and a real sequencer and a transport that only takes notes. */
#include "server/base/clock.h"
#include "server/base/mem.h"
#include "server/hub.h"
#include "server/worker.h"
#include "store/reader.h"
#include "tests/lib/given_store.h"
#include "transports/transport.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

/* --- a house without transports ------------------------------------------ */

struct house {
    char dir[64];
    struct server server;
    struct worker worker;
    struct worker *workers[1];
    struct port *ports[1];
    struct store *store;
};

static size_t short_at; /* the allocation that fails in each announcement */

static void on_announce(struct port *port, struct commit *commit)
{
    struct worker *worker = container_of(port, struct worker, port);

    mem_fail_nth(short_at);
    hub_announce(worker->hub, commit);
    mem_fail_nth(0);
}

static void start_sequencer(struct house *house)
{
    struct sequencer_options options = {
        .store = house->store,
        .config = house->server.config,
        .ports = house->ports,
        .port_count = 1,
    };

    house->ports[0] = &house->worker.port;
    assert_int_equal(sequencer_start(&house->server.sequencer, &options, NULL),
                     ERR_NONE);
}

static struct house *given_house(void)
{
    struct house *house = calloc(1, sizeof *house);
    struct store_options options = {
        .dir = house->dir, .map_size_bytes = 64 << 20, .relaxed = true};
    struct worker *worker = &house->worker;

    snprintf(house->dir, sizeof house->dir, "/tmp/rung-hub-XXXXXX");
    assert_non_null(mkdtemp(house->dir));
    assert_int_equal(store_open(&house->store, &options, NULL), ERR_NONE);
    assert_int_equal(config_defaults(&house->server.config), ERR_NONE);
    house->server.store = house->store;
    house->server.workers = house->workers;
    house->server.worker_count = 1;
    house->workers[0] = worker;
    worker->server = &house->server;
    worker->config = house->server.config;
    worker->now_ms = clock_mono_ms();
    assert_int_equal(uv_loop_init(&worker->loop), 0);
    wheel_init(&worker->wheel, worker->now_ms);
    assert_int_equal(reader_create(&worker->reader, house->store), ERR_NONE);
    assert_int_equal(hub_create(&worker->hub, worker), ERR_NONE);
    assert_int_equal(port_init(&worker->port, &worker->loop, on_announce),
                     ERR_NONE);
    start_sequencer(house);
    return house;
}

static void end_house(struct house *house)
{
    sequencer_stop(house->server.sequencer);
    port_close(&house->worker.port, NULL);
    uv_run(&house->worker.loop, UV_RUN_DEFAULT);
    hub_destroy(house->worker.hub);
    reader_destroy(house->worker.reader);
    uv_loop_close(&house->worker.loop);
    store_close(house->store);
    config_unref(house->server.config);
    remove_dir(house->dir);
    free(house);
}

/* --- a transport that takes notes ----------------------------------------- */

struct note {
    struct carrier carrier;
    json_t *events; /* everything received, in order */
    bool blocked;   /* the peer takes nothing */
    char *ended;    /* the reason of its end */
};

static void take_notes(struct note *note, const struct burst *burst)
{
    for (size_t i = 0; i < burst->count; i++) {
        json_t *event =
            json_loadb(burst->events[i]->json, burst->events[i]->size, 0, NULL);

        assert_non_null(event);
        json_array_append_new(note->events, event);
    }
}

static void read_on(struct note *note)
{
    bool more = true;

    while (more && !note->blocked) {
        struct burst *burst;
        enum err rc =
            carrier_next(&note->carrier, 1 << 16, &burst, &more, NULL);

        if (rc == ERR_NOMEM && short_at) {
            note->blocked = true; /* a transport would try again later */
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

static struct identity person(const char *user, const char *device)
{
    struct identity who = {.expires_ms = clock_wall_ms() + 3600000};

    snprintf(who.app, sizeof who.app, "demo");
    snprintf(who.user, sizeof who.user, "%s", user);
    snprintf(who.device, sizeof who.device, "%s", device);
    return who;
}

static enum err try_open(struct house *house, struct note *note,
                         const char *user, const char *cursor,
                         const char *conversation, const char *after)
{
    struct identity who = person(user, "phone");
    struct follow follow = {.cursor = span_of(cursor),
                            .conversation = span_of(conversation),
                            .after = span_of(after)};

    memset(note, 0, sizeof *note);
    note->events = json_array();
    return carrier_open(&note->carrier, &house->worker, &notes, &who, &follow,
                        NULL);
}

static void open_note(struct house *house, struct note *note, const char *user,
                      const char *cursor)
{
    assert_int_equal(try_open(house, note, user, cursor, NULL, NULL), ERR_NONE);
    read_on(note);
}

static void end_note(struct note *note)
{
    carrier_close(&note->carrier);
    json_decref(note->events);
    free(note->ended);
}

/* --- saying things -------------------------------------------------------- */

struct said {
    struct submission submission;
    bool done;
};

static void said_done(struct submission *submission)
{
    container_of(submission, struct said, submission)->done = true;
}

static struct applied submit(struct house *house, const struct entry *entry)
{
    struct said said = {.submission = {.port = &house->worker.port,
                                       .done = said_done,
                                       .entry = *entry}};

    said.submission.entry.app = SPAN("demo");
    said.submission.entry.ts = clock_wall_ms();
    assert_int_equal(
        sequencer_submit(house->server.sequencer, &said.submission, NULL),
        ERR_NONE);
    while (!said.done)
        uv_run(&house->worker.loop, UV_RUN_ONCE);
    return said.submission.applied;
}

static struct applied say(struct house *house, const char *user,
                          const char *conversation, const char *text)
{
    char body[64];
    struct entry entry = {.kind = ENTRY_MESSAGE,
                          .conversation = span_of(conversation),
                          .from = span_of(user),
                          .device = SPAN("phone"),
                          .type = SPAN("text")};

    snprintf(body, sizeof body, "{\"text\":\"%s\"}", text);
    entry.body = span_of(body);
    return submit(house, &entry);
}

static struct applied change(struct house *house, enum entry_kind kind,
                             const char *by, const char *conversation,
                             struct span users)
{
    struct conv_settings settings = {.joinable = true, .open = true};
    struct entry entry = {.kind = kind,
                          .conversation = span_of(conversation),
                          .from = span_of(by),
                          .users = users};
    struct buf body;
    struct applied applied;

    buf_init(&body, 1024);
    conv_settings_write(&body, &settings);
    buf_append_text(&body, "{}");
    if (kind == ENTRY_CREATE)
        entry.body = (struct span){body.data, body.size};
    applied = submit(house, &entry);
    buf_fini(&body);
    return applied;
}

/* "m:hi m:there c:joined" — messages and changes, in the order received. */
static const char *heard(const struct note *note)
{
    static char text[4096];
    size_t i;
    json_t *event;

    text[0] = 0;
    json_array_foreach (note->events, i, event) {
        const char *kind = json_string_value(json_object_get(event, "event"));
        const char *what = kind;

        if (!strcmp(kind, "message"))
            what = json_string_value(
                json_object_get(json_object_get(event, "body"), "text"));
        else if (!strcmp(kind, "conversation"))
            what = json_string_value(json_object_get(event, "change"));
        else if (!strcmp(kind, "receipt"))
            what = json_string_value(json_object_get(event, "kind"));
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s",
                 i ? " " : "", what);
    }
    return text;
}

static const char *cursor_at(const struct house *house, lsn at)
{
    static char text[CURSOR_MAX_BYTES];

    cursor_write(text, store_epoch(house->store), at);
    return text;
}

static lsn lsn_of(json_t *event)
{
    const char *cursor = json_string_value(json_object_get(event, "cursor"));

    return cursor ? strtoull(cursor + 9, NULL, 10) : 0;
}

static bool is_sequenced(json_t *event)
{
    const char *kind = json_string_value(json_object_get(event, "event"));

    return !strcmp(kind, "message") || !strcmp(kind, "conversation");
}

/* Move what a client would keep from its stream into its transcript. */
static void keep(json_t *transcript, lsn *cursor, struct note *note)
{
    size_t i;
    json_t *event;

    json_array_foreach (note->events, i, event) {
        if (lsn_of(event) <= *cursor)
            continue;
        *cursor = lsn_of(event);
        if (is_sequenced(event))
            json_array_append(transcript, event);
    }
    json_array_clear(note->events);
}

/* --- stories -------------------------------------------------------------- */

static void a_level_carrier_hears_each_message_once(void **state)
{
    struct house *house = given_house();
    struct note bob;

    (void)state;
    open_note(house, &bob, "bob", NULL);
    say(house, "alice", "0:1:alice:bob", "one");
    say(house, "alice", "0:1:alice:bob", "two");
    say(house, "alice", "0:1:alice:carol", "not for bob");
    say(house, "bob", "0:1:alice:bob", "three");
    assert_string_equal(heard(&bob), "one two three");
    end_note(&bob);
    end_house(house);
}

static void a_carrier_goes_on_from_its_cursor(void **state)
{
    struct house *house = given_house();
    struct applied one = say(house, "alice", "0:1:alice:bob", "one");
    struct note bob;

    (void)state;
    say(house, "alice", "0:1:alice:bob", "two");
    open_note(house, &bob, "bob", cursor_at(house, one.lsn));
    say(house, "alice", "0:1:alice:bob", "three");
    assert_string_equal(heard(&bob), "two three");
    end_note(&bob);
    open_note(house, &bob, "bob", "0");
    assert_string_equal(heard(&bob), "one two three");
    end_note(&bob);
    end_house(house);
}

static void who_cannot_take_more_reads_the_rest_from_the_log(void **state)
{
    struct house *house = given_house();
    struct note bob;

    (void)state;
    open_note(house, &bob, "bob", NULL);
    bob.blocked = true;
    say(house, "alice", "0:1:alice:bob", "one");
    say(house, "alice", "0:1:alice:bob", "two");
    say(house, "alice", "0:1:alice:bob", "three");
    assert_string_equal(heard(&bob), "one");
    bob.blocked = false;
    read_on(&bob);
    say(house, "alice", "0:1:alice:bob", "four");
    assert_string_equal(heard(&bob), "one two three four");
    end_note(&bob);
    end_house(house);
}

static void the_invited_see_from_the_join_and_leavers_stop_there(void **state)
{
    struct house *house = given_house();
    struct note bob;

    (void)state;
    open_note(house, &bob, "bob", NULL);
    change(house, ENTRY_CREATE, "alice", "0:2:team", SPAN("carol\0"));
    say(house, "alice", "0:2:team", "before");
    change(house, ENTRY_JOIN, "alice", "0:2:team", SPAN("bob\0"));
    say(house, "alice", "0:2:team", "during");
    change(house, ENTRY_LEAVE, "bob", "0:2:team", SPAN("bob\0"));
    say(house, "alice", "0:2:team", "after");
    assert_string_equal(heard(&bob), "invited during left");
    end_note(&bob);
    open_note(house, &bob, "bob", "0");
    assert_string_equal(heard(&bob), "invited during left");
    end_note(&bob);
    end_house(house);
}

static void who_leaves_loses_the_stream_of_that_group(void **state)
{
    struct house *house = given_house();
    struct note bob;

    (void)state;
    change(house, ENTRY_CREATE, "alice", "0:2:team", SPAN("bob\0"));
    assert_int_equal(try_open(house, &bob, "bob", NULL, "0:2:team", "0"),
                     ERR_NONE);
    read_on(&bob);
    say(house, "alice", "0:2:team", "hi");
    change(house, ENTRY_LEAVE, "bob", "0:2:team", SPAN("bob\0"));
    assert_string_equal(heard(&bob), "created hi left");
    assert_string_equal(bob.ended, "not_member");
    end_note(&bob);
    assert_int_equal(try_open(house, &bob, "dave", NULL, "0:2:team", "0"),
                     ERR_NOT_MEMBER);
    end_note(&bob);
    /* What they have seen they may see again, and nothing behind it. */
    assert_int_equal(try_open(house, &bob, "bob", NULL, "0:2:team", "0"),
                     ERR_NONE);
    read_on(&bob);
    say(house, "alice", "0:2:team", "behind your back");
    assert_string_equal(heard(&bob), "created hi left");
    end_note(&bob);
    end_house(house);
}

static void a_channel_is_followed_by_seq_without_being_a_member(void **state)
{
    struct house *house = given_house();
    struct note bob, mixed;

    (void)state;
    change(house, ENTRY_CREATE, "alice", "0:3:news", SPAN(""));
    say(house, "alice", "0:3:news", "one");
    open_note(house, &mixed, "bob", "0");
    assert_int_equal(try_open(house, &bob, "bob", NULL, "0:3:news", "1"),
                     ERR_NONE);
    read_on(&bob);
    say(house, "carol", "0:3:news", "two");
    assert_string_equal(heard(&bob), "one two");
    assert_int_equal(carrier_seq(&bob.carrier), 3);
    assert_string_equal(heard(&mixed), "");
    end_note(&bob);
    end_note(&mixed);
    end_house(house);
}

static void echo_false_spares_only_the_sending_device(void **state)
{
    struct house *house = given_house();
    struct identity tablet = person("alice", "tablet");
    struct follow follow = {0};
    struct note phone, other = {.events = json_array()};
    struct entry entry = {.kind = ENTRY_MESSAGE,
                          .flags = ENTRY_NO_ECHO,
                          .conversation = SPAN("0:1:alice:bob"),
                          .from = SPAN("alice"),
                          .device = SPAN("phone"),
                          .type = SPAN("text"),
                          .body = SPAN("{\"text\":\"hi\"}")};

    (void)state;
    open_note(house, &phone, "alice", NULL);
    assert_int_equal(carrier_open(&other.carrier, &house->worker, &notes,
                                  &tablet, &follow, NULL),
                     ERR_NONE);
    read_on(&other);
    submit(house, &entry);
    assert_string_equal(heard(&phone), "");
    assert_string_equal(heard(&other), "hi");
    end_note(&phone);
    open_note(house, &phone, "alice", "0");
    assert_string_equal(heard(&phone), "");
    end_note(&phone);
    end_note(&other);
    end_house(house);
}

static void a_foreign_or_future_cursor_is_reset(void **state)
{
    struct house *house = given_house();
    struct note bob;

    (void)state;
    say(house, "alice", "0:1:alice:bob", "one");
    open_note(house, &bob, "bob", "00000000-1");
    assert_string_equal(heard(&bob), "reset");
    end_note(&bob);
    open_note(house, &bob, "bob", cursor_at(house, 999));
    assert_string_equal(heard(&bob), "reset");
    say(house, "alice", "0:1:alice:bob", "two");
    assert_string_equal(heard(&bob), "reset two");
    end_note(&bob);
    end_house(house);
}

static void presenting_a_cursor_tells_the_sender_delivered(void **state)
{
    struct house *house = given_house();
    struct applied one;
    struct note alice, bob;

    (void)state;
    open_note(house, &alice, "alice", NULL);
    one = say(house, "alice", "0:1:alice:bob", "one");
    open_note(house, &bob, "bob", cursor_at(house, one.lsn));
    while (json_array_size(alice.events) < 2)
        uv_run(&house->worker.loop, UV_RUN_ONCE);
    assert_string_equal(heard(&alice), "one delivered");
    assert_string_equal(heard(&bob), "");
    end_note(&alice);
    end_note(&bob);
    end_house(house);
}

static void what_follow_asks_wrongly_is_refused(void **state)
{
    struct house *house = given_house();
    struct note bob;

    (void)state;
    assert_int_equal(try_open(house, &bob, "bob", "nonsense", NULL, NULL),
                     ERR_BAD_REQUEST);
    end_note(&bob);
    assert_int_equal(try_open(house, &bob, "bob", NULL, NULL, "3"),
                     ERR_BAD_REQUEST);
    end_note(&bob);
    assert_int_equal(try_open(house, &bob, "bob", NULL, "0:2:none", NULL),
                     ERR_NOT_FOUND);
    end_note(&bob);
    /* Whether two others talk is nobody's business. */
    say(house, "alice", "0:1:alice:carol", "psst");
    assert_int_equal(
        try_open(house, &bob, "bob", NULL, "0:1:alice:carol", NULL),
        ERR_NOT_MEMBER);
    end_note(&bob);
    assert_int_equal(try_open(house, &bob, "bob", NULL, "0:1:alice:dave", NULL),
                     ERR_NOT_MEMBER);
    end_note(&bob);
    assert_int_equal(hub_carriers(house->worker.hub), 0);
    end_house(house);
}

static void draining_says_bye_to_everyone_with_a_delay_of_its_own(void **state)
{
    struct house *house = given_house();
    struct note bob, carol;

    (void)state;
    open_note(house, &bob, "bob", NULL);
    open_note(house, &carol, "carol", NULL);
    hub_drain(house->worker.hub);
    assert_string_equal(bob.ended, "draining");
    assert_string_equal(carol.ended, "draining");
    assert_int_equal(hub_carriers(house->worker.hub), 0);
    end_note(&bob);
    end_note(&carol);
    end_house(house);
}

/* Whichever allocation fails while a commit is announced, a carrier either goes
 * on or ends with "come back": nothing is lost on the way. */
static void short_memory_loses_nothing(void **state)
{
    static const char *const all = "a created b c left d";

    (void)state;
    for (size_t nth = 1; nth < 25; nth++) {
        struct house *house = given_house();
        struct note bob;
        lsn cursor = 0;
        json_t *transcript = json_array();

        open_note(house, &bob, "bob", "0");
        short_at = nth;
        say(house, "alice", "0:1:alice:bob", "a");
        change(house, ENTRY_CREATE, "alice", "0:2:team", SPAN("bob\0"));
        say(house, "alice", "0:2:team", "b");
        say(house, "bob", "0:1:alice:bob", "c");
        change(house, ENTRY_LEAVE, "bob", "0:2:team", SPAN("bob\0"));
        say(house, "alice", "0:1:alice:bob", "d");
        short_at = 0;
        bob.blocked = false;
        keep(transcript, &cursor, &bob);
        if (bob.ended) {
            end_note(&bob);
            open_note(house, &bob, "bob", cursor_at(house, cursor));
        } else {
            read_on(&bob);
        }
        keep(transcript, &cursor, &bob);
        json_decref(bob.events);
        bob.events = transcript;
        assert_string_equal(heard(&bob), all);
        end_note(&bob);
        end_house(house);
    }
}

/* --- whatever happens, the transcript is the mixed chain ------------------ */

#define PEOPLE 4
#define ROUNDS 600

static const char *const people[PEOPLE] = {"ann", "ben", "cat", "dan"};
static const char *const places[] = {"0:1:ann:ben", "0:1:ann:cat",
                                     "0:1:ben:dan", "0:2:one", "0:2:two"};

static unsigned dice(unsigned *seed, unsigned below)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 16) % below;
}

static void anything_happens(struct house *house, unsigned *seed)
{
    const char *who = people[dice(seed, PEOPLE)];
    const char *place = places[dice(seed, 5)];
    char users[16];
    struct span one = {users, strlen(who) + 1};
    char text[16];

    memcpy(users, who, strlen(who) + 1);
    snprintf(text, sizeof text, "%u", dice(seed, 10000));
    if (place[2] == '2' && dice(seed, 5) == 0)
        change(house, ENTRY_JOIN, who, place, one);
    else if (place[2] == '2' && dice(seed, 6) == 0)
        change(house, ENTRY_LEAVE, who, place, one);
    else
        say(house, who, place, text);
}

static void a_drop_a_stall_or_nothing(struct house *house, struct note *note,
                                      json_t *transcript, lsn *cursor,
                                      const char *user, unsigned *seed)
{
    switch (dice(seed, 12)) {
    case 0:
        note->blocked = true;
        break;
    case 1:
    case 2:
        note->blocked = false;
        read_on(note);
        break;
    case 3: /* the connection is lost with what was on the way */
        if (dice(seed, 2))
            keep(transcript, cursor, note);
        end_note(note);
        open_note(house, note, user, cursor_at(house, *cursor));
        break;
    default:
        break;
    }
}

static void every_transcript_equals_the_mixed_chain(void **state)
{
    (void)state;
    for (unsigned round = 1; round <= 6; round++) {
        struct house *house = given_house();
        struct note live[PEOPLE], whole;
        json_t *transcripts[PEOPLE];
        lsn cursors[PEOPLE] = {0};
        unsigned seed = round;

        change(house, ENTRY_CREATE, "ann", "0:2:one", SPAN("ben\0"));
        change(house, ENTRY_CREATE, "ben", "0:2:two", SPAN(""));
        for (int i = 0; i < PEOPLE; i++) {
            transcripts[i] = json_array();
            open_note(house, &live[i], people[i], "0");
        }
        for (int step = 0; step < ROUNDS; step++) {
            int i = (int)dice(&seed, PEOPLE);

            anything_happens(house, &seed);
            a_drop_a_stall_or_nothing(house, &live[i], transcripts[i],
                                      &cursors[i], people[i], &seed);
        }
        for (int i = 0; i < PEOPLE; i++) {
            json_t *all = json_array();
            lsn from = 0;

            live[i].blocked = false;
            read_on(&live[i]);
            keep(transcripts[i], &cursors[i], &live[i]);
            end_note(&live[i]);
            open_note(house, &whole, people[i], "0");
            keep(all, &from, &whole);
            end_note(&whole);
            assert_true(json_array_size(all) > 20);
            assert_true(json_equal(all, transcripts[i]));
            json_decref(all);
            json_decref(transcripts[i]);
        }
        end_house(house);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_level_carrier_hears_each_message_once),
        cmocka_unit_test(a_carrier_goes_on_from_its_cursor),
        cmocka_unit_test(who_cannot_take_more_reads_the_rest_from_the_log),
        cmocka_unit_test(the_invited_see_from_the_join_and_leavers_stop_there),
        cmocka_unit_test(who_leaves_loses_the_stream_of_that_group),
        cmocka_unit_test(a_channel_is_followed_by_seq_without_being_a_member),
        cmocka_unit_test(echo_false_spares_only_the_sending_device),
        cmocka_unit_test(a_foreign_or_future_cursor_is_reset),
        cmocka_unit_test(presenting_a_cursor_tells_the_sender_delivered),
        cmocka_unit_test(what_follow_asks_wrongly_is_refused),
        cmocka_unit_test(draining_says_bye_to_everyone_with_a_delay_of_its_own),
        cmocka_unit_test(short_memory_loses_nothing),
        cmocka_unit_test(every_transcript_equals_the_mixed_chain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
