/* Delivered marks: stored for what was presented and nothing else, and in the
 * end stored, whatever fails on the way. */
#include "tests/lib/given_house.h"

#include "server/base/mem.h"
#include "store/reader.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define PAIR "0:1:alice:bob"
#define TEAM "0:2:team"
#define LONG_MS 60000

static uint64_t delivered_to(struct house *house, const char *user,
                             const char *conversation)
{
    struct reader *reader = house->worker.reader;
    struct conversation conv;
    struct marks marks;

    assert_int_equal(reader_begin(reader), ERR_NONE);
    assert_int_equal(
        reader_conversation(reader, SPAN("demo"), span_of(conversation), &conv),
        ERR_NONE);
    assert_int_equal(
        reader_marks(reader, SPAN("demo"), span_of(user), conv.no, &marks),
        ERR_NONE);
    reader_end(reader);
    return marks.delivered_seq;
}

/* What was armed fires, and what it submits is stored. */
static void let_time_pass(struct house *house)
{
    for (int i = 0; i < 8; i++) {
        house_hear(house);
        house_wait(house, LONG_MS);
    }
    house_hear(house);
}

/* What was presented becomes submissions. */
static void let_marks_be_gathered(struct house *house)
{
    house_wait(house, WHEEL_TICK_MS);
}

static void present(struct house *house, const char *user, lsn at)
{
    struct note note;

    open_note(house, &note, user, cursor_at(house, at));
    end_note(&note);
}

static void only_what_was_presented_is_delivered(void **state)
{
    struct house *house = given_house();
    struct entry one = saying("alice", PAIR, "\"one\"");
    struct entry two = saying("alice", PAIR, "\"two\"");
    struct note bob;
    lsn first = house_write(house, &one);

    (void)state;
    open_note(house, &bob, "bob", "0"); /* read by the server, not presented */
    house_write(house, &two);
    assert_string_equal(heard(&bob), "one two");
    let_time_pass(house);
    assert_int_equal(delivered_to(house, "bob", PAIR), 0);
    present(house, "bob", first);
    let_time_pass(house);
    assert_int_equal(delivered_to(house, "bob", PAIR), 1);
    assert_int_equal(delivered_to(house, "alice", PAIR), 0);
    end_note(&bob);
    end_house(house);
}

/* Two talk; now the one presents what is newest, or what is nearly so, now the
 * other. The mark moves where it covers something by the other. */
static void ones_own_messages_move_no_mark(void **state)
{
    static const char *const users[] = {"alice", "bob"};
    static const char writers[] = "001110100000110101110010110100011110101100";
    struct house *house = given_house();
    lsn at[sizeof writers];
    uint64_t looked[2] = {0}, mark[2] = {0};

    (void)state;
    for (uint64_t i = 1; i < sizeof writers; i++) {
        struct entry said = saying(users[writers[i - 1] - '0'], PAIR, "\"x\"");
        uint64_t seq = i % 3 == 0 ? i - 1 : i;
        int reader = i / 2 % 2;

        at[i] = house_write(house, &said);
        present(house, users[reader], at[seq]);
        let_time_pass(house);
        while (looked[reader] < seq)
            if (writers[looked[reader]++] - '0' != reader)
                mark[reader] = seq;
        assert_int_equal(delivered_to(house, users[reader], PAIR),
                         mark[reader]);
    }
    end_house(house);
}

#define MANY 3000

static size_t marked(struct house *house)
{
    char user[16], pair[32];
    size_t count = 0;

    for (int i = 0; i < MANY; i++) {
        snprintf(user, sizeof user, "u%04d", i);
        snprintf(pair, sizeof pair, "0:1:alice:%s", user);
        count += delivered_to(house, user, pair);
    }
    return count;
}

/* Those of the first thousand come at once. */
static void marks_of_very_many_take_turns(void **state)
{
    static char pairs[MANY][32];
    static struct entry entries[MANY];
    static struct session *sessions[MANY];
    struct house *house = given_house();
    size_t at_once;

    (void)state;
    for (int i = 0; i < MANY; i++) {
        snprintf(pairs[i], sizeof pairs[i], "0:1:alice:u%04d", i);
        entries[i] = saying("alice", pairs[i], "\"hi\"");
    }
    house_announce(house, house_commit(house, entries, MANY));
    for (int i = 0; i < MANY; i++) {
        struct identity who = {.app = "demo"};

        snprintf(who.user, sizeof who.user, "u%04d", i);
        sessions[i] = session_get(&house->worker, &who);
        session_present(sessions[i], hub_head(house->worker.hub));
    }
    let_marks_be_gathered(house);
    house_hear(house);
    at_once = marked(house);
    assert_in_range(at_once, 1000, 1100);
    let_time_pass(house);
    assert_int_equal(marked(house), MANY);
    for (int i = 0; i < MANY; i++)
        session_put(sessions[i]);
    end_house(house);
}

