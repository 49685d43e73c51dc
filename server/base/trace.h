/* Diagnostics for the operator on stderr, as text or JSON lines. ("Log" always
 * means the message log.) Never message bodies, never tokens.
 *
 * Threads  any; a line is written by one write(2).
 * Memory   all arguments are borrowed.
 */
#ifndef RUNG_BASE_TRACE_H
#define RUNG_BASE_TRACE_H

#include "server/base/err.h"

#include <stdbool.h>

enum trace_level { TRACE_ERROR, TRACE_WARN, TRACE_INFO, TRACE_DEBUG };

void trace_setup(enum trace_level level, bool json); /* before threads start */

/* trace(TRACE_INFO, "listening", "url=%s workers=%d", url, n): `what` is a
 * short fixed phrase, the rest space-separated key=value pairs; a value with
 * spaces goes in double quotes. In JSON each pair becomes a string member. */
void trace(enum trace_level level, const char *what, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

#endif
