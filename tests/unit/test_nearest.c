/* "Did you mean …?" */
#include "server/nearest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *suggested(const char *typed)
{
    static const char *const known[] = {"serve", "send", "tail", "version",
                                        "user-rate"};
    struct nearest nearest;

    nearest_init(&nearest, typed);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        nearest_offer(&nearest, known[i]);
    return nearest.best;
}

static void one_slip_is_understood(void **state)
{
    (void)state;
    assert_string_equal(suggested("serv"), "serve");
    assert_string_equal(suggested("sevre"), "serve");
    assert_string_equal(suggested("sendd"), "send");
    assert_string_equal(suggested("verson"), "version");
    assert_string_equal(suggested("userrate"), "user-rate");
    assert_string_equal(suggested("atil"), "tail");
}

static void a_stranger_gets_no_suggestion(void **state)
{
    (void)state;
    assert_null(suggested("frobnicate"));
    assert_null(suggested(""));
    assert_null(suggested("x"));
    assert_null(suggested("a word much longer than any that could be known "
                          "here"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_slip_is_understood),
        cmocka_unit_test(a_stranger_gets_no_suggestion),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
