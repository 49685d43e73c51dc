/* Rung: a cursor, or a conversation and a seq; a token for each user. */
#define _GNU_SOURCE /* memmem() */
#include "bench/load/load.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHANNEL "0:3:bench"

static void user_of(const struct conn *conn, char out[32])
{
    if (conn->publisher)
        (void)snprintf(out, 32, "pub%u", conn->index);
    else if (plan.shape == SHAPE_FANOUT)
        (void)snprintf(out, 32, "f%u", conn->index);
    else
        (void)snprintf(out, 32, "r%u-%u", conn->room, conn->side);
}

static const char *token_of(struct conn *conn)
{
    char user[32];

    user_of(conn, user);
    if (!conn->token)
        conn->token = token_mint(user, plan.secret);
    return conn->token;
}

/* The channel, whose creator is the only one to write. */
static void rung_prepare(void)
{
    static const char body[] =
        "{\"type\":\"channel\",\"id\":\"bench\",\"settings\":{\"open\":true}}";
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)plan.port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    char text[1024], *token = token_mint("pub0", plan.secret);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int size = snprintf(text, sizeof(text),
                        "POST /v1/conversation.create HTTP/1.1\r\n"
                        "Host: bench\r\nAuthorization: Bearer %s\r\n"
                        "Connection: close\r\nContent-Length: %zu\r\n\r\n%s",
                        token, sizeof(body) - 1, body);
    ssize_t got = 0;

    free(token);
    if (plan.shape != SHAPE_FANOUT && plan.shape != SHAPE_IDLE)
        goto done;
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) ||
        send(fd, text, (size_t)size, 0) != size ||
        (got = recv(fd, text, sizeof(text) - 1, 0)) < 12)
        die("the channel cannot be created");
    text[got] = '\0';
    if (memcmp(text + 9, "200", 3) != 0)
        die("the channel cannot be created: %s", text);
done:
    if (fd >= 0)
        close(fd);
}

