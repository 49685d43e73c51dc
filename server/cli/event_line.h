/* An event as a line for people to read: on a terminal, so none of its control
 * characters gets there.
 *
 * Threads  one, which owns stdout.
 * Memory   what is given is borrowed.
 */
#ifndef RUNG_CLI_EVENT_LINE_H
#define RUNG_CLI_EVENT_LINE_H

#include "server/base/buf.h"

#include <jansson.h>
#include <stdbool.h>

/* Whether it tells of the stream and not of the log: hello, heartbeat, bye and
 * what is ephemeral. */
bool event_is_aside(const json_t *event);

/* Print it and an end of line; `json` is its text, for kinds that have no words
 * of their own. */
void event_print(const json_t *event, struct span json);

#endif
