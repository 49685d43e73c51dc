/* JSON as text: what is a value and what is none, and what a value says. That
 * jansson agrees is for tests/fuzz/fuzz_params.c. */
#include "server/base/mem.h"
#include "server/jtext.h"
#include "server/methods/body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static struct jtext value_of(const char *text)
{
    struct span whole = span_of(text);
    struct jtext value = {0};

    if (jtext_read(whole, &value))
        print_error("refused: %.*s\n", (int)whole.size, whole.data);
    assert_int_equal(jtext_read(whole, &value), ERR_NONE);
    return value;
}

static void refused(struct span text)
{
    struct jtext value;
    enum err err = jtext_read(text, &value);

    if (err != ERR_BAD_REQUEST)
        print_error("accepted: %.*s\n", (int)text.size, text.data);
    assert_int_equal(err, ERR_BAD_REQUEST);
}

/* An object, and one member of it. */
static struct jtext member_of(const char *text, const char *name)
{
    struct jtext_object object;
    struct jtext value = {0};

    assert_int_equal(jtext_read_object(span_of(text), &object, NULL, NULL), 0);
    assert_true(jtext_get(&object, name, &value));
    return value;
}

/* --- what is a value ------------------------------------------------------ */

static void each_kind_is_known(void **state)
{
    static const struct {
        const char *text;
        enum jtext_kind kind;
    } values[] = {
        {"null", JTEXT_NULL},       {"false", JTEXT_FALSE},
        {"true", JTEXT_TRUE},       {"0", JTEXT_INTEGER},
        {"-0", JTEXT_INTEGER},      {"12", JTEXT_INTEGER},
        {"0.5", JTEXT_REAL},        {"-1e3", JTEXT_REAL},
        {"1E-999", JTEXT_REAL},     {"0e99999999999999999999", JTEXT_REAL},
        {"1.7e308", JTEXT_REAL},    {"0.00001e312", JTEXT_REAL},
        {"\"\"", JTEXT_STRING},     {"\"\\ud83d\\ude00\"", JTEXT_STRING},
        {"\"\x7f\"", JTEXT_STRING}, {"\"\xf4\x8f\xbf\xbf\"", JTEXT_STRING},
        {"[]", JTEXT_ARRAY},        {"[1,[2],{}]", JTEXT_ARRAY},
        {"{}", JTEXT_OBJECT},       {" {\t\"a\" : 1\r\n} ", JTEXT_OBJECT},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(values); i++)
        assert_int_equal(value_of(values[i].text).kind, values[i].kind);
}

static void what_is_no_value_is_refused(void **state)
{
    static const char *const texts[] = {
        "",        " ",          "\xef\xbb\xbf{}",
        "nul",     "nullx",      "True",
        "{} {}",   "1 2",        "[1,]",
        "[,1]",    "[1 2]",      "[1",
        "]",       "{\"a\":1,}", "{,}",
        "{\"a\"}", "{\"a\":}",   "{a:1}",
        "{1:1}",   "{\"a\":1",   "{'a':1}",
        "[1]]",    "/**/1",      "\v1",
        "NaN",     "Infinity",   "[\"a\",\"b]",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++)
        refused(span_of(texts[i]));
    refused(SPAN("1\0"));
    refused(SPAN("{\0}"));
}

static void a_number_is_what_rfc_8259_calls_one(void **state)
{
    static const char *const texts[] = {
        "01",
        "-",
        "+1",
        "1.",
        ".5",
        "1e",
        "1e+",
        "-01",
        "0x1",
        "1.e1",
        "--1",
        "1e999",
        "-1e309",
        "1.8e308",
        "00",
        "1e1.5",
        "1_000",
        "0.1e400",
        "9007199254740992",
        "-9007199254740992",
        "99999999999999999999",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++)
        refused(span_of(texts[i]));
}

static void a_string_is_unicode(void **state)
{
    static const char *const texts[] = {
        "\"",
        "\"\n\"",
        "\"\x1f\"",
        "\"\\x\"",
        "\"\\\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800x\"",
        "\"\\ud800\\n\"",
        "\"\\ud800\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\xff\"",
        "\"\xc3\"",
        "\"\xc0\x80\"",
        "\"\xed\xa0\x80\"",
        "\"\x80\"",
        "\"\xf4\x90\x80\x80\"",
        "\"\xe2\x82\"",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++)
        refused(span_of(texts[i]));
    refused(SPAN("\"a\0b\""));
}

/* Every beginning of a text is no text. */
static void a_text_that_stops_is_refused(void **state)
{
    static const char text[] =
        "{\"a\":[1.5e1,\"\\ud83d\\ude00\xc3\xa9\",true]}";

    (void)state;
    for (size_t size = 0; size + 1 < sizeof(text); size++)
        refused((struct span){text, size});
    value_of(text);
}

