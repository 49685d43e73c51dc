/* JSON that a page may hold in a script, and names of functions. */
#include "server/script_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_becomes(const char *json, const char *expected)
{
    struct buf out;

    buf_init(&out, 4096);
    script_append(&out, span_of(json));
    assert_int_equal(buf_status(&out), ERR_NONE);
    assert_int_equal(out.size, strlen(expected));
    assert_memory_equal(out.data, expected, out.size);
    buf_fini(&out);
}

static void nothing_breaks_out_of_a_script(void **state)
{
    (void)state;
    assert_becomes("{\"a\":1}", "{\"a\":1}");
    assert_becomes("\"</script><!--\"", "\"\\u003c/script\\u003e\\u003c!--\"");
    assert_becomes("\"&amp;\"", "\"\\u0026amp;\"");
    assert_becomes("\"]]>\"", "\"]]\\u003e\"");
}

static void line_ends_that_only_javascript_knows_are_escaped(void **state)
{
    (void)state;
    assert_becomes("\"a\xe2\x80\xa8\xe2\x80\xa9z\"", "\"a\\u2028\\u2029z\"");
    /* their neighbours, and a text cut short, stay */
    assert_becomes("\xe2\x80\xa7\xe2\x80\xaf\xe2\x82\xa8",
                   "\xe2\x80\xa7\xe2\x80\xaf\xe2\x82\xa8");
    assert_becomes("\xe2\x80", "\xe2\x80");
    assert_becomes("\xe2\xe2\x80\xa8", "\xe2\\u2028");
}

static void assert_callback(struct span name, enum err expected)
{
    struct failure why;

    assert_int_equal(callback_check(name, &why), expected);
}

static void a_callback_is_a_plain_name(void **state)
{
    char longest[CALLBACK_MAX_BYTES + 1];

    (void)state;
    memset(longest, 'a', sizeof(longest));
    assert_callback(SPAN("f"), ERR_NONE);
    assert_callback(SPAN("$app._on.R9"), ERR_NONE);
    assert_callback((struct span){longest, CALLBACK_MAX_BYTES}, ERR_NONE);
    assert_callback((struct span){longest, sizeof(longest)}, ERR_BAD_REQUEST);
    assert_callback((struct span){0}, ERR_BAD_REQUEST);
    assert_callback(SPAN(""), ERR_BAD_REQUEST);
    assert_callback(SPAN("a b"), ERR_BAD_REQUEST);
    assert_callback(SPAN("alert(1)"), ERR_BAD_REQUEST);
    assert_callback(SPAN("a\""), ERR_BAD_REQUEST);
    assert_callback(SPAN("a-b"), ERR_BAD_REQUEST);
    assert_callback(SPAN("\xc3\xa4"), ERR_BAD_REQUEST);
    assert_callback(SPAN("a\0b"), ERR_BAD_REQUEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_breaks_out_of_a_script),
        cmocka_unit_test(line_ends_that_only_javascript_knows_are_escaped),
        cmocka_unit_test(a_callback_is_a_plain_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
