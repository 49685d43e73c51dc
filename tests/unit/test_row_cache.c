/* The row cache: what it gives back is what was put last, or nothing. */
#include "store/row_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct row_cache *given_cache(void)
{
    struct row_cache *cache = row_cache_create();

    assert_non_null(cache);
    row_cache_begin(cache);
    return cache;
}

static void put(struct row_cache *cache, uint64_t no, const char *value)
{
    struct key key;

    key_number(&key, no);
    row_cache_put(cache, TABLE_CONVERSATIONS, &key, span_of(value));
}

/* Its value; NULL: not there. */
static const char *got_from(struct row_cache *cache, enum table table,
                            uint64_t no)
{
    static char text[256];
    struct span value;
    struct key key;

    key_number(&key, no);
    if (!row_cache_get(cache, table, &key, &value))
        return NULL;
    snprintf(text, sizeof(text), "%.*s", (int)value.size, value.data);
    return text;
}

static const char *got(struct row_cache *cache, uint64_t no)
{
    return got_from(cache, TABLE_CONVERSATIONS, no);
}

static void a_row_is_what_was_put_last(void **state)
{
    struct row_cache *cache = given_cache();
    struct key key;

    (void)state;
    assert_null(got(cache, 1));
    put(cache, 1, "one");
    assert_string_equal(got(cache, 1), "one");
    put(cache, 1, "longer than one");
    assert_string_equal(got(cache, 1), "longer than one");
    assert_null(got_from(cache, TABLE_USERS, 1));
    key_number(&key, 1);
    row_cache_forget(cache, TABLE_USERS, &key);
    assert_non_null(got(cache, 1));
    row_cache_forget(cache, TABLE_CONVERSATIONS, &key);
    assert_null(got(cache, 1));
    row_cache_destroy(cache);
}

static void a_row_too_large_leaves_no_older_one(void **state)
{
    struct row_cache *cache = given_cache();
    char large[300];

    (void)state;
    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    put(cache, 1, "small");
    put(cache, 1, large);
    assert_null(got(cache, 1));
    row_cache_destroy(cache);
}

static void only_some_tables_are_kept(void **state)
{
    struct row_cache *cache = given_cache();
    struct key key;

    (void)state;
    key_number(&key, 1);
    row_cache_put(cache, TABLE_LOG, &key, SPAN("entry"));
    row_cache_put(cache, TABLE_DEDUP, &key, SPAN("dedup"));
    row_cache_put(cache, TABLE_USERS, &key, SPAN("user"));
    assert_null(got_from(cache, TABLE_LOG, 1));
    assert_null(got_from(cache, TABLE_DEDUP, 1));
    assert_string_equal(got_from(cache, TABLE_USERS, 1), "user");
    row_cache_destroy(cache);
}

/* Many more than it has room for. */
static void what_is_found_is_right(void **state)
{
    enum { MANY = 50000 };
    struct row_cache *cache = given_cache();
    struct chain_end end;
    unsigned found = 0, ends = 0;
    char text[32];

    (void)state;
    for (uint64_t i = 1; i <= MANY; i++) {
        snprintf(text, sizeof(text), "row %llu", (unsigned long long)i);
        put(cache, i, text);
        assert_string_equal(got(cache, i), text);
        row_cache_end_put(cache, &(struct chain_end){i, i * 2, i * 3});
    }
    for (uint64_t i = 1; i <= MANY; i++) {
        const char *row = got(cache, i);

        snprintf(text, sizeof(text), "row %llu", (unsigned long long)i);
        if (row)
            assert_string_equal(row, text);
        found += row != NULL;
        if (!row_cache_end_get(cache, i, &end))
            continue;
        assert_true(end.conv == i && end.seq == i * 2 && end.lsn == i * 3);
        ends++;
    }
    assert_in_range(found, 1000, 8192);
    assert_in_range(ends, 1000, 8192);
    row_cache_destroy(cache);
}

static void what_did_not_commit_is_forgotten(void **state)
{
    struct row_cache *cache = given_cache();
    struct chain_end end = {.conv = 7, .seq = 8, .lsn = 9};

    (void)state;
    put(cache, 1, "one");
    row_cache_end_put(cache, &end);
    row_cache_commit(cache);
    row_cache_begin(cache);
    assert_string_equal(got(cache, 1), "one");
    assert_true(row_cache_end_get(cache, 7, &end));
    put(cache, 2, "two");
    row_cache_begin(cache); /* the one before was aborted */
    assert_null(got(cache, 1));
    assert_null(got(cache, 2));
    assert_false(row_cache_end_get(cache, 7, &end));
    row_cache_destroy(cache);
}

static void a_chain_end_is_forgotten_by_itself(void **state)
{
    struct row_cache *cache = given_cache();
    struct chain_end end;

    (void)state;
    assert_false(row_cache_end_get(cache, 0, &end));
    row_cache_end_put(cache, &(struct chain_end){1, 10, 100});
    row_cache_end_put(cache, &(struct chain_end){2, 20, 200});
    row_cache_end_forget(cache, 1);
    assert_false(row_cache_end_get(cache, 1, &end));
    assert_true(row_cache_end_get(cache, 2, &end));
    assert_int_equal(end.seq, 20);
    row_cache_destroy(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_what_was_put_last),
        cmocka_unit_test(a_row_too_large_leaves_no_older_one),
        cmocka_unit_test(only_some_tables_are_kept),
        cmocka_unit_test(what_is_found_is_right),
        cmocka_unit_test(what_did_not_commit_is_forgotten),
        cmocka_unit_test(a_chain_end_is_forgotten_by_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
