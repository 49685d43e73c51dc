/* Who is in which room. */
#include "transports/sio_rooms.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void given_socket(struct sio_socket *socket, struct sio_rooms *rooms)
{
    memset(socket, 0, sizeof(*socket));
    list_init(&socket->rooms);
    list_init(&socket->member);
    sio_rooms_add(rooms, socket);
}

static size_t rooms_of(const struct sio_socket *socket)
{
    const struct sio_stay *stay = NULL;
    struct span name;
    size_t count = 0;

    while ((stay = sio_rooms_of(socket, stay, &name)))
        count++;
    return count;
}

static void joining_twice_is_being_there_once(void **state)
{
    struct sio_rooms rooms;
    struct sio_socket socket;

    (void)state;
    sio_rooms_init(&rooms);
    given_socket(&socket, &rooms);
    assert_int_equal(sio_rooms_join(&rooms, &socket, SPAN("a")), ERR_NONE);
    assert_int_equal(sio_rooms_join(&rooms, &socket, SPAN("a")), ERR_NONE);
    assert_int_equal(sio_rooms_join(&rooms, &socket, SPAN("")), ERR_NONE);
    assert_int_equal(rooms_of(&socket), 2);
    sio_rooms_leave(&rooms, &socket, SPAN("b"));
    sio_rooms_leave(&rooms, &socket, SPAN("a"));
    assert_int_equal(rooms_of(&socket), 1);
    sio_rooms_remove(&rooms, &socket);
    assert_null(rooms.rooms); /* nobody is left in any */
}

static void one_socket_is_in_so_many_rooms(void **state)
{
    struct sio_rooms rooms;
    struct sio_socket socket;
    char name[16];

    (void)state;
    sio_rooms_init(&rooms);
    given_socket(&socket, &rooms);
    for (int i = 0; i < SIO_ROOMS_MAX; i++) {
        snprintf(name, sizeof(name), "%d", i);
        assert_int_equal(sio_rooms_join(&rooms, &socket, span_of(name)),
                         ERR_NONE);
    }
    assert_int_equal(sio_rooms_join(&rooms, &socket, SPAN("one more")),
                     ERR_TOO_LARGE);
    sio_rooms_remove(&rooms, &socket);
    assert_null(rooms.rooms);
}

static void without_memory_nobody_is_half_in(void **state)
{
    enum err err = ERR_NOMEM;

    (void)state;
    for (size_t nth = 1; err; nth++) {
        struct sio_rooms rooms;
        struct sio_socket socket;

        sio_rooms_init(&rooms);
        given_socket(&socket, &rooms);
        mem_fail_nth(nth);
        err = sio_rooms_join(&rooms, &socket, SPAN("a"));
        mem_fail_nth(0);
        assert_int_equal(rooms_of(&socket), err ? 0 : 1);
        sio_rooms_remove(&rooms, &socket);
        assert_null(rooms.rooms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joining_twice_is_being_there_once),
        cmocka_unit_test(one_socket_is_in_so_many_rooms),
        cmocka_unit_test(without_memory_nobody_is_half_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
