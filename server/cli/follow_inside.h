/* What the ways of following share: follow.c has what each event and each end
 * means, follow_streams.c, follow_tcp.c and follow_polls.c a way or more each.
 *
 * Errors   see follow.h. False: stop.
 * Threads  one at a time.
 */
#ifndef RUNG_FOLLOW_INSIDE_H
#define RUNG_FOLLOW_INSIDE_H

#include "server/cli/follow.h"

#define FOLLOW_URL_MAX_BYTES (REMOTE_URL_MAX_BYTES * 2)

/* "" for what is no event. */
const char *follow_kind(const json_t *event);
/* 0 for what is none, or below. */
uint64_t follow_number(const json_t *object, const char *key);

bool follow_take(struct follower *f, const json_t *event, struct span text);
/* One object as text; what is not JSON is passed over. */
bool follow_take_text(struct follower *f, struct span text);
/* A list of them. */
void follow_take_events(struct follower *f, const json_t *events);
/* What has come at once is through. */
bool follow_flush(struct follower *f);

/* For the clients, whose `arg` is the follower. */
void follow_idle(void *arg);
void follow_accepted(void *arg);
bool follow_cancelled(const struct follower *f);

/* What an answer that is not 200 says, and who says it. */
MUST_CHECK enum err follow_refused(struct follower *f,
                                   const struct http_answer *answer,
                                   struct failure *why);
/* Why the stream is over, once it is. */
MUST_CHECK enum err follow_ended(struct follower *f, enum err err,
                                 struct failure *why);

/* http://…/v1/<transport>?… with `wait` unless that is NULL; false when it is
 * too long. */
bool follow_url(const struct follower *f, const char *transport,
                const uint64_t *wait_s, char out[FOLLOW_URL_MAX_BYTES]);
MUST_CHECK enum err follow_too_long(struct failure *why);

/* --- the ways: until the connection is over ------------------------------- */

enum err follow_ws(struct follower *f, struct failure *why);
enum err follow_lines(struct follower *f, struct failure *why);
enum err follow_sse(struct follower *f, struct failure *why);
enum err follow_multipart(struct follower *f, struct failure *why);
enum err follow_tcp(struct follower *f, struct failure *why);
enum err follow_longpoll(struct follower *f, struct failure *why);
enum err follow_poll(struct follower *f, struct failure *why);

#endif
