/* The transports, seen from the client: what is a frame, an event, an answer.
 */
#define _GNU_SOURCE /* memmem() */
#include "bench/load/load.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REQUEST_ROOM 2048
#define SMALL_FRAME 512 /* such a frame is looked at when it is whole */

unsigned opened;
uint64_t requests;

static struct conn *due_first, *due_last; /* short polls, in order of time */
static struct conn *idle_posters;
static struct pending *pending_first, *pending_last;

/* A request that waits for a connection. */
struct pending {
    struct pending *next;
    size_t size;
    char text[];
};

/* check.c: same_note. */
static struct {
    char *bytes;
    size_t size, room;
    struct meaning meaning;
    char cursor[sizeof(((struct conn *)0)->cursor)];
} same;

void wire_opened(struct conn *conn)
{
    conn->stage = STAGE_OPEN;
    opened++;
}

/* --- the same bytes again
 * ------------------------------------------------------ */

static bool is_same(const struct conn *conn, const char *data, size_t size)
{
    return plan.shape == SHAPE_FANOUT && !conn->publisher && !conn->left &&
           size == same.size && conn->next[0] == same.meaning.from &&
           memcmp(data, same.bytes, size) == 0;
}

static void remember(const struct conn *conn, const char *data, size_t size,
                     uint32_t from)
{
    if (plan.shape != SHAPE_FANOUT || conn->publisher || conn->left ||
        conn->next[0] == from)
        return;
    if (size > same.room) {
        same.room = size * 2;
        same.bytes = realloc(same.bytes, same.room);
        if (!same.bytes)
            die("out of memory");
    }
    memcpy(same.bytes, data, size);
    same.size = size;
    same.meaning = (struct meaning){from, conn->next[0] - from};
    memcpy(same.cursor, conn->cursor, sizeof(same.cursor));
}

/* --- WebSocket
 * ------------------------------------------------------------------ */

/* Masked with zeros, which is a mask like any other and costs nothing. */
void ws_frame(struct conn *conn, unsigned opcode, const char *data, size_t size)
{
    char frame[14 + 4096];
    size_t at = 2;

    if (size > 4096)
        die("a frame of %zu bytes", size);
    frame[0] = (char)(0x80 | opcode);
    frame[1] = (char)(0x80 | (size < 126 ? size : 126));
    if (size >= 126) {
        frame[at++] = (char)(size >> 8);
        frame[at++] = (char)(size & 0xff);
    }
    memset(frame + at, 0, 4);
    memcpy(frame + at + 4, data, size);
    conn_send(conn, frame, at + 4 + size);
}

/* The header at `data`; 0: not whole yet. */
static size_t ws_header(const unsigned char *data, size_t size,
                        uint64_t *length)
{
    size_t more;

    if (size < 2)
        return 0;
    *length = data[1] & 127;
    if (data[1] & 128)
        die("a masked frame");
    more = *length == 126 ? 2 : *length == 127 ? 8 : 0;
    if (size < 2 + more)
        return 0;
    if (more)
        *length = 0;
    for (size_t i = 0; i < more; i++)
        *length = *length << 8 | data[2 + i];
    return 2 + more;
}

/* A frame begins: returns how many bytes of it are dealt with. */
static size_t ws_begin(struct conn *conn, const char *data, size_t size)
{
    uint64_t length;
    size_t header = ws_header((const unsigned char *)data, size, &length);
    unsigned opcode = (unsigned char)data[0] & 15;

    if (!header || (length <= SMALL_FRAME && size < header + length))
        return 0;
    conn->text = opcode < 8;
    if (opcode == 8)
        die("%s closes a WebSocket: %.*s", plan.server,
            (int)(length > 2 ? length - 2 : 0), data + header + 2);
    if (opcode == 9)
        ws_frame(conn, 10, data + header, length);
    if (opcode < 8 && plan.dialect->own && length &&
        plan.dialect->own(conn, data + header,
                          size - header < length ? size - header : length))
        conn->text = false;
    if (opcode < 8 && length <= SMALL_FRAME && !conn->text)
        return header + length;
    conn->left = length;
    return header;
}

static size_t ws_read(struct conn *conn, const char *data, size_t size)
{
    size_t at = 0, used;

    while (at < size) {
        size_t part = conn->left < size - at ? conn->left : size - at;

        if (!conn->left) {
            used = ws_begin(conn, data + at, size - at);
            if (!used)
                break;
            at += used;
            continue;
        }
        used = conn->text && !conn->publisher
                   ? check_payloads(conn, data + at, part)
                   : part;
        conn->left -= used;
        at += used;
        if (used < part) {
            if (part - used == conn->left)
                die("a frame ends inside a payload");
            break;
        }
    }
    return at;
}

