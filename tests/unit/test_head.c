/* The strict reading of a request's head. */
#include "server/head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct failure why;

static enum head_state parse(struct head *head, const char *text)
{
    return head_parse(head, span_of(text), &why);
}

static void assert_bad(const char *text)
{
    struct head head;

    if (parse(&head, text) != HEAD_BAD)
        fail_msg("was not refused: %s", text);
    assert_int_equal(why.err, ERR_BAD_REQUEST);
}

static void a_request_is_taken_apart(void **state)
{
    static const char text[] = "GET /v1/poll?cursor=0&x=%20 HTTP/1.1\r\n"
                               "Host: localhost:8080\r\n"
                               "authorization:  Bearer abc \t\r\n\r\nrest";
    struct head head;

    (void)state;
    assert_int_equal(parse(&head, text), HEAD_WHOLE);
    assert_true(span_is(head.method, "GET"));
    assert_true(span_is(head.path, "/v1/poll"));
    assert_true(span_is(head.query, "cursor=0&x=%20"));
    assert_true(span_is(head.host, "localhost:8080"));
    assert_true(span_is(head.authorization, "Bearer abc"));
    assert_int_equal(head.minor, 1);
    assert_null(head.origin.data);
    assert_int_equal(head.size, sizeof(text) - 1 - strlen("rest"));
}

/* A head that arrives byte by byte is partial until its last one, and never
 * something else on the way. */
static void every_prefix_is_partial(void **state)
{
    static const char text[] = "\r\nPOST /v1/auth HTTP/1.1\r\nHost: x\r\n"
                               "Content-Length: 2\r\n\r\n";
    struct head head;

    (void)state;
    for (size_t size = 0; size < sizeof(text) - 1; size++)
        assert_int_equal(head_parse(&head, (struct span){text, size}, &why),
                         HEAD_PARTIAL);
    assert_int_equal(parse(&head, text), HEAD_WHOLE);
    assert_int_equal(head.size, sizeof(text) - 1);
    assert_true(head.has_length);
    assert_int_equal(head.length, 2);
}

