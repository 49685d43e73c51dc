/* Events as text: composed from checked parts around a body that is JSON text
 * already, so that delivering a message never parses it. */
#include "server/event.h"

#include "server/base/eight.h"
#include "server/frame_head.h"
#include "server/script_text.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define EVENT_MAX_BYTES (64u << 20)

struct event *event_ref(struct event *event)
{
    event->refs++;
    return event;
}

void event_unref(struct event *event)
{
    if (!event || --event->refs)
        return;
    shared_unref(event->packet);
    mem_free(event);
}

/* --- text --------------------------------------------------------------- */

/* Whether all eight are printable ASCII and need no escape. */
static bool plain_eight(uint64_t eight)
{
    uint64_t odd = eight | eight_below(eight, ' ') | eight_equal(eight, '"') |
                   eight_equal(eight, '\\') | eight_equal(eight, 0x7f);

    return !(odd & EIGHT_TOPS);
}

static bool plain(struct span text)
{
    uint64_t rest = EIGHT_OF(' ');
    size_t at = 0;

    for (; text.size - at >= sizeof rest; at += sizeof rest)
        if (!plain_eight(eight_load(text.data + at)))
            return false;
    if (text.size > at)
        memcpy(&rest, text.data + at, text.size - at);
    return plain_eight(rest);
}

static int append_dumped(const char *data, size_t size, void *buf)
{
    buf_append(buf, data, size);
    return 0;
}

void json_quote(struct buf *out, struct span text)
{
    json_t *string;

    if (plain(text)) {
        buf_append(out, "\"", 1);
        buf_append_span(out, text);
        buf_append(out, "\"", 1);
        return;
    }
    string = json_stringn(text.data, text.size);
    if (!string ||
        json_dump_callback(string, append_dumped, out, JSON_ENCODE_ANY))
        out->failed = true;
    json_decref(string);
}

size_t cursor_write(char out[CURSOR_MAX_BYTES], const char *epoch, lsn at)
{
    size_t size = strnlen(epoch, 8);

    memcpy(out, epoch, size);
    out[size++] = '-';
    size += u64_write(out + size, at);
    out[size] = 0;
    return size;
}

enum err cursor_parse(struct span text, char epoch[9], lsn *at)
{
    struct span digits;

    epoch[0] = 0;
    *at = 0;
    if (span_is(text, "0"))
        return ERR_NONE;
    if (text.size < 10 || text.data[8] != '-')
        return ERR_BAD_REQUEST;
    for (size_t digit = 0; digit < 8; digit++) {
        char c = text.data[digit];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return ERR_BAD_REQUEST;
    }
    digits = (struct span){text.data + 9, text.size - 9};
    if (digits.data[0] == '0' && digits.size > 1)
        return ERR_BAD_REQUEST;
    if (!u64_read(digits, at))
        return ERR_BAD_REQUEST;
    memcpy(epoch, text.data, 8);
    epoch[8] = 0;
    return ERR_NONE;
}

/* --- one event ---------------------------------------------------------- */

static void open_object(struct buf *out, const char *kind, const char *epoch,
                        lsn at)
{
    char cursor[CURSOR_MAX_BYTES];

    buf_append_text(out, "{\"event\":\"");
    buf_append_text(out, kind);
    if (epoch) {
        buf_append_text(out, "\",\"cursor\":\"");
        buf_append(out, cursor, cursor_write(cursor, epoch, at));
    }
    buf_append_text(out, "\"");
}

static void add_text(struct buf *out, const char *key, struct span value)
{
    buf_append_text(out, ",\"");
    buf_append_text(out, key);
    buf_append_text(out, "\":");
    json_quote(out, value);
}

static void add_number(struct buf *out, const char *key, uint64_t value)
{
    buf_append_text(out, ",\"");
    buf_append_text(out, key);
    buf_append_text(out, "\":");
    buf_append_u64(out, value);
}

/* Take the finished text over into an event; frees the buffer. */
static struct event *close_object(struct buf *out, const char *kind, lsn at)
{
    struct event *event = NULL;

