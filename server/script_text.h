/* JSON inside a script: in an HTML page or in one that is loaded by itself.
 *
 * Threads  pure functions.
 */
#ifndef RUNG_SCRIPT_TEXT_H
#define RUNG_SCRIPT_TEXT_H

#include "server/base/buf.h"

#include <stdbool.h>

#define CALLBACK_MAX_BYTES 64
#define CALLBACK_PATTERN "[A-Za-z0-9_.$]{1,64}"

/* Whether it may stand for a function's name: CALLBACK_PATTERN. */
bool callback_ok(struct span name);

/* Append JSON text, the same value, without anything that HTML or an old
 * JavaScript would take for its own: <, >, & and the line ends U+2028 and
 * U+2029 become escapes. In JSON they stand in strings only. */
void script_append(struct buf *out, struct span json);

#endif
