/* Query strings and the UTF-8 that they must be. */
#include "server/query.h"
#include "server/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char room[256];
static struct failure why;

static enum err parse(struct query *query, const char *text)
{
    size_t size = strlen(text);

    memset(room, '!', sizeof(room)); /* the byte behind may be overwritten */
    for (size_t i = 0; i < size; i++)
        room[i] = text[i];
    return query_parse(query, room, size, &why);
}

static void assert_value(const struct query *query, const char *name,
                         const char *value)
{
    struct span found = query_get(query, name);

    assert_non_null(found.data);
    assert_true(span_is(found, value));
    assert_int_equal(found.data[found.size], '\0');
}

static void values_are_found_by_name(void **state)
{
    struct query query;

    (void)state;
    assert_int_equal(parse(&query, "cursor=5f-1&wait=2&empty=&=x&flag&b=="),
                     ERR_NONE);
    assert_value(&query, "cursor", "5f-1");
    assert_value(&query, "wait", "2");
    assert_value(&query, "empty", "");
    assert_value(&query, "", "x");
    assert_value(&query, "b", "=");
    assert_null(query_get(&query, "flag").data);
    assert_null(query_get(&query, "wai").data);
}

static void escapes_are_decoded(void **state)
{
    struct query query;

    (void)state;
    assert_int_equal(parse(&query, "a=%e4%BD%a0+%26%3d&%62=c"), ERR_NONE);
    assert_value(&query, "a", "\xe4\xbd\xa0 &=");
    assert_value(&query, "b", "c");
}

static void the_first_of_a_name_counts(void **state)
{
    struct query query;

    (void)state;
    assert_int_equal(parse(&query, "&&a=1&a=2"), ERR_NONE);
    assert_value(&query, "a", "1");
}

static void nothing_is_in_an_empty_query(void **state)
{
    struct query query;

    (void)state;
    assert_int_equal(parse(&query, ""), ERR_NONE);
    assert_null(query_get(&query, "a").data);
}

static void bad_escapes_are_refused(void **state)
{
    static const char *const bad[] = {"a=%",   "a=%4",       "a=%4g", "a=%zz",
                                      "a=%00", "%00=a",      "a=%ff", "%c3=%28",
                                      "a=%c3", "a=%ed%a0%80"};
    struct query query;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_int_equal(parse(&query, bad[i]), ERR_BAD_REQUEST);
        assert_int_equal(why.err, ERR_BAD_REQUEST);
    }
}

/* Wherever it stands among letters, which are looked at by eights. */
static void utf8_in_ascii(const char *piece, bool valid)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    char text[64];

    for (int before = 0; before < 20; before++)
        for (int behind = 0; behind < 10; behind++) {
            int size = snprintf(text, sizeof(text), "%.*s%s%.*s", before,
                                letters, piece, behind, letters);

            assert_int_equal(utf8_valid(text, (size_t)size), valid);
        }
}

static void utf8_is_what_rfc_3629_says(void **state)
{
    static const char *const good[] = {"",
                                       "a",
                                       "\xc2\x80",
                                       "\xe4\xbd\xa0",
                                       "\xf0\x9f\x98\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc3",
                                      "\xc3(",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xe4\xbd",
                                      "\xf0\x8f\x80\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "\xf0\x9f\x98"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        utf8_in_ascii(good[i], true);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        utf8_in_ascii(bad[i], false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_found_by_name),
        cmocka_unit_test(escapes_are_decoded),
        cmocka_unit_test(the_first_of_a_name_counts),
        cmocka_unit_test(nothing_is_in_an_empty_query),
        cmocka_unit_test(bad_escapes_are_refused),
        cmocka_unit_test(utf8_is_what_rfc_3629_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
