/* HTTP on a worker's loop: http_*.c are the only room that knows libmicrohttpd.
 *
 * What the direct host (direct.h) does not read itself. A connection arrives
 * with a request's head waiting in the socket, and stays. Each request is
 * checked (server/head.h), its body gathered, and then given to route().
 *
 * Errors   an answer that cannot be built for lack of memory closes the
 *          connection: the peer comes back.
 * Threads  the worker's loop.
 *
 * libmicrohttpd's sharp edges (0.9.75), dealt with in http_*.c:
 *   - A resume sweeps all suspended connections of its daemon, so there are
 *     many daemons of few connections, and one sweep per loop turn.
 *   - A suspended connection does not notice that its peer leaves: a poller
 *     (EPOLLRDHUP) does.
 *   - An answer in the first handler call forces Connection: close; so only
 *     what must end the connection is answered there.
 *   - Its timeouts do not cut a peer that drips bytes: the deadlines are ours.
 *   - It takes lines that end in LF, folded ones and NULs; and a head that does
 *     not fit its pool, in bytes or in the records it keeps of fields,
 *     parameters and cookies, gets no answer. So heads are checked, and pools
 *     chosen, by us.
 *   - It takes chunks that RFC 9112 does not know (see chunks_note).
 *   - A later head that it refuses itself is answered twice, head and all (a bad
 *     Content-Length, no Host): one refusal more, and then the end.
 *   - A chunk's extension longer than its buffer keeps it busy for ever, also
 *     when the peer has left: it is let rest, and timed out.
 *   - Closing a connection shuts the socket down, also for a duplicate of its
 *     fd, unless MHD_USE_TURBO.
 *   - Everything suspended must be resumed before the daemon stops.
 */
#ifndef RUNG_HTTP_HOST_H
#define RUNG_HTTP_HOST_H

#include "server/head.h"
#include "server/worker.h"

MUST_CHECK enum err http_host_create(struct http_host **out,
                                     struct worker *worker);
/* A socket where the next request, of that head, waits. Takes fd. */
void http_host_adopt(struct http_host *host, int fd, const struct head *head);
/* Once per loop turn: let the daemons do what is waiting. False when some have
 * more to do already, so that the loop must not sleep. */
bool http_host_turn(struct http_host *host);
/* From now on each connection closes when its request is answered; those that
 * wait for a request close now. */
void http_host_drain(struct http_host *host);
/* Close every connection. No request may be parked by a method call. */
void http_host_destroy(struct http_host *host);

#endif
