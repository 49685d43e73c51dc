/* What waits to be stored: bounded by its count, its bytes and by time. What
 * does not fit, or would wait too long, is refused while that still helps its
 * sender: behind a slow disk a late answer meets a client that has given up and
 * sent again.
 *
 * Units    bytes; monotonic milliseconds.
 * Errors   ERR_OVERLOADED, with retry_after_ms.
 * Threads  any.
 * Memory   none.
 */
#ifndef RUNG_BACKLOG_H
#define RUNG_BACKLOG_H

#include "server/port.h"

#define BACKLOG_MAX 65536
#define BACKLOG_MAX_BYTES (256u << 20)

struct backlog {
    atomic_size_t count, bytes;
    size_t max_count;
    atomic_uint_fast64_t max_wait_ms;
};
void backlog_init(struct backlog *backlog, size_t max_count,
                  uint64_t max_wait_ms);
/* One more waits, or is refused. `alive_ms`: when the sequencer last had
 * finished something. It takes at least one, however large. */
MUST_CHECK enum err backlog_enter(struct backlog *backlog,
                                  struct submission *submission,
                                  uint64_t alive_ms, struct failure *why);
void backlog_leave(struct backlog *backlog, size_t count, size_t bytes);
/* At its turn: true, and its failure is set, when that comes too late. */
bool backlog_too_late(const struct backlog *backlog,
                      struct submission *submission, uint64_t now_ms);

#endif
