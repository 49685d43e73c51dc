/* Verify finds each kind of planted damage, and rebuild mends what is derived.
 */
#include "store/inside.h"
#include "store/key.h"
#include "tests/lib/given_store.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct given *given_some_of_all(void)
{
    struct given *g = given_store();
    struct entry numbered = a_message("0:1:alice:bob", "bob", "id2", "hi");

    append_ok(g, a_create("0:2:team", "alice", "j", "bob"));    /* 1 */
    append_ok(g, a_message("0:2:team", "alice", "id1", "one")); /* 2 */
    append_ok(g, a_message("0:2:team", "bob", "", "two"));      /* 3 */
    numbered.mark = 5;
    append_ok(g, numbered);                                        /* 4 */
    append_ok(g, a_join("0:2:team", "carol", "carol"));            /* 5 */
    append_ok(g, a_mark(ENTRY_READ, "0:2:team", "bob", 3));        /* 6 */
    append_ok(g, a_mark(ENTRY_DELIVERED, "0:2:team", "carol", 4)); /* 7 */
    append_ok(g, a_leave("0:2:team", "bob"));                      /* 8 */
    append_ok(g, a_message("0:2:team", "alice", "", "last"));      /* 9 */
    append_ok(g, a_mark(ENTRY_TRIM, "0:2:team", "", 3));           /* 10 */
    return g;
}

static uint64_t quietly(struct store *store)
{
    struct failure why;
    uint64_t found;

    assert_int_equal(store_verify(store, NULL, &found, &why), ERR_NONE);
    return found;
}

static struct tx begin(struct given *g)
{
    struct tx tx;

    assert_int_equal(tx_begin(&tx, &g->store->env, true), ERR_NONE);
    return tx;
}

static void mend(struct given *g)
{
    struct failure why;

    assert_int_equal(store_rebuild(g->store, NULL, &why), ERR_NONE);
    assert_int_equal(problems_of(g->store), 0);
}

/* A row of a derived table taken away: found, and rebuilt. */
static void a_missing_row_is_found(void **state)
{
    (void)state;
    for (int t = 0; t < TABLE_COUNT; t++) {
        struct given *g;
        struct scan scan;
        struct tx tx;

        if (!table_is_derived((enum table)t))
            continue;
        g = given_some_of_all();
        tx = begin(g);
        assert_int_equal(scan_open(&scan, &tx, (enum table)t), ERR_NONE);
        assert_int_equal(scan_first(&scan), ERR_NONE);
        assert_int_equal(scan_del(&scan), ERR_NONE);
        scan_close(&scan);
        assert_int_equal(tx_commit(&tx), ERR_NONE);
        assert_true(quietly(g->store) > 0);
        mend(g);
        given_end(g);
    }
}

/* A row that the log does not account for. */
static void an_extra_row_is_found(void **state)
{
    (void)state;
    for (int t = 0; t < TABLE_COUNT; t++) {
        struct given *g;
        struct scan scan;
        struct span value;
        struct key key;
        struct tx tx;
        char copy[400];

        if (!table_is_derived((enum table)t))
            continue;
        g = given_some_of_all();
        tx = begin(g);
        assert_int_equal(scan_open(&scan, &tx, (enum table)t), ERR_NONE);
        assert_int_equal(scan_last(&scan), ERR_NONE);
        key.size = scan.key.size;
        memcpy(key.bytes, scan.key.data, key.size);
        key.bytes[key.size - 1] ^= 0x40;
        value = (struct span){copy, scan.value.size};
        memcpy(copy, scan.value.data, scan.value.size);
        scan_close(&scan);
        assert_int_equal(tx_put(&tx, (enum table)t, &key, value), ERR_NONE);
        assert_int_equal(tx_commit(&tx), ERR_NONE);
        assert_true(quietly(g->store) > 0);
        mend(g);
        given_end(g);
    }
}

