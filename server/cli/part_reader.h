/* The parts of a multipart body that tell their Content-Length, as the server's
 * do (docs/PROTOCOL.md, "Multipart"), from bytes in any pieces.
 *
 * Units    bytes.
 * Errors   part_reader_push() says false for what is no such body, for a part
 *          beyond PART_MAX_BYTES, and without memory.
 * Threads  one at a time.
 * Memory   a zeroed reader; fini gives back its buffers. A part is borrowed.
 */
#ifndef RUNG_PART_READER_H
#define RUNG_PART_READER_H

#include "server/base/buf.h"

#define PART_MAX_BYTES ((size_t)64 << 20)

struct part_reader {
    /* One part is whole. False: stop. */
    bool (*part)(void *arg, struct span body);
    void *arg;
    /* the rest is the reader's */
    struct buf line, body;
    size_t wanted;  /* of the body; 0: not in one */
    size_t length;  /* Content-Length; 0: not told */
    bool in_header; /* behind a delimiter */
};

void part_reader_init(struct part_reader *reader,
                      bool (*part)(void *, struct span), void *arg);
void part_reader_fini(struct part_reader *reader);
/* False: `part` said stop, or see above. */
bool part_reader_push(struct part_reader *reader, const char *bytes,
                      size_t size);

#endif
