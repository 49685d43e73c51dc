/* Lines taken apart, however their bytes come. */
#include "server/base/mem.h"
#include "transports/tcp_lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX 8

static struct tcp_lines lines;

static int nothing_yet(void **state)
{
    (void)state;
    memset(&lines, 0, sizeof(lines));
    return 0;
}

static int nothing_left(void **state)
{
    (void)state;
    tcp_lines_fini(&lines);
    return 0;
}

/* All lines of `text` when it comes in parts of `part`, each in brackets, and
 * what was wrong in the end. */
static const char *taken_from(const char *text, size_t length, size_t part)
{
    static const char *const ends[] = {[LINES_MORE] = "",
                                       [LINES_LINE] = "",
                                       [LINES_FOREIGN] = " foreign",
                                       [LINES_TOO_LARGE] = " too large",
                                       [LINES_NO_MEMORY] = " no memory"};
    static char out[1024];
    enum lines_found found = LINES_MORE;
    char *bytes = malloc(length);
    size_t used = 0;

    assert_non_null(bytes);
    memcpy(bytes, text, length);
    out[0] = 0;
    for (size_t at = 0; at < length && found == LINES_MORE; at += part) {
        const char *data = bytes + at;
        size_t left = length - at < part ? length - at : part;
        struct span line;

        while ((found = tcp_lines_next(&lines, MAX, &data, &left, &line)) ==
               LINES_LINE)
            used += (size_t)snprintf(out + used, sizeof(out) - used, "[%.*s]",
                                     (int)line.size, line.data);
    }
    (void)snprintf(out + used, sizeof(out) - used, "%s", ends[found]);
    free(bytes);
    return out;
}

/* At once and in parts of every size: the same. */
static void expect(const char *text, const char *expected)
{
    size_t length = strlen(text);

    for (size_t part = 1; part <= length; part++) {
        nothing_yet(NULL);
        assert_string_equal(taken_from(text, length, part), expected);
        nothing_left(NULL);
    }
}

static void lines_end_with_lf_or_crlf(void **state)
{
    (void)state;
    expect("{1}\n{22}\r\n{3}\n", "[{1}][{22}][{3}]");
    expect("{1}\r{2}\n", "[{1}\r{2}]");
    expect("{1}\nanything\n", "[{1}][anything]");
}

static void empty_lines_are_left_out(void **state)
{
    (void)state;
    expect("\n\r\n{1}\n\n\r\n\n{2}\n", "[{1}][{2}]");
    expect("\r\n\r\n", "");
}

static void a_line_has_at_most_so_many_bytes(void **state)
{
    (void)state;
    expect("{234567}\n", "[{234567}]");
    expect("{234567}\r\n", "[{234567}]");
    expect("{2345678}\n", " too large");
    expect("{2345678\r\n", "[{2345678]");
    expect("{1}\n{2345678901234", "[{1}] too large");
    expect("{234567}\r\r\n", " too large");
}

/* Before its end has come: a peer that sends no line ends is not waited for. */
static void a_line_that_is_too_large_is_known_without_its_end(void **state)
{
    (void)state;
    assert_string_equal(taken_from("{2345678", 8, 3), "");
    assert_string_equal(taken_from("9", 1, 1), " too large");
}

static void the_first_byte_tells_whether_it_is_json(void **state)
{
    (void)state;
    expect("GET / HTTP/1.1\r\n\r\n", " foreign");
    expect("\r\n \t<policy-file-request/>", " foreign");
    expect("[]\n", " foreign");
    expect(" {1}\nGET\n", "[{1}][GET]");
    expect(" \n\t{1}\n \n", "[{1}][ ]");
    nothing_yet(NULL);
    assert_string_equal(taken_from("\x16\x03\x01", 3, 3), " foreign");
    assert_string_equal(taken_from("\0", 1, 1), " foreign");
}

static void the_last_line_needs_no_end(void **state)
{
    struct span line;

    (void)state;
    assert_string_equal(taken_from("{1}\n{2}\r", 8, 3), "[{1}]");
    assert_true(tcp_lines_rest(&lines, &line));
    assert_int_equal(line.size, 3);
    assert_memory_equal(line.data, "{2}", 3);
    assert_false(tcp_lines_rest(&lines, &line));
}

static void after_a_whole_line_nothing_is_left(void **state)
{
    struct span line;

    (void)state;
    assert_string_equal(taken_from("{1}\n", 4, 2), "[{1}]");
    assert_false(tcp_lines_rest(&lines, &line));
}

static void without_memory_a_line_in_parts_is_not_lost_unseen(void **state)
{
    (void)state;
    mem_fail_nth(1);
    assert_string_equal(taken_from("{1}\n{2", 6, 6), "[{1}] no memory");
    mem_fail_nth(0);
}

int main(void)
{
#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, nothing_yet, nothing_left)
    static const struct CMUnitTest tests[] = {
        TEST(lines_end_with_lf_or_crlf),
        TEST(empty_lines_are_left_out),
        TEST(a_line_has_at_most_so_many_bytes),
        TEST(a_line_that_is_too_large_is_known_without_its_end),
        TEST(the_first_byte_tells_whether_it_is_json),
        TEST(the_last_line_needs_no_end),
        TEST(after_a_whole_line_nothing_is_left),
        TEST(without_memory_a_line_in_parts_is_not_lost_unseen),
    };
#undef TEST

    return cmocka_run_group_tests(tests, NULL, NULL);
}
