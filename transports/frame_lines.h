/* What a text frame says: one or more JSON objects, one a line, each a method
 * call {"id", "method", "params"} (docs/PROTOCOL.md, "Methods").
 *
 * Errors   ERR_BAD_REQUEST with a message that names what is wrong.
 * Threads  pure functions. Memory: lines and calls point into the frame.
 */
#ifndef RUNG_FRAME_LINES_H
#define RUNG_FRAME_LINES_H

#include "server/base/err.h"
#include "server/jtext.h"

#include <stdbool.h>

/* The next line of *rest that is not empty, without its "\n" or "\r\n"; moves
 * *rest behind it. False: no more. */
bool frame_line(struct span *rest, struct span *line);

/* A method call, as far as it is one. */
struct frame_call {
    struct span id;      /* its text as it was sent; data NULL: none */
    struct jtext method; /* a string */
};

/* Take an object for a method call: a string as `method`, an object or nothing
 * as `params`, anything but an object or a list as `id`. The id is there on
 * error too. */
MUST_CHECK enum err frame_call_of(const struct jtext_object *request,
                                  struct frame_call *out, struct failure *why);

#endif
