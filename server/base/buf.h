/* A growing byte buffer with a stated maximum.
 *
 * Units    bytes.
 * Errors   an append that would pass `max`, or that finds no memory, changes
 *          nothing, and marks the buffer failed: later appends do nothing, so a
 *          run of appends needs one check at its end.
 * Threads  one at a time.
 * Memory   init/fini fill memory you provide; fini accepts a zeroed buffer.
 */
#ifndef RUNG_BASE_BUF_H
#define RUNG_BASE_BUF_H

#include "server/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buf {
    char *data; /* NULL while empty and never grown; not terminated */
    size_t size, capacity, max;
    bool failed;
    bool short_of_memory; /* it failed for that, not for `max` */
};

/* Borrowed bytes; not terminated. */
struct span {
    const char *data;
    size_t size;
};

#define SPAN(literal) ((struct span){(literal), sizeof(literal) - 1})
/* NULL gives an empty span */
static inline struct span span_of(const char *text)
{
    return (struct span){text, text ? strlen(text) : 0};
}
bool span_equal(struct span a, struct span b);
bool span_is(struct span a, const char *text);

void buf_init(struct buf *buf, size_t max);
void buf_fini(struct buf *buf);
void buf_reset(struct buf *buf); /* empty again; keeps the memory */
char *buf_reserve(struct buf *buf,
                  size_t size); /* room for size more, or NULL */

/* Inline, for events and answers are composed of many short pieces. */
static inline void buf_append(struct buf *buf, const void *data, size_t size)
{
    char *room = buf->data;

    if (!size)
        return;
    if (buf->failed || size > buf->capacity - buf->size)
        room = buf_reserve(buf, size);
    else
        room += buf->size;
    if (!room)
        return;
    memcpy(room, data, size);
    buf->size += size;
}

static inline void buf_append_span(struct buf *buf, struct span span)
{
    buf_append(buf, span.data, span.size);
}

static inline void buf_append_text(struct buf *buf, const char *text)
{
    buf_append_span(buf, span_of(text));
}

void buf_append_u64(struct buf *buf, uint64_t number); /* decimal */
void buf_printf(struct buf *buf, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* ERR_NONE, ERR_TOO_LARGE (max) or ERR_NOMEM. */
MUST_CHECK enum err buf_status(const struct buf *buf);

/* The same into memory of one's own, not terminated; returns its length. */
#define U64_DIGITS 20 /* as many as 2^64 - 1 has */
size_t u64_write(char out[U64_DIGITS], uint64_t number);
/* Whether a text is 1 to 16 decimal digits, leading zeros among them or not,
 * and the number that they are; else *out is not to be used. */
bool u64_read(struct span text, uint64_t *out);

#endif
