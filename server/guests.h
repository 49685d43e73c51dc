/* Who is connected, by address: how many connections each has, over all
 * workers, so that one cannot take them all. Of IPv6 a /64 counts as one
 * address, since that is what one subscriber gets (RFC 6177).
 *
 * Errors   without memory a connection is let in and not counted.
 * Threads  any; one lock, taken when a counted connection comes and goes.
 * Memory   a guest is remembered while it has a connection; fds are borrowed.
 *          NULL for the guests: nobody is counted.
 */
#ifndef RUNG_GUESTS_H
#define RUNG_GUESTS_H

#include "server/base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct guests;
struct guest;

MUST_CHECK enum err guests_create(struct guests **out);
void guests_destroy(struct guests *guests); /* NULL: nothing */

/* A connection of that address; false when it has `most` already. `most` 0:
 * nobody is counted. */
bool guests_enter(struct guests *guests, int fd, const struct sockaddr *from,
                  uint64_t most);
/* `fd` is a duplicate of `old`, which is about to be closed: it counts in its
 * place. */
void guests_move(struct guests *guests, int fd, int old);
/* Before the fd is closed; nothing when it was not counted. */
void guests_leave(struct guests *guests, int fd);

/* hold_note: a library that is given a descriptor may close it before it says
 * so, and the number may be somebody else's by then. So the connection is held
 * apart from it before it is given away: it counts, under no descriptor, until
 * it is let go or put back. NULL: it was not counted. */
MUST_CHECK struct guest *guests_hold(struct guests *guests, int fd);
void guests_put_back(struct guests *guests, struct guest *guest,
                     int fd); /* negative: let go */
void guests_let_go(struct guests *guests, struct guest *guest);

/* A session that outlives its connections, begun by the address that is counted
 * under `fd`: of sessions it may have `most`, too. False: it has; *out NULL:
 * they are not counted. */
bool guests_begin_session(struct guests *guests, int fd, uint64_t most,
                          struct guest **out);
void guests_end_session(struct guests *guests, struct guest *guest);

#endif