    buf_append_text(out, "}");
    if (buf_status(out) == ERR_NONE)
        event = mem_alloc(sizeof *event + out->size);
    if (event) {
        event->refs = 1;
        event->at = at;
        event->kind = kind;
        event->packet = NULL;
        event->size = out->size;
        memcpy(event->json, out->data, out->size);
    }
    buf_fini(out);
    return event;
}

static void add_users(struct buf *out, const struct entry *entry)
{
    struct span user = {0};
    const char *comma = "";

    buf_append_text(out, ",\"users\":[");
    while (entry_user(entry, &user)) {
        buf_append_text(out, comma);
        json_quote(out, user);
        comma = ",";
    }
    buf_append_text(out, "]");
}

static const char *change_of(const struct entry *entry)
{
    struct span first = {0};

    if (entry->kind == ENTRY_CREATE)
        return "created";
    if (entry->kind == ENTRY_LEAVE)
        return "left";
    if (entry_user(entry, &first) && span_equal(first, entry->from))
        return "joined";
    return "invited";
}

/* {"name":…,"settings":…} behind the settings line, without its braces. */
static void add_description(struct buf *out, const struct entry *entry)
{
    struct conv_settings settings;
    struct span rest;

    if (conv_settings_read(&settings, entry->body, &rest) || rest.size <= 2)
        return;
    buf_append_text(out, ",");
    buf_append(out, rest.data + 1, rest.size - 2);
}

static void message_text(struct buf *out, const struct entry *entry)
{
    add_number(out, "seq", entry->seq);
    add_text(out, "from", entry->from);
    if (entry->client_msg_id.size)
        add_text(out, "client_msg_id", entry->client_msg_id);
    add_number(out, "ts", entry->ts);
    add_text(out, "type", entry->type);
    buf_append_text(out, ",\"body\":");
    buf_append_span(out, entry->body);
}

static void change_text(struct buf *out, const struct entry *entry)
{
    add_number(out, "short_id", entry->conv);
    add_number(out, "seq", entry->seq);
    add_text(out, "change", span_of(change_of(entry)));
    add_text(out, "by", entry->from);
    add_number(out, "ts", entry->ts);
    add_users(out, entry);
    if (entry->kind == ENTRY_CREATE)
        add_description(out, entry);
}

static void receipt_text(struct buf *out, const struct entry *entry)
{
    add_text(out, "kind",
             span_of(entry->kind == ENTRY_READ ? "read" : "delivered"));
    add_number(out, "seq", entry->mark);
    add_text(out, "user", entry->from);
    add_number(out, "ts", entry->ts);
}

struct event *event_of_entry(const char *epoch, const struct entry *entry)
{
    struct buf out;
    const char *kind;
    void (*text)(struct buf *, const struct entry *);

    switch (entry->kind) {
    case ENTRY_MESSAGE:
        if (entry->flags & ENTRY_TRIMMED)
            return NULL;
        kind = "message";
        text = message_text;
        break;
    case ENTRY_CREATE:
    case ENTRY_JOIN:
    case ENTRY_LEAVE:
        kind = "conversation";
        text = change_text;
        break;
    case ENTRY_READ:
    case ENTRY_DELIVERED:
        kind = "receipt";
        text = receipt_text;
        break;
    case ENTRY_TRIM:
    default:
        return NULL;
    }
    buf_init(&out, EVENT_MAX_BYTES);
    (void)buf_reserve(&out, 256 + entry->body.size);
    open_object(&out, kind, epoch, entry->lsn);
    add_text(&out, "conversation", entry->conversation);
    text(&out, entry);
    return close_object(&out, kind, entry->lsn);
}

struct event *event_of_gap(const char *epoch, const struct gap *gap)
{
    struct buf out;

    buf_init(&out, EVENT_MAX_BYTES);
    open_object(&out, "gap", epoch, gap->at);
    add_text(&out, "conversation", gap->conversation);
    add_number(&out, "from", gap->from);
    add_number(&out, "to", gap->to);
    add_text(&out, "reason", SPAN("retention"));
    return close_object(&out, "gap", gap->at);
}

