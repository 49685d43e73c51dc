/* What a WebSocket handshake must look like (RFC 6455 section 4.2.1), checked
 * in full before the library sees it, because that lets nearly anything pass.
 * Whether its path is one where WebSocket is spoken, ws_host.h knows.
 *
 * Errors   BAD_REQUEST, METHOD_NOT_ALLOWED, FORBIDDEN (the Origin),
 *          UNSUPPORTED_VERSION, with words.
 * Threads  pure.
 */
#ifndef RUNG_HANDSHAKE_H
#define RUNG_HANDSHAKE_H

#include "server/config.h"
#include "server/head.h"

#define WS_PATH "/v1/ws"
/* Of an answer to METHOD_NOT_ALLOWED. */
#define HANDSHAKE_ALLOW "GET, OPTIONS"

/* Whether this request is the WebSocket's business: it asks for an upgrade to
 * it, or for its path. Other upgrades (h2c) are politely ignored. */
bool handshake_wanted(const struct head *head);
MUST_CHECK enum err handshake_check(const struct config *config,
                                    const struct head *head,
                                    struct failure *why);

#endif
