/* Who speaks Engine.IO here; a test program may link a list of its own. */
#include "transports/eio.h"

const struct eio_server *const eio_servers[] = {NULL};
