/* The demo's walls, for transports over HTTP: a firewall that cuts, a proxy
 * that buffers. */
#include "transports/demo_wall.h"

#include "server/demo_rungs.h"
#include "transports/stream_conn.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What hangs in a proxy's buffer: a head went out, a body never comes. */
struct held {
    struct stream_conn conn;
};

static void held_drained(struct stream_conn *conn)
{
    (void)conn; /* there is nothing more */
}

static void held_gone(struct stream_conn *conn)
{
    mem_free(container_of(conn, struct held, conn));
}

static const struct stream_owner owner = {.drained = held_drained,
                                          .gone = held_gone};

/* A browser's EventSource is open only with the right type. */
static const char *type_of(enum carried_by by)
{
    switch (by) {
    case BY_SSE:
        return "text/event-stream";
    case BY_STREAM:
        return "application/x-ndjson";
    case BY_MULTIPART:
        return "multipart/x-mixed-replace; boundary=rung";
    default:
        return "text/html";
    }
}

static void send_head(struct stream_conn *conn, enum carried_by by)
{
    char text[160];
    int size = snprintf(text, sizeof(text),
                        "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n"
                        "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
                        type_of(by));
    struct shared *bytes = shared_create((size_t)size);

    if (!bytes) {
        stream_break(conn);
        return;
    }
    memcpy(bytes->data, text, (size_t)size);
    (void)stream_send(conn, bytes); /* whatever it did not take goes later */
    shared_unref(bytes);
}

static void hold(struct worker *worker, int fd, enum carried_by by)
{
    struct held *held = mem_zalloc(sizeof(*held));

    if (!held || stream_init(&held->conn, worker, fd, &owner)) {
        mem_free(held);
        close(fd);
        return;
    }
    send_head(&held->conn, by);
}

bool demo_wall_stops(struct request *request, const struct transport *transport,
                     const struct identity *who)
{
    struct worker *worker = request_worker(request);
    enum demo_way way = demo_rungs_way(who, transport->by);
    int fd;

    if (way == DEMO_OPEN)
        return false;
    fd = request_take(request);
    if (fd < 0)
        return false; /* no memory: then there is no wall */
    if (way == DEMO_BUFFERED)
        hold(worker, fd, transport->by);
    else
        close(fd);
    return true;
}
