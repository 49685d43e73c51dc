/* Long polling, for every transport that is one: it opens with itself, and its
 * table has the other four.
 *
 * Errors   answered: as a call where the request is JSONP's, else plainly.
 * Threads  the worker's loop.
 * Memory   a poll owns its request from opening on, parked or not, and frees
 *          itself when that is answered or its peer leaves.
 */
#ifndef RUNG_LONGPOLL_H
#define RUNG_LONGPOLL_H

#include "transports/request.h"
#include "transports/transport.h"

/* Owns the request, as a transport's open() does. */
void longpoll_open_as(const struct transport *via, struct request *request,
                      const struct identity *who, const struct follow *follow);

void longpoll_deliver(struct carrier *carrier, struct burst *burst);
void longpoll_wake(struct carrier *carrier);
void longpoll_beat(struct carrier *carrier);
void longpoll_end(struct carrier *carrier, const struct farewell *why);

#endif
