/* Lines over bare TCP on a worker's loop: its peers, what is sent to them, and
 * their end. */
#include "transports/tcp_host_inside.h"

#include "server/base/clock.h"
#include "server/method.h"
#include "server/socket.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLOSING_MS 3000
#define LAST_LINE_MAX 512

/* --- its end -------------------------------------------------------------- */

static void end(struct tcp_peer *tcp)
{
    struct peer *peer = &tcp->peer;
    struct worker *worker = peer->worker;

    poller_remove(&worker->poller, tcp->fd, &tcp->watch);
    wheel_disarm(&peer->deadline);
    list_remove(&tcp->link);
    list_remove(&tcp->later);
    worker_disconnected(worker, tcp->fd);
    socket_close_answered(tcp->fd);
    shared_unref(tcp->rest);
    tcp_lines_fini(&tcp->lines);
    peer->handler->gone(peer); /* last: frees it */
}

static void tcp_kill(struct peer *peer)
{
    struct tcp_peer *tcp = tcp_of(peer);

    tcp->killed = true;
    if (!peer->close_code)
        peer->close_code = 1006;
    wheel_arm(&peer->worker->wheel, &peer->deadline, clock_mono_ms());
}

static void deadline_passed(struct wheel_node *node)
{
    struct peer *peer = container_of(node, struct peer, deadline);

    if (peer->close_code)
        end(tcp_of(peer));
    else
        peer->handler->late(peer);
}

/* --- sending -------------------------------------------------------------- */

