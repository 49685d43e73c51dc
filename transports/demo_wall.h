/* The demo's walls (server/demo_rungs.h), for transports over HTTP.
 *
 * Threads  the worker's loop.
 */
#ifndef RUNG_DEMO_WALL_H
#define RUNG_DEMO_WALL_H

#include "transports/request.h"
#include "transports/transport.h"

/* Whether this transport is walled off from `who`: the request was dealt with,
 * as a bad network would. */
bool demo_wall_stops(struct request *request, const struct transport *transport,
                     const struct identity *who);

#endif
