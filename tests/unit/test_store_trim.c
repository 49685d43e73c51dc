/* Retention: what a TRIM takes, what stays, and what readers are told. */
#include "store/decide.h"
#include "store/inside.h"
#include "tests/lib/given_store.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct entry a_trim(const char *conversation, uint64_t mark)
{
    struct entry entry = a_mark(ENTRY_TRIM, conversation, "", mark);

    entry.device = (struct span){0};
    return entry;
}

/* Who fell behind a trim is told so, once, and reads on behind it. */
static void a_trim_leaves_an_honest_gap(void **state)
{
    static const char *const ids[] = {"id0", "", "id2", "", "id4", ""};
    struct given *g = given_store();
    struct reader *reader;
    struct conversation c;

    (void)state;
    for (int i = 0; i < 6; i++)
        append_ok(g, a_message("0:1:a:b", "a", ids[i], "x"));
    append_ok(g, a_message("0:1:a:c", "c", "", "y"));
    append_ok(g, a_trim("0:1:a:b", 4));
    assert_string_equal(mixed_of(g, "a", 0), "gap1-4 m5:a:x m6:a:x m1:c:y ");
    assert_string_equal(mixed_of(g, "a", 3), "gap1-4 m5:a:x m6:a:x m1:c:y ");
    assert_string_equal(mixed_of(g, "a", 4), "m5:a:x m6:a:x m1:c:y ");
    assert_string_equal(chain_of(g, "0:1:a:b", 1, 9, false), "m5:a:x m6:a:x ");
    reader = given_reader(g);
    assert_int_equal(
        reader_conversation(reader, SPAN(GIVEN_APP), SPAN("0:1:a:b"), &c),
        ERR_NONE);
    assert_int_equal(c.trimmed_seq, 4);
    assert_int_equal(c.trimmed_lsn, 4);
    assert_int_equal(c.last_seq, 6);
    assert_int_equal(reader_lsn_of(reader, 1, 4, &(lsn){0}), ERR_NOT_FOUND);
    reader_done(reader);
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

/* The last entry always stays, and a mark that is old news writes nothing. */
static void the_last_entry_stays(void **state)
{
    struct given *g = given_store();

    (void)state;
    append_refused(g, a_trim("0:1:a:b", 4), ERR_NOT_FOUND);
    append_ok(g, a_message("0:1:a:b", "a", "", "x"));
    assert_int_equal(append_one(g, a_trim("0:1:a:b", 9)).lsn, 0);
    append_ok(g, a_message("0:1:a:b", "a", "", "y"));
    append_ok(g, a_trim("0:1:a:b", 9));
    assert_int_equal(append_one(g, a_trim("0:1:a:b", 9)).lsn, 0);
    assert_string_equal(mixed_of(g, "a", 0), "gap1-1 m2:a:y ");
    assert_int_equal(append_ok(g, a_message("0:1:a:b", "a", "", "z")).seq, 3);
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

/* A retry is known for the life of the log, also after its message is gone. */
static void a_retry_is_known_after_the_trim(void **state)
{
    struct given *g = given_store();
    struct applied a;
    struct failure why;

    (void)state;
    append_ok(g, a_message("0:1:a:b", "a", "id1", "x"));
    append_ok(g, a_message("0:1:a:b", "a", "id2", "y"));
    append_ok(g, a_message("0:1:a:b", "a", "", "z"));
    append_ok(g, a_trim("0:1:a:b", 2));
    for (int i = 0; i < 2; i++) {
        a = append_one(g, a_message("0:1:a:b", "a", "id2", "y"));
        assert_true(a.duplicate);
        assert_int_equal(a.seq, 2);
        assert_int_equal(a.ts, 1001);
        append_refused(g, a_message("0:1:a:b", "a", "id2", "other"),
                       ERR_CONFLICT);
        assert_int_equal(store_rebuild(g->store, NULL, &why), ERR_NONE);
    }
    given_end(g);
}

/* Who joined and left in what was trimmed is still known. */
static void membership_survives_the_trim(void **state)
{
    struct given *g = given_store();
    struct failure why;

    (void)state;
    append_ok(g, a_create("0:2:t", "a", "", "b"));     /* 1 */
    append_ok(g, a_message("0:2:t", "b", "", "x"));    /* 2 */
    append_ok(g, a_leave("0:2:t", "b"));               /* 3 */
    append_ok(g, a_message("0:2:t", "a", "", "y"));    /* 4 */
    append_ok(g, a_join("0:2:t", "a", "c"));           /* 5 */
    append_ok(g, a_message("0:2:t", "c", "", "z"));    /* 6 */
    append_ok(g, a_message("0:2:t", "c", "", "last")); /* 7 */
    append_ok(g, a_trim("0:2:t", 6));
    for (int i = 0; i < 2; i++) {
        assert_string_equal(mixed_of(g, "a", 0), "gap1-6 m7:c:last ");
        assert_string_equal(mixed_of(g, "b", 0), "gap1-3 ");
        /* b saw all of it: the trim took nothing that b still misses */
        assert_string_equal(mixed_of(g, "b", 3), "");
        assert_string_equal(mixed_of(g, "c", 0), "gap5-6 m7:c:last ");
        append_refused(g, a_message("0:2:t", "b", "", "x"), ERR_NOT_MEMBER);
        assert_int_equal(problems_of(g->store), 0);
        assert_int_equal(store_rebuild(g->store, NULL, &why), ERR_NONE);
    }
    given_end(g);
}

/* Users keep their numbers when the message that introduced them is trimmed. */
static void numbers_survive_the_trim(void **state)
{
    struct given *g = given_store();
    struct buf before, after;
    struct failure why;

    (void)state;
    buf_init(&before, 1 << 20);
    buf_init(&after, 1 << 20);
    append_ok(g, a_create("0:3:forum", "a", "o", ""));
    append_ok(g, a_message("0:3:forum", "late", "", "x"));
    append_ok(g, a_message("0:3:forum", "late", "", "y"));
    append_ok(g, a_message("0:3:forum", "later", "", "x"));
    append_ok(g, a_message("0:1:p:q", "q", "", "x"));
    append_ok(g, a_message("0:1:p:q", "q", "", "x"));
    append_ok(g, a_trim("0:3:forum", 3));
    append_ok(g, a_trim("0:1:p:q", 1));
    dump_tables(g->store, true, &before);
    assert_int_equal(store_rebuild(g->store, NULL, &why), ERR_NONE);
    dump_tables(g->store, true, &after);
    assert_int_equal(before.size, after.size);
    assert_memory_equal(before.data, after.data, before.size);
    assert_int_equal(problems_of(g->store), 0);
    buf_fini(&before);
    buf_fini(&after);
    given_end(g);
}

static uint64_t rows_of(struct given *g, enum table table)
{
    uint64_t rows = 0;
    struct tx tx;

    assert_int_equal(tx_begin(&tx, &g->store->env, false), ERR_NONE);
    assert_int_equal(tx_count(&tx, table, &rows), ERR_NONE);
    tx_abort(&tx);
    return rows;
}

/* A device is forgotten with its last numbered message, and may begin anew. */
static void numbers_go_with_their_messages(void **state)
{
    struct given *g = given_store();
    struct failure why;

    (void)state;
    append_ok(g, a_numbered("0:1:a:b", "a", "tv", 1));
    append_ok(g, a_numbered("0:1:a:b", "a", "phone", 1));
    append_ok(g, a_numbered("0:1:a:b", "b", "phone", 1));
    append_ok(g, a_numbered("0:1:a:b", "a", "phone", 2));
    append_ok(g, a_numbered("0:1:a:c", "a", "tv", 1));
    assert_int_equal(rows_of(g, TABLE_CLIENT_SEQS), 4);
    append_ok(g, a_trim("0:1:a:b", 3));
    assert_int_equal(rows_of(g, TABLE_CLIENT_SEQS), 2);
    for (int i = 0; i < 2; i++) {
        append_refused(g, a_numbered("0:1:a:b", "a", "phone", 9), ERR_CONFLICT);
        append_refused(g, a_numbered("0:1:a:c", "a", "tv", 9), ERR_CONFLICT);
        assert_int_equal(problems_of(g->store), 0);
        assert_int_equal(store_rebuild(g->store, NULL, &why), ERR_NONE);
    }
    append_ok(g, a_numbered("0:1:a:b", "a", "tv", 0));
    append_ok(g, a_numbered("0:1:a:b", "b", "phone", 9));
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

/* One TRIM takes a bounded number; the next goes on. */
static void one_trim_is_bounded(void **state)
{
    struct given *g = given_store();
    struct append *append;

    (void)state;
    assert_int_equal(append_begin(&append, g->store), ERR_NONE);
    for (int i = 0; i < TRIM_MAX + 10; i++) {
        struct entry e = a_message("0:1:a:b", "a", "", "x");
        struct applied applied;

        assert_int_equal(append_entry(append, &e, &applied, NULL), ERR_NONE);
    }
    assert_int_equal(append_commit(append), ERR_NONE);
    append_ok(g, a_trim("0:1:a:b", UINT64_MAX));
    assert_string_equal(chain_of(g, "0:1:a:b", 1, TRIM_MAX + 1, false),
                        "m10001:a:x ");
    append_ok(g, a_trim("0:1:a:b", UINT64_MAX));
    assert_string_equal(mixed_of(g, "a", 0), "gap1-10009 m10010:a:x ");
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

struct found {
    char text[300];
    size_t size;
    int left;
};

static bool take_trim(struct span app, struct span conversation, uint64_t mark,
                      void *arg)
{
    struct found *found = arg;

    (void)app;
    found->size += (size_t)snprintf(
        found->text + found->size, sizeof(found->text) - found->size,
        "%.*s:%llu ", (int)conversation.size, conversation.data,
        (unsigned long long)mark);
    return --found->left != 0;
}

static const char *find(struct given *g, uint64_t now, uint64_t age,
                        uint64_t count, conv_no *start, size_t limit)
{
    static struct found found;
    struct reader *reader = given_reader(g);

    found = (struct found){.left = -1};
    assert_int_equal(retention_find(reader, now, age, count, start, limit,
                                    take_trim, &found),
                     ERR_NONE);
    reader_done(reader);
    return found.text;
}

/* Too old or too many, by the conversation's own limits or the defaults. */
static void retention_finds_what_is_over(void **state)
{
    struct given *g = given_store();
    struct entry own = a_create("0:2:own", "a", "", "");
    conv_no start = 0;

    (void)state;
    for (int i = 0; i < 10; i++) /* ts 1000..1009 */
        append_ok(g, a_message("0:1:a:b", "a", "", "x"));
    own.body = SPAN("rung1 --- 0 2\n");
    append_ok(g, own);
    for (int i = 0; i < 4; i++)
        append_ok(g, a_message("0:2:own", "a", "", "x"));

    assert_string_equal(find(g, 2000, 0, 0, &start, 100), "0:2:own:3 ");
    assert_int_equal(start, 0);
    assert_string_equal(find(g, 2000, 0, 7, &start, 100),
                        "0:1:a:b:3 0:2:own:3 ");
    assert_string_equal(find(g, 2000, 995, 0, &start, 100),
                        "0:1:a:b:5 0:2:own:3 ");
    assert_string_equal(find(g, 2000, 1, 0, &start, 100),
                        "0:1:a:b:9 0:2:own:4 ");
    assert_string_equal(find(g, 2000, 0, 1, &start, 100),
                        "0:1:a:b:9 0:2:own:3 ");
    assert_string_equal(find(g, 500, 1000, 0, &start, 100), "0:2:own:3 ");
    assert_string_equal(find(g, 2000, 0, 7, &start, 1), "0:1:a:b:3 ");
    assert_int_equal(start, 11);
    assert_string_equal(find(g, 2000, 0, 7, &start, 1), "0:2:own:3 ");
    assert_int_equal(start, 0);
    append_ok(g, a_trim("0:1:a:b", 3));
    append_ok(g, a_trim("0:2:own", 3));
    assert_string_equal(find(g, 2000, 0, 7, &start, 100), "");
    given_end(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trim_leaves_an_honest_gap),
        cmocka_unit_test(the_last_entry_stays),
        cmocka_unit_test(a_retry_is_known_after_the_trim),
        cmocka_unit_test(membership_survives_the_trim),
        cmocka_unit_test(numbers_survive_the_trim),
        cmocka_unit_test(numbers_go_with_their_messages),
        cmocka_unit_test(one_trim_is_bounded),
        cmocka_unit_test(retention_finds_what_is_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
