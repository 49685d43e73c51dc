/* Very many deadlines. */
#include "server/base/wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct alarm {
    struct wheel_node node;
    int fired;
    struct wheel *wheel;
    struct alarm *other; /* disarmed when this one fires */
    uint64_t again_ms;   /* armed anew for then when this one fires */
};

static struct wheel wheel;

static void ring(struct wheel_node *node)
{
    struct alarm *alarm = container_of(node, struct alarm, node);

    alarm->fired++;
    if (alarm->other)
        wheel_disarm(&alarm->other->node);
    if (alarm->again_ms)
        wheel_arm(&wheel, node, alarm->again_ms);
}

static void given_alarm(struct alarm *alarm, uint64_t at_ms)
{
    memset(alarm, 0, sizeof(*alarm));
    wheel_node_init(&alarm->node, ring);
    wheel_arm(&wheel, &alarm->node, at_ms);
}

static void a_deadline_never_fires_early_and_fires_once(void **state)
{
    struct alarm alarm;

    (void)state;
    wheel_init(&wheel, 10000);
    given_alarm(&alarm, 10123);
    for (uint64_t now = 10000; now < 10123; now++) {
        wheel_advance(&wheel, now);
        assert_int_equal(alarm.fired, 0);
    }
    wheel_advance(&wheel, 10123 + WHEEL_TICK_MS);
    assert_int_equal(alarm.fired, 1);
    wheel_advance(&wheel, 1000000);
    assert_int_equal(alarm.fired, 1);
}

static void a_deadline_in_the_past_fires_at_the_next_tick(void **state)
{
    struct alarm alarm;

    (void)state;
    wheel_init(&wheel, 10000);
    given_alarm(&alarm, 3);
    wheel_advance(&wheel, 10000);
    assert_int_equal(alarm.fired, 0);
    wheel_advance(&wheel, 10000 + WHEEL_TICK_MS);
    assert_int_equal(alarm.fired, 1);
}

static void a_deadline_of_many_turns_waits_for_its_own(void **state)
{
    const uint64_t turn_ms = (uint64_t)WHEEL_TICK_MS * WHEEL_SLOTS;
    struct alarm alarm;

    (void)state;
    wheel_init(&wheel, 0);
    given_alarm(&alarm, 3 * turn_ms + 100);
    for (uint64_t now = 0; now < 3 * turn_ms + 100; now += WHEEL_TICK_MS)
        wheel_advance(&wheel, now);
    assert_int_equal(alarm.fired, 0);
    wheel_advance(&wheel, 3 * turn_ms + 100);
    assert_int_equal(alarm.fired, 1);
}

static void a_long_sleep_fires_all_that_came_due(void **state)
{
    const uint64_t turn_ms = (uint64_t)WHEEL_TICK_MS * WHEEL_SLOTS;
    struct alarm alarms[200], later;
    int fired = 0;

    (void)state;
    wheel_init(&wheel, 0);
    for (int i = 0; i < 200; i++)
        given_alarm(&alarms[i], (uint64_t)i * turn_ms / 40);
    given_alarm(&later, 20 * turn_ms);
    wheel_advance(&wheel, 6 * turn_ms);
    for (int i = 0; i < 200; i++)
        fired += alarms[i].fired;
    assert_int_equal(fired, 200);
    assert_int_equal(later.fired, 0);
    wheel_disarm(&later.node);
}

static void re_arming_moves_and_disarming_cancels(void **state)
{
    struct alarm moved, cancelled;

    (void)state;
    wheel_init(&wheel, 0);
    given_alarm(&moved, 100);
    given_alarm(&cancelled, 100);
    wheel_arm(&wheel, &moved.node, 300);
    wheel_disarm(&cancelled.node);
    wheel_disarm(&cancelled.node);
    wheel_advance(&wheel, 250);
    assert_int_equal(moved.fired, 0);
    wheel_advance(&wheel, 300);
    assert_int_equal(moved.fired, 1);
    wheel_advance(&wheel, 90000);
    assert_int_equal(cancelled.fired, 0);
}

static void one_that_fires_may_disarm_another_of_the_same_tick(void **state)
{
    struct alarm first, second;

    (void)state;
    wheel_init(&wheel, 0);
    given_alarm(&first, 100);
    given_alarm(&second, 100);
    first.other = &second;
    wheel_advance(&wheel, 100);
    assert_int_equal(first.fired, 1);
    assert_int_equal(second.fired, 0);
}

static void one_that_fires_may_arm_itself_again(void **state)
{
    const uint64_t turn_ms = (uint64_t)WHEEL_TICK_MS * WHEEL_SLOTS;
    struct alarm alarm;

    (void)state;
    wheel_init(&wheel, 0);
    given_alarm(&alarm, 100);
    alarm.again_ms = 100 + turn_ms; /* the very same slot */
    wheel_advance(&wheel, 100);
    assert_int_equal(alarm.fired, 1);
    alarm.again_ms = 0;
    wheel_advance(&wheel, 50 + turn_ms);
    assert_int_equal(alarm.fired, 1);
    wheel_advance(&wheel, 100 + turn_ms);
    assert_int_equal(alarm.fired, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadline_never_fires_early_and_fires_once),
        cmocka_unit_test(a_deadline_in_the_past_fires_at_the_next_tick),
        cmocka_unit_test(a_deadline_of_many_turns_waits_for_its_own),
        cmocka_unit_test(a_long_sleep_fires_all_that_came_due),
        cmocka_unit_test(re_arming_moves_and_disarming_cancels),
        cmocka_unit_test(one_that_fires_may_disarm_another_of_the_same_tick),
        cmocka_unit_test(one_that_fires_may_arm_itself_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
