/* A socket that libwebsockets does not take: what is counted of it. */
#include "server/base/clock.h"
#include "server/base/mem.h"
#include "server/guests.h"
#include "transports/ws_host.h"

#include <libwebsockets.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

static struct server server;
static struct worker worker = {.server = &server};

/* --- addresses -------------------------------------------------------------- */

/* Whether it is let in as the only one of its address. */
static bool enters_alone(int fd, uint32_t address)
{
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr = address};

    return guests_enter(server.guests, fd, (struct sockaddr *)&from, 1);
}

enum { HERE = 1, ELSEWHERE = 2 };

/* The number that the library gives up is taken at once, as another thread may
 * by accepting. */
static bool snatches;

int close(int fd)
{
    int rc = (int)syscall(SYS_close, fd);

    if (snatches)
        assert_true(enters_alone(fd, ELSEWHERE));
    return rc;
}

/* --- a library without memory ----------------------------------------------- */

static bool scarce;

static void *lend(void *old, size_t size, const char *reason)
{
    (void)reason;
    if (!size) {
        free(old);
        return NULL;
    }
    return scarce ? NULL : realloc(old, size);
}

/* --- a handler ---------------------------------------------------------------- */

static int alive;

static struct ws_peer *make(struct worker *at, const struct head *head,
                            struct failure *why)
{
    (void)at;
    (void)head;
    (void)why;
    alive++;
    return mem_zalloc(sizeof(struct ws_peer));
}

static void gone(struct peer *peer)
{
    alive--;
    mem_free(ws_of(peer));
}

static const struct ws_handler handler = {
    .path = "/v1/ws", .create = make, .peer = {.gone = gone}};

const struct ws_handler *const ws_handlers[] = {&handler, NULL};

/* --- the story -------------------------------------------------------------- */

static void who_is_not_adopted_counts_no_more_and_nobody_else_less(void **state)
{
    struct head head = {.path = SPAN("/v1/ws")};
    struct ws_host *host;
    int pair[2];

    (void)state;
    assert_int_equal(config_defaults(&server.config), ERR_NONE);
    assert_int_equal(guests_create(&server.guests), ERR_NONE);
    worker.config = server.config;
    assert_int_equal(uv_loop_init(&worker.loop), 0);
    wheel_init(&worker.wheel, clock_mono_ms());
    lws_set_allocator(lend);
    assert_int_equal(ws_host_create(&host, &worker), ERR_NONE);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_true(enters_alone(pair[0], HERE));
    worker_connected(&worker);

    scarce = snatches = true;
    ws_host_adopt(host, pair[0], &head, SPAN("GET /v1/ws HTTP/1.1\r\n\r\n"));
    scarce = snatches = false;
    assert_int_equal(alive, 0);
    assert_int_equal(server.connections, 0);
    assert_true(enters_alone(pair[1], HERE));
    assert_false(
        enters_alone(pair[1], ELSEWHERE)); /* who came is still there */

    close(pair[1]);
    ws_host_close(host);
    uv_run(&worker.loop, UV_RUN_DEFAULT);
    ws_host_free(host);
    uv_loop_close(&worker.loop);
    guests_destroy(server.guests);
    config_unref(server.config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            who_is_not_adopted_counts_no_more_and_nobody_else_less),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
