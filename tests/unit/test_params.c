/* What a client may write as parameters, and how it is told what was wrong. */
#include "server/method.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* ours is meant */

#define MAX_BYTES 4096

static void accepted(const char *text)
{
    struct jtext_object params;
    struct failure why;

    assert_int_equal(params_read(&params, span_of(text), MAX_BYTES, &why),
                     ERR_NONE);
}

static void refused(struct span text, enum err err, const char *mentions)
{
    struct jtext_object params;
    struct failure why;

    assert_int_equal(params_read(&params, text, MAX_BYTES, &why), err);
    assert_int_equal(why.err, err);
    assert_int_equal(params.count, 0);
    if (!strstr(why.message, mentions))
        print_error("\"%s\" does not mention it\n", why.message);
    assert_non_null(strstr(why.message, mentions));
}

static void an_object_is_accepted(void **state)
{
    (void)state;
    accepted("{}");
    accepted(" {\"body\":{\"text\":\"h\\u00e9 \\ud83d\\ude00\"}}\n");
    accepted("{\"n\":9007199254740991,\"m\":-9007199254740991,\"x\":1.5e300}");
}

/* curl -X POST without a body. */
static void nothing_at_all_is_no_parameters(void **state)
{
    (void)state;
    accepted("");
    accepted(" \r\n\t");
}

static void what_is_no_object_is_refused(void **state)
{
    static const char *const others[] = {"[]", "1", "null", "\"x\"", "true"};

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        refused(span_of(others[i]), ERR_BAD_REQUEST, "JSON object");
}

static void what_is_no_json_is_refused_with_its_place(void **state)
{
    (void)state;
    refused(span_of("{\"a\":}"), ERR_BAD_REQUEST, "line 1");
    refused(span_of("{\"a\":1"), ERR_BAD_REQUEST, "not valid JSON");
    refused(span_of("{} {}"), ERR_BAD_REQUEST, "not valid JSON");
    refused(span_of("{'a':1}"), ERR_BAD_REQUEST, "not valid JSON");
}

static void a_key_twice_is_refused(void **state)
{
    (void)state;
    refused(span_of("{\"to\":\"bob\",\"to\":\"eve\"}"), ERR_BAD_REQUEST,
            "duplicate");
}

static void nul_and_broken_text_are_refused(void **state)
{
    (void)state;
    refused(span_of("{\"a\":\"x\\u0000y\"}"), ERR_BAD_REQUEST, "not valid");
    refused(SPAN("{\"a\":\"x\0y\"}"), ERR_BAD_REQUEST, "not valid");
    refused(span_of("{\"a\":\"\xff\"}"), ERR_BAD_REQUEST, "not valid");
    refused(span_of("{\"a\":\"\xed\xa0\x80\"}"), ERR_BAD_REQUEST, "not valid");
    refused(span_of("{\"a\":\"\\ud800\"}"), ERR_BAD_REQUEST, "not valid");
}

static void numbers_beyond_2_53_are_refused(void **state)
{
    (void)state;
    refused(span_of("{\"a\":9007199254740992}"), ERR_BAD_REQUEST, "2^53");
    refused(span_of("{\"a\":[{\"b\":-9007199254740992}]}"), ERR_BAD_REQUEST,
            "2^53");
    refused(span_of("{\"a\":99999999999999999999999}"), ERR_BAD_REQUEST,
            "too big");
    refused(span_of("{\"a\":1e999}"), ERR_BAD_REQUEST, "too big");
}

/* An object around `depth` - 1 arrays. */
static void nested(char *out, size_t depth)
{
    strcpy(out, "{\"a\":");
    memset(out + 5, '[', depth - 1);
    memset(out + 5 + depth - 1, ']', depth - 1);
    strcpy(out + 5 + 2 * (depth - 1), "}");
}

static void nesting_is_bounded(void **state)
{
    char text[MAX_BYTES];

    (void)state;
    nested(text, 32);
    accepted(text);
    nested(text, 33);
    refused(span_of(text), ERR_BAD_REQUEST, "32 deep");
    nested(text, 2000);
    refused(span_of(text), ERR_BAD_REQUEST, "32 deep");
}

static void brackets_in_text_are_only_text(void **state)
{
    (void)state;
    accepted("{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}");
    accepted("{\"a\":\"\\\"{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{\"}");
}

static void size_is_bounded(void **state)
{
    char text[MAX_BYTES + 2];

    (void)state;
    memset(text, ' ', sizeof(text));
    text[0] = '{', text[1] = '}';
    text[MAX_BYTES] = '\0';
    accepted(text);
    refused((struct span){text, MAX_BYTES + 1}, ERR_TOO_LARGE, "4096");
}

/* --- failures as text ----------------------------------------------------- */

static json_t *written(const struct failure *failure)
{
    struct buf out;
    json_t *object;

    buf_init(&out, MAX_BYTES);
    failure_write(&out, failure);
    assert_int_equal(buf_status(&out), ERR_NONE);
    object = json_loadb(out.data, out.size, 0, NULL);
    assert_non_null(object);
    buf_fini(&out);
    return object;
}

static const char *text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(
        json_object_get(json_object_get(object, "error"), key));

    assert_non_null(text);
    return text;
}

static void a_failure_is_code_message_and_perhaps_a_delay(void **state)
{
    struct failure why;
    json_t *object;

    (void)state;
    fail(&why, ERR_RATE_LIMITED, "say \"please\"\n");
    why.retry_after_ms = 1500;
    object = written(&why);
    assert_string_equal(text_of(object, "code"), "rate_limited");
    assert_string_equal(text_of(object, "message"), "say \"please\"\n");
    assert_int_equal(json_integer_value(json_object_get(
                         json_object_get(object, "error"), "retry_after_ms")),
                     1500);
    json_decref(object);
}

static void no_client_is_told_of_our_insides(void **state)
{
    struct failure why;
    json_t *object;

    (void)state;
    fail(&why, ERR_IO, "/var/lib/secret: input/output error");
    object = written(&why);
    assert_string_equal(text_of(object, "code"), "unavailable");
    assert_null(strstr(text_of(object, "message"), "secret"));
    assert_null(
        json_object_get(json_object_get(object, "error"), "retry_after_ms"));
    json_decref(object);
}

/* A message is cut after so many bytes, perhaps inside a character. */
static void a_cut_message_is_still_text(void **state)
{
    struct failure why;
    json_t *object;

    (void)state;
    fail(&why, ERR_BAD_REQUEST, "\xff got %s",
         "ééééééééééééééééééééééééééééééééééééééééééééééééééééééééé"
         "ééééééééééééééééééééééééééééééééééééééééééééééééééééééééé");
    object = written(&why);
    assert_memory_equal(text_of(object, "message"), "? got é", 8);
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_is_accepted),
        cmocka_unit_test(nothing_at_all_is_no_parameters),
        cmocka_unit_test(what_is_no_object_is_refused),
        cmocka_unit_test(what_is_no_json_is_refused_with_its_place),
        cmocka_unit_test(a_key_twice_is_refused),
        cmocka_unit_test(nul_and_broken_text_are_refused),
        cmocka_unit_test(numbers_beyond_2_53_are_refused),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(brackets_in_text_are_only_text),
        cmocka_unit_test(size_is_bounded),
        cmocka_unit_test(a_failure_is_code_message_and_perhaps_a_delay),
        cmocka_unit_test(no_client_is_told_of_our_insides),
        cmocka_unit_test(a_cut_message_is_still_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
