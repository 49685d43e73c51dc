/* Carriers on a worker's hub: what each is handed, live and from the log. */
#include "server/base/clock.h"
#include "server/base/mem.h"
#include "server/watch.h"
#include "tests/lib/given_house.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- saying things -------------------------------------------------------- */

static struct applied say(struct house *house, const char *user,
                          const char *conversation, const char *text)
{
    char json[64];
    struct entry entry;

    snprintf(json, sizeof json, "\"%s\"", text);
    entry = saying(user, conversation, json);
    return house_submit(house, &entry);
}

static struct applied change(struct house *house, enum entry_kind kind,
                             const char *by, const char *conversation,
                             struct span users)
{
    struct entry entry = changing(kind, by, conversation, users);

    return house_submit(house, &entry);
}

static enum err follow_fails(struct house *house, const char *user,
                             struct follow follow)
{
    struct note note;
    enum err rc = try_open(house, &note, user, &follow);

    end_note(&note);
    return rc;
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

/* Two commits in one round; each of three devices has its own turn. */
static void who_waits_for_its_turn_stands_where_it_stood(void **state)
{
    struct house *house = given_house();
    struct hub *hub = house->worker.hub;
    struct entry said[] = {saying("alice", "0:1:alice:bob", "\"one\""),
                           saying("alice", "0:1:alice:bob", "\"two\"")};
    struct note bob[3];
    lsn before;

    (void)state;
    say(house, "alice", "0:1:alice:bob", "zero");
    for (size_t i = 0; i < 3; i++)
        open_note(house, &bob[i], "bob", NULL);
    before = hub_head(hub);
    hub->at_once = 1;
    for (size_t i = 0; i < 2; i++) {
        struct commit *commit = house_commit(house, &said[i], 1);

        hub_announce(hub, commit);
        commit_unref(commit);
    }
    for (size_t turn = 0; turn < 3; turn++) {
        size_t told = 0;

        assert_true(hub_deliver(hub) == (turn == 2));
        for (size_t i = 0; i < 3; i++) {
            bool has = strcmp(heard(&bob[i]), "one two") == 0;

            told += has;
            assert_true(has || strcmp(heard(&bob[i]), "") == 0);
            assert_true(carrier_at(&bob[i].carrier) ==
                        (has ? hub_head(hub) : before));
        }
        assert_int_equal(told, turn + 1);
    }
    for (size_t i = 0; i < 3; i++)
        end_note(&bob[i]);
    end_house(house);
}

/* It read the log before its turn came, as a socket that can be written to
 * again does. */
static void who_reads_on_before_its_turn_is_told_nothing_twice(void **state)
{
    struct house *house = given_house();
    struct hub *hub = house->worker.hub;
    struct entry said = saying("alice", "0:1:alice:bob", "\"one\"");
    struct commit *commit;
    struct note bob;

    (void)state;
    say(house, "alice", "0:1:alice:bob", "zero");
    open_note(house, &bob, "bob", NULL);
    commit = house_commit(house, &said, 1);
    hub_announce(hub, commit);
    commit_unref(commit);
    read_on(&bob); /* level: there is nothing to be read */
    assert_string_equal(heard(&bob), "");
    carrier_behind(&bob.carrier);
    read_on(&bob);
    assert_string_equal(heard(&bob), "one");
    assert_true(hub_deliver(hub));
    assert_string_equal(heard(&bob), "one");
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
    open_chain(house, &bob, "bob", "0:2:team", "0");
    say(house, "alice", "0:2:team", "hi");
    change(house, ENTRY_LEAVE, "bob", "0:2:team", SPAN("bob\0"));
    assert_string_equal(heard(&bob), "created hi left");
    assert_string_equal(bob.ended, "not_member");
    end_note(&bob);
    assert_int_equal(
        follow_fails(house, "dave",
                     (struct follow){.conversation = SPAN("0:2:team"),
                                     .after = SPAN("0")}),
        ERR_NOT_MEMBER);
    /* What they have seen they may see again, and nothing behind it. */
    open_chain(house, &bob, "bob", "0:2:team", "0");
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
    open_chain(house, &bob, "bob", "0:3:news", "1");
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
    struct follow from_now = {0};
    struct entry entry = saying("alice", "0:1:alice:bob", "\"hi\"");
    struct note phone, tablet;

    (void)state;
    entry.flags = ENTRY_NO_ECHO;
    open_note(house, &phone, "alice", NULL);
    assert_int_equal(try_open_on(house, &tablet, "alice", "tablet", &from_now),
                     ERR_NONE);
    read_on(&tablet);
    house_submit(house, &entry);
    assert_string_equal(heard(&phone), "");
    assert_string_equal(heard(&tablet), "hi");
    end_note(&phone);
    open_note(house, &phone, "alice", "0");
    assert_string_equal(heard(&phone), "");
    end_note(&phone);
    end_note(&tablet);
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
    house_wait(house, WHEEL_TICK_MS);
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

    (void)state;
    assert_int_equal(
        follow_fails(house, "bob", (struct follow){.cursor = SPAN("nonsense")}),
        ERR_BAD_REQUEST);
    assert_int_equal(
        follow_fails(house, "bob", (struct follow){.after = SPAN("3")}),
        ERR_BAD_REQUEST);
    assert_int_equal(
        follow_fails(house, "bob",
                     (struct follow){.conversation = SPAN("0:2:none")}),
        ERR_NOT_FOUND);
    /* Whether two others talk is nobody's business. */
    say(house, "alice", "0:1:alice:carol", "psst");
    assert_int_equal(
        follow_fails(house, "bob",
                     (struct follow){.conversation = SPAN("0:1:alice:carol")}),
        ERR_NOT_MEMBER);
    assert_int_equal(
        follow_fails(house, "bob",
                     (struct follow){.conversation = SPAN("0:1:alice:dave")}),
        ERR_NOT_MEMBER);
    assert_true(list_empty(&house->worker.hub->all));
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
    assert_true(list_empty(&house->worker.hub->all));
    end_note(&bob);
    end_note(&carol);
    end_house(house);
}

static void announce_short(struct house *house, size_t nth, struct entry entry)
{
    struct commit *commit = house_commit(house, &entry, 1);

    mem_fail_nth(nth);
    house_announce(house, commit);
    mem_fail_nth(0);
}

/* Whichever allocation fails while a commit is announced, a carrier either goes
 * on or ends with "come back": nothing is lost on the way. */
static void short_memory_loses_nothing(void **state)
{
    struct entry entries[] = {
        saying("alice", "0:1:alice:bob", "\"a\""),
        changing(ENTRY_CREATE, "alice", "0:2:team", SPAN("bob\0")),
        saying("alice", "0:2:team", "\"b\""),
        saying("bob", "0:1:alice:bob", "\"c\""),
        changing(ENTRY_LEAVE, "bob", "0:2:team", SPAN("bob\0")),
        saying("alice", "0:1:alice:bob", "\"d\""),
    };

    (void)state;
    for (size_t nth = 1; nth < 25; nth++) {
        struct house *house = given_house();
        struct note bob;
        lsn cursor = 0;
        json_t *transcript = json_array();

        open_note(house, &bob, "bob", "0");
        for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
            announce_short(house, nth, entries[i]);
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
        assert_string_equal(heard(&bob), "a created b c left d");
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
        cmocka_unit_test(who_waits_for_its_turn_stands_where_it_stood),
        cmocka_unit_test(who_reads_on_before_its_turn_is_told_nothing_twice),
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