struct event *event_hello(const char *epoch, lsn at, uint64_t heartbeat_ms,
                          uint64_t now_ms, struct span user)
{
    struct buf out;

    buf_init(&out, EVENT_MAX_BYTES);
    open_object(&out, "hello", epoch, at);
    add_number(&out, "heartbeat_ms", heartbeat_ms);
    add_number(&out, "ts", now_ms);
    add_text(&out, "user", user);
    return close_object(&out, "hello", at);
}

struct event *event_reset(const char *epoch, lsn at, const char *reason)
{
    struct buf out;

    buf_init(&out, EVENT_MAX_BYTES);
    open_object(&out, "reset", epoch, at);
    add_text(&out, "reason", span_of(reason));
    return close_object(&out, "reset", at);
}

struct event *event_heartbeat(const char *epoch, lsn at, uint64_t now_ms)
{
    struct buf out;

    buf_init(&out, EVENT_MAX_BYTES);
    open_object(&out, "heartbeat", epoch, at);
    add_number(&out, "ts", now_ms);
    return close_object(&out, "heartbeat", at);
}

/* A reason that is no error code of the contract means: come back later. */
static enum err err_of_reason(const char *reason)
{
    for (enum err err = ERR_NONE + 1; err < ERR_COUNT; err++)
        if (strcmp(err_code(err), reason) == 0)
            return err_wire(err);
    return ERR_UNAVAILABLE;
}

struct event *event_bye(const char *reason, const char *message,
                        uint32_t retry_after_ms)
{
    struct buf out;

    buf_init(&out, EVENT_MAX_BYTES);
    open_object(&out, "bye", NULL, 0);
    add_text(&out, "reason", span_of(reason));
    add_number(&out, "retry_after_ms", retry_after_ms);
    buf_append_text(&out, ",\"error\":{\"code\":");
    json_quote(&out, span_of(err_code(err_of_reason(reason))));
    add_text(&out, "message", span_of(message));
    add_number(&out, "retry_after_ms", retry_after_ms);
    buf_append_text(&out, "}");
    return close_object(&out, "bye", 0);
}

/* --- bursts ------------------------------------------------------------- */

struct burst *burst_create(const char *epoch)
{
    struct burst *burst = mem_zalloc(sizeof *burst);

    if (burst) {
        burst->refs = 1;
        burst->epoch = epoch;
        burst->events = burst->few;
        burst->room = sizeof burst->few / sizeof *burst->few;
    }
    return burst;
}

struct burst *burst_ref(struct burst *burst)
{
    burst->refs++;
    return burst;
}

void burst_unref(struct burst *burst)
{
    if (!burst || --burst->refs > 0)
        return;
    if (burst->detach)
        burst->detach(burst->attached);
    for (size_t i = 0; i < burst->count; i++)
        event_unref(burst->events[i]);
    for (int format = 0; format < FORMAT_COUNT; format++)
        shared_unref(burst->bytes[format]);
    if (burst->events != burst->few)
        mem_free(burst->events);
    mem_free(burst);
}

static bool make_room(struct burst *burst)
{
    struct event **few = burst->events == burst->few ? burst->few : NULL;
    size_t room = burst->room * 2;
    struct event **grown =
        mem_realloc(few ? NULL : burst->events, room * sizeof *grown);

    if (!grown)
        return false;
    if (few)
        memcpy(grown, few, sizeof burst->few);
    burst->events = grown;
    burst->room = room;
    return true;
}

bool burst_add(struct burst *burst, struct event *given)
{
    if (burst->count == burst->room && !make_room(burst)) {
        event_unref(given);
        return false;
    }
    burst->events[burst->count++] = given;
    burst->json_bytes += given->size;
    if (given->at) {
        if (!burst->first)
            burst->first = given->at;
        burst->last = given->at;
    }
    return true;
}

