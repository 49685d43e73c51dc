/* What is said in a namespace of the conformance server, and, with --recovery
 * on, kept for who comes back.
 *
 * Threads  one worker's loop: its sessions are all there (eio.h, `together`).
 */
#ifndef RUNG_CONFORMANCE_CHAT_H
#define RUNG_CONFORMANCE_CHAT_H

#include "transports/sio_rooms.h"

struct memory;

struct chat_space {
    const char *name;
    struct sio_rooms rooms;
    struct memory *memory; /* NULL: nothing is kept */
    bool ready;
};

/* To whom an event goes. */
struct hearers {
    struct sio_socket *socket;       /* it alone; or */
    struct span room;                /* all in it; or, data NULL, all */
    const struct sio_socket *except; /* but this one */
};

/* --- recovery.c ------------------------------------------------------------
 */

/* NULL: no memory. */
struct memory *memory_create(void);
/* A new secret, by which a socket can be recovered; owned. NULL: no memory. */
char *memory_pid(void);
/* The offset that the next event will have. */
void memory_offset(const struct memory *memory, struct buf *out);
/* It was sent. */
void memory_keep(struct memory *memory, const struct sio_message *message,
                 const struct hearers *to);
/* A socket is gone; it may come back. */
void memory_lose(struct memory *memory, const struct sio_socket *socket,
                 const char *pid);
/* It is back: it gets its id and its rooms again. The pid works no more until
 * it is lost again. False: it cannot be recovered. */
bool memory_recover(struct memory *memory, struct sio_rooms *rooms,
                    struct sio_socket *socket, struct span pid,
                    struct span offset);
/* What it has missed since. */
void memory_replay(const struct memory *memory, struct sio_socket *socket,
                   struct span offset);

#endif
