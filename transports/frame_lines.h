/* What a text frame says: one or more JSON objects, one a line, each a method
 * call {"id", "method", "params"} (docs/PROTOCOL.md, "Methods").
 *
 * Errors   ERR_BAD_REQUEST with a message that names what is wrong.
 * Threads  pure functions. Memory: lines point into the frame.
 */
#ifndef RUNG_FRAME_LINES_H
#define RUNG_FRAME_LINES_H

#include "server/base/buf.h"
#include "server/base/err.h"

#include <jansson.h>
#include <stdbool.h>

/* The next line of *rest that is not empty, without its "\n" or "\r\n"; moves
 * *rest behind it. False: no more. */
bool frame_line(struct span *rest, struct span *line);

/* Whether an object is a method call: a string as `method`, an object or
 * nothing as `params`, anything but an object or a list as `id`. */
MUST_CHECK enum err frame_check(const json_t *request, struct failure *why);

#endif