/* A row with other contents, whichever byte it is. */
static void a_changed_row_is_found(void **state)
{
    (void)state;
    for (int t = 0; t < TABLE_COUNT; t++) {
        struct given *g;
        struct scan scan;
        struct key key;
        struct tx tx;
        char copy[400];

        if (!table_is_derived((enum table)t))
            continue;
        g = given_some_of_all();
        tx = begin(g);
        assert_int_equal(scan_open(&scan, &tx, (enum table)t), ERR_NONE);
        assert_int_equal(scan_last(&scan), ERR_NONE);
        key.size = scan.key.size;
        memcpy(key.bytes, scan.key.data, key.size);
        memcpy(copy, scan.value.data, scan.value.size);
        copy[scan.value.size / 2] ^= 1;
        assert_int_equal(tx_put(&tx, (enum table)t, &key,
                                (struct span){copy, scan.value.size}),
                         ERR_NONE);
        scan_close(&scan);
        assert_int_equal(tx_commit(&tx), ERR_NONE);
        assert_true(quietly(g->store) > 0);
        mend(g);
        given_end(g);
    }
}

/* The log itself cannot be mended: found, and rebuild leaves all as it was. */
static void a_damaged_entry_is_found_and_not_built_upon(void **state)
{
    struct given *g = given_some_of_all();
    struct failure why;
    struct span value;
    struct key key;
    struct tx tx = begin(g);
    char copy[400];

    (void)state;
    key_log(&key, 9);
    assert_int_equal(tx_get(&tx, TABLE_LOG, &key, &value), ERR_NONE);
    memcpy(copy, value.data, value.size);
    copy[value.size - 6] ^= 1; /* in the body */
    assert_int_equal(
        tx_put(&tx, TABLE_LOG, &key, (struct span){copy, value.size}),
        ERR_NONE);
    assert_int_equal(tx_commit(&tx), ERR_NONE);
    assert_int_equal(quietly(g->store), 1);
    assert_int_equal(store_rebuild(g->store, NULL, &why), ERR_DAMAGED);
    assert_int_equal(quietly(g->store), 1);
    given_end(g);
}

static void a_lost_entry_is_found(void **state)
{
    (void)state;
    for (lsn at = 1; at <= 9; at++) {
        struct given *g = given_some_of_all();
        struct tx tx = begin(g);
        struct key key;
        enum err err;

        key_log(&key, at);
        err = tx_del(&tx, TABLE_LOG, &key);
        assert_int_equal(err, at == 3 ? ERR_NOT_FOUND : ERR_NONE);
        assert_int_equal(tx_commit(&tx), ERR_NONE);
        if (at == 3) /* the trim took it */
            assert_int_equal(quietly(g->store), 0);
        else
            assert_true(quietly(g->store) > 0);
        given_end(g);
    }
}

/* Put an entry at the log's end that the rules would have refused. */
static uint64_t problems_with(struct entry entry, uint64_t seq, conv_no conv)
{
    struct given *g = given_some_of_all();
    struct tx tx = begin(g);
    struct buf bytes;
    struct key key;
    uint64_t found;
    enum err rebuilt;

    entry.lsn = 11;
    entry.seq = seq;
    entry.conv = conv ? conv : 11;
    buf_init(&bytes, 10000);
    entry_encode(&bytes, &entry);
    key_log(&key, 11);
    assert_int_equal(
        tx_append(&tx, TABLE_LOG, &key, (struct span){bytes.data, bytes.size}),
        ERR_NONE);
    assert_int_equal(tx_commit(&tx), ERR_NONE);
    /* so that the tables agree with it, where that can be */
    rebuilt = store_rebuild(g->store, NULL, NULL);
    found = quietly(g->store);
    assert_true(rebuilt == ERR_NONE || found > 0);
    buf_fini(&bytes);
    given_end(g);
    return found;
}

