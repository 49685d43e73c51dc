/* Event-stream text taken apart (WHATWG HTML, "Server-sent events").
 *
 * Threads  one at a time.
 * Memory   init/fini fill memory you provide; what `event` is given is
 *          borrowed.
 */
#ifndef RUNG_SSE_READER_H
#define RUNG_SSE_READER_H

#include "server/base/buf.h"

#include <stdbool.h>

struct sse_reader {
    /* One block has ended. `id` and `data` are terminated; data is NULL for a
     * block without, id is "" when the block has none. False: stop. */
    bool (*event)(void *arg, const char *id, const char *data, size_t size);
    void *arg;
    /* the rest is the reader's */
    struct buf line, data, id;
    bool has_data, after_cr;
};

void sse_reader_init(struct sse_reader *reader,
                     bool (*event)(void *, const char *, const char *, size_t),
                     void *arg);
void sse_reader_fini(struct sse_reader *reader);
/* False: `event` said stop, or memory is short. */
bool sse_reader_push(struct sse_reader *reader, const char *bytes, size_t size);

#endif
