/* What the kernel alone costs: a bare epoll loop, without a log, a token or a
 * disk. Publish over a WebSocket ("ROOM PAYLOAD"), follow by WebSocket, SSE or
 * long poll.
 *
 *     ceiling --port PORT [--coalesce] [--keep N] [--spoil lose|twice]
 *
 * One send() per delivery; or, with --coalesce, everything that is pending for
 * a connection in one send(), once a turn of the loop. No design that delivers
 * through these system calls can be faster: it is what to compare with.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem, accept4 */
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES (64u << 10)
#define CHUNK (128u << 10) /* of one coalesced send */
#define EVENTS 512

enum wire { WIRE_HTTP, WIRE_WS, WIRE_SSE, WIRE_POLL };

/* One message, in the three forms in which it may leave. */
struct message {
    char *bytes[3];
    unsigned size[3];
};
enum form { FORM_WS, FORM_SSE, FORM_JSON };

struct room {
    struct message *kept; /* by number, modulo `keep` */
    uint64_t count;       /* of messages so far */
    struct conn **members;
    unsigned member_count, member_room;
    struct room *next_dirty;
    bool dirty;
    char *batch[3]; /* of the messages from `batch_from` on, all in one */
    size_t batch_size[3];
    uint64_t batch_from[3], batch_to[3];
};

struct conn {
    int fd;
    enum wire wire;
    struct room *room;
    uint64_t at;     /* messages of its room that it was sent */
    unsigned offset; /* of the next one */
    bool parked, full;
    unsigned kept_size;
    char kept[3072];
};

static int epoll_fd;
static bool coalesce;
static int spoil;
static unsigned keep = 4096; /* messages that a room remembers */
static struct room **rooms;
static unsigned room_count;
static struct room *dirty_rooms;