static void a_mark_survives_a_failed_commit(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 60; nth++) {
        struct house *house = given_house();
        struct entry one = saying("alice", PAIR, "\"one\"");
        lsn at = house_write(house, &one);
        struct identity who = {.app = "demo", .user = "bob"};
        struct session *session = session_get(&house->worker, &who);

        store_fail_nth(nth, ENOSPC);
        session_present(session, at);
        let_marks_be_gathered(house);
        house_hear(house);
        store_fail_nth(0, 0);
        let_time_pass(house);
        assert_int_equal(delivered_to(house, "bob", PAIR), 1);
        session_put(session);
        end_house(house);
    }
}

static void a_mark_survives_short_memory(void **state)
{
    (void)state;
    for (size_t nth = 1; nth < 25; nth++) {
        struct house *house = given_house();
        struct entry one = saying("alice", PAIR, "\"one\"");
        lsn at = house_write(house, &one);
        struct identity who = {.app = "demo", .user = "bob"};
        struct session *session = session_get(&house->worker, &who);

        assert_non_null(session);
        mem_fail_nth(nth);
        session_present(session, at);
        let_marks_be_gathered(house);
        house_hear(house);
        mem_fail_nth(0);
        let_time_pass(house);
        assert_int_equal(delivered_to(house, "bob", PAIR), 1);
        session_put(session);
        end_house(house);
    }
}

/* Received through another worker, presented to one that has not heard of it,
 * and never followed by anything newer. */
static void a_cursor_ahead_of_the_worker_is_recorded_when_it_hears(void **state)
{
    struct house *house = given_house();
    struct entry one = saying("alice", PAIR, "\"one\"");
    struct entry two = saying("alice", PAIR, "\"two\"");
    struct entry other = saying("carol", "0:1:bob:carol", "\"hi\"");
    struct commit *late[2];
    struct note bob;

    (void)state;
    house_write(house, &one);
    open_note(house, &bob, "bob",
              cursor_at(house, hub_head(house->worker.hub)));
    let_time_pass(house);
    present(house, "bob", hub_head(house->worker.hub)); /* nothing is new */
    let_time_pass(house);
    late[0] = house_commit(house, &two, 1);
    late[1] = house_commit(house, &other, 1); /* a conversation is begun */
    present(house, "bob", store_head(house->store));
    house_announce(house, late[0]);
    house_announce(house, late[1]);
    let_time_pass(house);
    assert_int_equal(delivered_to(house, "bob", PAIR), 2);
    assert_int_equal(delivered_to(house, "bob", "0:1:bob:carol"), 1);
    end_note(&bob);
    end_house(house);
}

/* One user's marks do not fill the queue that everyone's messages wait in. */
static void many_marks_come_a_part_at_a_time(void **state)
{
    enum { PLACES = 700 };
    struct house *house = given_house();
    static char names[PLACES][40], users[PLACES][16];
    static struct entry entries[PLACES];
    struct append *lock;
    size_t waiting;

    (void)state;
    for (int i = 0; i < PLACES; i++) {
        snprintf(users[i], sizeof users[i], "user%03d", i);
        snprintf(names[i], sizeof names[i], "0:1:bob:%s", users[i]);
        entries[i] = saying(users[i], names[i], "\"hi\"");
    }
    house_announce(house, house_commit(house, entries, PLACES));
    assert_int_equal(append_begin(&lock, house->store), ERR_NONE);
    present(house, "bob", hub_head(house->worker.hub));
    let_marks_be_gathered(house);
    waiting = sequencer_queue(house->server.sequencer);
    append_abort(lock);
    assert_true(waiting > 0);
    assert_true(waiting <= 256);
    let_time_pass(house);
    for (int i = 0; i < PLACES; i++)
        assert_int_equal(delivered_to(house, "bob", names[i]), 1);
    end_house(house);
}

/* However much one has missed, presenting a cursor is a bounded piece of work.
 */
static void presenting_costs_the_same_however_far_behind(void **state)
{
    enum { MISSED = 4000 };
    struct house *house = given_house();
    static struct entry entries[MISSED];
    struct identity who = {.app = "demo", .user = "bob"};
    struct session *session;
    uint64_t calls;

    (void)state;
    for (int i = 0; i < MISSED; i++)
        entries[i] = saying("alice", PAIR, "\"hi\"");
    house_announce(house, house_commit(house, entries, MISSED));
    session = session_get(&house->worker, &who);
    store_fail_nth(0, 0);
    session_present(session, hub_head(house->worker.hub));
    let_marks_be_gathered(house);
    calls = store_fail_nth(0, 0);
    assert_true(calls < 1000);
    let_time_pass(house);
    assert_int_equal(delivered_to(house, "bob", PAIR), MISSED);
    session_put(session);
    end_house(house);
}

