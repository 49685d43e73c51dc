/* The front door: accepts, and says who carries on with what the direct host
 * does not read itself.
 */
#define _GNU_SOURCE /* accept4 */
#include "server/front_door.h"

#include "server/base/clock.h"
#include "server/base/trace.h"
#include "server/guests.h"
#include "server/handshake.h"
#include "server/refusal.h"
#include "server/socket.h"
#include "transports/direct.h"
#include "transports/eio.h"
#include "transports/http_host.h"
#include "transports/relay.h"
#include "transports/stream_conn.h"
#include "transports/tcp_host.h"
#include "transports/ws_host.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_AT_ONCE 64
#define FULL_RETRY_MS 5000
#define BREATH_MS 100           /* without descriptors: between two tries */
#define COMPLAIN_AFTER_MS 10000 /* again */

/* What is done with those who come to a port. */
struct greeting {
    /* Takes fd, which counts as connected, when it succeeds. */
    enum err (*welcome)(struct worker *worker, int fd);
    /* One that has not been counted. Takes fd. */
    void (*refuse)(struct worker *worker, int fd, const struct failure *why);
};

/* One listening socket. */
struct ear {
    struct front_door *door;
    uv_poll_t poll;
    int fd;
    const struct greeting *greeting;
};

struct front_door {
    struct worker *worker;
    struct ear ears[2 * LISTENER_SOCKETS];
    size_t listening;
    int spare; /* a descriptor in reserve; -1: not even that */
    struct wheel_node breath;
    uint64_t complained_ms;
    unsigned closing; /* uv handles */
};

/* --- what comes in ------------------------------------------------------ */

/* The WebSocket host reads frames only: the head is taken out of the socket. */
static void become_websocket(struct worker *worker, int fd,
                             const struct head *head, struct span text)
{
    char seen[HEAD_MAX_BYTES]; /* again: a relay's socket knows no MSG_TRUNC */

    if (recv(fd, seen, text.size, MSG_DONTWAIT) == (ssize_t)text.size) {
        ws_host_adopt(worker->ws, fd, head, text);
        return;
    }
    worker_disconnected(worker, fd);
    close(fd);
}

/* The head is whole and sound, and nothing for the direct host. */
static void pass_on(struct worker *worker, int fd, const struct head *head,
                    struct span text)
{
    struct failure why;

    if (head->pieces > HEAD_MAX_PIECES) {
        fail(&why, ERR_BAD_REQUEST,
             "a request may have %d headers, parameters and cookies",
             HEAD_MAX_PIECES);
        refuse_socket(worker, fd, 431, &why);
        return;
    }
    if (!handshake_wanted(head)) {
        http_host_adopt(worker->http, fd, head);
        return;
    }
    metrics_add(worker->metrics.requests, 1);
    if (ws_host_check(worker->ws, head, &why))
        refuse_socket(worker, fd, 0, &why);
    else
        become_websocket(worker, fd, head, text);
}

static void refuse_request(struct worker *worker, int fd,
                           const struct failure *why)
{
    refuse_stranger(worker, fd, 0, why);
}

static enum err welcome_request(struct worker *worker, int fd)
{
    return direct_host_adopt(worker->direct, fd);
}

static enum err welcome_lines(struct worker *worker, int fd)
{
    return tcp_host_adopt(worker->tcp, fd);
}

static const struct greeting to_requests = {
    .welcome = welcome_request,
    .refuse = refuse_request,
};
static const struct greeting to_lines = {
    .welcome = welcome_lines,
    .refuse = tcp_host_refuse,
};

static void welcome(const struct ear *ear, int fd)
{
    struct worker *worker = ear->door->worker;
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    socket_expect(fd, worker->config->heartbeat_ms);
    if (ear->greeting->welcome(worker, fd)) {
        worker_disconnected(worker, fd);
        close(fd);
    }
}

/* --- accepting ---------------------------------------------------------- */

