/* Answers for script tags: a call of the function that `callback=` names.
 *
 * It begins with an empty comment, and what follows is callback({...});
 *
 * Errors   a browser runs no script whose status is an error's, so an error is
 *          told by a call, too, with the status 200.
 * Threads  the worker's loop.
 */
#ifndef RUNG_JSONP_ANSWER_H
#define RUNG_JSONP_ANSWER_H

#include "transports/request.h"

/* Whether a path below /v1/ is JSONP's: "jsonp", or "jsonp/" and a method. */
bool jsonp_is(struct span name);

/* From now on the request is answered by a call of its `callback=`, see
 * request_callback(). ERR_BAD_REQUEST when that is not a plain name. */
MUST_CHECK enum err jsonp_begin(struct request *request, struct failure *why);

/* Answer with a reply of JSON: as a call after jsonp_begin(), else plainly. */
void jsonp_or_reply(struct request *request, const struct reply *reply);
/* Refuse a request: with a call after jsonp_begin(), else plainly. */
void jsonp_or_fail(struct request *request, const struct failure *why);
/* The same for a method's failure, which the metrics know of already. */
void jsonp_or_fail_counted(struct request *request, const struct failure *why);

#endif
