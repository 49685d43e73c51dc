/* A growing buffer with a stated maximum. */
#include "server/base/buf.h"
#include "server/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_holds(const struct buf *buf, const char *text)
{
    assert_int_equal(buf_status(buf), ERR_NONE);
    assert_int_equal(buf->size, strlen(text));
    assert_memory_equal(buf->data, text, buf->size);
}

static void appends_follow_each_other(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 100);
    buf_append_text(&buf, "one ");
    buf_append_span(&buf, SPAN("two "));
    buf_append_u64(&buf, 0);
    buf_append(&buf, " ", 1);
    buf_append_u64(&buf, UINT64_MAX);
    buf_printf(&buf, " %s-%d", "x", -3);
    assert_holds(&buf, "one two 0 18446744073709551615 x--3");
    buf_fini(&buf);
}

static void appending_nothing_is_fine(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 0);
    buf_append(&buf, NULL, 0);
    buf_append_text(&buf, NULL);
    buf_append_text(&buf, "");
    assert_int_equal(buf_status(&buf), ERR_NONE);
    assert_int_equal(buf.size, 0);
    buf_fini(&buf);
}

static void up_to_sixteen_digits_are_a_number(void **state)
{
    static const char *const none[] = {
        "", "-1", "+1", " 1", "1 ", "1x", "0x1", "1.0", "10000000000000000"};
    uint64_t number;

    (void)state;
    assert_true(u64_read(SPAN("0"), &number));
    assert_int_equal(number, 0);
    assert_true(u64_read(SPAN("0017"), &number));
    assert_int_equal(number, 17);
    assert_true(u64_read(SPAN("9999999999999999"), &number));
    assert_true(number == 9999999999999999);
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_false(u64_read(span_of(none[i]), &number));
}

static void the_maximum_can_be_filled_but_not_passed(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 1000);
    for (int i = 0; i < 1000; i++)
        buf_append(&buf, "x", 1);
    assert_int_equal(buf_status(&buf), ERR_NONE);
    buf_append(&buf, "y", 1);
    assert_int_equal(buf_status(&buf), ERR_TOO_LARGE);
    assert_int_equal(buf.size, 1000);
    assert_int_equal(buf.data[999], 'x');
    buf_fini(&buf);
}

static void a_failed_buffer_takes_no_more_until_reset(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 5);
    buf_append_text(&buf, "abc");
    buf_append_text(&buf, "def");
    buf_append_text(&buf, "g"); /* would fit, but there is a hole before it */
    assert_int_equal(buf_status(&buf), ERR_TOO_LARGE);
    assert_int_equal(buf.size, 3);
    buf_reset(&buf);
    buf_append_text(&buf, "fresh");
    assert_holds(&buf, "fresh");
    buf_fini(&buf);
}

static void running_out_of_memory_changes_nothing(void **state)
{
    struct buf buf;
    char big[1000];

    (void)state;
    memset(big, 'b', sizeof(big));
    buf_init(&buf, 100000);
    buf_append_text(&buf, "kept");
    mem_fail_nth(1);
    buf_append(&buf, big, sizeof(big));
    mem_fail_nth(0);
    assert_int_equal(buf_status(&buf), ERR_NOMEM);
    assert_int_equal(buf.size, 4);
    assert_memory_equal(buf.data, "kept", 4);
    buf_fini(&buf);
}

static void a_long_line_is_printed_whole_or_not_at_all(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 1000);
    buf_printf(&buf, "%0900d", 7);
    assert_int_equal(buf_status(&buf), ERR_NONE);
    assert_int_equal(buf.size, 900);
    assert_int_equal(buf.data[899], '7');
    buf_printf(&buf, "%0101d", 7);
    assert_int_equal(buf_status(&buf), ERR_TOO_LARGE);
    assert_int_equal(buf.size, 900);
    buf_reset(&buf);
    mem_fail_nth(1);
    buf_printf(&buf, "%0900d", 7);
    mem_fail_nth(0);
    assert_int_equal(buf_status(&buf), ERR_NOMEM);
    buf_fini(&buf);
}

static void a_reservation_is_room_not_content(void **state)
{
    struct buf buf;
    char *room;

    (void)state;
    buf_init(&buf, 300);
    room = buf_reserve(&buf, 200);
    assert_non_null(room);
    memset(room, 'r', 200);
    assert_int_equal(buf.size, 0);
    assert_null(buf_reserve(&buf, 301));
    assert_int_equal(buf_status(&buf), ERR_TOO_LARGE);
    buf_fini(&buf);
    buf_fini(&(struct buf){.data = NULL});
}

static void spans_compare_by_their_bytes(void **state)
{
    (void)state;
    assert_true(span_is(SPAN("abc"), "abc"));
    assert_false(span_is(SPAN("abc"), "abcd"));
    assert_true(span_equal(span_of(NULL), span_of("")));
    assert_false(span_equal(SPAN("a\0b"), SPAN("a\0c")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_follow_each_other),
        cmocka_unit_test(appending_nothing_is_fine),
        cmocka_unit_test(up_to_sixteen_digits_are_a_number),
        cmocka_unit_test(the_maximum_can_be_filled_but_not_passed),
        cmocka_unit_test(a_failed_buffer_takes_no_more_until_reset),
        cmocka_unit_test(running_out_of_memory_changes_nothing),
        cmocka_unit_test(a_long_line_is_printed_whole_or_not_at_all),
        cmocka_unit_test(a_reservation_is_room_not_content),
        cmocka_unit_test(spans_compare_by_their_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