static void refuse_full(const struct ear *ear, int fd)
{
    struct failure why;

    fail(&why, ERR_UNAVAILABLE, "too many connections");
    why.retry_after_ms = FULL_RETRY_MS;
    ear->greeting->refuse(ear->door->worker, fd, &why);
}

static void refuse_greedy(const struct ear *ear, int fd)
{
    struct worker *worker = ear->door->worker;
    struct failure why;

    fail(&why, ERR_RATE_LIMITED, "more than %llu connections of this address",
         (unsigned long long)worker->config->max_connections_per_address);
    why.retry_after_ms = FULL_RETRY_MS;
    ear->greeting->refuse(worker, fd, &why);
}

/* One that came from there, if there is room for it. */
static void receive(const struct ear *ear, int fd, const struct sockaddr *from)
{
    struct worker *worker = ear->door->worker;
    const struct config *config = worker->config;
    struct server *server = worker->server;

    metrics_add(worker->metrics.accepted, 1);
    if (atomic_load(&server->connections) >= config->max_connections) {
        refuse_full(ear, fd);
    } else if (!guests_enter(server->guests, fd, from,
                             config->max_connections_per_address)) {
        refuse_greedy(ear, fd);
    } else {
        worker_connected(worker);
        welcome(ear, fd);
    }
}

static void complain(struct front_door *door)
{
    uint64_t now = clock_mono_ms();

    if (door->complained_ms && now < door->complained_ms + COMPLAIN_AFTER_MS)
        return;
    door->complained_ms = now;
    trace(TRACE_WARN, "out of file descriptors", "worker=%u",
          door->worker->index);
}

static void take_spare(struct front_door *door)
{
    door->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Leave those who wait in the kernel's queue for a while: looking at them, whom
 * nobody can accept, would be all that the loop does. */
static void hold_breath(struct front_door *door)
{
    for (size_t i = 0; i < door->listening; i++)
        uv_poll_stop(&door->ears[i].poll);
    wheel_arm(&door->worker->wheel, &door->breath, clock_mono_ms() + BREATH_MS);
}

/* No descriptor is left: the waiting peer is told so by means of the spare one,
 * which other threads may snatch away meanwhile. */
static void refuse_with_spare(const struct ear *ear)
{
    struct front_door *door = ear->door;
    int fd;

    complain(door);
    if (door->spare >= 0)
        close(door->spare);
    fd = accept4(ear->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        refuse_full(ear, fd);
    take_spare(door);
    if (door->spare < 0)
        hold_breath(door);
}

static void accept_some(uv_poll_t *poll, int status, int events)
{
    const struct ear *ear = container_of(poll, struct ear, poll);

    (void)events;
    if (status)
        return;
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        struct sockaddr_storage from;
        socklen_t size = sizeof(from);
        int fd = accept4(ear->fd, (struct sockaddr *)&from, &size,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE)
                refuse_with_spare(ear);
            return;
        }
        receive(ear, fd, (struct sockaddr *)&from);
    }
}

static void breathe(struct wheel_node *node)
{
    struct front_door *door = container_of(node, struct front_door, breath);

    if (door->spare < 0)
        take_spare(door);
    if (door->spare < 0) {
        hold_breath(door);
        return;
    }
    for (size_t i = 0; i < door->listening; i++)
        uv_poll_start(&door->ears[i].poll, UV_READABLE, accept_some);
}

static enum err listen_to(struct front_door *door, int fd,
                          const struct greeting *greeting)
{
    struct ear *ear = &door->ears[door->listening];

    if (uv_poll_init(&door->worker->loop, &ear->poll, fd))
        return ERR_UNAVAILABLE;
    ear->door = door;
    ear->poll.data = door;
    ear->fd = fd;
    ear->greeting = greeting;
    door->listening++;
    uv_poll_start(&ear->poll, UV_READABLE, accept_some);
    return ERR_NONE;
}

