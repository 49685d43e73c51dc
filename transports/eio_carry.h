/* What a request makes of an exchange; for eio_door.c. Home's worker only. */
#ifndef RUNG_EIO_CARRY_H
#define RUNG_EIO_CARRY_H

#include "transports/eio_inside.h"

/* Takes what `ask` owns. NULL: no memory. */
struct eio_exchange *eio_exchange_create(struct worker *home,
                                         struct eio_ask *ask);
/* Its body is to come; then either of: */
void eio_exchange_expect(struct eio_exchange *exchange);
/* it never came; frees it. */
void eio_exchange_lost(struct eio_exchange *exchange);
/* Answers the request, now or later; frees it then. */
void eio_exchange_run(struct eio_exchange *exchange, struct request *request);

#endif