static _Noreturn void fail(const char *what)
{
    (void)fprintf(stderr, "ceiling: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *must(void *memory)
{
    if (!memory)
        fail("memory");
    return memory;
}

static struct room *room_of(unsigned number)
{
    if (number > 1u << 20)
        return NULL;
    if (number >= room_count) {
        rooms = must(realloc(rooms, (number + 1024) * sizeof(struct room *)));
        memset(rooms + room_count, 0,
               (number + 1024 - room_count) * sizeof(struct room *));
        room_count = number + 1024;
    }
    if (!rooms[number]) {
        rooms[number] = must(calloc(1, sizeof(struct room)));
        rooms[number]->kept = must(calloc(keep, sizeof(struct message)));
    }
    return rooms[number];
}

/* --- messages ----------------------------------------------------------------
 */

static void set_form(struct message *message, enum form form, const char *head,
                     size_t head_size, const char *data, size_t size,
                     const char *tail, size_t tail_size)
{
    char *bytes =
        must(realloc(message->bytes[form], head_size + size + tail_size));

    memcpy(bytes, head, head_size);
    memcpy(bytes + head_size, data, size);
    memcpy(bytes + head_size + size, tail, tail_size);
    message->bytes[form] = bytes;
    message->size[form] = (unsigned)(head_size + size + tail_size);
}

static size_t ws_head(char *out, size_t size)
{
    out[0] = (char)0x81;
    if (size < 126) {
        out[1] = (char)size;
        return 2;
    }
    out[1] = 126;
    out[2] = (char)(size >> 8);
    out[3] = (char)(size & 0xff);
    return 4;
}

static void room_add(struct room *room, const char *data, size_t size)
{
    struct message *message = &room->kept[room->count++ % keep];
    char head[4];

    set_form(message, FORM_WS, head, ws_head(head, size), data, size, "", 0);
    set_form(message, FORM_SSE, "data: ", 6, data, size, "\n\n", 2);
    set_form(message, FORM_JSON, "\"", 1, data, size, "\",", 2);
}

/* The messages from `from` on as one piece, made by the first who needs it. */
static const char *batch_of(struct room *room, enum form form, uint64_t from,
                            uint64_t *to, size_t *size)
{
    if (room->batch_from[form] != from || room->batch_to[form] <= from ||
        room->batch_to[form] < room->count) {
        size_t total = 0;
        uint64_t i;

        if (!room->batch[form])
            room->batch[form] = must(malloc(CHUNK + 65536));
        for (i = from; i < room->count && total < CHUNK; i++) {
            const struct message *message = &room->kept[i % keep];

            memcpy(room->batch[form] + total, message->bytes[form],
                   message->size[form]);
            total += message->size[form];
        }
        room->batch_from[form] = from;
        room->batch_to[form] = i;
        room->batch_size[form] = total;
    }
    *to = room->batch_to[form];
    *size = room->batch_size[form];
    return room->batch[form];
}

/* --- sending -----------------------------------------------------------------
 */

static void watch(struct conn *conn, int how, bool write)
{
    struct epoll_event event = {
        .events = EPOLLIN | (write ? EPOLLOUT : 0),
        .data.ptr = conn,
    };

    if (epoll_ctl(epoll_fd, how, conn->fd, &event))
        fail("epoll_ctl");
    conn->full = write;
}

/* False: the socket is full. */
static bool put(struct conn *conn, const char *data, size_t size)
{
    ssize_t sent = send(conn->fd, data + conn->offset, size - conn->offset,
                        MSG_NOSIGNAL | MSG_DONTWAIT);

    if (sent < 0 && errno != EAGAIN)
        sent = (ssize_t)(size - conn->offset); /* gone: read() will say so */
    conn->offset += sent > 0 ? (unsigned)sent : 0;
    if (conn->offset < size) {
        if (!conn->full)
            watch(conn, EPOLL_CTL_MOD, true);
        return false;
    }
    conn->offset = 0;
    return true;
}

static void pump_stream(struct conn *conn, enum form form)
{
    struct room *room = conn->room;

    if (room->count - conn->at > keep) {
        (void)fprintf(stderr, "ceiling: a follower is too far behind\n");
        exit(1);
    }
    /* What a full socket left of a piece goes out as its own messages. */
    while (conn->at < room->count) {
        const struct message *message = &room->kept[conn->at % keep];
        uint64_t to = conn->at + 1;
        const char *bytes = message->bytes[form];
        size_t size = message->size[form];

        if (coalesce && !conn->offset)
            bytes = batch_of(room, form, conn->at, &to, &size);
        if (put(conn, bytes, size)) {
            conn->at = to;
            continue;
        }
        while (conn->offset >= room->kept[conn->at % keep].size[form])
            conn->offset -= room->kept[conn->at++ % keep].size[form];
        return;
    }
}

static void answer(struct conn *conn)
{
    static char text[256 + CHUNK + 65536];
    struct room *room = conn->room;
    uint64_t to = conn->at + 1;
    size_t size = room->kept[conn->at % keep].size[FORM_JSON];
    const char *bytes = room->kept[conn->at % keep].bytes[FORM_JSON];
    char body_head[64];
    int head, body;

    if (coalesce)
        bytes = batch_of(room, FORM_JSON, conn->at, &to, &size);
    body = snprintf(body_head, sizeof(body_head),
                    "{\"after\":%llu,\"events\":[", (unsigned long long)to);
    head = snprintf(text, sizeof(text),
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                    "Content-Length: %zu\r\n\r\n%s",
                    (size_t)body + size + 1, body_head);
    memcpy(text + head, bytes, size);
    text[head + (int)size - 1] = ']'; /* over the last comma */
    text[head + (int)size] = '}';
    conn->parked = false;
    conn->at = to;
    if (!put(conn, text, (size_t)head + size + 1)) {
        (void)fprintf(stderr, "ceiling: an answer did not fit its socket\n");
        exit(1);
    }
}

static void pump(struct conn *conn)
{
    if (!conn->room)
        return;
    if (conn->wire == WIRE_POLL) {
        if (conn->parked && conn->at < conn->room->count)
            answer(conn);
    } else if (!conn->full) {
        pump_stream(conn, conn->wire == WIRE_WS ? FORM_WS : FORM_SSE);
    }
}

/* To see that the load generator sees it: one member loses its 100th message,
 * or gets it twice. */
static void spoil_one(struct room *room)
{
    struct conn *victim = room->members[room->member_count / 2];

    if (spoil && room->count == 100 && victim->at)
        victim->at = spoil > 0 ? victim->at + 1 : victim->at - 1;
}

static void pump_room(struct room *room)
{
    if (room->member_count)
        spoil_one(room);
    for (unsigned i = 0; i < room->member_count; i++)
        pump(room->members[i]);
}

/* --- receiving ---------------------------------------------------------------
 */

static void published(const char *text, size_t size)
{
    const char *space = memchr(text, ' ', size);
    struct room *room =
        space ? room_of((unsigned)strtoul(text, NULL, 10)) : NULL;

    if (!room)
        return;
    room_add(room, space + 1, size - (size_t)(space + 1 - text));
    if (!coalesce) {
        pump_room(room);
    } else if (!room->dirty) {
        room->dirty = true;
        room->next_dirty = dirty_rooms;
        dirty_rooms = room;
    }
}

static size_t ws_read(char *data, size_t size)
{
    size_t at = 0;

    while (size - at >= 6) {
        unsigned char *head = (unsigned char *)data + at;
        size_t length = head[1] & 127, start = 6;

        if (length == 126) {
            length = (size_t)head[2] << 8 | head[3];
            start = 8;
        }
        if (size - at < start + length)
            break;
        for (size_t i = 0; i < length; i++)
            data[at + start + i] ^= data[at + start - 4 + i % 4];
        if ((head[0] & 15) == 1)
            published(data + at + start, length);
        at += start + length;
    }
    return at;
}

static void join(struct conn *conn, const char *target)
{
    const char *number = strstr(target, "room=");

    if (conn->room || !number)
        return;
    conn->room = room_of((unsigned)strtoul(number + 5, NULL, 10));
    if (!conn->room)
        return;
    if (conn->room->member_count == conn->room->member_room) {
        conn->room->member_room = conn->room->member_room * 2 + 4;
        conn->room->members =
            must(realloc(conn->room->members,
                         conn->room->member_room * sizeof(struct conn *)));
    }
    conn->room->members[conn->room->member_count++] = conn;
    conn->at = conn->wire == WIRE_POLL ? 0 : conn->room->count;
}

static void ask(struct conn *conn, const char *target)
{
    static const char upgrade[] = "HTTP/1.1 101 Switching Protocols\r\n"
                                  "Upgrade: websocket\r\n"
                                  "Connection: Upgrade\r\n\r\n";
    static const char stream[] = "HTTP/1.1 200 OK\r\n"
                                 "Content-Type: text/event-stream\r\n\r\n";
    const char *after = strstr(target, "after=");

    if (strncmp(target, "/ws", 3) == 0) {
        conn->wire = WIRE_WS;
        put(conn, upgrade, sizeof(upgrade) - 1);
    } else if (strncmp(target, "/sse", 4) == 0) {
        conn->wire = WIRE_SSE;
        put(conn, stream, sizeof(stream) - 1);
    } else {
        conn->wire = WIRE_POLL;
    }
    join(conn, target);
    if (conn->wire != WIRE_POLL)
        return;
    conn->at = after ? strtoull(after + 6, NULL, 10) : 0;
    conn->parked = true;
    pump(conn);
}

static size_t http_read(struct conn *conn, char *data, size_t size)
{
    size_t at = 0;
    char *end;

    while ((end = memmem(data + at, size - at, "\r\n\r\n", 4)) != NULL) {
        char *target = memchr(data + at, ' ', (size_t)(end - data) - at);

        *end = '\0';
        at = (size_t)(end - data) + 4;
        if (target)
            ask(conn, target + 1);
    }
    return at;
}

static void leave(struct conn *conn)
{
    for (unsigned i = 0; conn->room && i < conn->room->member_count; i++)
        if (conn->room->members[i] == conn) {
            conn->room->members[i] =
                conn->room->members[--conn->room->member_count];
            break;
        }
    close(conn->fd);
    free(conn);
}

static void readable(struct conn *conn)
{
    static char data[sizeof(conn->kept) + READ_BYTES];
    size_t size = conn->kept_size, used;
    ssize_t got;

    memcpy(data, conn->kept, size);
    got = recv(conn->fd, data + size, READ_BYTES, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        leave(conn);
        return;
    }
    size += (size_t)got;
    used = conn->wire == WIRE_WS ? ws_read(data, size)
                                 : http_read(conn, data, size);
    if (size - used > sizeof(conn->kept)) {
        (void)fprintf(stderr, "ceiling: too much at once\n");
        exit(1);
    }
    conn->kept_size = (unsigned)(size - used);
    memcpy(conn->kept, data + used, size - used);
}

static void greet(int listener)
{
    int fd, on = 1;

    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): epoll keeps it */
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >=
           0) {
        struct conn *conn = must(calloc(1, sizeof(*conn)));

        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        conn->fd = fd;
        watch(conn, EPOLL_CTL_ADD, false);
    } /* NOLINT(clang-analyzer-unix.Malloc): epoll keeps it */
}

