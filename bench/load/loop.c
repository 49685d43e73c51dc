/* Sockets: dial, send, read, wait. */
#include "bench/load/load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES (256u << 10)
#define KEEP_BYTES (8u << 20) /* more than that in one piece is an error */
#define EVENTS 512
#define WAIT_US 10000 /* at most, before the clock is looked at */

uint64_t (*loop_tick)(uint64_t now);
uint64_t rx_bytes, tx_bytes;

static int epoll_fd;
static char *incoming; /* what was kept, then what was read */

uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void loop_init(void)
{
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    incoming = malloc(KEEP_BYTES + READ_BYTES);
    if (epoll_fd < 0 || !incoming)
        die("epoll: %s", strerror(errno));
}

static void watch(struct conn *conn, int how, bool write)
{
    struct epoll_event event = {
        .events = EPOLLIN | (write ? EPOLLOUT : 0),
        .data.ptr = conn,
    };

    conn->writing = write;
    if (epoll_ctl(epoll_fd, how, conn->fd, &event))
        die("epoll_ctl: %s", strerror(errno));
}

void conn_dial(struct conn *conn)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)plan.port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int on = 1;

    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->fd < 0)
        die("socket: %s", strerror(errno));
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (plan.sources > 1) {
        struct sockaddr_in from = {
            .sin_family = AF_INET,
            .sin_addr.s_addr =
                htonl(INADDR_LOOPBACK + conn->index % plan.sources),
        };

        setsockopt(conn->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on,
                   sizeof(on));
        if (bind(conn->fd, (struct sockaddr *)&from, sizeof(from)))
            die("bind: %s", strerror(errno));
    }
    if (connect(conn->fd, (struct sockaddr *)&to, sizeof(to)) &&
        errno != EINPROGRESS)
        die("connect: %s", strerror(errno));
    conn->stage = STAGE_CONNECTING;
    watch(conn, EPOLL_CTL_ADD, true);
}

void conn_drop(struct conn *conn)
{
    close(conn->fd);
    conn->stage = STAGE_CLOSED;
    conn->busy = false;
    conn->left = 0;
    conn->kept_size = 0;
    conn->out_size = conn->out_sent = 0;
}

static void keep_unsent(struct conn *conn, const char *data, size_t size)
{
    conn->out = realloc(conn->out, conn->out_size + size);
    if (!conn->out)
        die("out of memory");
    memcpy(conn->out + conn->out_size, data, size);
    conn->out_size += (uint32_t)size;
    if (!conn->writing)
        watch(conn, EPOLL_CTL_MOD, true);
}

void conn_send(struct conn *conn, const char *data, size_t size)
{
    ssize_t sent = 0;

    tx_bytes += size;
    if (!conn->out_size)
        sent = send(conn->fd, data, size, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        die("%s of %s: %s", plan.via, plan.server, strerror(errno));
    if (sent < 0)
        sent = 0;
    if ((size_t)sent < size)
        keep_unsent(conn, data + sent, size - (size_t)sent);
}

static void flush(struct conn *conn)
{
    ssize_t sent;

    if (conn->out_size > conn->out_sent) {
        sent = send(conn->fd, conn->out + conn->out_sent,
                    conn->out_size - conn->out_sent, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            die("send: %s", strerror(errno));
        conn->out_sent += sent > 0 ? (uint32_t)sent : 0;
    }
    if (conn->out_sent < conn->out_size)
        return;
    conn->out_size = conn->out_sent = 0;
    watch(conn, EPOLL_CTL_MOD, false);
}

static void connected(struct conn *conn)
{
    int error = 0;
    socklen_t size = sizeof(error);

    getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error)
        die("connect: %s", strerror(error));
    watch(conn, EPOLL_CTL_MOD, false);
    wire_connected(conn);
}

static void keep(struct conn *conn, const char *data, size_t size)
{
    if (size > KEEP_BYTES)
        die("%zu bytes that make no sense", size);
    if (size > conn->kept_room) {
        conn->kept_room = (uint32_t)size * 2;
        conn->kept = realloc(conn->kept, conn->kept_room);
        if (!conn->kept)
            die("out of memory");
    }
    memcpy(conn->kept, data, size);
    conn->kept_size = (uint32_t)size;
}

static void readable(struct conn *conn)
{
    size_t size = conn->kept_size, used;
    ssize_t got;

    if (size)
        memcpy(incoming, conn->kept, size);
    got = recv(conn->fd, incoming + size, READ_BYTES, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0 && plan.shape == SHAPE_RESUME) {
        conn_drop(conn); /* the server was killed, as it should be */
        return;
    }
    if (got <= 0)
        die("%s %s: connection %u (stage %d) was closed: %s", plan.server,
            plan.via, conn->index, conn->stage,
            got ? strerror(errno) : "end of file");
    rx_bytes += (size_t)got;
    size += (size_t)got;
    conn->kept_size = 0;
    used = wire_read(conn, incoming, size);
    if (used < size)
        keep(conn, incoming + used, size - used);
}

static void serve(const struct epoll_event *event)
{
    struct conn *conn = event->data.ptr;

    if (conn->stage == STAGE_CLOSED)
        return;
    if (conn->stage == STAGE_CONNECTING) {
        connected(conn);
        return;
    }
    if (event->events & EPOLLOUT)
        flush(conn);
    if (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        readable(conn);
}

void loop_run(uint64_t until_us, bool (*stop)(void))
{
    struct epoll_event events[EVENTS];

    uint64_t now;

    while ((now = now_us()) < until_us && !(stop && stop())) {
        uint64_t wait = until_us - now < WAIT_US ? until_us - now : WAIT_US;
        uint64_t due = wire_tick(now);
        struct timespec nap = {0};
        int count;

        wait = due && due - now < wait ? due - now : wait;
        due = loop_tick ? loop_tick(now) : 0;
        wait = due && due - now < wait ? due - now : wait;
        nap.tv_nsec = (long)wait * 1000;
        count = epoll_pwait2(epoll_fd, events, EVENTS, &nap, NULL);
        for (int i = 0; i < count; i++)
            serve(&events[i]);
    }
}
