/* The ladder of docs/CLIENT.md, told by a clock that stands still: "o0" opens
 * rung 0, "c0" closes it. */
#include "server/cli/ladder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct ladder ladder;
static char done[256];
static uint64_t now;

static void note(char what, size_t rung)
{
    size_t at = strlen(done);

    (void)snprintf(done + at, sizeof(done) - at, "%s%c%zu", at ? " " : "", what,
                   rung);
}

static void open_rung(struct ladder *l, size_t rung)
{
    (void)l;
    note('o', rung);
}

static void close_rung(struct ladder *l, size_t rung)
{
    (void)l;
    note('c', rung);
}

static uint64_t in_the_middle(uint64_t below)
{
    return below / 2;
}

static void given(size_t rungs)
{
    static const char *const names[] = {"ws", "stream", "longpoll", "poll"};

    memset(&ladder, 0, sizeof(ladder));
    for (size_t i = 0; i < rungs; i++)
        ladder.rungs[i].name = names[i];
    ladder.count = rungs;
    ladder.open = open_rung;
    ladder.close = close_rung;
    ladder.random = in_the_middle;
    ladder_init(&ladder);
    done[0] = 0;
    now = 1000;
    ladder_start(&ladder, now);
}

/* What is done in the next `ms`. */
static const char *in(uint64_t ms)
{
    static char seen[sizeof(done)];
    uint64_t end = now + ms, due;

    while ((due = ladder_tick(&ladder, now)) <= end)
        now = due > now ? due : now + 1;
    now = end;
    (void)ladder_tick(&ladder, now);
    memcpy(seen, done, sizeof(seen));
    done[0] = 0;
    return seen;
}

static void accepted(size_t rung)
{
    ladder_accepted(&ladder, rung, now);
}

static void heard(size_t rung)
{
    ladder_heard(&ladder, rung, now);
}

static void ended(size_t rung, enum rung_end how, uint64_t delay)
{
    ladder_ended(&ladder, rung, how, delay, now);
}

static void the_best_is_opened_first_and_the_others_stay_shut(void **state)
{
    (void)state;
    given(4);
    assert_string_equal(in(0), "o0");
    accepted(0);
    heard(0);
    assert_int_equal(ladder.live, 0);
    assert_string_equal(in(3600000), "");
}

static void a_rung_that_hangs_is_raced_by_the_next(void **state)
{
    (void)state;
    given(4);
    assert_string_equal(in(240), "o0");
    assert_string_equal(in(20), "o1");
    assert_string_equal(in(250), "o2");
    heard(2);
    assert_string_equal(in(0), "");
    heard(1); /* the better one takes over, and the other one is closed */
    assert_string_equal(in(0), "c2");
    assert_int_equal(ladder.live, 1);
}

static void the_lower_ones_are_closed_when_a_better_one_is_heard(void **state)
{
    (void)state;
    given(4);
    assert_string_equal(in(600), "o0 o1 o2");
    heard(0);
    assert_string_equal(in(0), "c1 c2");
}

static void with_a_failure_the_next_is_opened_at_once(void **state)
{
    (void)state;
    given(4);
    assert_string_equal(in(0), "o0");
    ended(0, RUNG_FELL, 0);
    assert_string_equal(in(0), "o1");
    ended(1, RUNG_UNFIT, 0);
    assert_string_equal(in(0), "o2");
}

/* Three round trips and a second. */
static void a_rung_that_is_accepted_must_be_heard_soon(void **state)
{
    (void)state;
    given(2);
    assert_string_equal(in(0), "o0");
    now += 100;
    accepted(0);
    assert_string_equal(in(1000), "o1");
    heard(1);
    assert_string_equal(in(290), "");
    assert_string_equal(in(20), "c0");
    assert_int_equal(ladder.rungs[0].failures, 1);
}

static void one_that_never_connects_has_failed(void **state)
{
    (void)state;
    given(2);
    assert_string_equal(in(300), "o0 o1");
    heard(1);
    assert_string_equal(in(9600), "");
    assert_string_equal(in(200), "c0");
}

/* All rungs hang but the lowest: 250 ms each. */
static void all_that_hang_are_passed_in_time(void **state)
{
    (void)state;
    given(4);
    assert_string_equal(in(750), "o0 o1 o2 o3");
    heard(3);
    assert_int_equal(ladder.live, 3);
    assert_string_equal(in(10000), "c0 c1 c2");
}

static void a_failure_alone_counts_when_another_got_through(void **state)
{
    (void)state;
    given(2);
    assert_string_equal(in(0), "o0");
    ended(0, RUNG_FELL, 0);
    assert_string_equal(in(0), "o1");
    ended(1, RUNG_FELL, 0);
    assert_int_equal(ladder.rungs[0].failures, 0);
    assert_string_equal(in(249), ""); /* full jitter: half of 500 */
    assert_string_equal(in(2), "o0");
    ended(0, RUNG_FELL, 0);
    assert_string_equal(in(0), "o1");
    heard(1);
    assert_int_equal(ladder.rungs[0].failures, 1);
    assert_int_equal(ladder.rungs[1].failures, 0);
}

static void the_waits_grow_to_half_a_minute(void **state)
{
    static const uint64_t waits[] = {250,  500,  1000,  2000,
                                     4000, 8000, 15000, 15000};

    (void)state;
    given(1);
    assert_string_equal(in(0), "o0");
    for (size_t i = 0; i < sizeof(waits) / sizeof(*waits); i++) {
        ended(0, RUNG_FELL, 0);
        assert_string_equal(in(waits[i] - 1), "");
        assert_string_equal(in(1), "o0");
    }
}

