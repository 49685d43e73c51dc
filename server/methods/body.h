/* A message's body as the text that is stored: one spelling for one value, so
 * that a retry by a client that writes its keys in another order is the same
 * message. Compact, keys sorted by their bytes, decimals as short as they can
 * be without being another number.
 *
 * Errors   ERR_NOMEM; ERR_TOO_LARGE when `out` is full.
 */
#ifndef RUNG_METHODS_BODY_H
#define RUNG_METHODS_BODY_H

#include "server/jtext.h"

#include <jansson.h>

MUST_CHECK enum err body_write(struct buf *out, const json_t *body);
/* The same of a body that was read: borrowed from its own text when it is
 * spelled so already, else from `out`. */
MUST_CHECK enum err body_text(struct buf *out, const struct jtext *body,
                              struct span *text);

#endif
