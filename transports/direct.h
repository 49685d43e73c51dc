/* HTTP read and answered without a library: every connection's first request,
 * and all requests of those that long-poll and call methods over HTTP/1.1, over
 * and over. What asks for something else is passed on, socket and all.
 *
 * peek_note: a connection's first request stays in the socket (MSG_PEEK) until
 * it is known to be ours. So whoever it is passed on to reads it as if nobody
 * had been there before. From then on requests are read, which saves a system
 * call each; one of these that is not ours is passed on by a relay (relay.h).
 * A connection that waits holds no buffer.
 *
 * Errors   a bad head is answered 400 (431 when too large) and the connection
 *          closed; a slow one is cut. An answer that cannot be built for lack
 *          of memory closes the connection: the peer comes back.
 * Threads  the worker's loop.
 * Memory   a host owns its connections, each of which owns its request: also a
 *          parked one, until it is answered or its owner is told that it is
 *          gone. fds are taken, heads and texts are lent for the call.
 */
#ifndef RUNG_DIRECT_H
#define RUNG_DIRECT_H

#include "server/head.h"
#include "server/worker.h"

struct direct_host;

/* Somebody else's: a stream socket, perhaps not of TCP, where a request of that
 * head, whole and sound, waits; `text` is a copy of the head. Takes fd. */
typedef void direct_pass(struct worker *worker, int fd, const struct head *head,
                         struct span text);

MUST_CHECK enum err direct_host_create(struct direct_host **out,
                                       struct worker *worker,
                                       direct_pass *pass);
/* A socket that counts as connected. Takes fd when it succeeds. */
MUST_CHECK enum err direct_host_adopt(struct direct_host *host, int fd);
/* Once per loop turn: go on with the connections that were answered from
 * elsewhere. False when some have more to do already, so that the loop must not
 * sleep. */
bool direct_host_turn(struct direct_host *host);
/* From now on each connection closes when its request is answered; those that
 * wait for a request close now. */
void direct_host_drain(struct direct_host *host);
/* Close every connection. No request may be parked by a method call. */
void direct_host_destroy(struct direct_host *host); /* NULL: nothing */

#endif