static void what_rfc_9112_calls_invalid_is_refused(void **state)
{
    (void)state;
    assert_bad("GET / HTTP/1.1\nHost: x\n\n");
    assert_bad("GET / HTTP/1.1\r\n\r\n");
    assert_bad("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n");
    assert_bad("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n");
    assert_bad("GET / HTTP/1.1\r\nHost : x\r\n\r\n");
    assert_bad("GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n");
    assert_bad("GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n");
    assert_bad("GET / HTTP/1.1\r\nHost: x\r\n: empty\r\n\r\n");
    assert_bad("GET / HTTP/1.1\r\nHost: x\r\nA\"b: c\r\n\r\n");
    assert_bad("GET / HTTP/1.1\r\nHost: x\r\nA: \x01\r\n\r\n");
    assert_bad("GET / HTTP/1.1\r\nHost: x\rX: y\r\n\r\n");
    assert_bad("GET / HTTP/2.0\r\nHost: x\r\n\r\n");
    assert_bad("GET /\r\nHost: x\r\n\r\n");
    assert_bad("GET  / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_bad("G(T / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_bad("GET /a b HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_bad("GET /\x7f HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_bad("GET a HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_bad("GET * HTTP/1.1\r\nHost: x\r\n\r\n");
}

static void a_nul_is_refused_wherever_it_stands(void **state)
{
    static const char target[] = "GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n";
    static const char value[] = "GET / HTTP/1.1\r\nHost: x\0\r\n\r\n";
    struct head head;

    (void)state;
    assert_int_equal(head_parse(&head, SPAN(target), &why), HEAD_BAD);
    assert_int_equal(head_parse(&head, SPAN(value), &why), HEAD_BAD);
}

/* What smuggles requests past a proxy: every way of saying the length twice. */
static void a_body_has_one_length(void **state)
{
    (void)state;
#define POST "POST / HTTP/1.1\r\nHost: x\r\n"
    assert_bad(POST "Content-Length: 2\r\nContent-Length: 2\r\n\r\n");
    assert_bad(POST "Content-Length: 2\r\nContent-Length: 3\r\n\r\n");
    assert_bad(POST "Content-Length: 2, 2\r\n\r\n");
    assert_bad(POST "Content-Length: +2\r\n\r\n");
    assert_bad(POST "Content-Length: -2\r\n\r\n");
    assert_bad(POST "Content-Length: 0x2\r\n\r\n");
    assert_bad(POST "Content-Length:\r\n\r\n");
    assert_bad(POST "Content-Length: 99999999999999999999\r\n\r\n");
    assert_bad(POST "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_bad(POST "Transfer-Encoding: gzip, chunked\r\n\r\n");
    assert_bad(POST "Transfer-Encoding: identity\r\n\r\n");
    assert_bad(POST "Transfer-Encoding: chunked\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n");
    assert_bad("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
#undef POST
}

static void http_1_0_needs_no_host(void **state)
{
    struct head head;

    (void)state;
    assert_int_equal(parse(&head, "GET / HTTP/1.0\r\n\r\n"), HEAD_WHOLE);
    assert_int_equal(head.minor, 0);
    assert_null(head.host.data);
}

static void the_absolute_form_loses_its_host(void **state)
{
    struct head head;

    (void)state;
    assert_int_equal(
        parse(&head, "GET http://h:1/a?b=c HTTP/1.1\r\nHost: h:1\r\n\r\n"),
        HEAD_WHOLE);
    assert_true(span_is(head.path, "/a"));
    assert_true(span_is(head.query, "b=c"));
    assert_int_equal(parse(&head, "GET http://h HTTP/1.1\r\nHost: h\r\n\r\n"),
                     HEAD_WHOLE);
    assert_true(span_is(head.path, "/"));
    assert_int_equal(parse(&head, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"),
                     HEAD_WHOLE);
}

static void an_upgrade_is_seen_among_other_words(void **state)
{
    struct head head;

    (void)state;
    assert_int_equal(parse(&head, "GET /v1/ws HTTP/1.1\r\nHost: x\r\n"
                                  "Connection: keep-alive, Upgrade\r\n"
                                  "Upgrade: h2c, WebSocket\r\n"
                                  "Sec-WebSocket-Protocol: other\r\n"
                                  "Sec-WebSocket-Protocol: x, rung.v1\r\n\r\n"),
                     HEAD_WHOLE);
    assert_true(head.upgrade);
    assert_true(head.websocket);
    assert_true(head.ws_protocols);
    assert_true(head.ws_protocol_ok);
}

static void a_list_is_searched_word_by_word(void **state)
{
    (void)state;
    assert_true(head_list_has(SPAN("a, B ,c"), "b"));
    assert_true(head_list_has(SPAN("b"), "b"));
    assert_false(head_list_has(SPAN("ab, bc"), "b"));
    assert_false(head_list_has(SPAN(""), "b"));
    assert_false(head_list_has(SPAN(",,"), "b"));
}

static void accept_is_searched_whatever_the_parameters(void **state)
{
    static const struct {
        const char *fields;
        bool mixed;
    } cases[] = {
        {"", false},
        {"Accept: */*\r\n", false},
        {"Accept: multipart/mixed\r\n", true},
        {"ACCEPT: text/html, Multipart/Mixed ;q=0.5\r\n", true},
        {"Accept: multipart/mixed-replace, ;, text/plain\r\n", false},
        {"Accept: multipart/mixed\r\nAccept: text/html\r\n", true},
    };
    char text[256];
    struct head head;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        snprintf(text, sizeof(text), "GET / HTTP/1.0\r\n%s\r\n",
                 cases[i].fields);
        assert_int_equal(parse(&head, text), HEAD_WHOLE);
        assert_int_equal(head.accepts_mixed, cases[i].mixed);
    }
}

static void what_a_library_keeps_records_of_is_counted(void **state)
{
    struct head head;

    (void)state;
    assert_int_equal(parse(&head, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
                     HEAD_WHOLE);
    assert_int_equal(head.pieces, 1);
    assert_int_equal(head.cookie_bytes, 0);
    assert_int_equal(parse(&head, "GET /?a=1&b&&c HTTP/1.1\r\nHost: x\r\n"
                                  "Cookie: d=1; e=2\r\nA: b\r\n"
                                  "Cookie: f\r\n\r\n"),
                     HEAD_WHOLE);
    assert_int_equal(head.pieces, 4 + 4 + 2 + 1);
    assert_int_equal(head.cookie_bytes, 8 + 1);
}

static void what_a_connection_is_asked_to_do_is_seen(void **state)
{
    struct head head;

    (void)state;
    assert_int_equal(parse(&head, "GET / HTTP/1.1\r\nHost: x\r\n"
                                  "Connection: keep-alive\r\n\r\n"),
                     HEAD_WHOLE);
    assert_false(head.close || head.expect || head.upgrade);
    assert_int_equal(parse(&head, "GET / HTTP/1.1\r\nHost: x\r\n"
                                  "Connection: TE , Close\r\n"
                                  "Expect: 100-continue\r\n\r\n"),
                     HEAD_WHOLE);
    assert_true(head.close && head.expect && !head.upgrade);
}

/* Long enough for a byte to stand at any place of what is looked at at once. */
static void each_byte_is_judged_wherever_it_stands(void **state)
{
    (void)state;
    for (int at = 0; at < 20; at++)
        for (int c = 0; c < 256; c++) {
            char text[] = "GET /aaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\nHost: x\r\n"
                          "A: bbbbbbbbbbbbbbbbbbbb\r\n\r\n";
            struct span bytes = {text, sizeof(text) - 1};
            struct head head;
            bool bad = (c < ' ' && c != '\t') || c == 0x7f;
            char *value = strstr(text, "bbb");

            value[at] = (char)c;
            assert_int_equal(head_parse(&head, bytes, &why),
                             bad ? HEAD_BAD : HEAD_WHOLE);
            value[at] = 'b';
            text[5 + at] = (char)c;
            bad = c <= ' ' || c == 0x7f || c == '#';
            assert_int_equal(head_parse(&head, bytes, &why),
                             bad ? HEAD_BAD : HEAD_WHOLE);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_taken_apart),
        cmocka_unit_test(every_prefix_is_partial),
        cmocka_unit_test(what_rfc_9112_calls_invalid_is_refused),
        cmocka_unit_test(a_nul_is_refused_wherever_it_stands),
        cmocka_unit_test(a_body_has_one_length),
        cmocka_unit_test(http_1_0_needs_no_host),
        cmocka_unit_test(the_absolute_form_loses_its_host),
        cmocka_unit_test(an_upgrade_is_seen_among_other_words),
        cmocka_unit_test(a_list_is_searched_word_by_word),
        cmocka_unit_test(accept_is_searched_whatever_the_parameters),
        cmocka_unit_test(what_a_library_keeps_records_of_is_counted),
        cmocka_unit_test(what_a_connection_is_asked_to_do_is_seen),
        cmocka_unit_test(each_byte_is_judged_wherever_it_stands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
