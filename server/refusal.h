/* Refusing a socket that no host has yet: an HTTP answer written by hand, and
 * the end.
 *
 * Threads  the worker's loop.
 */
#ifndef RUNG_REFUSAL_H
#define RUNG_REFUSAL_H

#include "server/worker.h"

/* Answer with an error as JSON and close fd, which counts as disconnected.
 * `status` 0: the error's own. */
void refuse_socket(struct worker *worker, int fd, int status,
                   const struct failure *why);
/* Send what the socket takes at once, and close it. */
void refuse_with(int fd, const char *text, size_t size);

/* "Not Found": of the statuses that we answer. */
const char *status_reason(int status);

#endif
