/* Who speaks Engine.IO here; a test program may link a list of its own. */
#include "transports/eio.h"

extern const struct eio_server socketio_server;

const struct eio_server *const eio_servers[] = {&socketio_server, NULL};
