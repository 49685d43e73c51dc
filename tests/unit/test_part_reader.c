/* Body parts, however they are cut into pieces. */
#include "server/cli/part_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char told[400];
static int parts_wanted;

static bool tell(void *arg, struct span body)
{
    size_t at = strlen(told);

    (void)arg;
    (void)snprintf(told + at, sizeof(told) - at, "<%.*s>", (int)body.size,
                   body.data);
    return --parts_wanted != 0;
}

/* In pieces of every size: the same, and whether it is a good body. */
static void read_as(const char *text, bool good, const char *expected)
{
    size_t size = strlen(text);

    for (size_t piece = 1; piece <= size; piece++) {
        struct part_reader reader;
        bool go_on = true;

        told[0] = '\0';
        parts_wanted = 100;
        part_reader_init(&reader, tell, NULL);
        for (size_t at = 0; at < size && go_on; at += piece)
            go_on = part_reader_push(&reader, text + at,
                                     size - at < piece ? size - at : piece);
        assert_int_equal(go_on, good);
        assert_string_equal(told, expected);
        part_reader_fini(&reader);
    }
}

#define PART(length, body)                                                     \
    "Content-Type: application/json\r\nContent-Length: " length                \
    "\r\n\r\n" body "\r\n--rung"

static void parts_are_whole_with_their_length(void **state)
{
    (void)state;
    read_as("    \r\n--rung\r\n" PART("3", "[1]") "\r\n" PART("5",
                                                              "[2,3]") "--\r\n",
            true, "<[1]><[2,3]>");
}

static void a_body_may_look_like_anything(void **state)
{
    (void)state;
    read_as("--rung\r\n" PART("12", "\r\n--rung\r\n\r\n") "--\r\n", true,
            "<\r\n--rung\r\n\r\n>");
}

static void half_a_part_is_none(void **state)
{
    (void)state;
    read_as("--rung\r\nContent-Length: 9\r\n\r\n[1,2", true, "");
}

static void a_part_without_length_is_no_part_of_ours(void **state)
{
    (void)state;
    read_as("--rung\r\nContent-Type: text/html\r\n\r\n<p>", false, "");
    read_as("--rung\r\nContent-Length: 99999999999\r\n\r\n", false, "");
}

static void the_one_who_takes_them_may_stop(void **state)
{
    static const char text[] =
        "--rung\r\n" PART("3", "[1]") "\r\n" PART("3", "[2]") "\r\n";
    struct part_reader reader;

    (void)state;
    told[0] = '\0';
    parts_wanted = 1;
    part_reader_init(&reader, tell, NULL);
    assert_false(part_reader_push(&reader, text, sizeof(text) - 1));
    assert_string_equal(told, "<[1]>");
    part_reader_fini(&reader);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_whole_with_their_length),
        cmocka_unit_test(a_body_may_look_like_anything),
        cmocka_unit_test(half_a_part_is_none),
        cmocka_unit_test(a_part_without_length_is_no_part_of_ours),
        cmocka_unit_test(the_one_who_takes_them_may_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
