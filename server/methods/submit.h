/* Handing an entry to the sequencer and answering the call after the commit.
 *
 * Errors   call_submit(): what was put into call->failure (the queue is full,
 *          memory is short); then no answer comes later.
 * Threads  the worker's loop.
 * Memory   the entry's spans are copied. What `answer` sees of the entry is
 *          that copy.
 */
#ifndef RUNG_METHODS_SUBMIT_H
#define RUNG_METHODS_SUBMIT_H

#include "server/methods/methods.h"

/* Set the result after success; returns what it put into call->failure.
 * `call->who` and `call->params` are gone by then. */
typedef enum err (*submit_answer)(struct call *call, const struct entry *entry,
                                  const struct applied *applied);

/* app, from, device and ts are filled in from the caller and the clock. */
MUST_CHECK enum err call_submit(struct call *call, const struct entry *entry,
                                submit_answer answer);

#endif
