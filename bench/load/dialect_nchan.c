/* Nchan: one channel a room; polls go on by Last-Modified and Etag. */
#include "bench/load/load.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static size_t nchan_follow(struct conn *conn, char *out, size_t room)
{
    static const char *const accepts[] = {
        "Connection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
        "Accept: text/event-stream\r\n",
        "",
        "",
    };
    static const char *const paths[] = {"ws", "sse", "longpoll", "poll"};
    bool two = conn->wire == WIRE_WS && plan.shape != SHAPE_FANOUT;

    return (size_t)snprintf(
        out, room, "GET /%s%s?id=%u HTTP/1.1\r\nHost: bench\r\n%s%s\r\n",
        two ? "pub" : "", paths[conn->wire], conn->room, accepts[conn->wire],
        conn->cursor);
}

/* Kept as the header lines of the next request. */
static void copy_field(char *out, size_t room, const char *head, size_t size,
                       const char *name, const char *as)
{
    const char *at = head, *end = head + size;
    size_t length = strlen(name);

    while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        at++;
        if ((size_t)(end - at) <= length || strncasecmp(at, name, length) != 0)
            continue;
        (void)snprintf(out + strlen(out), room - strlen(out), "%s%.*s\r\n", as,
                       (int)strcspn(at + length, "\r"), at + length);
        return;
    }
}

static void nchan_answered(struct conn *conn, const char *head,
                           size_t head_size, const char *body, size_t body_size)
{
    char lines[sizeof(conn->cursor)] = "";

    (void)body;
    (void)body_size;
    copy_field(lines, sizeof(lines), head, head_size,
               "Last-Modified:", "If-Modified-Since:");
    copy_field(lines, sizeof(lines), head, head_size,
               "Etag:", "If-None-Match:");
    if (lines[0])
        memcpy(conn->cursor, lines, sizeof(lines));
}

static size_t nchan_frame(const struct conn *conn, char *out, size_t room,
                          unsigned number, const char *payload, size_t size)
{
    (void)conn;
    (void)number;
    return (size_t)snprintf(out, room, "%.*s", (int)size, payload);
}

static size_t nchan_request(struct conn *by, char *out, size_t room,
                            unsigned number, const char *payload, size_t size)
{
    (void)by;
    return (size_t)snprintf(out, room,
                            "POST /pub?id=%u HTTP/1.1\r\nHost: bench\r\n"
                            "Content-Length: %zu\r\n\r\n%.*s",
                            number, size, (int)size, payload);
}

const struct dialect nchan_dialect = {
    .name = "nchan",
    .follow = nchan_follow,
    .answered = nchan_answered,
    .frame = nchan_frame,
    .request = nchan_request,
    .posts = true,
};
