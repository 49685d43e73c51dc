/* The sockets of one namespace, and the rooms that they are in.
 *
 * Threads  one at a time: the sockets of a namespace with rooms belong to one
 *          worker (eio.h's `together`).
 * Memory   rooms_init() fills what you provide. A socket leaves with
 *          rooms_remove(), in on_disconnect() at the latest.
 */
#ifndef RUNG_SIO_ROOMS_H
#define RUNG_SIO_ROOMS_H

#include "transports/sio.h"

#define SIO_ROOMS_MAX 1000 /* of one socket */

struct sio_room;

struct sio_rooms {
    struct list sockets;    /* all, by their `member` */
    struct sio_room *rooms; /* uthash, by name */
};

void sio_rooms_init(struct sio_rooms *rooms);
void sio_rooms_add(struct sio_rooms *rooms, struct sio_socket *socket);
void sio_rooms_remove(struct sio_rooms *rooms, struct sio_socket *socket);

/* In it already: success. ERR_TOO_LARGE: in too many. */
MUST_CHECK enum err sio_rooms_join(struct sio_rooms *rooms,
                                   struct sio_socket *socket, struct span room);
void sio_rooms_leave(struct sio_rooms *rooms, struct sio_socket *socket,
                     struct span room);
/* The rooms of a socket, one after the other: NULL to begin with, NULL at the
 * end. */
struct sio_stay;
const struct sio_stay *sio_rooms_of(const struct sio_socket *socket,
                                    const struct sio_stay *before,
                                    struct span *name);

/* To all in the room `name` (data NULL: to all) but `except` (may be NULL). */
void sio_rooms_emit(const struct sio_rooms *rooms, struct span name,
                    const struct sio_socket *except,
                    const struct sio_message *message);

#endif