static void entries_that_break_the_rules_are_found(void **state)
{
    struct entry e;

    (void)state;
    e = a_message("0:2:team", "alice", "", "x"); /* team is at seq 6 */
    assert_int_equal(problems_with(e, 7, 1), 0);
    assert_true(problems_with(e, 8, 1) > 0); /* a seq is missing */
    assert_true(problems_with(e, 6, 1) > 0); /* a seq twice */
    assert_true(problems_with(e, 2, 1) > 0); /* a trimmed one again */
    assert_true(problems_with(e, 7, 4) > 0); /* another conversation's number */
    assert_true(problems_with(e, 1, 7) > 0); /* nobody's */
    e.flags = ENTRY_TRIMMED;
    e.type = (struct span){0};
    e.body = SPAN("0123456789abcdef");
    assert_true(problems_with(e, 7, 1) > 0); /* a stub that nothing trimmed */
    e = a_message("0:2:team", "bob", "", "x");
    assert_true(problems_with(e, 7, 1) > 0); /* not a member any more */
    e = a_message("0:1:alice:bob", "eve", "", "x");
    assert_true(problems_with(e, 2, 4) > 0); /* neither of the two */
    e = a_message("0:2:team", "alice", "id1", "x");
    assert_true(problems_with(e, 7, 1) > 0); /* an id twice */
    e = a_message("0:1:alice:bob", "bob", "", "x");
    e.mark = 6;
    assert_int_equal(problems_with(e, 2, 4), 0);
    e.mark = 5;
    assert_true(problems_with(e, 2, 4) > 0); /* a client_seq twice */
    e = a_join("0:2:team", "alice", "carol");
    assert_true(problems_with(e, 7, 1) > 0); /* in already */
    e = a_leave("0:2:team", "bob");
    assert_true(problems_with(e, 7, 1) > 0); /* out already */
    e = a_mark(ENTRY_READ, "0:2:team", "carol", 1);
    assert_int_equal(problems_with(e, 0, 1), 0);
    assert_true(problems_with(e, 7, 1) > 0); /* takes no seq */
    e = a_mark(ENTRY_DELIVERED, "0:2:team", "carol", 4);
    assert_true(problems_with(e, 0, 1) > 0); /* not beyond the last */
    e = a_mark(ENTRY_TRIM, "0:2:team", "", 2);
    assert_true(problems_with(e, 0, 1) > 0); /* likewise */
    e = a_create("0:2:other", "alice", "", "alice");
    assert_int_equal(problems_with(e, 1, 0), 0);
    assert_true(problems_with(e, 1, 4) > 0);
}

struct told {
    uint64_t done, total, calls;
};

static void on_progress(uint64_t done, uint64_t total, void *arg)
{
    struct told *told = arg;

    assert_true(done > told->done);
    assert_true(done <= total);
    told->done = done;
    told->total = total;
    told->calls++;
}

/* The bar only grows, and ends at its end. */
static void progress_ends_at_the_total(void **state)
{
    struct given *g = given_some_of_all();
    struct told told = {0};
    struct store_check check = {.progress = on_progress, .arg = &told};
    uint64_t found, entries, conversations;
    struct failure why;

    (void)state;
    assert_int_equal(store_verify(g->store, &check, &found, &why), ERR_NONE);
    assert_int_equal(found, 0);
    assert_int_equal(told.done, told.total);
    told = (struct told){0};
    assert_int_equal(store_rebuild(g->store, &check, &why), ERR_NONE);
    assert_int_equal(told.done, told.total);
    assert_int_equal(store_count(g->store, &entries, &conversations), ERR_NONE);
    assert_int_equal(entries, 9);
    assert_int_equal(conversations, 2);
    given_end(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_row_is_found),
        cmocka_unit_test(an_extra_row_is_found),
        cmocka_unit_test(a_changed_row_is_found),
        cmocka_unit_test(a_damaged_entry_is_found_and_not_built_upon),
        cmocka_unit_test(a_lost_entry_is_found),
        cmocka_unit_test(entries_that_break_the_rules_are_found),
        cmocka_unit_test(progress_ends_at_the_total),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
