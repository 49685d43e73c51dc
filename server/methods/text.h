/* Text that is shown: what a client may give, what a client is told.
 *
 * Threads  pure functions. Memory: spans are borrowed.
 */
#ifndef RUNG_METHODS_TEXT_H
#define RUNG_METHODS_TEXT_H

#include "server/base/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* Whether UTF-8 text is free of control characters (U+0000–U+001F,
 * U+007F–U+009F). */
bool text_printable(struct span text);
/* Copy into out[room], terminated, cut between characters; every byte that is
 * not part of a UTF-8 character becomes '?'. */
void text_clean(char *out, size_t room, struct span text);

#endif
