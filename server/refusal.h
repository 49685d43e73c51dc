/* Refusing a socket that no host has yet: an HTTP answer, and the end.
 *
 * Errors   without memory for an answer, the end comes without one.
 * Threads  the worker's loop.
 * Memory   takes fd; the failure is borrowed.
 */
#ifndef RUNG_REFUSAL_H
#define RUNG_REFUSAL_H

#include "server/worker.h"

/* Answer with an error as JSON and close fd, which counts as disconnected.
 * `status` 0: the error's own. */
void refuse_socket(struct worker *worker, int fd, int status,
                   const struct failure *why);
/* The same for one that has not been counted as connected. */
void refuse_stranger(struct worker *worker, int fd, int status,
                     const struct failure *why);

/* Only answer: the peer still speaks, and what it says is to be dropped. The fd
 * stays the caller's. */
void refuse_early(struct worker *worker, int fd, int status,
                  const struct failure *why);

#endif
