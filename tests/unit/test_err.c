/* The failure vocabulary. */
#include "server/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka's; ours is the one under test */

static void every_error_has_a_code_a_status_and_a_text(void **state)
{
    (void)state;
    for (int i = 0; i < ERR_COUNT; i++) {
        assert_true(strlen(err_code((enum err)i)) > 0);
        assert_true(strlen(err_text((enum err)i)) > 0);
        assert_in_range(err_status((enum err)i), 200, 599);
    }
    assert_string_equal(err_code(ERR_STORAGE_FULL), "storage_full");
    assert_int_equal(err_status(ERR_STORAGE_FULL), 507);
}

static void no_two_errors_share_a_code(void **state)
{
    (void)state;
    for (int i = 0; i < ERR_COUNT; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(err_code((enum err)i),
                                    err_code((enum err)j));
}

static void a_client_hears_only_wire_codes(void **state)
{
    (void)state;
    assert_int_equal(err_wire(ERR_NOMEM), ERR_UNAVAILABLE);
    assert_int_equal(err_wire(ERR_IO), ERR_UNAVAILABLE);
    assert_int_equal(err_wire(ERR_CLOSED), ERR_UNAVAILABLE);
    assert_int_equal(err_wire(ERR_END), ERR_INTERNAL);
    assert_int_equal(err_wire(ERR_CONFLICT), ERR_CONFLICT);
    for (int i = 0; i < ERR_COUNT; i++)
        assert_int_equal(err_wire(err_wire((enum err)i)),
                         err_wire((enum err)i));
}

static void fail_fills_the_reason_and_returns_the_error(void **state)
{
    struct failure why = {.retry_after_ms = 77};

    (void)state;
    assert_int_equal(fail(&why, ERR_CONFLICT, "seq %d", 4), ERR_CONFLICT);
    assert_int_equal(why.err, ERR_CONFLICT);
    assert_int_equal(why.retry_after_ms, 0);
    assert_string_equal(why.message, "seq 4");
    assert_int_equal(fail(NULL, ERR_GONE, "%s", "unheard"), ERR_GONE);
}

static void a_reason_is_never_empty_and_never_too_long(void **state)
{
    struct failure why;
    char big[600];

    (void)state;
    (void)fail(&why, ERR_GONE, "%s", "");
    assert_string_equal(why.message, err_text(ERR_GONE));
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    (void)fail(&why, ERR_GONE, "%s", big);
    assert_int_equal(strlen(why.message), sizeof(why.message) - 1);
    assert_int_equal(fail_plain(&why, ERR_NOT_FOUND), ERR_NOT_FOUND);
    assert_string_equal(why.message, err_text(ERR_NOT_FOUND));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_a_code_a_status_and_a_text),
        cmocka_unit_test(no_two_errors_share_a_code),
        cmocka_unit_test(a_client_hears_only_wire_codes),
        cmocka_unit_test(fail_fills_the_reason_and_returns_the_error),
        cmocka_unit_test(a_reason_is_never_empty_and_never_too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
