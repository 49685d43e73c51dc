/* Who may open a WebSocket, and whose page may talk to us at all. */
#include "server/handshake.h"
#include "server/origin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define GOOD                                                                   \
    "GET /v1/ws?cursor=0 HTTP/1.1\r\nHost: h:1\r\nConnection: Upgrade\r\n"     \
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"                      \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static struct config *config;
static struct failure why;

/* GOOD with one thing replaced, and `more` at its end. */
static enum err check(const char *what, const char *with, const char *more)
{
    char text[1024];
    const char *at = strstr(GOOD, what);
    struct head head;

    assert_non_null(at);
    snprintf(text, sizeof(text), "%.*s%s%s%s\r\n", (int)(at - GOOD), GOOD, with,
             at + strlen(what), more);
    assert_int_equal(head_parse(&head, span_of(text), &why), HEAD_WHOLE);
    assert_true(handshake_wanted(&head));
    return handshake_check(config, &head, &why);
}

static void a_good_handshake_passes(void **state)
{
    (void)state;
    assert_int_equal(check("", "", ""), ERR_NONE);
    assert_int_equal(check("", "", "Sec-WebSocket-Protocol: chat, rung.v1\r\n"),
                     ERR_NONE);
    assert_int_equal(check("", "", "Origin: https://h:1\r\n"), ERR_NONE);
}

static void each_fault_has_its_error(void **state)
{
    (void)state;
    assert_int_equal(check("GET", "POST", ""), ERR_METHOD_NOT_ALLOWED);
    assert_int_equal(check("HTTP/1.1", "HTTP/1.0", ""),
                     ERR_UNSUPPORTED_VERSION);
    assert_int_equal(check("Upgrade: websocket", "X: y", ""),
                     ERR_UNSUPPORTED_VERSION);
    assert_int_equal(check("Version: 13", "Version: 8", ""),
                     ERR_UNSUPPORTED_VERSION);
    assert_int_equal(check("ZQ==", "ZQ=", ""), ERR_BAD_REQUEST);
    assert_int_equal(check("ZQ==", "ZR==", ""), ERR_BAD_REQUEST);
    assert_int_equal(check("dGhl", "d!hl", ""), ERR_BAD_REQUEST);
    assert_int_equal(check("", "", "Sec-WebSocket-Protocol: chat\r\n"),
                     ERR_BAD_REQUEST);
    assert_int_equal(check("", "", "Content-Length: 3\r\n"), ERR_BAD_REQUEST);
    assert_int_equal(check("", "", "Origin: http://evil\r\n"), ERR_FORBIDDEN);
    assert_int_equal(check("", "", "Origin: null\r\n"), ERR_FORBIDDEN);
}

static void other_upgrades_are_not_ours(void **state)
{
    struct head head;

    (void)state;
    assert_int_equal(head_parse(&head,
                                SPAN("GET / HTTP/1.1\r\nHost: x\r\n"
                                     "Connection: Upgrade\r\n"
                                     "Upgrade: h2c\r\n\r\n"),
                                &why),
                     HEAD_WHOLE);
    assert_false(handshake_wanted(&head));
}

static bool allowed(const char *list, const char *origin)
{
    struct config other = *config;
    struct head head;

    other.allowed_origins = list;
    head_init(&head);
    head.host = SPAN("own.example:80");
    head.origin = span_of(origin);
    return origin_allowed(&other, &head);
}

static void origins_are_listed_or_the_own(void **state)
{
    (void)state;
    assert_true(allowed("", NULL));
    assert_true(allowed("", "http://own.example:80"));
    assert_true(allowed("", "HTTPS://OWN.example:80"));
    assert_true(allowed("", "http://own.example")); /* 80 is its port */
    assert_false(allowed("", "https://own.example"));
    assert_false(allowed("", "other://own.example:80"));
    assert_false(allowed("", "http://own.example:80.evil"));
    assert_false(allowed("", ""));
    assert_true(allowed("http://a, https://b", "https://b"));
    assert_true(allowed("http://a,https://b", "http://a"));
    assert_false(allowed("http://a,https://b", "http://b"));
    assert_true(allowed("*", "null"));
}

static int setup(void **state)
{
    (void)state;
    return config_defaults(&config) ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    config_unref(config);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_handshake_passes),
        cmocka_unit_test(each_fault_has_its_error),
        cmocka_unit_test(other_upgrades_are_not_ours),
        cmocka_unit_test(origins_are_listed_or_the_own),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