static void serve(const struct epoll_event *event, int listener)
{
    struct conn *conn = event->data.ptr;

    if (!conn) {
        greet(listener);
        return;
    }
    if (event->events & EPOLLOUT) {
        watch(conn, EPOLL_CTL_MOD, false);
        pump(conn);
    }
    if (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        readable(conn);
}

static int listen_on(int port)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct epoll_event event = {.events = EPOLLIN};
    int on = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) ||
        listen(fd, 8192) || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
        fail("listen");
    return fd;
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS];
    struct rlimit limit;
    int listener, port = 0;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--coalesce") == 0)
            coalesce = true;
        else if (strcmp(argv[i], "--spoil") == 0 && i + 1 < argc)
            spoil = strcmp(argv[++i], "lose") == 0 ? 1 : -1;
        else if (strcmp(argv[i], "--port") == 0 && i + 1 < argc)
            port = (int)strtol(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--keep") == 0 && i + 1 < argc)
            keep = (unsigned)strtoul(argv[++i], NULL, 10);
        else
            port = 0;
    }
    if (port <= 0 || keep == 0) {
        (void)fprintf(stderr,
                      "usage: ceiling --port PORT [--coalesce] [--keep N] "
                      "[--spoil lose|twice]\n");
        return 2;
    }
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    listener = listen_on(port);
    (void)printf("ready\n");
    (void)fflush(stdout);
    for (;;) {
        int count = epoll_wait(epoll_fd, events, EVENTS, -1);

        for (int i = 0; i < count; i++)
            serve(&events[i], listener);
        while (dirty_rooms) {
            struct room *room = dirty_rooms;

            dirty_rooms = room->next_dirty;
            room->dirty = false;
            pump_room(room);
        }
    }
}
