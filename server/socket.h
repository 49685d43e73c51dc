/* A bare socket: what every host does with one that no library holds.
 *
 * Errors   a socket that broke is told of, not mended: its owner closes it.
 * Threads  the worker's loop.
 * Memory   the fd stays the caller's, but for socket_close_answered(); bytes
 *          are borrowed.
 */
#ifndef RUNG_SOCKET_H
#define RUNG_SOCKET_H

#include "server/base/mem.h"
#include "server/metrics.h"

#include <stdbool.h>
#include <stdint.h>

enum sent {
    SENT_ALL,
    SENT_PART,  /* it is full: EPOLLOUT will come */
    SENT_BROKEN /* the peer gets nothing more */
};

/* Send bytes from *offset on, as far as the socket takes them, and count what
 * it took; *offset moves. */
enum sent socket_send(int fd, const struct shared *bytes, size_t *offset,
                      struct metrics *metrics);
/* Take out of the socket what was seen there (MSG_PEEK): TCP drops it without
 * copying (MSG_TRUNC, tcp(7)). False: it broke. */
MUST_CHECK bool socket_skip(int fd, size_t size);
/* From now on a peer that for so long neither takes nor acknowledges bytes is
 * gone, and so is one that reads no more while there are some; where there are
 * none, it is asked. At least a second. */
void socket_expect(int fd, uint64_t ms);
/* Close, so that what was sent last still arrives: unread input would turn the
 * close into a reset that may overtake it. Takes fd. */
void socket_close_answered(int fd);

#endif