/* Takes the sockets out of the listener. */
static enum err listen_to_all(struct front_door *door,
                              struct listener *listener,
                              const struct greeting *greeting)
{
    enum err rc = ERR_NONE;

    while (listener->count && !rc) {
        rc = listen_to(door, listener->fds[listener->count - 1], greeting);
        if (!rc)
            listener->count--;
    }
    return rc;
}

static void listening_closed(uv_handle_t *handle)
{
    struct front_door *door = handle->data;

    door->closing--;
}

static void stop_listening(struct front_door *door)
{
    wheel_disarm(&door->breath);
    while (door->listening) {
        size_t i = --door->listening;

        door->closing++;
        uv_close((uv_handle_t *)&door->ears[i].poll, listening_closed);
        close(door->ears[i].fd);
    }
}

/* --- the door ----------------------------------------------------------- */

enum err front_door_create(struct front_door **out, struct worker *worker,
                           struct listeners *listeners, struct failure *why)
{
    struct front_door *door = mem_zalloc(sizeof(*door));
    enum err rc;

    if (!door)
        return fail_plain(why, ERR_NOMEM);
    door->worker = worker;
    take_spare(door);
    wheel_node_init(&door->breath, breathe);
    rc = eio_host_create(&worker->eio, worker);
    if (rc)
        goto free_door;
    rc = ws_host_create(&worker->ws, worker);
    if (rc)
        goto free_eio;
    rc = http_host_create(&worker->http, worker);
    if (rc)
        goto destroy_ws;
    rc = direct_host_create(&worker->direct, worker, pass_on);
    if (rc)
        goto destroy_http;
    rc = tcp_host_create(&worker->tcp, worker);
    if (rc)
        goto destroy_direct;
    rc = listen_to_all(door, &listeners->http, &to_requests);
    if (!rc)
        rc = listen_to_all(door, &listeners->lines, &to_lines);
    if (rc)
        goto stop;
    *out = door;
    return ERR_NONE;

stop:
    stop_listening(door);
    tcp_host_destroy(worker->tcp);
destroy_direct:
    direct_host_destroy(worker->direct);
destroy_http:
    http_host_destroy(worker->http);
destroy_ws:
    ws_host_close(worker->ws);
free_eio:
    eio_host_free(worker->eio);
free_door:
    if (door->spare >= 0)
        close(door->spare);
    mem_free(door);
    return fail_plain(why, rc);
}

bool front_door_turn(struct front_door *door)
{
    struct worker *worker = door->worker;
    bool idle = ws_host_turn(worker->ws);

    idle = eio_host_turn(worker->eio) && idle;
    idle = tcp_host_turn(worker->tcp) && idle;
    idle = direct_host_turn(worker->direct) && idle;
    idle = http_host_turn(worker->http) && idle;
    return idle && eio_host_idle(worker->eio);
}

void front_door_drain(struct front_door *door)
{
    stop_listening(door);
    eio_host_drain(door->worker->eio);
    direct_host_drain(door->worker->direct);
    http_host_drain(door->worker->http);
    ws_host_drain(door->worker->ws);
    tcp_host_drain(door->worker->tcp);
}

bool front_door_empty(const struct front_door *door)
{
    return atomic_load_explicit(&door->worker->metrics.connections,
                                memory_order_relaxed) == 0 &&
           list_empty(&door->worker->relays);
}

void front_door_close(struct front_door *door)
{
    front_door_drain(door);
    stream_close_all(door->worker);
    relay_close_all(door->worker);
    tcp_host_destroy(door->worker->tcp);
    door->worker->tcp = NULL;
    direct_host_destroy(door->worker->direct);
    door->worker->direct = NULL;
    http_host_destroy(door->worker->http);
    door->worker->http = NULL;
    eio_host_close(door->worker->eio);
    ws_host_close(door->worker->ws);
}

void front_door_free(struct front_door *door)
{
    if (!door)
        return;
    assert(!door->closing);
    if (door->spare >= 0)
        close(door->spare);
    ws_host_free(door->worker->ws);
    door->worker->ws = NULL;
    eio_host_free(door->worker->eio);
    door->worker->eio = NULL;
    mem_free(door);
}
