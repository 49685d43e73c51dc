/* Names of conversations. */
#include "store/name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char *p2p(uint64_t inbox, const char *one, const char *other)
{
    static char text[CONVERSATION_MAX_BYTES];
    size_t size = name_p2p(text, inbox, span_of(one), span_of(other));

    assert_int_equal(size, strlen(text));
    return text;
}

/* Two numbers are ordered as numbers, anything else byte by byte. */
static void p2p_names_are_in_order(void **state)
{
    (void)state;
    assert_string_equal(p2p(0, "12345", "12333"), "0:1:12333:12345");
    assert_string_equal(p2p(0, "9", "10"), "0:1:9:10");
    assert_string_equal(p2p(0, "10", "9"), "0:1:9:10");
    assert_string_equal(p2p(7, "bob", "alice"), "7:1:alice:bob");
    assert_string_equal(p2p(0, "Bob", "alice"), "0:1:Bob:alice");
    assert_string_equal(p2p(0, "9a", "10"), "0:1:10:9a");
    assert_string_equal(p2p(0, "me", "me"), "0:1:me:me");
    assert_string_equal(p2p(0, "7", "007"), "0:1:007:7");
    assert_string_equal(p2p(0, "08", "7"), "0:1:7:08");
    assert_string_equal(p2p(0, "99999999999999999999999", "3"),
                        "0:1:3:99999999999999999999999");
}

static void every_pair_has_one_order(void **state)
{
    static const char *const names[] = {"7",  "007", "0",  "00", "10", "9",
                                        "9a", "a",   "ab", "A",  "1a", "-"};

    (void)state;
    for (size_t i = 0; i < 12; i++)
        for (size_t j = 0; j < 12; j++) {
            int there = name_compare(span_of(names[i]), span_of(names[j]));
            int back = name_compare(span_of(names[j]), span_of(names[i]));

            assert_int_equal(there == 0, i == j);
            assert_int_equal(there<0, back> 0);
        }
}

/* What is parsed is written again as it was. */
static void good_names_survive_the_round(void **state)
{
    static const char *const names[] = {
        "0:1:12333:12345",         "0:1:9:10",      "0:1:me:me",
        "9007199254740991:2:a",    "0:2:team-1",    "3:3:news",
        "0:1:a@b.example:c_d-e.f", "0:1:alice:bob",
    };
    char text[CONVERSATION_MAX_BYTES];
    struct conv_name name;

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(name_parse(&name, span_of(names[i])), ERR_NONE);
        name_write(text, &name);
        assert_string_equal(text, names[i]);
    }
    assert_int_equal(name_parse(&name, SPAN("5:1:alice:bob")), ERR_NONE);
    assert_int_equal(name.inbox, 5);
    assert_int_equal(name.type, CONV_P2P);
    assert_true(span_is(name.a, "alice"));
    assert_true(span_is(name.b, "bob"));
    assert_int_equal(name_parse(&name, SPAN("0:2:team")), ERR_NONE);
    assert_true(span_is(name.a, "team"));
    assert_int_equal(name.b.size, 0);
}

static void the_longest_name_fits(void **state)
{
    char text[CONVERSATION_MAX_BYTES], a[64], b[64];
    struct conv_name name = {.inbox = (UINT64_C(1) << 53) - 1,
                             .type = CONV_P2P,
                             .a = {a, 64},
                             .b = {b, 64}};
    size_t size;

    (void)state;
    memset(a, 'a', sizeof(a));
    memset(b, 'b', sizeof(b));
    size = name_write(text, &name);
    assert_true(size < CONVERSATION_MAX_BYTES);
    assert_int_equal(name_parse(&name, (struct span){text, size}), ERR_NONE);
}

static void other_texts_are_refused(void **state)
{
    static const char *const texts[] = {
        "",
        ":",
        "0",
        "0:1",
        "0:1:a",
        "0:1:a:",
        "0:1::b",
        "0:1:b:a",
        "0:1:10:9",
        "0:1:a:b:c",
        "00:1:a:b",
        "01:1:a:b",
        "-1:1:a:b",
        "x:1:a:b",
        "0:0:a",
        "0:4:a",
        "0:12:a",
        "0:2:",
        "0:2:a:b",
        "0:2:a b",
        "0:2:a/b",
        " 0:2:a",
        "0:2:a ",
        "9007199254740992:2:a",
        "99999999999999999:2:a",
        "0:3:\xc3\xa9",
        "0::a",
        "0:2:aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggggg",
    };
    struct conv_name name;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (name_parse(&name, span_of(texts[i])) != ERR_BAD_REQUEST)
            fail_msg("accepted: %s", texts[i]);
    assert_int_equal(name_parse(&name, (struct span){"0:2:a\0b", 7}),
                     ERR_BAD_REQUEST);
    assert_int_equal(name_parse(&name, (struct span){NULL, 0}),
                     ERR_BAD_REQUEST);
}

static void names_are_of_the_stated_alphabet(void **state)
{
    char name[66];

    (void)state;
    assert_true(name_ok(SPAN("aZ09_.@-")));
    assert_false(name_ok(SPAN("")));
    assert_false(name_ok(SPAN("a:b")));
    assert_false(name_ok(SPAN("a\0b")));
    memset(name, 'n', sizeof(name));
    assert_true(name_ok((struct span){name, 64}));
    assert_false(name_ok((struct span){name, 65}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p2p_names_are_in_order),
        cmocka_unit_test(every_pair_has_one_order),
        cmocka_unit_test(good_names_survive_the_round),
        cmocka_unit_test(the_longest_name_fits),
        cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test(names_are_of_the_stated_alphabet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
