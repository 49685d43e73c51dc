/* Bytes between two sockets, both ways, as far as the slower one takes them.
 */
#include "transports/relay.h"

#include "server/base/clock.h"
#include "server/guests.h"
#include "server/socket.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK_BYTES 16384
#define CHUNKS_AT_ONCE 16 /* then the other connections get their turn */
#define EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP)

struct side {
    struct relay *relay;
    struct watch watch;
    int fd;
    bool ended;      /* it says nothing more */
    struct buf rest; /* of what it said, that the other has not taken */
};

struct relay {
    struct worker *worker;
    struct side peer, inner;
    struct wheel_node deadline; /* of the last bytes, once inner has ended */
    bool lingers;               /* … which has come */
    struct list link;           /* worker->relays */
};

static void close_side(struct side *side, bool answered)
{
    poller_remove(&side->relay->worker->poller, side->fd, &side->watch);
    if (answered)
        socket_close_answered(side->fd);
    else
        close(side->fd);
    buf_fini(&side->rest);
}

static void relay_end(struct relay *relay, bool answered)
{
    guests_leave(relay->worker->server->guests, relay->peer.fd);
    close_side(&relay->peer, answered);
    close_side(&relay->inner, false);
    wheel_disarm(&relay->deadline);
    list_remove(&relay->link);
    mem_free(relay);
}

static void late(struct wheel_node *node)
{
    relay_end(container_of(node, struct relay, deadline), false);
}

enum moved {
    MOVED_ALL,   /* all that there is for now */
    MOVED_SOME,  /* there may be more */
    MOVED_STUCK, /* the other side is full */
    MOVED_OVER,  /* no more will come */
    MOVED_BROKEN,
};

/* Without the peer there is nothing left to do. The stand-in's owner may close
 * it with input unread, when his last bytes are still to be carried. */
static enum moved broken(struct side *at, struct side *from)
{
    if (at == &at->relay->peer)
        return MOVED_BROKEN;
    from->ended = true;
    buf_reset(&from->rest);
    return MOVED_OVER;
}

/* The rest first; what is not taken stays. */
static enum moved send_rest(struct side *from, struct side *to)
{
    struct buf *rest = &from->rest;
    ssize_t sent;

    while (rest->size) {
        sent =
            send(to->fd, rest->data, rest->size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN ? MOVED_STUCK : broken(to, from);
        rest->size -= (size_t)sent;
        memmove(rest->data, rest->data + sent, rest->size);
    }
    return MOVED_SOME;
}

static enum moved move_chunk(struct side *from, struct side *to)
{
    enum moved rc = send_rest(from, to);
    char *room;
    ssize_t got;

    if (rc != MOVED_SOME || from->ended)
        return rc == MOVED_SOME ? MOVED_OVER : rc;
    room = buf_reserve(&from->rest, CHUNK_BYTES);
    if (!room)
        return MOVED_BROKEN;
    do
        got = recv(from->fd, room, CHUNK_BYTES, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == EAGAIN ? MOVED_ALL : broken(from, from);
    from->ended = got == 0;
    if (from->ended)
        shutdown(to->fd, SHUT_WR);
    from->rest.size = (size_t)got;
    return got ? send_rest(from, to) : MOVED_OVER;
}

static enum moved move(struct side *from, struct side *to)
{
    enum moved rc = MOVED_SOME;

    for (int i = 0; i < CHUNKS_AT_ONCE && rc == MOVED_SOME; i++)
        rc = move_chunk(from, to);
    if (rc == MOVED_ALL && !from->rest.size)
        buf_fini(&from->rest); /* who is silent holds no buffer */
    return rc;
}

/* A watch that is added anew tells what is there already. */
static bool watch_anew(struct side *side)
{
    struct poller *poller = &side->relay->worker->poller;

    poller_remove(poller, side->fd, &side->watch);
    return !poller_add(poller, side->fd, EVENTS, &side->watch);
}

/* The stand-in, which counted for the address, has ended, and the peer has not
 * taken the last bytes yet. It is in already, whatever the limit. */
static void linger(struct relay *relay)
{
    const struct config *config = relay->worker->config;
    struct sockaddr_storage from;
    socklen_t size = sizeof(from);

    if (relay->lingers)
        return;
    relay->lingers = true;
    wheel_arm(&relay->worker->wheel, &relay->deadline,
              clock_mono_ms() + config->body_timeout_ms);
    if (!getpeername(relay->peer.fd, (struct sockaddr *)&from, &size))
        (void)guests_enter(relay->worker->server->guests, relay->peer.fd,
                           (struct sockaddr *)&from,
                           config->max_connections_per_address ? UINT64_MAX
                                                               : 0);
}

static void ready(struct watch *watch, uint32_t events)
{
    struct relay *relay = container_of(watch, struct side, watch)->relay;
    struct side *peer = &relay->peer, *inner = &relay->inner;
    enum moved in = move(peer, inner), out = move(inner, peer);

    if (in == MOVED_BROKEN || out == MOVED_BROKEN || out == MOVED_OVER)
        relay_end(relay, out == MOVED_OVER);
    else if ((in == MOVED_SOME && !watch_anew(peer)) ||
             (out == MOVED_SOME && !watch_anew(inner)))
        relay_end(relay, false);
    else if (watch == &inner->watch && (events & POLLER_GONE))
        linger(relay);
}

static enum err side_init(struct side *side, struct relay *relay, int fd)
{
    side->relay = relay;
    side->fd = fd;
    side->watch.ready = ready;
    buf_init(&side->rest, CHUNK_BYTES);
    return poller_add(&relay->worker->poller, fd, EVENTS, &side->watch);
}

int relay_open(struct worker *worker, int fd, struct span read)
{
    struct relay *relay = mem_zalloc(sizeof(*relay));
    int pair[2];

    if (!relay ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                   pair))
        goto close_fd;
    relay->worker = worker;
    wheel_node_init(&relay->deadline, late);
    if (send(pair[0], read.data, read.size, MSG_DONTWAIT | MSG_NOSIGNAL) !=
        (ssize_t)read.size)
        goto close_pair;
    if (side_init(&relay->inner, relay, pair[0]))
        goto close_pair;
    if (side_init(&relay->peer, relay, fd))
        goto remove_inner;
    list_append(&worker->relays, &relay->link);
    guests_move(worker->server->guests, pair[1], fd);
    return pair[1];

remove_inner:
    poller_remove(&worker->poller, pair[0], &relay->inner.watch);
close_pair:
    close(pair[0]);
    close(pair[1]);
close_fd:
    mem_free(relay);
    worker_disconnected(worker, fd);
    close(fd);
    return -1;
}

void relay_close_all(struct worker *worker)
{
    list_each_safe (link, &worker->relays)
        relay_end(container_of(link, struct relay, link), false);
}
