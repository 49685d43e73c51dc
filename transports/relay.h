/* Bytes between a peer's socket and one that stands in for it: for a connection
 * of which more was read than its next owner must miss. The stand-in begins
 * with those bytes, and is then what the peer's socket would be: the peer's end
 * is seen there, and its own end is the connection's.
 *
 * Errors   -1: no descriptor, no memory; the peer's socket is closed, and
 *          counts as disconnected.
 * Threads  the worker's loop; the stand-in may be read by another.
 * Memory   a relay ends by itself with either of its sockets. The stand-in
 *          counts as the connection, also of its address; when it has ended,
 *          the peer's socket does, for as long as the last bytes take.
 */
#ifndef RUNG_RELAY_H
#define RUNG_RELAY_H

#include "server/worker.h"

/* Takes fd. The stand-in is the caller's: a stream socket, but not of TCP. */
MUST_CHECK int relay_open(struct worker *worker, int fd, struct span read);
/* Closes every relay of the worker. */
void relay_close_all(struct worker *worker);

#endif
