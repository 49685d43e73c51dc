/* Reading: stints, single chains, the mixed chain, counting. */
#include "tests/lib/given_store.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* alice's team: bob is in for 3..5, out, and in again from 7. */
static struct given *given_a_team(const char *flags)
{
    struct given *g = given_store();

    append_ok(g, a_create("0:2:team", "alice", flags, ""));      /* 1 */
    append_ok(g, a_message("0:2:team", "alice", "", "before"));  /* 2 */
    append_ok(g, a_join("0:2:team", "alice", "bob"));            /* 3 */
    append_ok(g, a_message("0:2:team", "alice", "", "one"));     /* 4 */
    append_ok(g, a_leave("0:2:team", "bob"));                    /* 5 */
    append_ok(g, a_message("0:2:team", "alice", "", "between")); /* 6 */
    append_ok(g, a_join("0:2:team", "alice", "bob"));            /* 7 */
    append_ok(g, a_message("0:2:team", "bob", "", "two"));       /* 8 */
    return g;
}

/* One sees from the join to the leave, and from the next join on. */
static void stints_bound_what_is_seen(void **state)
{
    struct given *g = given_a_team("");
    struct reader *reader;
    struct stint stints[4];
    size_t count;

    (void)state;
    assert_string_equal(mixed_of(g, "bob", 0),
                        "j3:alice: m4:alice:one l5:bob: j7:alice: m8:bob:two ");
    assert_string_equal(mixed_of(g, "bob", 5), "j7:alice: m8:bob:two ");
    assert_string_equal(mixed_of(g, "eve", 0), "");
    reader = given_reader(g);
    assert_int_equal(reader_stints_in(reader, SPAN(GIVEN_APP), SPAN("bob"), 1,
                                      stints, 4, &count),
                     ERR_NONE);
    assert_int_equal(count, 2);
    assert_int_equal(stints[0].from_seq, 3);
    assert_int_equal(stints[0].join_seq, 3);
    assert_int_equal(stints[0].to_seq, 5);
    assert_int_equal(stints[0].join_lsn, 3);
    assert_int_equal(stints[0].leave_lsn, 5);
    assert_int_equal(stints[1].from_seq, 7);
    assert_int_equal(stints[1].to_seq, 0);
    assert_int_equal(reader_stints_in(reader, SPAN(GIVEN_APP), SPAN("bob"), 1,
                                      stints, 1, &count),
                     ERR_NONE);
    assert_int_equal(count, 1);
    assert_int_equal(stints[0].from_seq, 7); /* the newest is kept */
    assert_int_equal(reader_stints_in(reader, SPAN(GIVEN_APP), SPAN("eve"), 1,
                                      stints, 4, &count),
                     ERR_NONE);
    assert_int_equal(count, 0);
    reader_done(reader);
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

/* With history_all a newcomer reads what came before. */
static void newcomers_read_history_where_allowed(void **state)
{
    struct given *g = given_store();

    (void)state;
    append_ok(g, a_create("0:2:team", "alice", "h", ""));
    append_ok(g, a_message("0:2:team", "alice", "", "before"));
    append_ok(g, a_mark(ENTRY_READ, "0:2:team", "alice", 2));
    append_ok(g, a_join("0:2:team", "alice", "bob"));
    assert_string_equal(mixed_of(g, "bob", 0),
                        "c1:alice: m2:alice:before r2:alice@3 j3:alice: ");
    given_end(g);
}

/* Receipts of before one's join stay unseen, as the messages do. */
static void old_receipts_stay_unseen(void **state)
{
    struct given *g = given_store();

    (void)state;
    append_ok(g, a_create("0:2:team", "alice", "", ""));
    append_ok(g, a_mark(ENTRY_READ, "0:2:team", "alice", 1));
    append_ok(g, a_join("0:2:team", "alice", "bob"));
    append_ok(g, a_mark(ENTRY_READ, "0:2:team", "bob", 2));
    assert_string_equal(mixed_of(g, "bob", 0), "j2:alice: r2:bob@4 ");
    given_end(g);
}

static void chains_run_both_ways(void **state)
{
    struct given *g = given_store();

    (void)state;
    for (int i = 0; i < 5; i++) {
        append_ok(g, a_message("0:1:a:b", "a", "", "x"));
        append_ok(g, a_message("0:1:a:c", "c", "", "y"));
    }
    assert_string_equal(chain_of(g, "0:1:a:b", 2, 4, false),
                        "m2:a:x m3:a:x m4:a:x ");
    assert_string_equal(chain_of(g, "0:1:a:b", 2, 4, true),
                        "m4:a:x m3:a:x m2:a:x ");
    assert_string_equal(chain_of(g, "0:1:a:b", 0, UINT64_MAX, true),
                        "m5:a:x m4:a:x m3:a:x m2:a:x m1:a:x ");
    assert_string_equal(chain_of(g, "0:1:a:c", 4, UINT64_MAX, false),
                        "m4:c:y m5:c:y ");
    assert_string_equal(chain_of(g, "0:1:a:b", 6, 9, false), "");
    assert_string_equal(chain_of(g, "0:1:a:b", 4, 3, true), "");
    given_end(g);
}

struct taker {
    int left; /* how many to take */
    lsn taken[100];
    int count;
};

static bool take_some(const struct entry *entry, struct span bytes, void *arg)
{
    struct taker *taker = arg;

    (void)bytes;
    taker->taken[taker->count++] = entry->lsn;
    return --taker->left > 0;
}

static bool no_gap(const struct gap *gap, void *arg)
{
    (void)gap;
    (void)arg;
    fail_msg("no gap was expected");
    return false;
}

/* A reader that stops goes on from exactly where it stopped. */
static void reading_resumes_where_it_stopped(void **state)
{
    struct given *g = given_store();
    struct stint stints[2] = {{.conv = 1, .from_seq = 1, .join_seq = 1},
                              {.conv = 2, .from_seq = 1, .join_seq = 1}};
    struct taker taker = {0};
    struct reader *reader;
    lsn cursor = 0;
    bool more = true;

    (void)state;
    for (int i = 0; i < 10; i++) {
        append_ok(g, a_message("0:1:a:b", "a", "", "x"));
        append_ok(g, a_message("0:1:a:c", "c", "", "y"));
    }
    append_ok(g, a_message("0:1:d:e", "d", "", "not a's"));
    reader = given_reader(g);
    while (more) {
        taker.left = 3;
        assert_int_equal(mixed_read(reader, SPAN("a"), stints, 2, &cursor, 18,
                                    take_some, no_gap, &taker, &more),
                         ERR_NONE);
        if (more)
            assert_int_equal(cursor, taker.taken[taker.count - 1]);
    }
    assert_int_equal(taker.count, 18);
    for (int i = 0; i < 18; i++)
        assert_int_equal(taker.taken[i], i + 1);
    assert_int_equal(cursor, 18);
    taker.left = 100;
    assert_int_equal(mixed_read(reader, SPAN("a"), stints, 2, &cursor,
                                store_head(g->store), take_some, no_gap, &taker,
                                &more),
                     ERR_NONE);
    assert_int_equal(cursor, 21); /* beyond what it saw, to the head */
    assert_int_equal(taker.count, 20);
    assert_int_equal(mixed_read(reader, SPAN("a"), stints, 2, &cursor, 5,
                                take_some, no_gap, &taker, &more),
                     ERR_NONE);
    assert_int_equal(cursor, 21); /* never back */
    reader_done(reader);
    given_end(g);
}

/* A snapshot stays what it was until the reader begins again. */
static void a_snapshot_does_not_move(void **state)
{
    struct given *g = given_store();
    struct reader *reader;
    struct conversation conv;

    (void)state;
    append_ok(g, a_message("0:1:a:b", "a", "", "x"));
    reader = given_reader(g);
    append_ok(g, a_message("0:1:a:b", "a", "", "x"));
    assert_int_equal(
        reader_conversation(reader, SPAN(GIVEN_APP), SPAN("0:1:a:b"), &conv),
        ERR_NONE);
    assert_int_equal(conv.last_seq, 1);
    reader_end(reader);
    assert_int_equal(reader_begin(reader), ERR_NONE);
    assert_int_equal(
        reader_conversation(reader, SPAN(GIVEN_APP), SPAN("0:1:a:b"), &conv),
        ERR_NONE);
    assert_int_equal(conv.last_seq, 2);
    reader_done(reader);
    given_end(g);
}

/* Unread are messages by others; joins and one's own do not count. */
static void unread_counts_messages_by_others(void **state)
{
    struct given *g = given_a_team("");
    struct reader *reader = given_reader(g);
    uint64_t count;

    (void)state;
    assert_int_equal(reader_count_unread(reader, SPAN(GIVEN_APP), SPAN("bob"),
                                         1, 1, UINT64_MAX, &count),
                     ERR_NONE);
    assert_int_equal(count, 3);
    assert_int_equal(reader_count_unread(reader, SPAN(GIVEN_APP), SPAN("alice"),
                                         1, 1, 8, &count),
                     ERR_NONE);
    assert_int_equal(count, 1);
    assert_int_equal(reader_count_unread(reader, SPAN(GIVEN_APP), SPAN("bob"),
                                         1, 3, 5, &count),
                     ERR_NONE);
    assert_int_equal(count, 1);
    assert_int_equal(reader_count_unread(reader, SPAN(GIVEN_APP), SPAN("who"),
                                         1, 1, 8, &count),
                     ERR_NONE);
    assert_int_equal(count, 4);
    reader_done(reader);
    given_end(g);
}

/* Where a position lies in a chain, for every position. */
static void positions_are_found(void **state)
{
    struct given *g = given_store();
    struct reader *reader;

    (void)state;
    for (int i = 0; i < 100; i++)
        append_ok(g, a_message(i % 3 ? "0:1:a:b" : "0:1:a:c", "a", "", "x"));
    reader = given_reader(g);
    for (lsn pos = 0; pos <= 101; pos++) {
        uint64_t seq, expect = 0;
        lsn at;

        for (lsn l = 1; l <= pos && l <= 100; l++)
            expect += (l - 1) % 3 != 0;
        assert_int_equal(reader_seq_at(reader, 2, pos, &seq), ERR_NONE);
        assert_int_equal(seq, expect);
        if (seq > 0) {
            assert_int_equal(reader_lsn_of(reader, 2, seq, &at), ERR_NONE);
            assert_true(at <= pos);
        }
    }
    assert_int_equal(reader_lsn_of(reader, 2, 99, &(lsn){0}), ERR_NOT_FOUND);
    reader_done(reader);
    given_end(g);
}

static void marks_are_read_back(void **state)
{
    struct given *g = given_store();
    struct reader *reader;
    struct marks marks;

    (void)state;
    for (int i = 0; i < 5; i++)
        append_ok(g, a_message("0:1:a:b", "a", "", "x"));
    append_ok(g, a_mark(ENTRY_READ, "0:1:a:b", "b", 5));
    append_ok(g, a_mark(ENTRY_DELIVERED, "0:1:a:b", "b", 3));
    reader = given_reader(g);
    assert_int_equal(
        reader_marks(reader, SPAN(GIVEN_APP), SPAN("b"), 1, &marks), ERR_NONE);
    assert_int_equal(marks.read_seq, 5);
    assert_int_equal(marks.delivered_seq, 3);
    assert_int_equal(
        reader_marks(reader, SPAN(GIVEN_APP), SPAN("a"), 1, &marks), ERR_NONE);
    assert_int_equal(marks.read_seq, 0);
    assert_int_equal(
        reader_marks(reader, SPAN(GIVEN_APP), SPAN("z"), 1, &marks), ERR_NONE);
    assert_int_equal(marks.read_seq, 0);
    reader_done(reader);
    given_end(g);
}

/* A conversation tells its settings, ends and counts. */
static void a_conversation_describes_itself(void **state)
{
    struct given *g = given_a_team("hj");
    struct reader *reader;
    struct conversation c;

    (void)state;
    append_ok(g, a_mark(ENTRY_READ, "0:2:team", "bob", 8));
    reader = given_reader(g);
    assert_int_equal(
        reader_conversation(reader, SPAN(GIVEN_APP), SPAN("0:2:team"), &c),
        ERR_NONE);
    assert_int_equal(c.no, 1);
    assert_int_equal(c.type, CONV_GROUP);
    assert_true(span_is(c.creator, "alice"));
    assert_true(span_is(c.name, "0:2:team"));
    assert_true(span_is(c.body, "rung1 hj- 0 0\n{}"));
    assert_true(c.history_all && c.joinable && !c.open);
    assert_int_equal(c.last_seq, 8);
    assert_int_equal(c.last_lsn, 8);
    assert_int_equal(c.receipt_lsn, 9);
    assert_int_equal(c.member_count, 2);
    assert_int_equal(
        reader_conversation(reader, SPAN(GIVEN_APP), SPAN("0:2:no"), &c),
        ERR_NOT_FOUND);
    reader_done(reader);
    given_end(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stints_bound_what_is_seen),
        cmocka_unit_test(newcomers_read_history_where_allowed),
        cmocka_unit_test(old_receipts_stay_unseen),
        cmocka_unit_test(chains_run_both_ways),
        cmocka_unit_test(reading_resumes_where_it_stopped),
        cmocka_unit_test(a_snapshot_does_not_move),
        cmocka_unit_test(unread_counts_messages_by_others),
        cmocka_unit_test(positions_are_found),
        cmocka_unit_test(marks_are_read_back),
        cmocka_unit_test(a_conversation_describes_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
