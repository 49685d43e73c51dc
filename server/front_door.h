/* The front door: accepts, and gives the socket to the direct host, which waits
 * for a request's whole head without taking it out of the socket and refuses
 * what is malformed; what that does not read itself goes from here to the
 * WebSocket host or to the HTTP host. What comes to the port for lines goes to
 * the TCP host.
 *
 * Errors   a peer's faults are answered (426, 431, 503 …) and closed.
 * Threads  the worker's loop; create before it runs.
 */
#ifndef RUNG_FRONT_DOOR_H
#define RUNG_FRONT_DOOR_H

#include "server/listener.h"
#include "server/worker.h"

/* Creates the hosts as well and sets worker->direct, ->http, ->ws and ->tcp.
 * Takes the sockets out of `listeners`. */
MUST_CHECK enum err front_door_create(struct front_door **out,
                                      struct worker *worker,
                                      struct listeners *listeners,
                                      struct failure *why);
/* See http_host_turn(). */
bool front_door_turn(struct front_door *door);
/* Stop listening; whoever has not asked anything yet is closed. */
void front_door_drain(struct front_door *door);
/* Connections left, of every kind. */
bool front_door_empty(const struct front_door *door);
/* Close everything at once; the loop must turn until its handles are closed. */
void front_door_close(struct front_door *door);
void front_door_free(struct front_door *door); /* NULL: nothing */

#endif
