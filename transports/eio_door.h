/* What a request asks for, of eio_door.c, for eio_ws.c. */
#ifndef RUNG_EIO_DOOR_H
#define RUNG_EIO_DOOR_H

#include "transports/eio_inside.h"

/* False: it asks for nothing that there is, or for memory that there is not. */
bool eio_ask_of_head(struct eio_ask *out, const struct config *config,
                     const struct head *head);
/* The handler's: */
bool eio_speaks(const struct config *config, struct span path);
bool eio_receive(struct worker *worker, int fd, const struct head *head,
                 struct span bytes);

#endif
