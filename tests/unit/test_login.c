/* Codes by which a new device is let in: how long they live, how many there
 * may be, and how often one is good. */
#include "server/base/clock.h"
#include "server/base/mem.h"
#include "server/login.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static uint64_t now_ms = 1000;

static uint64_t wall(void)
{
    return now_ms;
}

static uint64_t mono_us(void)
{
    return now_ms * 1000;
}

static const struct identity alice = {.app = "red", .user = "alice"};
static const struct identity eve = {.app = "red", .user = "eve"};

struct shown {
    char code[LOGIN_WORD_ROOM], secret[LOGIN_WORD_ROOM];
    uint64_t expires_ms;
};

static struct shown given_code(void)
{
    struct shown shown;

    assert_int_equal(login_begin(SPAN("a page"), shown.code, shown.secret,
                                 &shown.expires_ms, NULL),
                     ERR_NONE);
    return shown;
}

static enum err look(const struct shown *shown, struct login_view *view)
{
    return login_look(span_of(shown->code), span_of(shown->secret), view, NULL);
}

static enum err agree(const struct shown *shown, const struct identity *who)
{
    return login_decide(span_of(shown->code), who, mem_strndup("token", 5),
                        NULL);
}

static void a_code_is_good_once(void **state)
{
    struct shown shown = given_code();
    struct login_view view;
    char *token;

    (void)state;
    assert_int_equal(look(&shown, &view), ERR_NONE);
    assert_int_equal(view.state, LOGIN_NEW);
    assert_string_equal(view.name, "a page");
    assert_int_equal(agree(&shown, &alice), ERR_NONE);
    assert_int_equal(agree(&shown, &alice), ERR_CONFLICT);
    token = login_take(span_of(shown.code));
    assert_string_equal(token, "token");
    mem_free(token);
    assert_null(login_take(span_of(shown.code)));
    assert_int_equal(look(&shown, &view), ERR_NOT_FOUND);
}

static void a_code_that_was_read_is_its_readers(void **state)
{
    struct shown shown = given_code();
    struct login_view view;

    (void)state;
    assert_int_equal(login_read(span_of(shown.code), &alice, &view, NULL),
                     ERR_NONE);
    assert_int_equal(login_read(span_of(shown.code), &eve, &view, NULL),
                     ERR_CONFLICT);
    assert_int_equal(agree(&shown, &eve), ERR_CONFLICT);
    assert_int_equal(login_decide(span_of(shown.code), &alice, NULL, NULL),
                     ERR_NONE);
    assert_int_equal(look(&shown, &view), ERR_NONE);
    assert_int_equal(view.state, LOGIN_REFUSED);
    assert_null(login_take(span_of(shown.code)));
}

static void a_code_ends_with_its_time(void **state)
{
    struct shown shown = given_code();
    struct login_view view;

    (void)state;
    assert_int_equal(shown.expires_ms, now_ms + LOGIN_LIFE_MS);
    now_ms += LOGIN_LIFE_MS - 1;
    assert_int_equal(look(&shown, &view), ERR_NONE);
    now_ms += 1;
    assert_int_equal(look(&shown, &view), ERR_NOT_FOUND);
    assert_int_equal(agree(&shown, &alice), ERR_NOT_FOUND);
}

static void who_begins_to_wait_is_the_one_who_waits(void **state)
{
    struct shown shown = given_code();
    struct login_view first, second, now;

    (void)state;
    assert_int_equal(
        login_wait(span_of(shown.code), span_of(shown.secret), &first, NULL),
        ERR_NONE);
    assert_int_equal(
        login_wait(span_of(shown.code), span_of(shown.secret), &second, NULL),
        ERR_NONE);
    assert_int_equal(look(&shown, &now), ERR_NONE);
    assert_int_equal(now.waiter, second.waiter);
    assert_int_not_equal(now.waiter, first.waiter);
}

static void there_is_a_limit_and_time_makes_room(void **state)
{
    struct shown shown;
    struct failure why;

    (void)state;
    now_ms += LOGIN_LIFE_MS; /* those of the other stories are over */
    for (int i = 0; i < LOGIN_MAX; i++)
        shown = given_code();
    assert_int_equal(login_begin(SPAN(""), shown.code, shown.secret,
                                 &shown.expires_ms, &why),
                     ERR_OVERLOADED);
    assert_true(why.retry_after_ms > 0);
    now_ms += LOGIN_LIFE_MS;
    shown = given_code();
    mem_free(login_take(span_of(shown.code)));
}

/* A flood of codes that nobody waits for keeps out nobody who does. */
static void what_is_not_waited_for_makes_room(void **state)
{
    struct shown first, waited;
    struct login_view view;

    (void)state;
    now_ms += LOGIN_LIFE_MS;
    waited = given_code();
    first = given_code();
    for (int i = 2; i < LOGIN_MAX; i++)
        (void)given_code();
    now_ms += LOGIN_IDLE_MS - 1;
    assert_int_equal(look(&waited, &view), ERR_NONE);
    now_ms += 1;
    (void)given_code();
    assert_int_equal(look(&waited, &view), ERR_NONE);
    assert_int_equal(look(&first, &view), ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_code_is_good_once),
        cmocka_unit_test(a_code_that_was_read_is_its_readers),
        cmocka_unit_test(a_code_ends_with_its_time),
        cmocka_unit_test(who_begins_to_wait_is_the_one_who_waits),
        cmocka_unit_test(there_is_a_limit_and_time_makes_room),
        cmocka_unit_test(what_is_not_waited_for_makes_room),
    };

    clock_substitute(wall, mono_us);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