static void nesting_is_bounded(void **state)
{
    char text[2 * JTEXT_DEPTH_MAX + 3] = "";

    (void)state;
    memset(text, '[', JTEXT_DEPTH_MAX);
    memset(text + JTEXT_DEPTH_MAX, ']', JTEXT_DEPTH_MAX);
    value_of(text);
    memset(text, '[', JTEXT_DEPTH_MAX + 1);
    memset(text + JTEXT_DEPTH_MAX + 1, ']', JTEXT_DEPTH_MAX + 1);
    refused(span_of(text));
}

/* --- keys ----------------------------------------------------------------- */

static void a_key_twice_is_refused(void **state)
{
    (void)state;
    refused(span_of("{\"a\":1,\"a\":1}"));
    refused(span_of("{\"a\":1,\"\\u0061\":1}"));
    refused(span_of("{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":1}"));
    refused(span_of("[{\"x\":{\"\":1,\"\":1}}]"));
    value_of("{\"a\":1,\"A\":1,\"aa\":1,\"\":1,\"\\u00e1\":{\"a\":1}}");
}

/* An object of `count` members "k0", "k1" …, and `more` behind them. */
static char *given_members(size_t count, const char *more)
{
    char *text = malloc(count * 24 + strlen(more) + 2);
    size_t at = 0;

    for (size_t i = 0; i < count; i++)
        at += (size_t)sprintf(text + at, "%c\"k%zu\":%zu", i ? ',' : '{', i, i);
    sprintf(text + at, "%s}", more);
    return text;
}

static void many_members_are_found_and_differ(void **state)
{
    static const size_t counts[] = {JTEXT_MEMBERS - 1, JTEXT_MEMBERS,
                                    JTEXT_MEMBERS + 1, 20000};

    (void)state;
    for (size_t i = 0; i < COUNT(counts); i++) {
        char *text = given_members(counts[i], "");
        char *twice = given_members(counts[i], ",\"k\\u0030\":0");
        struct jtext last;
        char name[24];

        sprintf(name, "k%zu", counts[i] - 1);
        last = member_of(text, name);
        assert_int_equal(jtext_integer(&last), counts[i] - 1);
        refused(span_of(twice));
        free(text);
        free(twice);
    }
}

static void what_memory_does_not_allow_is_not_called_wrong(void **state)
{
    char *text = given_members(40, "");
    struct jtext value;

    (void)state;
    mem_fail_nth(1);
    assert_int_equal(jtext_read(span_of(text), &value), ERR_NOMEM);
    mem_fail_nth(0);
    value_of(text);
    free(text);
}

static void a_key_is_found_by_what_it_says(void **state)
{
    struct jtext value = member_of("{\"\\u0061\\n\":7}", "a\n");
    struct jtext_object object;

    (void)state;
    assert_int_equal(jtext_integer(&value), 7);
    assert_int_equal(
        jtext_read_object(SPAN("{\"a\\u0062\":1}"), &object, NULL, NULL), 0);
    assert_false(jtext_get(&object, "a", &value));
    assert_false(jtext_get(&object, "abc", &value));
    assert_true(jtext_get(&object, "ab", &value));
}

/* --- what a value says ---------------------------------------------------- */

static void a_string_loses_its_escapes(void **state)
{
    static const char said[] = "\"\\/\b\f\n\r\t \xc3\xa9 \xe2\x82\xac "
                               "\xf0\x9f\x98\x80";
    struct jtext string = value_of("\"\\\"\\\\\\/\\b\\f\\n\\r\\t \\u00e9 "
                                   "\\u20AC \\ud83d\\ude00\"");
    char text[128];
    size_t size = jtext_unescape(text, &string);

    (void)state;
    assert_true(string.escaped);
    assert_true(span_equal((struct span){text, size}, span_of(said)));
    string = value_of("\"pl\xc3\xa4in\"");
    assert_false(string.escaped);
    assert_true(span_is(jtext_plain(&string), "pl\xc3\xa4in"));
}

static void a_whole_number_is_itself(void **state)
{
    struct jtext most = value_of("9007199254740991");
    struct jtext least = value_of("-9007199254740991");

    (void)state;
    assert_true(jtext_integer(&most) == JTEXT_INTEGER_MAX);
    assert_true(jtext_integer(&least) == -JTEXT_INTEGER_MAX);
}

static void elements_come_one_by_one(void **state)
{
    struct jtext list = value_of("[ 1, [2,{\"a\":3}] ,\"]\" ]"), element;
    struct span rest = list.text;

    (void)state;
    assert_true(jtext_next(&rest, &element));
    assert_true(span_is(element.text, "1"));
    assert_true(jtext_next(&rest, &element));
    assert_true(span_is(element.text, "[2,{\"a\":3}]"));
    assert_true(jtext_next(&rest, &element));
    assert_true(span_is(element.text, "\"]\""));
    assert_false(jtext_next(&rest, &element));
    list = value_of("[ ]");
    rest = list.text;
    assert_false(jtext_next(&rest, &element));
}

static void an_inner_object_is_opened_in_the_same_pass(void **state)
{
    struct jtext_object outer, inner;
    struct jtext value;

    (void)state;
    assert_int_equal(
        jtext_read_object(SPAN("{\"x\":{\"params\":{\"b\":2}},"
                               "\"p\\u0061rams\":{\"a\":{\"params\":3}}}"),
                          &outer, "params", &inner),
        0);
    assert_int_equal(outer.count, 2);
    assert_int_equal(inner.count, 1);
    assert_true(jtext_get(&inner, "a", &value));
    jtext_open(&value, &outer);
    assert_true(jtext_get(&outer, "params", &value));
    assert_int_equal(jtext_integer(&value), 3);
    assert_int_equal(jtext_read_object(SPAN("{\"params\":[{\"a\":1}]}"), &outer,
                                       "params", &inner),
                     0);
    assert_int_equal(inner.count, 0);
    assert_int_equal(jtext_read_object(SPAN("{\"params\":{\"a\":1}"), &outer,
                                       "params", &inner),
                     ERR_BAD_REQUEST);
    assert_int_equal(outer.count, 0);
    assert_int_equal(inner.count, 0);
}

/* --- bodies --------------------------------------------------------------- */

static void stored_as(const char *body, const char *expected, bool as_it_is)
{
    struct jtext value = value_of(body);
    struct span text;
    struct buf room;

    buf_init(&room, 256);
    assert_int_equal(body_text(&room, &value, &text), ERR_NONE);
    assert_true(span_is(text, expected));
    assert_int_equal(value.canonical, as_it_is);
    assert_int_equal(room.size == 0, as_it_is);
    buf_fini(&room);
}

static void a_body_is_stored_as_it_is_when_it_is_spelled_so(void **state)
{
    static const char *const spelled[] = {
        "{\"a\":[1,-2,null],\"ab\":{},\"b\":[],\"\xc3\xa9\":\"\xf0\x9f\x98\x80/"
        "\"}",
        "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001F\x7f\"",
        "0",
        "{\"\":{\"\\n\":1}}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(spelled); i++)
        stored_as(spelled[i], spelled[i], true);
}

static void any_other_spelling_becomes_that_one(void **state)
{
    (void)state;
    stored_as("{\"b\":1,\"a\":2}", "{\"a\":2,\"b\":1}", false);
    stored_as("{\"aa\":1,\"a\":2}", "{\"a\":2,\"aa\":1}", false);
    stored_as("[1, 2]", "[1,2]", false);
    stored_as("[ ]", "[]", false);
    stored_as("{ }", "{}", false);
    stored_as("-0", "0", false);
    stored_as("1.50", "1.5", false);
    stored_as("\"\\/\"", "\"/\"", false);
    stored_as("\"\\u00e9\"", "\"\xc3\xa9\"", false);
    stored_as("\"\\u001f\"", "\"\\u001F\"", false);
    stored_as("\"\\u000a\"", "\"\\n\"", false);
    stored_as("[{\"x\":[{\"b\":1,\"a\":1}]}]", "[{\"x\":[{\"a\":1,\"b\":1}]}]",
              false);
}

/* --- loosely -------------------------------------------------------------- */

static struct jtext loose_value_of(const char *text)
{
    struct jtext value = {0};

    assert_int_equal(jtext_read_loose(span_of(text), &value, NULL, NULL),
                     ERR_NONE);
    return value;
}

static void what_is_only_passed_on_may_be_all_that_the_grammar_has(void **state)
{
    static const char *const texts[] = {
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"\\udc00\\ud800x\"",
        "{\"a\":1,\"a\":2}",
        "[1e999]",
        "9007199254740993",
        "-123456789012345678901234567890",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        refused(span_of(texts[i]));
        loose_value_of(texts[i]);
    }
    assert_int_equal(loose_value_of("9007199254740991").kind, JTEXT_INTEGER);
    assert_int_equal(loose_value_of("9007199254740992").kind, JTEXT_REAL);
}

static void what_the_grammar_refuses_is_refused_loosely_too(void **state)
{
    static const char *const texts[] = {
        "",     "[1,]",     "\"\\u00g0\"", "\"\\ud8\"", "01",
        "{} 1", "\"\x01\"", "\"\xff\"",    "[\"a]",     "+1",
    };
    struct jtext value;

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++)
        assert_int_equal(
            jtext_read_loose(span_of(texts[i]), &value, NULL, NULL),
            ERR_BAD_REQUEST);
}

static void a_surrogate_alone_says_that_something_was_there(void **state)
{
    static const struct {
        const char *text, *says;
    } strings[] = {
        {"\"\\ud800\"", "\xef\xbf\xbd"},
        {"\"\\udc00a\"", "\xef\xbf\xbd"
                         "a"},
        {"\"\\ud83d\\ud83d\\ude00\"", "\xef\xbf\xbd\xf0\x9f\x98\x80"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(strings); i++) {
        struct jtext value = loose_value_of(strings[i].text);

        assert_true(jtext_says(&value, span_of(strings[i].says)));
    }
}

/* `depth` lists, one in the other. */
static struct span nested(char text[2 * JTEXT_LOOSE_DEPTH_MAX + 2],
                          size_t depth)
{
    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    return (struct span){text, 2 * depth};
}

static void nesting_has_its_bound_loosely_too(void **state)
{
    char text[2 * JTEXT_LOOSE_DEPTH_MAX + 2];
    struct jtext value;

    (void)state;
    assert_int_equal(jtext_read_loose(nested(text, JTEXT_LOOSE_DEPTH_MAX),
                                      &value, NULL, NULL),
                     ERR_NONE);
    assert_int_equal(jtext_read_loose(nested(text, JTEXT_LOOSE_DEPTH_MAX + 1),
                                      &value, NULL, NULL),
                     ERR_BAD_REQUEST);
}

static bool without_x(const struct jtext_object *object, void *seen)
{
    struct jtext x;

    ++*(unsigned *)seen;
    return !jtext_get(object, "x", &x);
}

static void every_object_can_be_looked_at(void **state)
{
    struct jtext value;
    unsigned seen = 0;

    (void)state;
    assert_int_equal(
        jtext_read_loose(SPAN("[{\"a\":{}},[[{\"b\":[{}]}]],\"{}\"]"), &value,
                         without_x, &seen),
        ERR_NONE);
    assert_int_equal(seen, 4);
    assert_int_equal(jtext_read_loose(SPAN("[{\"a\":{\"\\u0078\":1}}]"), &value,
                                      without_x, &seen),
                     ERR_BAD_REQUEST);
}

static void
what_stands_in_a_list_can_be_walked_without_its_brackets(void **state)
{
    struct span rest = SPAN(" 1 , [2,3],\"a,b\" ");
    struct jtext value;

    (void)state;
    assert_true(jtext_next_inside(&rest, &value));
    assert_true(span_is(value.text, "1"));
    assert_true(jtext_next_inside(&rest, &value));
    assert_true(span_is(value.text, "[2,3]"));
    assert_true(jtext_next_inside(&rest, &value));
    assert_true(span_is(value.text, "\"a,b\""));
    assert_false(jtext_next_inside(&rest, &value));
    rest = (struct span){0};
    assert_false(jtext_next_inside(&rest, &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_is_known),
        cmocka_unit_test(what_is_no_value_is_refused),
        cmocka_unit_test(a_number_is_what_rfc_8259_calls_one),
        cmocka_unit_test(a_string_is_unicode),
        cmocka_unit_test(a_text_that_stops_is_refused),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(a_key_twice_is_refused),
        cmocka_unit_test(many_members_are_found_and_differ),
        cmocka_unit_test(what_memory_does_not_allow_is_not_called_wrong),
        cmocka_unit_test(a_key_is_found_by_what_it_says),
        cmocka_unit_test(a_string_loses_its_escapes),
        cmocka_unit_test(a_whole_number_is_itself),
        cmocka_unit_test(elements_come_one_by_one),
        cmocka_unit_test(an_inner_object_is_opened_in_the_same_pass),
        cmocka_unit_test(a_body_is_stored_as_it_is_when_it_is_spelled_so),
        cmocka_unit_test(any_other_spelling_becomes_that_one),
        cmocka_unit_test(
            what_is_only_passed_on_may_be_all_that_the_grammar_has),
        cmocka_unit_test(what_the_grammar_refuses_is_refused_loosely_too),
        cmocka_unit_test(a_surrogate_alone_says_that_something_was_there),
        cmocka_unit_test(nesting_has_its_bound_loosely_too),
        cmocka_unit_test(every_object_can_be_looked_at),
        cmocka_unit_test(
            what_stands_in_a_list_can_be_walked_without_its_brackets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
