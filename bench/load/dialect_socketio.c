/* Socket.IO v5 in Engine.IO v4, by WebSocket or polling. */
#define _GNU_SOURCE /* memmem() */
#include "bench/load/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t socketio_follow(struct conn *conn, char *out, size_t room)
{
    char where[96];

    if (conn->publisher)
        (void)snprintf(where, sizeof(where), "&pub=1");
    else
        (void)snprintf(where, sizeof(where), "&room=%u", conn->room);
    return (size_t)snprintf(
        out, room,
        "GET /socket.io/?EIO=4&transport=%s%s%s%s HTTP/1.1\r\n"
        "Host: bench\r\n%s\r\n",
        conn->wire == WIRE_WS ? "websocket" : "polling", where,
        conn->sid ? "&sid=" : "", conn->sid ? conn->sid : "",
        conn->wire == WIRE_WS
            ? "Connection: Upgrade\r\nUpgrade: websocket\r\n"
              "Sec-WebSocket-Version: 13\r\n"
              "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            : "");
}

static void say(struct conn *conn, const char *packet)
{
    if (conn->wire == WIRE_WS)
        ws_frame(conn, 1, packet, strlen(packet));
    else
        post(conn, SOCKETIO_SAYS, packet, strlen(packet));
}

static void take_sid(struct conn *conn, const char *data, size_t size)
{
    const char *at = memmem(data, size, "\"sid\":\"", 7);

    if (!at)
        die("no sid: %.*s", (int)size, data);
    at += 7;
    conn->sid = strndup(at, strcspn(at, "\""));
}

bool socketio_take(struct conn *conn, const char *data, size_t size,
                   const char *auth)
{
    char connect[1024];

    if (size >= 2 && data[0] == '4' && data[1] == '2')
        return false;
    if (data[0] == '0') {
        if (conn->wire != WIRE_WS)
            take_sid(conn, data, size);
        (void)snprintf(connect, sizeof(connect), "40%s", auth);
        say(conn, connect);
    } else if (data[0] == '2') {
        say(conn, "3");
    } else if (size >= 2 && data[0] == '4' && data[1] == '0') {
        if (conn->stage == STAGE_GREETING)
            wire_opened(conn);
    } else if (data[0] != '6') {
        die("socket.io says: %.*s", (int)(size < 200 ? size : 200), data);
    }
    return true;
}

static bool socketio_own(struct conn *conn, const char *data, size_t size)
{
    return socketio_take(conn, data, size, "");
}

void socketio_answered(struct conn *conn, const char *head, size_t head_size,
                       const char *body, size_t body_size)
{
    const char *end = body + body_size;

    (void)head;
    (void)head_size;
    while (body < end) {
        const char *mark = memchr(body, 0x1e, (size_t)(end - body));
        size_t size = (size_t)((mark ? mark : end) - body);

        if (size)
            (void)plan.dialect->own(conn, body, size);
        body += size + 1;
    }
}

static size_t socketio_frame(const struct conn *conn, char *out, size_t room,
                             unsigned number, const char *payload, size_t size)
{
    (void)conn;
    return (size_t)snprintf(out, room, "42[\"pub\",\"%u\",\"%.*s\"]", number,
                            (int)size, payload);
}

size_t socketio_post(const struct conn *by, char *out, size_t room,
                     const char *packet, size_t size)
{
    return (size_t)snprintf(out, room,
                            "POST /socket.io/?EIO=4&transport=polling&sid=%s "
                            "HTTP/1.1\r\nHost: bench\r\n"
                            "Content-Type: text/plain;charset=UTF-8\r\n"
                            "Content-Length: %zu\r\n\r\n%.*s",
                            by->sid, size, (int)size, packet);
}

static size_t socketio_request(struct conn *by, char *out, size_t room,
                               unsigned number, const char *payload,
                               size_t size)
{
    char packet[4096];

    if (number == SOCKETIO_SAYS)
        return socketio_post(by, out, room, payload, size);
    size = socketio_frame(by, packet, sizeof(packet), number, payload, size);
    return socketio_post(by, out, room, packet, size);
}

const struct dialect socketio_dialect = {
    .name = "socketio",
    .follow = socketio_follow,
    .own = socketio_own,
    .greets = true,
    .greets_polls = true,
    .answered = socketio_answered,
    .frame = socketio_frame,
    .request = socketio_request,
};
