/* The demo's walls stand where they were built, and nowhere else. */
#include "server/demo_rungs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct identity device(const char *user, const char *name)
{
    struct identity who = {.app = "demo"};

    memcpy(who.user, user, strlen(user));
    memcpy(who.device, name, strlen(name));
    return who;
}

static void a_wall_is_one_devices(void **state)
{
    struct identity laptop = device("alice", "laptop");
    struct identity phone = device("alice", "phone");
    struct identity other = device("bob", "laptop");

    (void)state;
    assert_int_equal(demo_rungs_way(&laptop, BY_WS), DEMO_OPEN);
    assert_int_equal(demo_rungs_set(&laptop, 1u << BY_WS, 1u << BY_SSE), 0);
    assert_int_equal(demo_rungs_way(&laptop, BY_WS), DEMO_BLOCKED);
    assert_int_equal(demo_rungs_way(&laptop, BY_SSE), DEMO_BUFFERED);
    assert_int_equal(demo_rungs_way(&laptop, BY_POLL), DEMO_OPEN);
    assert_int_equal(demo_rungs_way(&phone, BY_WS), DEMO_OPEN);
    assert_int_equal(demo_rungs_way(&other, BY_WS), DEMO_OPEN);
    assert_int_equal(demo_rungs_set(&laptop, 0, 0), 0);
    assert_int_equal(demo_rungs_way(&laptop, BY_WS), DEMO_OPEN);
}

static void a_device_without_a_name_is_the_default_one(void **state)
{
    struct identity unnamed = device("alice", "");
    struct identity named = device("alice", "default");

    (void)state;
    assert_int_equal(demo_rungs_set(&unnamed, 1u << BY_WS, 0), 0);
    assert_int_equal(demo_rungs_way(&named, BY_WS), DEMO_BLOCKED);
    assert_int_equal(demo_rungs_set(&named, 0, 0), 0);
    assert_int_equal(demo_rungs_way(&unnamed, BY_WS), DEMO_OPEN);
}

/* Those that stand keep standing when there is no room for more. */
static void there_is_room_for_many_and_an_end(void **state)
{
    char name[16];
    int built = 0;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        struct identity who;

        (void)snprintf(name, sizeof(name), "d%d", i);
        who = device("carol", name);
        if (demo_rungs_set(&who, 1u << BY_WS, 0))
            continue;
        built++;
        assert_int_equal(demo_rungs_way(&who, BY_WS), DEMO_BLOCKED);
    }
    assert_true(built > 1000);
    assert_true(built < 100000);
    for (int i = 0; i < 100000; i++) {
        struct identity who;

        (void)snprintf(name, sizeof(name), "d%d", i);
        who = device("carol", name);
        built -= demo_rungs_way(&who, BY_WS) == DEMO_BLOCKED;
    }
    assert_int_equal(built, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wall_is_one_devices),
        cmocka_unit_test(a_device_without_a_name_is_the_default_one),
        cmocka_unit_test(there_is_room_for_many_and_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
