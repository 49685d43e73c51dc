/* A stream on a socket pair: what fits goes at once, what does not is kept, and
 * its end is told once. */
#include "server/base/clock.h"
#include "transports/stream_conn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct server server;
static struct worker worker;
static struct stream_conn conn;
static int peer;
static int drained_count, gone_count;
static bool ended; /* the peer has read to the end */

static void drained(struct stream_conn *stream)
{
    (void)stream;
    drained_count++;
}

static void gone(struct stream_conn *stream)
{
    (void)stream;
    gone_count++;
}

static const struct stream_owner owner = {.drained = drained, .gone = gone};

static int given_a_stream(void **state)
{
    int pair[2];

    (void)state;
    memset(&worker, 0, sizeof(worker));
    memset(&conn, 0, sizeof(conn));
    drained_count = gone_count = 0;
    worker.server = &server;
    uv_loop_init(&worker.loop);
    wheel_init(&worker.wheel, clock_mono_ms());
    list_init(&worker.streams);
    if (poller_init(&worker.poller, &worker.loop) ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair))
        return -1;
    peer = pair[1];
    return stream_init(&conn, &worker, pair[0], &owner) ? -1 : 0;
}

static int then_all_is_closed(void **state)
{
    (void)state;
    stream_close_all(&worker);
    if (peer >= 0)
        close(peer);
    poller_close(&worker.poller);
    uv_run(&worker.loop, UV_RUN_DEFAULT);
    return uv_loop_close(&worker.loop) || server.connections || gone_count != 1;
}

static struct shared *given_bytes(size_t size, char c)
{
    struct shared *bytes = shared_create(size);

    assert_non_null(bytes);
    memset(bytes->data, c, size);
    return bytes;
}

static void turn(void)
{
    uv_run(&worker.loop, UV_RUN_NOWAIT);
    wheel_advance(&worker.wheel, clock_mono_ms() + 2ull * WHEEL_TICK_MS);
}

/* Read all there is. */
static size_t take(void)
{
    static char bin[65536];
    size_t sum = 0;
    ssize_t size;

    while ((size = read(peer, bin, sizeof(bin))) > 0)
        sum += (size_t)size;
    ended = size == 0;
    return sum;
}

static void what_fits_goes_at_once(void **state)
{
    struct shared *bytes = given_bytes(100, 'a');

    (void)state;
    assert_true(stream_send(&conn, bytes));
    assert_false(stream_full(&conn));
    assert_int_equal(bytes->refs, 1);
    assert_int_equal(take(), 100);
    assert_int_equal(conn.sent_bytes, 100);
    shared_unref(bytes);
}

static void what_does_not_fit_is_kept_and_follows(void **state)
{
    size_t size = 4u << 20;
    struct shared *bytes = given_bytes(size, 'b');
    size_t got = 0;

    (void)state;
    assert_false(stream_send(&conn, bytes));
    assert_int_equal(bytes->refs, 2); /* kept by reference, not copied */
    while (stream_full(&conn)) {
        assert_int_equal(drained_count, 0);
        got += take();
        turn();
    }
    got += take();
    assert_int_equal(got, size);
    assert_int_equal(drained_count, 1);
    assert_int_equal(bytes->refs, 1);
    shared_unref(bytes);
}

static void a_peer_that_leaves_ends_it(void **state)
{
    (void)state;
    close(peer);
    peer = -1;
    turn();
    assert_int_equal(gone_count, 1);
}

static void what_the_peer_says_is_dropped(void **state)
{
    (void)state;
    assert_int_equal(write(peer, "hello?", 6), 6);
    turn();
    assert_int_equal(gone_count, 0);
    shutdown(peer, SHUT_WR);
    turn();
    assert_int_equal(gone_count, 1);
}

static void the_last_word_is_said_whole_behind_what_fitted(void **state)
{
    struct shared *bytes = given_bytes(100, 'd');

    (void)state;
    assert_true(stream_send(&conn, bytes));
    stream_finish(&conn, given_bytes(30, '!'));
    assert_int_equal(gone_count, 1);
    assert_int_equal(take(), 130);
    assert_true(ended);
    shared_unref(bytes);
}

static void finishing_says_the_last_word_behind_the_rest(void **state)
{
    size_t size = 4u << 20;
    struct shared *bytes = given_bytes(size, 'c');
    size_t got = 0;

    (void)state;
    assert_false(stream_send(&conn, bytes));
    stream_finish(&conn, given_bytes(3, '!'));
    assert_int_equal(gone_count, 0);
    do {
        turn();
        got += take();
    } while (!ended);
    assert_int_equal(got, size + 3);
    assert_int_equal(gone_count, 1);
    assert_int_equal(drained_count, 0);
    shared_unref(bytes);
}

static void breaking_waits_until_the_caller_has_returned(void **state)
{
    struct shared *bytes = given_bytes(1, 'd');

    (void)state;
    stream_break(&conn);
    assert_int_equal(gone_count, 0);
    assert_false(stream_send(&conn, bytes));
    turn();
    assert_int_equal(gone_count, 1);
    shared_unref(bytes);
}

#define STREAM_TEST(test)                                                      \
    cmocka_unit_test_setup_teardown(test, given_a_stream, then_all_is_closed)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STREAM_TEST(what_fits_goes_at_once),
        STREAM_TEST(what_does_not_fit_is_kept_and_follows),
        STREAM_TEST(a_peer_that_leaves_ends_it),
        STREAM_TEST(what_the_peer_says_is_dropped),
        STREAM_TEST(the_last_word_is_said_whole_behind_what_fitted),
        STREAM_TEST(finishing_says_the_last_word_behind_the_rest),
        STREAM_TEST(breaking_waits_until_the_caller_has_returned),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
