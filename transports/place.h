/* A place: a path outside of /v1 that somebody serves by rules of their own,
 * Origin, methods and the shape of errors included.
 *
 * Threads  every call on the loop of the worker whose request it is.
 */
#ifndef RUNG_PLACE_H
#define RUNG_PLACE_H

#include "server/head.h"
#include "server/query.h"
#include "transports/request.h"

struct place {
    bool (*holds)(const struct config *config, struct span path);
    /* The largest body, in bytes. NULL: as large as a message. */
    uint64_t (*body_max)(const struct config *config, struct span path);

    /* A request's head is there and its body is still to come: what is to be
     * remembered of it, which serve() finds with request_expected(). NULL as an
     * answer: nothing. Both NULL: heads alone are of no interest. */
    void *(*expect)(struct worker *worker, const struct head *head,
                    const struct query *query);
    void (*lost)(void *expected); /* the body never came */

    void (*serve)(struct request *request); /* answers, parks or takes it */
};

/* NULL-terminated (place_table.c); a test program may link its own. */
extern const struct place *const places[];

/* NULL: nobody's. */
const struct place *place_find(const struct config *config, struct span path);
/* Of any request, in whatever place or none. */
uint64_t place_body_max(const struct config *config, struct span path);

#endif
