/* Which pages may talk to us: one rule for every transport (docs/PROTOCOL.md
 * section 3). A request without Origin is no page's and is allowed; the own
 * host is; others when the setting allowed_origins lists them, or is "*".
 *
 * Threads  pure.
 */
#ifndef RUNG_ORIGIN_H
#define RUNG_ORIGIN_H

#include "server/config.h"
#include "server/head.h"

bool origin_allowed(const struct config *config, const struct head *head);
/* The listed origins, each behind a blank, as sources of a
 * Content-Security-Policy. */
void origin_write_allowed(struct buf *out, const struct config *config);
/* Whether the answer must say so in Access-Control-Allow-Origin. */
bool origin_is_foreign(const struct head *head);

#endif