static ssize_t send_now(int fd, const struct span *pieces, size_t count)
{
    struct iovec vector[PEER_PIECES_MAX];
    struct msghdr message = {.msg_iov = vector, .msg_iovlen = count};
    ssize_t sent;

    assert(count <= PEER_PIECES_MAX);
    for (size_t i = 0; i < count; i++)
        vector[i] = (struct iovec){(char *)pieces[i].data, pieces[i].size};
    do {
        sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 && errno == EAGAIN ? 0 : sent;
}

/* Keep a copy of what was kept before and, behind it, of the pieces but for
 * their first bytes. False: no memory. */
static bool keep(struct tcp_peer *tcp, const struct span *pieces, size_t count,
                 size_t skip, size_t total)
{
    size_t before = tcp->rest ? tcp->rest->size - tcp->offset : 0;
    struct shared *rest = shared_create(before + total - skip);
    char *at;

    if (!rest)
        return false;
    at = rest->data;
    if (before)
        memcpy(at, tcp->rest->data + tcp->offset, before);
    at += before;
    for (size_t i = 0; i < count; i++) {
        size_t missing = skip < pieces[i].size ? skip : pieces[i].size;

        memcpy(at, pieces[i].data + missing, pieces[i].size - missing);
        at += pieces[i].size - missing;
        skip -= missing;
    }
    shared_unref(tcp->rest);
    tcp->rest = rest;
    tcp->offset = 0;
    return true;
}

static void write_out(struct tcp_peer *tcp, const struct span *pieces,
                      size_t count)
{
    struct peer *peer = &tcp->peer;
    size_t total = 0;
    ssize_t sent;

    for (size_t i = 0; i < count; i++)
        total += pieces[i].size;
    sent = tcp->rest ? 0 : send_now(tcp->fd, pieces, count);
    if (sent > 0)
        metrics_add(peer->worker->metrics.sent_bytes, (uint64_t)sent);
    if (sent == (ssize_t)total)
        return;
    if (sent < 0 || !keep(tcp, pieces, count, (size_t)sent, total))
        tcp_kill(peer);
    else
        peer->full = true;
}

static bool tcp_send(struct peer *peer, const struct span *pieces, size_t count)
{
    if (peer->close_code)
        return true;
    metrics_add(peer->worker->metrics.writes[BY_TCP], 1);
    write_out(tcp_of(peer), pieces, count);
    return !peer->full;
}

static void tcp_flush_later(struct peer *peer)
{
    struct tcp_peer *tcp = tcp_of(peer);

    if (list_empty(&tcp->later))
        list_append(&tcp->host->later, &tcp->later);
}

static void tcp_resume_later(struct peer *peer)
{
    tcp_of(peer)->again = true;
    tcp_flush_later(peer);
}

static void tcp_pause(struct peer *peer, bool paused)
{
    struct tcp_peer *tcp = tcp_of(peer);

    tcp->paused = paused;
    if (!paused && tcp->unread)
        tcp_flush_later(peer);
}

/* See tcp_host.h: there is none. */
static size_t tcp_ping(struct peer *peer, char out[FRAME_HEAD_MAX])
{
    (void)peer;
    (void)out;
    return 0;
}

/* --- closing -------------------------------------------------------------- */

/* What the code of a close frame would say, as an error's. */
static enum err err_of(uint16_t code)
{
    switch (code) {
    case 1002:
    case 1007:
        return ERR_BAD_REQUEST;
    case 1008:
        return ERR_RATE_LIMITED;
    case 1009:
        return ERR_TOO_LARGE;
    case 4100:
        return ERR_UNAUTHORIZED;
    case 4103:
        return ERR_NOT_MEMBER;
    default:
        return ERR_UNAVAILABLE;
    }
}

/* {"event":"error","close":1009,"error":{"code":"too_large","message":"…"}} */
static void last_line_write(struct buf *out, uint16_t code,
                            const struct failure *why)
{
    size_t at;

    buf_printf(out, "{\"event\":\"error\",\"close\":%u,", (unsigned)code);
    at = out->size;
    failure_write(out, why); /* {"error":{…}}: without its first brace */
    if (!buf_status(out)) {
        memmove(out->data + at, out->data + at + 1, out->size - at - 1);
        out->data[out->size - 1] = '\n';
    }
}

static void say_why(struct tcp_peer *tcp, uint16_t code, const char *reason)
{
    struct failure why;
    struct buf line;

    buf_init(&line, LAST_LINE_MAX);
    fail(&why, err_of(code), "%s", reason);
    last_line_write(&line, code, &why);
    if (!buf_status(&line))
        write_out(tcp, &(struct span){line.data, line.size}, 1);
    buf_fini(&line);
}

/* All is said. The peer sees the end and leaves; until then, or until the
 * deadline, what it still sends is read, since bytes left unread would turn our
 * end into a reset that overtakes the last line. */
static void finish(struct tcp_peer *tcp)
{
    tcp->told = true;
    shutdown(tcp->fd, SHUT_WR);
    tcp->unread = true; /* its end may have been there before */
    tcp_flush_later(&tcp->peer);
}

static void tcp_close(struct peer *peer, uint16_t code, const char *reason)
{
    struct tcp_peer *tcp = tcp_of(peer);

    if (peer->close_code)
        return;
    peer->handler->flush(peer);
    if (*reason && !peer->told && !peer->close_code)
        say_why(tcp, code, reason);
    if (peer->close_code)
        return; /* it has gone */
    peer->close_code = code;
    wheel_arm(&peer->worker->wheel, &peer->deadline,
              clock_mono_ms() + CLOSING_MS);
    tcp_pause(peer, false); /* its end must be heard */
    if (!peer->full)
        finish(tcp);
}

static size_t no_head(char out[FRAME_HEAD_MAX], size_t size)
{
    (void)out;
    (void)size;
    return 0;
}

static const struct peer_wire tcp_wire = {
    .format = FORMAT_LINES,
    .head = no_head,
    .tail = {"\n", 1},
    .send = tcp_send,
    .ping = tcp_ping,
    .flush_later = tcp_flush_later,
    .resume_later = tcp_resume_later,
    .pause = tcp_pause,
    .close = tcp_close,
    .kill = tcp_kill,
};

/* --- its life ------------------------------------------------------------- */

static void go_on_reading(struct tcp_peer *tcp)
{
    if (tcp->unread && !tcp->paused && !tcp->killed)
        tcp_read_some(tcp);
}

/* There is room in the socket again. */
static void drain_rest(struct tcp_peer *tcp)
{
    struct peer *peer = &tcp->peer;

    switch (
        socket_send(tcp->fd, tcp->rest, &tcp->offset, &peer->worker->metrics)) {
    case SENT_PART:
        return;
    case SENT_BROKEN:
        tcp_kill(peer);
        return;
    case SENT_ALL:
        break;
    }
    shared_unref(tcp->rest);
    tcp->rest = NULL;
    peer->full = false;
    if (peer->close_code)
        finish(tcp);
    else
        peer->handler->writable(peer);
}

static void ready(struct watch *watch, uint32_t events)
{
    struct tcp_peer *tcp = container_of(watch, struct tcp_peer, watch);

    if (tcp->killed)
        return;
    if (tcp->rest && (events & EPOLLOUT))
        drain_rest(tcp);
    if (events & POLLER_GONE)
        tcp->ended = true; /* behind what it has sent */
    if (events & (EPOLLIN | POLLER_GONE))
        tcp->unread = true;
    go_on_reading(tcp);
}

enum err tcp_host_adopt(struct tcp_host *host, int fd)
{
    struct worker *worker = host->worker;
    struct tcp_peer *tcp = tcp_handler.create(worker);
    struct peer *peer;

    if (!tcp)
        return ERR_NOMEM;
    peer = &tcp->peer;
    peer->wire = &tcp_wire;
    peer->handler = &tcp_handler.peer;
    peer->worker = worker;
    peer->established = true;
    tcp->host = host;
    tcp->fd = fd;
    tcp->watch.ready = ready;
    list_init(&tcp->later);
    wheel_node_init(&peer->deadline, deadline_passed);
    if (poller_add(&worker->poller, fd, POLLER_BOTH, &tcp->watch)) {
        peer->handler->gone(peer);
        return ERR_UNAVAILABLE;
    }
    list_append(&host->peers, &tcp->link);
    wheel_arm(&worker->wheel, &peer->deadline,
              clock_mono_ms() + worker->config->header_timeout_ms);
    peer->handler->established(peer);
    return ERR_NONE;
}

void tcp_host_refuse(struct worker *worker, int fd, const struct failure *why)
{
    struct buf line;

    metrics_add(worker->metrics.refused, 1);
    metrics_add(worker->metrics.errors[err_wire(why->err)], 1);
    buf_init(&line, LAST_LINE_MAX);
    last_line_write(&line, 1013, why);
    if (!buf_status(&line)) /* what does not fit, it does not get */
        (void)!send(fd, line.data, line.size, MSG_DONTWAIT | MSG_NOSIGNAL);
    buf_fini(&line);
    socket_close_answered(fd);
}

/* --- the host ------------------------------------------------------------- */

enum err tcp_host_create(struct tcp_host **out, struct worker *worker)
{
    struct tcp_host *host = mem_zalloc(sizeof(*host));

    if (!host)
        return ERR_NOMEM;
    host->worker = worker;
    list_init(&host->peers);
    list_init(&host->later);
    *out = host;
    return ERR_NONE;
}

bool tcp_host_turn(struct tcp_host *host)
{
    struct list now;

    list_take(&now, &host->later);
    while (!list_empty(&now)) {
        struct tcp_peer *tcp = container_of(now.next, struct tcp_peer, later);
        struct peer *peer = &tcp->peer;
        bool again = tcp->again;

        list_remove(&tcp->later);
        tcp->again = false;
        go_on_reading(tcp);
        if (again && !peer->close_code)
            peer->handler->writable(peer);
        peer->handler->flush(peer);
    }
    return list_empty(&host->later);
}

void tcp_host_drain(struct tcp_host *host)
{
    list_each_safe (link, &host->peers) {
        struct peer *peer = &container_of(link, struct tcp_peer, link)->peer;

        peer->handler->drain(peer);
    }
}

void tcp_host_destroy(struct tcp_host *host)
{
    if (!host)
        return;
    list_each_safe (link, &host->peers)
        end(container_of(link, struct tcp_peer, link));
    mem_free(host);
}