static size_t rung_follow(struct conn *conn, char *out, size_t room)
{
    static const char *const paths[] = {"ws", "sse", "longpoll", "poll"};
    char where[160] = "";

    if (!conn->publisher && plan.shape == SHAPE_FANOUT)
        (void)snprintf(where, sizeof(where),
                       "?conversation=" CHANNEL "&after=%s",
                       conn->cursor[0] ? conn->cursor : "0");
    else if (!conn->publisher)
        (void)snprintf(where, sizeof(where), "?cursor=%s",
                       conn->cursor[0] ? conn->cursor : "0");
    return (size_t)snprintf(
        out, room,
        "GET /v1/%s%s HTTP/1.1\r\nHost: bench\r\n"
        "Authorization: Bearer %s\r\n%s\r\n",
        paths[conn->wire], where, token_of(conn),
        conn->wire == WIRE_WS
            ? "Connection: Upgrade\r\nUpgrade: websocket\r\n"
              "Sec-WebSocket-Version: 13\r\n"
              "Sec-WebSocket-Protocol: rung.v1\r\n"
              "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            : "");
}

static bool starts(const char *data, size_t size, const char *text)
{
    size_t length = strlen(text);

    return size >= length && memcmp(data, text, length) == 0;
}

static bool rung_own(struct conn *conn, const char *data, size_t size)
{
    if (starts(data, size, "{\"event\":\"message\""))
        return false;
    if (starts(data, size, "{\"event\":\"bye\"") ||
        starts(data, size, "{\"event\":\"gap\"") ||
        starts(data, size, "{\"event\":\"reset\"") ||
        memmem(data, size, "\"error\":", 8))
        die("Rung says: %.*s", (int)(size < 400 ? size : 400), data);
    if (conn->stage == STAGE_GREETING &&
        starts(data, size, "{\"event\":\"hello\""))
        wire_opened(conn);
    return false; /* a message may stand behind it */
}

static void rung_answered(struct conn *conn, const char *head, size_t head_size,
                          const char *body, size_t body_size)
{
    const char *key =
        plan.shape == SHAPE_FANOUT ? "\"after\":" : "\"cursor\":\"";
    const char *at =
        memmem(body, body_size < 200 ? body_size : 200, key, strlen(key));
    size_t size = 0;

    (void)head;
    (void)head_size;
    if (!at)
        die("an answer without %s: %.*s", key, (int)body_size, body);
    at += strlen(key);
    while (size < sizeof(conn->cursor) - 1 && at[size] != '"' &&
           at[size] != ',') {
        conn->cursor[size] = at[size];
        size++;
    }
    conn->cursor[size] = '\0';
}

/* {"conversation" or "to", "client_msg_id", "body"}: the id is ordered by time,
 * as the SDK makes it. */
static int params(const struct conn *by, char *out, size_t room,
                  unsigned number, const char *payload, size_t size)
{
    char to[64];

    if (plan.shape == SHAPE_FANOUT)
        (void)snprintf(to, sizeof(to), "\"conversation\":\"" CHANNEL "\"");
    else
        (void)snprintf(to, sizeof(to), "\"to\":\"r%u-%u\"", number,
                       by->publisher ? 0 : 1u - by->side);
    return snprintf(out, room,
                    "{%s,\"client_msg_id\":\"%.10s-%.16s\","
                    "\"body\":{\"text\":\"%.*s\"}}",
                    to, payload + 17, payload + 1, (int)size, payload);
}

static size_t rung_frame(const struct conn *conn, char *out, size_t room,
                         unsigned number, const char *payload, size_t size)
{
    int at = snprintf(out, room,
                      "{\"id\":1,\"method\":\"message.send\",\"params\":");

    at += params(conn, out + at, room - (size_t)at, number, payload, size);
    out[at++] = '}';
    return (size_t)at;
}

static size_t rung_request(struct conn *by, char *out, size_t room,
                           unsigned number, const char *payload, size_t size)
{
    char body[4096];
    int length = params(by, body, sizeof(body), number, payload, size);

    return (size_t)snprintf(out, room,
                            "POST /v1/message.send HTTP/1.1\r\nHost: bench\r\n"
                            "Authorization: Bearer %s\r\n"
                            "Content-Length: %d\r\n\r\n%s",
                            token_of(by), length, body);
}

const struct dialect rung_dialect = {
    .name = "rung",
    .prepare = rung_prepare,
    .follow = rung_follow,
    .own = rung_own,
    .greets = true,
    .answered = rung_answered,
    .frame = rung_frame,
    .request = rung_request,
};

/* --- the same over Socket.IO ---------------------------------------------- */

static bool over_socketio_own(struct conn *conn, const char *data, size_t size)
{
    char auth[700], from[64] = "";

    if (!conn->publisher && plan.shape == SHAPE_FANOUT)
        (void)snprintf(from, sizeof(from),
                       ",\"conversation\":\"" CHANNEL "\",\"after\":0");
    else if (!conn->publisher)
        (void)snprintf(from, sizeof(from), ",\"cursor\":\"0\"");
    (void)snprintf(auth, sizeof(auth), "{\"token\":\"%s\"%s}", token_of(conn),
                   from);
    return socketio_take(conn, data, size, auth);
}

static size_t over_socketio_frame(const struct conn *conn, char *out,
                                  size_t room, unsigned number,
                                  const char *payload, size_t size)
{
    int at = snprintf(out, room, "42[\"message.send\",");

    at += params(conn, out + at, room - (size_t)at, number, payload, size);
    out[at++] = ']';
    return (size_t)at;
}

static size_t over_socketio_request(struct conn *by, char *out, size_t room,
                                    unsigned number, const char *payload,
                                    size_t size)
{
    char packet[4096];

    if (number == SOCKETIO_SAYS)
        return socketio_post(by, out, room, payload, size);
    size =
        over_socketio_frame(by, packet, sizeof(packet), number, payload, size);
    return socketio_post(by, out, room, packet, size);
}

const struct dialect rung_socketio_dialect = {
    .name = "rung-socketio",
    .prepare = rung_prepare,
    .follow = socketio_follow,
    .own = over_socketio_own,
    .greets = true,
    .greets_polls = true,
    .answered = socketio_answered,
    .frame = over_socketio_frame,
    .request = over_socketio_request,
};
