/* Eight bytes at once say of each byte what a look at it alone would say. */
#include "server/base/eight.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

/* Where the first byte is that is told of; 8: there is none. */
static unsigned first_of(uint64_t answer)
{
    answer &= EIGHT_TOPS;
    return answer ? (unsigned)__builtin_ctzll(answer) / 8 : 8;
}

/* `byte` at `at`, behind it what a borrow would get wrong, in front of it what
 * nothing stops at. */
static uint64_t text_with(unsigned byte, unsigned at, char behind)
{
    char text[8];

    for (unsigned i = 0; i < 8; i++)
        text[i] = i > at ? behind : 'x';
    text[at] = (char)byte;
    return eight_load(text);
}

static void the_first_of_each_kind_is_found_wherever_it_is(void **state)
{
    (void)state;
    for (unsigned at = 0; at < 8; at++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            uint64_t quoted = text_with(byte, at, '"' + 1);
            uint64_t blank = text_with(byte, at, ' ');

            assert_int_equal(first_of(eight_equal(quoted, '"')),
                             byte == '"' ? at : 8);
            assert_int_equal(first_of(eight_below(blank, ' ')),
                             byte < ' ' ? at : 8);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_of_each_kind_is_found_wherever_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
