/* JSON inside a script: in an HTML page or in one that is loaded by itself.
 *
 * Errors   script_append()'s are the buf's; callback_check()'s is
 *          ERR_BAD_REQUEST, with words.
 * Threads  pure functions.
 * Memory   spans are borrowed.
 */
#ifndef RUNG_SCRIPT_TEXT_H
#define RUNG_SCRIPT_TEXT_H

#include "server/base/buf.h"
#include "server/base/err.h"

#define CALLBACK_MAX_BYTES 64
#define CALLBACK_PATTERN "[A-Za-z0-9_.$]{1,64}"

/* Whether it may stand for a function's name: CALLBACK_PATTERN. */
MUST_CHECK enum err callback_check(struct span name, struct failure *why);

/* Append JSON text, the same value, without anything that HTML or an old
 * JavaScript would take for its own: <, >, & and the line ends U+2028 and
 * U+2029 become escapes. In JSON they stand in strings only. */
void script_append(struct buf *out, struct span json);

#endif
