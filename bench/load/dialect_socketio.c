/* Socket.IO v5 in Engine.IO v4, by WebSocket or polling. */
#define _GNU_SOURCE /* memmem() */
#include "bench/load/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAY_CONNECT (UINT32_MAX - 1)
#define SAY_PONG UINT32_MAX

static size_t socketio_follow(struct conn *conn, char *out, size_t room)
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

static void say(struct conn *conn, uint32_t what)
{
    const char *packet = what == SAY_PONG ? "3" : "40";

    if (conn->wire == WIRE_WS)
        ws_frame(conn, 1, packet, strlen(packet));
    else
        post(conn, what, packet, strlen(packet));
}

static void take_sid(struct conn *conn, const char *data, size_t size)
{
    const char *at = memmem(data, size, "\"sid\":\"", 7);

    if (!at)
        die("no sid: %.*s", (int)size, data);
    at += 7;
    conn->sid = strndup(at, strcspn(at, "\""));
}

/* One Engine.IO packet. */
static bool socketio_own(struct conn *conn, const char *data, size_t size)
{
    if (size >= 2 && data[0] == '4' && data[1] == '2')
        return false;
    if (data[0] == '0') {
        if (conn->wire != WIRE_WS)
            take_sid(conn, data, size);
        say(conn, SAY_CONNECT);
    } else if (data[0] == '2') {
        say(conn, SAY_PONG);
    } else if (size >= 2 && data[0] == '4' && data[1] == '0') {
        if (conn->stage == STAGE_GREETING)
            wire_opened(conn);
    } else if (data[0] != '6') {
        die("socket.io says: %.*s", (int)(size < 200 ? size : 200), data);
    }
    return true;
}

static void socketio_answered(struct conn *conn, const char *head,
                              size_t head_size, const char *body,
                              size_t body_size)
{
    const char *end = body + body_size;

    (void)head;
    (void)head_size;
    while (body < end) {
        const char *mark = memchr(body, 0x1e, (size_t)(end - body));
        size_t size = (size_t)((mark ? mark : end) - body);

        if (size)
            (void)socketio_own(conn, body, size);
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

static size_t socketio_request(struct conn *by, char *out, size_t room,
                               unsigned number, const char *payload,
                               size_t size)
{
    char packet[4096];
    size_t length = size;

    if (number < SAY_CONNECT)
        length =
            socketio_frame(by, packet, sizeof(packet), number, payload, size);
    else
        memcpy(packet, payload, size);
    return (size_t)snprintf(out, room,
                            "POST /socket.io/?EIO=4&transport=polling&sid=%s "
                            "HTTP/1.1\r\nHost: bench\r\n"
                            "Content-Type: text/plain;charset=UTF-8\r\n"
                            "Content-Length: %zu\r\n\r\n%.*s",
                            by->sid, length, (int)length, packet);
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