/* Two who present in one tick cost one commit. */
static void the_marks_of_many_share_a_commit(void **state)
{
    struct house *house = given_house();
    struct entry one = saying("alice", TEAM, "\"one\"");
    struct entry team =
        changing(ENTRY_CREATE, "alice", TEAM, SPAN("bob\0carol\0"));
    struct append *lock;

    (void)state;
    house_write(house, &team);
    house_write(house, &one);
    assert_int_equal(append_begin(&lock, house->store), ERR_NONE);
    present(house, "bob", hub_head(house->worker.hub));
    present(house, "carol", hub_head(house->worker.hub));
    assert_int_equal(sequencer_queue(house->server.sequencer), 0);
    let_marks_be_gathered(house);
    assert_int_equal(sequencer_queue(house->server.sequencer), 2);
    append_abort(lock);
    let_time_pass(house);
    assert_int_equal(delivered_to(house, "bob", TEAM), 2);
    assert_int_equal(delivered_to(house, "carol", TEAM), 2);
    end_house(house);
}

static void marks_do_not_wait_when_the_worker_ends(void **state)
{
    struct house *house = given_house();
    struct entry one = saying("alice", PAIR, "\"one\"");
    struct append *lock;

    (void)state;
    house_write(house, &one);
    assert_int_equal(append_begin(&lock, house->store), ERR_NONE);
    present(house, "bob", hub_head(house->worker.hub));
    assert_int_equal(sequencer_queue(house->server.sequencer), 0);
    hub_store_marks(house->worker.hub);
    assert_int_equal(sequencer_queue(house->server.sequencer), 1);
    append_abort(lock);
    let_time_pass(house);
    assert_int_equal(delivered_to(house, "bob", PAIR), 1);
    end_house(house);
}

/* Having joined is not having received what was said before. */
static void a_newcomer_has_received_nothing_of_before(void **state)
{
    struct house *house = given_house();
    struct entry create = changing(ENTRY_CREATE, "alice", TEAM, SPAN(""));
    struct entry old = saying("alice", TEAM, "\"old\"");
    struct entry join = changing(ENTRY_JOIN, "bob", TEAM, SPAN("bob\0"));
    struct entry fresh = saying("alice", TEAM, "\"new\"");

    (void)state;
    house_write(house, &create);
    house_write(house, &old);
    present(house, "bob", house_write(house, &join));
    let_time_pass(house);
    assert_int_equal(delivered_to(house, "bob", TEAM), 0);
    present(house, "bob", house_write(house, &fresh));
    let_time_pass(house);
    assert_int_equal(delivered_to(house, "bob", TEAM), 4);
    end_house(house);
}

static void present_chain(struct house *house, const char *user,
                          const char *conversation, const char *after)
{
    struct note note;

    open_chain(house, &note, user, conversation, after);
    end_note(&note);
}

/* Who follows one conversation says nothing about the others. */
static void a_seq_presented_is_delivered_in_its_conversation(void **state)
{
    struct house *house = given_house();
    struct entry one = saying("alice", PAIR, "\"one\"");
    struct entry two = saying("alice", PAIR, "\"two\"");
    struct entry other = saying("carol", "0:1:bob:carol", "\"other\"");

    (void)state;
    house_write(house, &one);
    house_write(house, &two);
    house_write(house, &other);
    present_chain(house, "bob", PAIR, "1");
    let_time_pass(house);
    assert_int_equal(delivered_to(house, "bob", PAIR), 1);
    assert_int_equal(delivered_to(house, "bob", "0:1:bob:carol"), 0);
    present_chain(house, "bob", PAIR, "9"); /* ahead: a reset, no mark */
    let_time_pass(house);
    assert_int_equal(delivered_to(house, "bob", PAIR), 1);
    present_chain(house, "bob", PAIR, "2");
    let_time_pass(house);
    assert_int_equal(delivered_to(house, "bob", PAIR), 2);
    end_house(house);
}

static void a_seq_survives_a_failed_commit(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 60; nth++) {
        struct house *house = given_house();
        struct entry one = saying("alice", PAIR, "\"one\"");

        house_write(house, &one);
        present_chain(house, "bob", PAIR, "1");
        store_fail_nth(nth, ENOSPC);
        let_marks_be_gathered(house);
        house_hear(house);
        store_fail_nth(0, 0);
        let_time_pass(house);
        assert_int_equal(delivered_to(house, "bob", PAIR), 1);
        end_house(house);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_was_presented_is_delivered),
        cmocka_unit_test(ones_own_messages_move_no_mark),
        cmocka_unit_test(marks_of_very_many_take_turns),
        cmocka_unit_test(a_mark_survives_a_failed_commit),
        cmocka_unit_test(a_seq_presented_is_delivered_in_its_conversation),
        cmocka_unit_test(a_seq_survives_a_failed_commit),
        cmocka_unit_test(a_mark_survives_short_memory),
        cmocka_unit_test(
            a_cursor_ahead_of_the_worker_is_recorded_when_it_hears),
        cmocka_unit_test(many_marks_come_a_part_at_a_time),
        cmocka_unit_test(the_marks_of_many_share_a_commit),
        cmocka_unit_test(marks_do_not_wait_when_the_worker_ends),
        cmocka_unit_test(presenting_costs_the_same_however_far_behind),
        cmocka_unit_test(a_newcomer_has_received_nothing_of_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
