/* How many connections an address has: whatever becomes of their descriptors. */
#include "server/guests.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct guests *given_guests(void)
{
    struct guests *guests;

    assert_int_equal(guests_create(&guests), ERR_NONE);
    return guests;
}

/* Whether it is let in as the only one of its address. */
static bool enters_alone(struct guests *guests, int fd, const char *address)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, address, &v4.sin_addr) == 1)
        return guests_enter(guests, fd, (struct sockaddr *)&v4, 1);
    assert_int_equal(inet_pton(AF_INET6, address, &v6.sin6_addr), 1);
    return guests_enter(guests, fd, (struct sockaddr *)&v6, 1);
}

static void who_leaves_makes_room(void **state)
{
    struct guests *guests = given_guests();

    (void)state;
    assert_true(enters_alone(guests, 5, "10.0.0.1"));
    assert_false(enters_alone(guests, 6, "10.0.0.1"));
    assert_true(enters_alone(guests, 7, "10.0.0.2"));
    guests_leave(guests, 6); /* was not let in */
    assert_false(enters_alone(guests, 6, "10.0.0.1"));
    guests_leave(guests, 5);
    assert_true(enters_alone(guests, 6, "10.0.0.1"));
    guests_destroy(guests);
}

static void a_subscriber_of_ipv6_is_one_address(void **state)
{
    struct guests *guests = given_guests();

    (void)state;
    assert_true(enters_alone(guests, 5, "2001:db8:1:2::1"));
    assert_false(enters_alone(guests, 6, "2001:db8:1:2::ffff"));
    assert_true(enters_alone(guests, 6, "2001:db8:1:3::1"));
    guests_destroy(guests);
}

static void a_duplicate_counts_in_its_place(void **state)
{
    struct guests *guests = given_guests();

    (void)state;
    assert_true(enters_alone(guests, 5, "10.0.0.1"));
    guests_move(guests, 9, 5);
    guests_leave(guests, 5);
    assert_false(enters_alone(guests, 6, "10.0.0.1"));
    guests_leave(guests, 9);
    assert_true(enters_alone(guests, 6, "10.0.0.1"));
    guests_destroy(guests);
}

static void who_is_held_counts_whoever_has_the_number_then(void **state)
{
    struct guests *guests = given_guests();
    struct guest *held;

    (void)state;
    assert_true(enters_alone(guests, 5, "10.0.0.1"));
    held = guests_hold(guests, 5);
    assert_non_null(held);
    assert_false(enters_alone(guests, 6, "10.0.0.1"));
    assert_true(enters_alone(guests, 5, "10.0.0.2"));
    guests_let_go(guests, held);
    assert_true(enters_alone(guests, 6, "10.0.0.1"));
    assert_false(enters_alone(guests, 7, "10.0.0.2"));
    guests_destroy(guests);
}

static void who_is_put_back_leaves_with_the_descriptor(void **state)
{
    struct guests *guests = given_guests();

    (void)state;
    assert_true(enters_alone(guests, 5, "10.0.0.1"));
    guests_put_back(guests, guests_hold(guests, 5), 5);
    assert_false(enters_alone(guests, 6, "10.0.0.1"));
    guests_leave(guests, 5);
    assert_true(enters_alone(guests, 6, "10.0.0.1"));
    guests_put_back(guests, guests_hold(guests, 6), -1);
    assert_true(enters_alone(guests, 6, "10.0.0.1"));
    assert_null(guests_hold(guests, 8)); /* nobody */
    guests_put_back(guests, NULL, 8);
    guests_let_go(guests, NULL);
    guests_destroy(guests);
}

static void sessions_are_counted_apart_and_outlive_connections(void **state)
{
    struct guests *guests = given_guests();
    struct guest *first, *second;

    (void)state;
    assert_true(enters_alone(guests, 5, "10.0.0.1"));
    assert_true(guests_begin_session(guests, 5, 1, &first));
    assert_non_null(first);
    assert_false(guests_begin_session(guests, 5, 1, &second));
    guests_leave(guests, 5);
    assert_true(enters_alone(guests, 6, "10.0.0.1"));
    assert_false(guests_begin_session(guests, 6, 1, &second));
    guests_end_session(guests, first);
    assert_true(guests_begin_session(guests, 6, 1, &second));
    guests_leave(guests, 6);
    guests_end_session(guests, second);
    assert_true(guests_begin_session(guests, 6, 1, &second)); /* nobody's */
    assert_null(second);
    guests_end_session(guests, second);
    guests_destroy(guests);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_leaves_makes_room),
        cmocka_unit_test(a_subscriber_of_ipv6_is_one_address),
        cmocka_unit_test(a_duplicate_counts_in_its_place),
        cmocka_unit_test(who_is_held_counts_whoever_has_the_number_then),
        cmocka_unit_test(who_is_put_back_leaves_with_the_descriptor),
        cmocka_unit_test(sessions_are_counted_apart_and_outlive_connections),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
