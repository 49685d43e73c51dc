/* Following over a ladder of transports (docs/CLIENT.md): each rung that is open
 * is a thread that follows from a place of its own; what they hear comes to the
 * caller's thread, where the one cursor decides what is news.
 *
 * Errors   as follow.h has it: ERR_END when a callback said stop or the user
 *          wants to end; else why there is no coming back.
 * Threads  the follower's callbacks are called on the caller's.
 * Memory   all is given back before climb() returns.
 */
#ifndef RUNG_CLIMB_H
#define RUNG_CLIMB_H

#include "server/cli/follow.h"

/* Over the first `count` of `transports`, the best first. */
MUST_CHECK enum err climb(struct follower *follower,
                          const char *const *transports, size_t count,
                          struct failure *why);

#endif
