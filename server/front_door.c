/* The front door: a guest waits here until the whole head of its first request
 * lies in the socket, where it stays (MSG_PEEK): so whichever host is chosen
 * reads it as if nobody had been there before. */
#define _GNU_SOURCE /* accept4 */
#include "server/front_door.h"

#include "server/base/clock.h"
#include "server/base/trace.h"
#include "server/handshake.h"
#include "server/head.h"
#include "server/refusal.h"
#include "transports/http_host.h"
#include "transports/stream_conn.h"
#include "transports/ws_host.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_AT_ONCE 64
#define BREATH_MS 100           /* without descriptors: between two tries */
#define COMPLAIN_AFTER_MS 10000 /* again */
/* A peer that neither takes nor acknowledges bytes for so long is gone; also
 * what ends readers that stopped reading (tcp(7), TCP_USER_TIMEOUT). */
#define PEER_SILENCE_MS 120000

/* Accepted, and not known yet. */
struct guest {
    struct front_door *door;
    int fd;
    struct watch watch;
    struct wheel_node deadline;
    struct list link;
};

struct front_door {
    struct worker *worker;
    uv_poll_t polls[LISTENER_SOCKETS];
    int fds[LISTENER_SOCKETS];
    size_t listening;
    int spare; /* a descriptor in reserve; -1: not even that */
    struct wheel_node breath;
    uint64_t complained_ms;
    unsigned closing; /* uv handles */
    struct list guests;
    struct failure refusal; /* scratch */
    char peeked[HEAD_MAX_BYTES];
};

/* --- guests ------------------------------------------------------------- */

/* The guest is no more; its socket is the caller's. */
static int guest_release(struct guest *guest)
{
    int fd = guest->fd;

    poller_remove(&guest->door->worker->poller, fd, &guest->watch);
    wheel_disarm(&guest->deadline);
    list_remove(&guest->link);
    mem_free(guest);
    return fd;
}

static void guest_close(struct guest *guest)
{
    struct worker *worker = guest->door->worker;

    close(guest_release(guest));
    worker_disconnected(worker);
}

static void guest_refuse(struct guest *guest, int status,
                         const struct failure *why)
{
    struct worker *worker = guest->door->worker;

    refuse_socket(worker, guest_release(guest), status, why);
}

static void guest_late(struct wheel_node *node)
{
    guest_close(container_of(node, struct guest, deadline));
}

/* The head is whole and sound: who carries on? */
static void guest_in(struct guest *guest, const struct head *head)
{
    struct worker *worker = guest->door->worker;
    struct failure *why = &guest->door->refusal;

    if (head->pieces > HEAD_MAX_PIECES) {
        fail(why, ERR_BAD_REQUEST,
             "a request may have %d headers, parameters and cookies",
             HEAD_MAX_PIECES);
        guest_refuse(guest, 431, why);
        return;
    }
    if (!handshake_wanted(head)) {
        http_host_adopt(worker->http, guest_release(guest), head);
        return;
    }
    metrics_add(worker->metrics.requests, 1);
    if (handshake_check(worker->config, head, why))
        guest_refuse(guest, 0, why);
    else
        ws_host_adopt(worker->ws, guest_release(guest), head, (struct span){0});
}

static void look(struct watch *watch, uint32_t events)
{
    struct guest *guest = container_of(watch, struct guest, watch);
    struct front_door *door = guest->door;
    ssize_t size = recv(guest->fd, door->peeked, sizeof(door->peeked),
                        MSG_PEEK | MSG_DONTWAIT);
    struct head head;

    (void)events;
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0) {
        guest_close(guest);
        return;
    }
    switch (head_parse(&head, (struct span){door->peeked, (size_t)size},
                       &door->refusal)) {
    case HEAD_WHOLE:
        guest_in(guest, &head);
        break;
    case HEAD_BAD:
        guest_refuse(guest, 0, &door->refusal);
        break;
    case HEAD_PARTIAL:
        if ((size_t)size == sizeof(door->peeked)) {
            fail(&door->refusal, ERR_BAD_REQUEST,
                 "a request's head may have %d bytes", HEAD_MAX_BYTES);
            guest_refuse(guest, 431, &door->refusal);
        } else if (events & EPOLLRDHUP) {
            fail(&door->refusal, ERR_BAD_REQUEST,
                 "the head ends before its empty line");
            guest_refuse(guest, 0, &door->refusal);
        } /* else the next byte is the next edge */
        break;
    }
}

static void welcome(struct front_door *door, int fd)
{
    struct worker *worker = door->worker;
    struct guest *guest = mem_zalloc(sizeof(*guest));
    int on = 1, silence_ms = PEER_SILENCE_MS;

    if (!guest)
        goto close_fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence_ms,
               sizeof(silence_ms));
    guest->door = door;
    guest->fd = fd;
    guest->watch.ready = look;
    wheel_node_init(&guest->deadline, guest_late);
    if (poller_add(&worker->poller, fd, EPOLLIN | EPOLLRDHUP, &guest->watch))
        goto free_guest;
    list_append(&door->guests, &guest->link);
    wheel_arm(&worker->wheel, &guest->deadline,
              clock_mono_ms() + worker->config->header_timeout_ms);
    return;

