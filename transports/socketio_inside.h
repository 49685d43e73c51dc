/* What socketio.c, which moves the cursor, and socketio_calls.c, which runs the
 * methods, share.
 *
 * Threads  the worker's loop.
 * Memory   made when a socket connects, freed when it has disconnected; a call
 *          in flight may outlive it.
 */
#ifndef RUNG_SOCKETIO_INSIDE_H
#define RUNG_SOCKETIO_INSIDE_H

#include "transports/sio.h"
#include "transports/socketio_pid.h"
#include "transports/transport.h"

struct socketio {
    struct carrier carrier;
    struct sio_socket *socket;
    struct pid pid;
    struct list calls; /* in flight */
    unsigned call_count;
};

/* --- socketio_calls.c ----------------------------------------------------- */

/* An event of the client's: a method, its parameters, and an acknowledgement
 * that it may want. */
void socketio_call(struct sio_socket *socket, const struct sio_event *event);
/* Its calls in flight no longer answer. */
void socketio_forsake_calls(struct socketio *socketio);
/* {"code","message"}: what a failure is to clients, without what is around. */
void socketio_write_error(struct buf *out, const struct failure *why);

#endif
