/* The node server on plain `ws`, and our own bare loops: a room in the URL; a
 * WebSocket message "room payload" publishes. */
#include "bench/load/load.h"

#include <stdio.h>
#include <string.h>

static size_t plain_follow(struct conn *conn, char *out, size_t room)
{
    static const char *const paths[] = {"ws", "sse", "longpoll", "poll"};
    char at[32];

    if (conn->publisher)
        (void)snprintf(at, sizeof(at), "?pub");
    else
        (void)snprintf(at, sizeof(at), "?room=%u", conn->room);
    return (size_t)snprintf(
        out, room, "GET /%s%s&after=%s HTTP/1.1\r\nHost: bench\r\n%s\r\n",
        paths[conn->wire], at, conn->cursor[0] ? conn->cursor : "0",
        conn->wire == WIRE_WS
            ? "Connection: Upgrade\r\nUpgrade: websocket\r\n"
              "Sec-WebSocket-Version: 13\r\n"
              "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            : "");
}

static void plain_answered(struct conn *conn, const char *head,
                           size_t head_size, const char *body, size_t body_size)
{
    static const char key[] = "{\"after\":";
    size_t size = 0;

    (void)head;
    (void)head_size;
    if (body_size < sizeof(key) || memcmp(body, key, sizeof(key) - 1) != 0)
        die("an answer without after: %.*s", (int)body_size, body);
    body += sizeof(key) - 1;
    while (size < 20 && body[size] >= '0' && body[size] <= '9') {
        conn->cursor[size] = body[size];
        size++;
    }
    conn->cursor[size] = '\0';
}

static size_t plain_frame(const struct conn *conn, char *out, size_t room,
                          unsigned number, const char *payload, size_t size)
{
    (void)conn;
    return (size_t)snprintf(out, room, "%u %.*s", number, (int)size, payload);
}

const struct dialect ws_dialect = {
    .name = "ws",
    .follow = plain_follow,
    .frame = plain_frame,
};

const struct dialect ceiling_dialect = {
    .name = "ceiling",
    .follow = plain_follow,
    .answered = plain_answered,
    .frame = plain_frame,
};
