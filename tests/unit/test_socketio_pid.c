/* The name under which a Socket.IO client recovers its connection. */
#include "transports/socketio_pid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SECRET "0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210"

static struct config *given_config(const char *first, const char *second)
{
    struct config *config;

    assert_int_equal(config_defaults(&config), ERR_NONE);
    assert_int_equal(config_add_key(config, "app", first, NULL, NULL),
                     ERR_NONE);
    if (second)
        assert_int_equal(config_add_key(config, "app", second, NULL, NULL),
                         ERR_NONE);
    return config;
}

static const struct identity bob = {.app = "app", .user = "bob"};

static void one_is_taken_again_when_it_is_free(void **state)
{
    struct config *config = given_config(SECRET, NULL);
    struct pid pid, again;
    struct span text;

    (void)state;
    assert_int_equal(pid_issue(&pid, config, &bob), ERR_NONE);
    text = (struct span){pid.text, PID_CHARS};
    assert_int_equal(pid_take(&again, text, config, &bob), PID_BUSY);
    again = pid;
    pid_release(&again);
    assert_int_equal(pid_take(&again, text, config, &bob), PID_TAKEN);
    assert_string_equal(again.text, pid.text);
    pid_release(&again);
    config_unref(config);
}

/* Another node has the same keys, and perhaps a newer one in front. */
static void another_node_takes_it(void **state)
{
    struct config *here = given_config(SECRET, NULL);
    struct config *there = given_config(OTHER, SECRET);
    struct config *stranger = given_config(OTHER, NULL);
    struct pid pid, again, copy;

    (void)state;
    assert_int_equal(pid_issue(&pid, here, &bob), ERR_NONE);
    copy = pid;
    pid_release(&pid);
    assert_int_equal(
        pid_take(&again, (struct span){copy.text, PID_CHARS}, stranger, &bob),
        PID_WRONG);
    assert_int_equal(
        pid_take(&again, (struct span){copy.text, PID_CHARS}, there, &bob),
        PID_TAKEN);
    pid_release(&again);
    config_unref(here);
    config_unref(there);
    config_unref(stranger);
}

static void it_is_one_user_s_and_one_device_s(void **state)
{
    struct config *config = given_config(SECRET, NULL);
    struct identity others[] = {
        {.app = "app", .user = "alice"},
        {.app = "app", .user = "bob", .device = "phone"},
        {.app = "app", .user = "bob", .inbox = 1},
    };
    struct pid pid, again, copy;

    (void)state;
    assert_int_equal(pid_issue(&pid, config, &bob), ERR_NONE);
    copy = pid;
    pid_release(&pid);
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        assert_int_equal(pid_take(&again, (struct span){copy.text, PID_CHARS},
                                  config, &others[i]),
                         PID_WRONG);
    for (size_t i = 0; i < PID_CHARS; i++) {
        struct pid changed = copy;

        changed.text[i] = changed.text[i] == 'A' ? 'B' : 'A';
        assert_int_equal(pid_take(&again,
                                  (struct span){changed.text, PID_CHARS},
                                  config, &bob),
                         PID_WRONG);
    }
    assert_int_equal(pid_take(&again, SPAN("short"), config, &bob), PID_WRONG);
    config_unref(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_is_taken_again_when_it_is_free),
        cmocka_unit_test(another_node_takes_it),
        cmocka_unit_test(it_is_one_user_s_and_one_device_s),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