struct burst *burst_of(const char *epoch, struct event *given)
{
    struct burst *burst = given ? burst_create(epoch) : NULL;

    if (burst)
        (void)burst_add(burst, given); /* a new one has room for a few */
    else
        event_unref(given);
    return burst;
}

static void append_sse(struct buf *out, const struct burst *burst,
                       const struct event *event)
{
    char cursor[CURSOR_MAX_BYTES];

    if (event->at) {
        buf_append_text(out, "id: ");
        buf_append(out, cursor, cursor_write(cursor, burst->epoch, event->at));
        buf_append_text(out, "\n");
    }
    buf_append_text(out, "event: ");
    buf_append_text(out, event->kind);
    buf_append_text(out, "\ndata: ");
    buf_append(out, event->json, event->size);
    buf_append_text(out, "\n\n");
}

/* The objects with a separator between each two, from `head` to `tail`. */
static struct shared *join(const struct burst *burst, char separator,
                           struct span head, struct span tail)
{
    size_t separators = burst->count ? burst->count - 1 : 0;
    struct shared *bytes =
        shared_create(head.size + burst->json_bytes + separators + tail.size);
    char *at;

    if (!bytes)
        return NULL;
    at = bytes->data;
    if (head.size)
        memcpy(at, head.data, head.size);
    at += head.size;
    for (size_t i = 0; i < burst->count; i++) {
        if (i)
            *at++ = separator;
        memcpy(at, burst->events[i]->json, burst->events[i]->size);
        at += burst->events[i]->size;
    }
    if (tail.size)
        memcpy(at, tail.data, tail.size);
    return bytes;
}

static struct shared *frame(const struct burst *burst)
{
    char head[FRAME_HEAD_MAX];
    size_t separators = burst->count ? burst->count - 1 : 0;
    size_t size = frame_head(head, WS_TEXT, burst->json_bytes + separators);

    return join(burst, '\n', (struct span){head, size}, (struct span){0});
}

static void append_script(struct buf *out, const struct burst *burst,
                          const struct event *event)
{
    if (event != burst->events[0])
        buf_append_text(out, ",");
    script_append(out, (struct span){event->json, event->size});
}

/* What is written one event after the other. */
static struct shared *blocks(const struct burst *burst,
                             void (*append)(struct buf *, const struct burst *,
                                            const struct event *))
{
    struct shared *bytes;
    struct buf out;

    buf_init(&out, SIZE_MAX / 2);
    (void)buf_reserve(&out, burst->json_bytes + burst->count * 80);
    for (size_t i = 0; i < burst->count; i++)
        append(&out, burst, burst->events[i]);
    bytes = buf_status(&out) ? NULL : shared_copy(out.data, out.size);
    buf_fini(&out);
    return bytes;
}

static struct shared *part(const struct burst *burst)
{
    size_t separators = burst->count ? burst->count - 1 : 0;
    char head[96];
    int size = snprintf(head, sizeof(head),
                        "Content-Type: application/json\r\n"
                        "Content-Length: %zu\r\n\r\n[",
                        burst->json_bytes + separators + 2);

    return join(burst, ',', (struct span){head, (size_t)size},
                SPAN("]\r\n--" PART_BOUNDARY "\r\n"));
}

static struct shared *encode(const struct burst *burst, enum format format)
{
    switch (format) {
    case FORMAT_FRAME:
        return frame(burst);
    case FORMAT_ARRAY:
        return join(burst, ',', (struct span){0}, (struct span){0});
    case FORMAT_SSE:
        return blocks(burst, append_sse);
    case FORMAT_LINES:
        return join(burst, '\n', (struct span){0}, SPAN("\n"));
    case FORMAT_PART:
        return part(burst);
    case FORMAT_SCRIPT:
        return blocks(burst, append_script);
    case FORMAT_COUNT:
        break;
    }
    return NULL;
}

struct shared *burst_bytes(struct burst *burst, enum format format)
{
    if (!burst->bytes[format])
        burst->bytes[format] = encode(burst, format);
    return burst->bytes[format];
}
