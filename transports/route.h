/* What a request asks for: a method, a transport, a page, a number. Checks what
 * all of them have in common (Origin, identity) and hands on.
 *
 * Threads  the worker's loop.
 */
#ifndef RUNG_ROUTE_H
#define RUNG_ROUTE_H

#include "server/auth.h"
#include "transports/request.h"

/* Answers, parks or takes the request. */
void route(struct request *request);

/* The identity that a request carries: Authorization, then access_token=, then
 * ticket=. *given tells whether it carries any. A device= in the query names
 * the device when the token does not. */
MUST_CHECK enum err identity_of(struct worker *worker, const struct head *head,
                                const struct query *query, struct identity *who,
                                bool *given, struct failure *why);
/* The parameters of following, from a query. */
void follow_of(const struct query *query, struct follow *follow);

#endif
