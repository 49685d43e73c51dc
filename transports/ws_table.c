/* What is spoken over WebSocket, by path; a test program may link a list of its
 * own instead of this one. */
#include "transports/ws_host.h"

extern const struct ws_handler websocket_handler;
extern const struct ws_handler eio_ws_handler;

const struct ws_handler *const ws_handlers[] = {&websocket_handler,
                                                &eio_ws_handler, NULL};