/* It rests for 2.5 s and half of 2.5, then twice that. */
static void a_better_rung_is_probed_beside_the_live_one(void **state)
{
    (void)state;
    given(2);
    assert_string_equal(in(0), "o0");
    ended(0, RUNG_FELL, 0);
    assert_string_equal(in(0), "o1");
    heard(1);
    assert_string_equal(in(3749), "");
    assert_string_equal(in(2), "o0");
    ended(0, RUNG_FELL, 0);
    assert_int_equal(ladder.live, 1);
    assert_string_equal(in(7498), "");
    assert_string_equal(in(3), "o0");
    heard(0);
    assert_string_equal(in(0), "c1");
    assert_int_equal(ladder.live, 0);
    assert_string_equal(in(6000), "");
    assert_int_equal(ladder.rungs[0].failures, 0); /* it lives stably */
}

static void after_a_fall_the_one_that_worked_is_first(void **state)
{
    (void)state;
    given(3);
    assert_string_equal(in(0), "o0");
    ended(0, RUNG_UNFIT, 0);
    assert_string_equal(in(0), "o1");
    heard(1);
    in(5000);
    done[0] = 0;
    if (ladder.rungs[0].state == RUNG_OPENING)
        ended(0, RUNG_UNFIT, 0);
    ended(1, RUNG_FELL, 0);
    assert_string_equal(in(0), "o1");
    assert_string_equal(in(490), "");
    assert_string_equal(in(20), "o2"); /* the best one rests */
}

static void one_that_flaps_is_left_for_the_next(void **state)
{
    (void)state;
    given(2);
    assert_string_equal(in(0), "o0");
    heard(0);
    in(1000);
    ended(0, RUNG_FELL, 0);
    assert_string_equal(in(0), "o1");
    heard(1);
    assert_int_equal(ladder.rungs[0].failures, 1);
}

static void behind_a_bye_the_same_rung_comes_after_its_delay(void **state)
{
    (void)state;
    given(2);
    assert_string_equal(in(0), "o0");
    heard(0);
    in(100);
    ended(0, RUNG_BYE, 2000);
    assert_string_equal(in(1999), "");
    assert_string_equal(in(1), "o0");
    heard(0);
    in(5000);
    ended(0, RUNG_BYE, 0);
    assert_string_equal(in(0), "o0");
}

static void a_bye_to_a_young_rung_is_followed_by_a_draw(void **state)
{
    (void)state;
    given(2);
    assert_string_equal(in(0), "o0");
    ended(0, RUNG_BYE, 0);
    assert_string_equal(in(249), ""); /* half of 500 */
    assert_string_equal(in(1), "o0");
    heard(0);
    in(4999);
    ended(0, RUNG_BYE, 0);
    assert_string_equal(in(249), "");
    assert_string_equal(in(1), "o0");
}

/* Of what took longer an eighth: it may hold more than one round trip. */
static void a_shorter_round_trip_counts_at_once(void **state)
{
    static const uint64_t took[] = {100, 180, 30}, known[] = {100, 110, 30};

    (void)state;
    given(3);
    for (size_t i = 0; i < 3; i++) {
        in(0);
        now += took[i];
        accepted(i);
        assert_int_equal(ladder.rtt_ms, known[i]);
        ended(i, RUNG_FELL, 0);
    }
}

static void told_later_all_wait_and_longer(void **state)
{
    (void)state;
    given(2);
    assert_string_equal(in(260), "o0 o1");
    ended(0, RUNG_LATER, 1000);
    assert_string_equal(in(1249), "c1");
    assert_string_equal(in(1), "o0");
}

static void a_probe_that_is_told_later_leaves_the_live_one_alone(void **state)
{
    (void)state;
    given(2);
    assert_string_equal(in(260), "o0 o1");
    heard(1);
    ended(0, RUNG_LATER, 1000);
    assert_string_equal(in(100), "");
    assert_int_equal(ladder.live, 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_is_opened_first_and_the_others_stay_shut),
        cmocka_unit_test(a_rung_that_hangs_is_raced_by_the_next),
        cmocka_unit_test(the_lower_ones_are_closed_when_a_better_one_is_heard),
        cmocka_unit_test(with_a_failure_the_next_is_opened_at_once),
        cmocka_unit_test(a_rung_that_is_accepted_must_be_heard_soon),
        cmocka_unit_test(one_that_never_connects_has_failed),
        cmocka_unit_test(all_that_hang_are_passed_in_time),
        cmocka_unit_test(a_failure_alone_counts_when_another_got_through),
        cmocka_unit_test(the_waits_grow_to_half_a_minute),
        cmocka_unit_test(a_better_rung_is_probed_beside_the_live_one),
        cmocka_unit_test(after_a_fall_the_one_that_worked_is_first),
        cmocka_unit_test(one_that_flaps_is_left_for_the_next),
        cmocka_unit_test(behind_a_bye_the_same_rung_comes_after_its_delay),
        cmocka_unit_test(a_bye_to_a_young_rung_is_followed_by_a_draw),
        cmocka_unit_test(a_shorter_round_trip_counts_at_once),
        cmocka_unit_test(told_later_all_wait_and_longer),
        cmocka_unit_test(a_probe_that_is_told_later_leaves_the_live_one_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
