/* The heads of a server's WebSocket frames (RFC 6455 section 5.2). */
#include "server/frame_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* 7, 16 or 64 bits of length. */
static void a_head_tells_the_length(void **state)
{
    static const struct {
        size_t size;
        const char *head;
        size_t head_size;
    } expected[] = {
        {0, "\x81\x00", 2},
        {125, "\x81\x7d", 2},
        {126, "\x81\x7e\x00\x7e", 4},
        {65535, "\x81\x7e\xff\xff", 4},
        {65536, "\x81\x7f\0\0\0\0\0\1\0\0", 10},
    };
    char head[FRAME_HEAD_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_int_equal(frame_head(head, WS_TEXT, expected[i].size),
                         expected[i].head_size);
        assert_memory_equal(head, expected[i].head, expected[i].head_size);
    }
}

/* Each frame is the only one of its message. */
static void a_head_tells_the_kind(void **state)
{
    char head[FRAME_HEAD_MAX];

    (void)state;
    assert_int_equal(frame_head(head, WS_BINARY, 1), 2);
    assert_memory_equal(head, "\x82\x01", 2);
    assert_int_equal(frame_head(head, WS_CLOSE, 2), 2);
    assert_memory_equal(head, "\x88\x02", 2);
    assert_int_equal(frame_head(head, WS_PING, 0), 2);
    assert_memory_equal(head, "\x89\x00", 2);
    assert_int_equal(frame_head(head, WS_PONG, 125), 2);
    assert_memory_equal(head, "\x8a\x7d", 2);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_tells_the_length),
        cmocka_unit_test(a_head_tells_the_kind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
