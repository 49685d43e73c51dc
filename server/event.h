/* Events as every transport sends them: encoded once, shared by all readers.
 *
 * An event is one JSON object (docs/PROTOCOL.md section 5). A burst is what one
 * carrier is to be sent next: consecutive events in order. A burst caches its
 * bytes per format, so that ten thousand readers of one commit share one
 * buffer.
 *
 * Units    bytes; lsn as in store/entry.h.
 * Errors   NULL when memory is short.
 * Threads  a burst and its events belong to one worker; the counts are plain.
 * Memory   counted references. The bytes of burst_bytes() are borrowed from the
 *          burst and may be kept by shared_ref().
 */
#ifndef RUNG_EVENT_H
#define RUNG_EVENT_H

#include "server/base/buf.h"
#include "server/base/mem.h"
#include "store/reader.h"

#include <stdbool.h>

#define CURSOR_MAX_BYTES 32 /* "5f3a1c22-9007199254740992" and a NUL */
/* Of multipart bodies (RFC 2046 section 5.1). JSON text holds no raw line end,
 * so no event can hold the delimiter. A part ends with the next one's delimiter
 * line: a parser knows at once that it is whole. */
#define PART_BOUNDARY "rung"

enum format {
    FORMAT_FRAME,  /* objects joined by "\n", as one text frame: ws */
    FORMAT_ARRAY,  /* objects joined by ",": inside a poll answer's [] */
    FORMAT_SSE,    /* id:/event:/data: blocks */
    FORMAT_LINES,  /* objects, each with its "\n": NDJSON */
    FORMAT_PART,   /* an array of them as a body part, see PART_BOUNDARY */
    FORMAT_SCRIPT, /* objects joined by ",", as script_append() writes them */
    FORMAT_COUNT
};

struct event {
    int refs;
    lsn at;           /* its cursor's lsn; 0: ephemeral, no cursor */
    const char *kind; /* static: "message" */
    /* One transport may hang its own ready-made form on an event; or NULL. */
    struct shared *packet;
    size_t size; /* of json */
    char json[]; /* not terminated */
};
struct event *event_ref(struct event *event);
void event_unref(struct event *event);

/* A log entry as its event; NULL also for kinds that show nothing (TRIM). */
struct event *event_of_entry(const char *epoch, const struct entry *entry);
struct event *event_of_gap(const char *epoch, const struct gap *gap);
/* hello, reset, heartbeat: `at` is the cursor they carry. */
struct event *event_hello(const char *epoch, lsn at, uint64_t heartbeat_ms,
                          uint64_t now_ms, struct span user);
struct event *event_reset(const char *epoch, lsn at, const char *reason);
struct event *event_heartbeat(const char *epoch, lsn at, uint64_t now_ms);
/* bye: `reason` is an error's code ("token_expired") or another word
 * ("draining", "recycled"), whose error is then `unavailable`. */
struct event *event_bye(const char *reason, const char *message,
                        uint32_t retry_after_ms);

struct burst {
    int refs;
    lsn first, last; /* of its durable events; 0 when there are none */
    size_t count, room;
    unsigned recorded;     /* deliveries of it that the recorder noted */
    size_t json_bytes;     /* sum of the events' sizes */
    struct event **events; /* `few`, as long as that has room */
    struct shared *bytes[FORMAT_COUNT];
    const char *epoch;
    /* One transport may hang its own ready-made form on a burst. */
    void *attached;
    void (*detach)(void *attached);
    struct event *few[4];
};
struct burst *burst_create(const char *epoch);
struct burst *burst_ref(struct burst *burst);
void burst_unref(struct burst *burst); /* NULL: nothing */
/* Takes the reference given. False when memory is short (the reference is
 * dropped then). Only while nobody asked for its bytes. */
bool burst_add(struct burst *burst, struct event *given);
/* A burst of this one event. Takes the reference; given NULL: NULL. */
struct burst *burst_of(const char *epoch, struct event *given);
struct shared *burst_bytes(struct burst *burst, enum format format);

/* "<epoch>-<lsn>", terminated; returns its length. */
size_t cursor_write(char out[CURSOR_MAX_BYTES], const char *epoch, lsn at);
/* Accepts "<8 hex>-<decimal>" and "0". ERR_BAD_REQUEST otherwise. *epoch is
 * empty for "0". */
MUST_CHECK enum err cursor_parse(struct span text, char epoch[9], lsn *at);

/* Append `text` as a JSON string with its quotes. Invalid UTF-8 cannot occur:
 * everything stored was checked when it came in. */
void json_quote(struct buf *out, struct span text);

#endif
