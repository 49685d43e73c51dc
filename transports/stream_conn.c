/* A response that never ends, on a socket of its own. */
#include "transports/stream_conn.h"

#include "server/base/clock.h"
#include "server/socket.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define FINISH_MS 3000
#define DROPS_AT_ONCE 16 /* more than that is a flood */

static void end(struct stream_conn *conn)
{
    struct worker *worker = conn->worker;

    poller_remove(&worker->poller, conn->fd, &conn->watch);
    wheel_disarm(&conn->deadline);
    list_remove(&conn->link);
    worker_disconnected(worker, conn->fd);
    if (conn->finishing && !conn->broken)
        socket_close_answered(conn->fd);
    else
        close(conn->fd);
    shared_unref(conn->rest);
    shared_unref(conn->last);
    conn->owner->gone(conn); /* last: frees it */
}

static void end_later(struct wheel_node *node)
{
    end(container_of(node, struct stream_conn, deadline));
}

/* Inside a call of the owner's, who must not lose it under its feet. */
void stream_break(struct stream_conn *conn)
{
    conn->broken = true;
    wheel_arm(&conn->worker->wheel, &conn->deadline, clock_mono_ms());
}

/* Send bytes[*at..], as far as it goes; whether it was all of it. */
static bool send_from(struct stream_conn *conn, const struct shared *bytes,
                      size_t *at)
{
    size_t before = *at;
    enum sent sent = socket_send(conn->fd, bytes, at, &conn->worker->metrics);

    conn->sent_bytes += *at - before;
    if (sent == SENT_BROKEN)
        stream_break(conn);
    return sent == SENT_ALL;
}

/* Send what is kept, as far as it goes. */
static void flush(struct stream_conn *conn)
{
    while (conn->rest && !conn->broken &&
           send_from(conn, conn->rest, &conn->offset)) {
        shared_unref(conn->rest);
        conn->rest = conn->last;
        conn->last = NULL;
        conn->offset = 0;
    }
}

/* Whatever a peer says on a stream is dropped; its end is the stream's end, and
 * so is that it does not stop. */
static bool peer_left(struct stream_conn *conn)
{
    char bin[2048];

    for (int i = 0; i < DROPS_AT_ONCE; i++) {
        ssize_t size = recv(conn->fd, bin, sizeof(bin), MSG_DONTWAIT);

        if (size == 0 || (size < 0 && errno != EINTR))
            return size == 0 || errno != EAGAIN;
    }
    return true;
}

static void ready(struct watch *watch, uint32_t events)
{
    struct stream_conn *conn = container_of(watch, struct stream_conn, watch);
    bool waiting = conn->rest || conn->again;

    if ((events & POLLER_GONE) || ((events & EPOLLIN) && peer_left(conn))) {
        end(conn);
        return;
    }
    flush(conn);
    if (conn->rest || conn->broken)
        return;
    if (conn->finishing)
        end(conn);
    else if (waiting) {
        conn->again = false;
        conn->owner->drained(conn);
    }
}

enum err stream_init(struct stream_conn *conn, struct worker *worker, int fd,
                     const struct stream_owner *owner)
{
    conn->owner = owner;
    conn->worker = worker;
    conn->fd = fd;
    conn->watch.ready = ready;
    wheel_node_init(&conn->deadline, end_later);
    if (poller_add(&worker->poller, fd, POLLER_BOTH, &conn->watch))
        return ERR_UNAVAILABLE;
    list_append(&worker->streams, &conn->link);
    worker_connected(worker);
    return ERR_NONE;
}

void stream_close_all(struct worker *worker)
{
    while (!list_empty(&worker->streams))
        end(container_of(worker->streams.next, struct stream_conn, link));
}

/* To be watched anew reports that the socket is writable, a turn later. */
void stream_again(struct stream_conn *conn)
{
    conn->again = true;
    poller_remove(&conn->worker->poller, conn->fd, &conn->watch);
    if (poller_add(&conn->worker->poller, conn->fd, POLLER_BOTH, &conn->watch))
        stream_break(conn);
}

bool stream_full(const struct stream_conn *conn)
{
    return conn->rest || conn->broken;
}

bool stream_send(struct stream_conn *conn, struct shared *bytes)
{
    size_t at = 0;

    assert(!conn->rest && !conn->finishing);
    if (!conn->broken && !send_from(conn, bytes, &at)) {
        conn->rest = shared_ref(bytes);
        conn->offset = at;
    }
    return !stream_full(conn);
}

void stream_finish(struct stream_conn *conn, struct shared *last)
{
    assert(!conn->finishing);
    conn->finishing = true;
    if (conn->rest)
        conn->last = last;
    else
        conn->rest = last;
    flush(conn);
    if (!conn->rest && !conn->broken) {
        end(conn);
        return;
    }
    wheel_arm(&conn->worker->wheel, &conn->deadline,
              clock_mono_ms() + (conn->broken ? 0 : FINISH_MS));
}
