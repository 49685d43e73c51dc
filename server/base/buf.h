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
struct span span_of(const char *text); /* NULL gives an empty span */
bool span_equal(struct span a, struct span b);
bool span_is(struct span a, const char *text);

void buf_init(struct buf *buf, size_t max);
void buf_fini(struct buf *buf);
void buf_reset(struct buf *buf); /* empty again; keeps the memory */
char *buf_reserve(struct buf *buf,
                  size_t size); /* room for size more, or NULL */
void buf_append(struct buf *buf, const void *data, size_t size);
void buf_append_span(struct buf *buf, struct span span);
void buf_append_text(struct buf *buf, const char *text);
void buf_append_u64(struct buf *buf, uint64_t number); /* decimal */
void buf_printf(struct buf *buf, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* ERR_NONE, ERR_TOO_LARGE (max) or ERR_NOMEM. */
MUST_CHECK enum err buf_status(const struct buf *buf);

#endif
