/* What a poll is answered, long or short: the same bytes for the same cursor.
 *
 *     {"cursor":"…","events":[…],"more":false}
 *
 * The cursor is the last event's, or where the reader stands when there is
 * none; "after" is added when one conversation is followed; "hello" when the
 * request named no position: then the answer is empty and says where "now" is.
 *
 * Those who are answered the same burst share one response, which hangs on it.
 *
 * Threads  the worker's loop.
 */
#ifndef RUNG_POLL_ANSWER_H
#define RUNG_POLL_ANSWER_H

#include "server/session.h"
#include "transports/request.h"

#define POLL_BYTES (256u << 10) /* of events in one answer */

/* `burst` may be NULL: no events. Check buf_status(). */
void poll_answer_write(struct buf *out, struct carrier *carrier,
                       struct burst *burst, bool more);
/* Answer with it. `retry_after_ms` 0: no Retry-After. */
void poll_answer(struct request *request, struct carrier *carrier,
                 struct burst *burst, bool more, uint32_t retry_after_ms);

#endif