/* --- HTTP responses
 * --------------------------------------------------------------- */

struct response {
    unsigned status;
    const char *head;
    size_t head_size;
    bool chunked, sized;
    size_t length;
};

static const char *find_field(const char *head, size_t size, const char *name)
{
    size_t length = strlen(name);
    const char *at = head, *end = head + size;

    while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        at++;
        if ((size_t)(end - at) > length + 1 && at[length] == ':' &&
            strncasecmp(at, name, length) == 0) {
            at += length + 1;
            while (*at == ' ')
                at++;
            return at;
        }
    }
    return NULL;
}

/* False: not whole yet. */
static bool take_head(struct response *response, const char *data, size_t size)
{
    const char *end = memmem(data, size, "\r\n\r\n", 4), *field;

    if (!end)
        return false;
    if (size < 12 || memcmp(data, "HTTP/1.", 7) != 0)
        die("not an HTTP response: %.*s", (int)(size < 80 ? size : 80), data);
    response->status = (unsigned)strtoul(data + 9, NULL, 10);
    response->head = data;
    response->head_size = (size_t)(end - data) + 4;
    field = find_field(data, response->head_size, "Content-Length");
    response->sized = field;
    response->length = field ? strtoul(field, NULL, 10) : 0;
    field = find_field(data, response->head_size, "Transfer-Encoding");
    response->chunked = field && strncasecmp(field, "chunked", 7) == 0;
    return true;
}

/* A chunked body, put together in place; 0: not whole yet. */
static size_t unchunk(char *data, size_t size, size_t *length)
{
    size_t at = 0, part;
    char *end;

    *length = 0;
    for (;;) {
        char *line = memmem(data + at, size - at, "\r\n", 2);

        if (!line)
            return 0;
        part = strtoul(data + at, &end, 16);
        at = (size_t)(line - data) + 2;
        if (size - at < part + 2)
            return 0;
        memmove(data + *length, data + at, part);
        *length += part;
        at += part + 2;
        if (!part)
            return at;
    }
}

/* --- SSE
 * -------------------------------------------------------------------------- */

static size_t sse_read(struct conn *conn, const char *data, size_t size)
{
    size_t at = 0, used;

    if (conn->raw_body)
        return check_payloads(conn, data, size);
    while (at < size) {
        const char *line;
        size_t part = conn->left < size - at ? conn->left : size - at;

        if (!conn->left) {
            line = memmem(data + at, size - at, "\r\n", 2);
            if (!line)
                break;
            conn->left = strtoul(data + at, NULL, 16) + 2;
            at = (size_t)(line - data) + 2;
            continue;
        }
        used = check_payloads(conn, data + at, part);
        conn->left -= used;
        at += used;
        if (used < part)
            break;
    }
    return at;
}

/* The head of a stream or of a WebSocket; how much of it is dealt with. */
static size_t stream_head(struct conn *conn, const char *data, size_t size)
{
    struct response response;

    if (!take_head(&response, data, size))
        return 0;
    if (response.status != (conn->wire == WIRE_WS ? 101 : 200))
        die("%s refuses: %.*s", plan.server, (int)(size < 600 ? size : 600),
            data);
    conn->raw_body = !response.chunked;
    conn->stage = STAGE_GREETING;
    if (!plan.dialect->greets || conn->wire == WIRE_SSE)
        wire_opened(conn);
    return response.head_size;
}

/* --- polls
 * ------------------------------------------------------------------------- */

void wire_ask(struct conn *conn)
{
    char text[REQUEST_ROOM];
    size_t size = plan.dialect->follow(conn, text, sizeof(text));

    requests++;
    conn->busy = true;
    conn_send(conn, text, size);
}

/* At once, or after the interval. */
static void ask_on(struct conn *conn)
{
    conn->busy = false;
    if (conn->wire != WIRE_POLL || conn->stage != STAGE_OPEN) {
        wire_ask(conn);
        return;
    }
    conn->asked_us = delivered_us + plan.interval_ms * 1000ull;
    conn->later = NULL;
    if (due_last)
        due_last->later = conn;
    else
        due_first = conn;
    due_last = conn;
}

uint64_t wire_tick(uint64_t now)
{
    while (due_first && due_first->asked_us <= now) {
        struct conn *conn = due_first;

        due_first = conn->later;
        if (!due_first)
            due_last = NULL;
        if (conn->stage != STAGE_CLOSED)
            wire_ask(conn);
    }
    return due_first ? due_first->asked_us : 0;
}