free_guest:
    mem_free(guest);
close_fd:
    close(fd);
    worker_disconnected(worker);
}

/* --- accepting ---------------------------------------------------------- */

static void refuse_full(int fd)
{
    static const char body[] =
        "{\"error\":{\"code\":\"unavailable\",\"message\":"
        "\"too many connections\",\"retry_after_ms\":5000}}";
    char text[512];
    int size = snprintf(text, sizeof(text),
                        "HTTP/1.1 503 Service Unavailable\r\n"
                        "Connection: close\r\nRetry-After: 5\r\n"
                        "Content-Type: application/json\r\n"
                        "Content-Length: %zu\r\n\r\n%s",
                        sizeof(body) - 1, body);

    refuse_with(fd, text, (size_t)size);
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
        uv_poll_stop(&door->polls[i]);
    wheel_arm(&door->worker->wheel, &door->breath, clock_mono_ms() + BREATH_MS);
}

/* No descriptor is left: the waiting peer is told so by means of the spare one,
 * which other threads may snatch away meanwhile. */
static void refuse_with_spare(struct front_door *door, int listening)
{
    int fd;

    complain(door);
    if (door->spare >= 0)
        close(door->spare);
    fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        metrics_add(door->worker->metrics.refused, 1);
        refuse_full(fd);
    }
    take_spare(door);
    if (door->spare < 0)
        hold_breath(door);
}

static void accept_some(uv_poll_t *poll, int status, int events)
{
    struct front_door *door = poll->data;
    struct worker *worker = door->worker;
    int listening = door->fds[poll - door->polls];

    (void)events;
    if (status)
        return;
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE)
                refuse_with_spare(door, listening);
            return;
        }
        metrics_add(worker->metrics.accepted, 1);
        if (atomic_load(&worker->server->connections) >=
            worker->config->max_connections) {
            metrics_add(worker->metrics.refused, 1);
            refuse_full(fd);
            continue;
        }
        worker_connected(worker);
        welcome(door, fd);
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
        uv_poll_start(&door->polls[i], UV_READABLE, accept_some);
}

static enum err listen_to(struct front_door *door, int fd)
{
    uv_poll_t *poll = &door->polls[door->listening];

    if (uv_poll_init(&door->worker->loop, poll, fd))
        return ERR_UNAVAILABLE;
    poll->data = door;
    door->fds[door->listening++] = fd;
    uv_poll_start(poll, UV_READABLE, accept_some);
    return ERR_NONE;
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
        uv_close((uv_handle_t *)&door->polls[i], listening_closed);
        close(door->fds[i]);
    }
}

/* --- the door ----------------------------------------------------------- */

enum err front_door_create(struct front_door **out, struct worker *worker,
                           struct listener *listener, struct failure *why)
{
    struct front_door *door = mem_zalloc(sizeof(*door));
    enum err rc;

    if (!door)
        return fail_plain(why, ERR_NOMEM);
    door->worker = worker;
    take_spare(door);
    wheel_node_init(&door->breath, breathe);
    list_init(&door->guests);
    rc = ws_host_create(&worker->ws, worker);
    if (rc)
        goto free_door;
    rc = http_host_create(&worker->http, worker);
    if (rc)
        goto destroy_ws;
    while (listener->count && !rc) {
        rc = listen_to(door, listener->fds[listener->count - 1]);
        if (!rc)
            listener->count--;
    }
    if (rc)
        goto stop;
    *out = door;
    return ERR_NONE;

stop:
    stop_listening(door);
    http_host_destroy(worker->http);
destroy_ws:
    ws_host_close(worker->ws);
free_door:
    if (door->spare >= 0)
        close(door->spare);
    mem_free(door);
    return fail_plain(why, rc);
}

bool front_door_turn(struct front_door *door)
{
    ws_host_turn(door->worker->ws);
    return http_host_turn(door->worker->http);
}

void front_door_drain(struct front_door *door)
{
    stop_listening(door);
    list_each_safe (link, &door->guests)
        guest_close(container_of(link, struct guest, link));
    http_host_drain(door->worker->http);
    ws_host_drain(door->worker->ws);
}

bool front_door_empty(const struct front_door *door)
{
    return atomic_load_explicit(&door->worker->metrics.connections,
                                memory_order_relaxed) == 0;
}

void front_door_close(struct front_door *door)
{
    front_door_drain(door);
    stream_close_all(door->worker);
    http_host_destroy(door->worker->http);
    door->worker->http = NULL;
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
    mem_free(door);
}