/* The whole response at `data`; 0: not whole yet. */
static size_t take_response(struct response *response, char *data, size_t size,
                            size_t *body_size)
{
    size_t used;

    if (!take_head(response, data, size))
        return 0;
    if (response->status == 204 || response->status == 304) {
        *body_size = 0;
        return response->head_size;
    }
    if (response->chunked) {
        used = unchunk(data + response->head_size, size - response->head_size,
                       body_size);
        return used ? response->head_size + used : 0;
    }
    if (!response->sized)
        die("a response without a length");
    *body_size = response->length;
    used = response->head_size + response->length;
    return used <= size ? used : 0;
}

static size_t poll_read(struct conn *conn, char *data, size_t size)
{
    struct response response;
    size_t body_size, used = take_response(&response, data, size, &body_size);
    char *body;

    if (!used)
        return 0;
    body = data + response.head_size;
    if (response.status / 100 != 2 && response.status != 304)
        die("%s answers: %.*s", plan.server, (int)(used < 600 ? used : 600),
            data);
    plan.dialect->answered(conn, data, response.head_size, body, body_size);
    if (check_payloads(conn, body, body_size) < body_size)
        die("an answer ends inside a payload");
    ask_on(conn);
    return used;
}

/* --- posts
 * -------------------------------------------------------------------------- */

void poster_free(struct conn *conn)
{
    struct pending *next = pending_first;

    conn->busy = false;
    if (!next) {
        conn->later = idle_posters;
        idle_posters = conn;
        return;
    }
    pending_first = next->next;
    if (!pending_first)
        pending_last = NULL;
    conn->busy = true;
    conn_send(conn, next->text, next->size);
    free(next);
}

/* On any connection that has nothing to do. */
static void post_text(const char *text, size_t size)
{
    struct conn *conn = idle_posters;
    struct pending *pending;

    if (conn) {
        idle_posters = conn->later;
        conn->busy = true;
        conn_send(conn, text, size);
        return;
    }
    pending = malloc(sizeof(*pending) + size);
    if (!pending)
        die("out of memory");
    pending->next = NULL;
    pending->size = size;
    memcpy(pending->text, text, size);
    if (pending_last)
        pending_last->next = pending;
    else
        pending_first = pending;
    pending_last = pending;
}

void post(struct conn *by, unsigned number, const char *payload, size_t size)
{
    char text[REQUEST_ROOM + 4096];

    size = plan.dialect->request(by, text, sizeof(text), number, payload, size);
    post_text(text, size);
}

static size_t post_read(struct conn *conn, char *data, size_t size)
{
    struct response response;
    size_t body_size, used = take_response(&response, data, size, &body_size);

    if (!used)
        return 0;
    if (used < size) /* pipelined: the rest of what was read */
        return used + post_read(conn, data + used, size - used);
    if (response.status / 100 != 2)
        die("%s answers a post: %.*s", plan.server,
            (int)(used < 600 ? used : 600), data);
    if (conn->busy)
        poster_free(conn);
    return used;
}

/* --- connections
 * --------------------------------------------------------------------- */

void wire_connected(struct conn *conn)
{
    char text[REQUEST_ROOM];

    switch (conn->wire) {
    case WIRE_POST:
        wire_opened(conn);
        poster_free(conn);
        break;
    case WIRE_WS:
    case WIRE_SSE:
        conn->stage = STAGE_HEAD;
        conn_send(conn, text, plan.dialect->follow(conn, text, sizeof(text)));
        break;
    default:
        conn->stage = STAGE_GREETING;
        if (!plan.dialect->greets_polls)
            wire_opened(conn);
        wire_ask(conn);
    }
}

static size_t read_by_wire(struct conn *conn, char *data, size_t size)
{
    size_t head = 0;

    switch (conn->wire) {
    case WIRE_POST:
        return post_read(conn, data, size);
    case WIRE_LONGPOLL:
    case WIRE_POLL:
        return poll_read(conn, data, size);
    default:
        if (conn->stage == STAGE_HEAD) {
            head = stream_head(conn, data, size);
            if (!head)
                return 0;
        }
        if (conn->wire == WIRE_WS)
            return head + ws_read(conn, data + head, size - head);
        return head + sse_read(conn, data + head, size - head);
    }
}

size_t wire_read(struct conn *conn, char *data, size_t size)
{
    uint32_t from = conn->next[0];
    bool clean = !conn->left;
    size_t used;

    delivered_us = now_us();
    if (conn->stage == STAGE_OPEN && is_same(conn, data, size)) {
        check_again(conn, &same.meaning);
        if (conn->wire == WIRE_LONGPOLL || conn->wire == WIRE_POLL) {
            memcpy(conn->cursor, same.cursor, sizeof(conn->cursor));
            ask_on(conn);
        }
        return size;
    }
    used = read_by_wire(conn, data, size);
    if (used == size && clean)
        remember(conn, data, size, from);
    return used;
}
