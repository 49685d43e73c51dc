/* Where a follower stands: a cursor on the mixed chain, or a seq in one
 * conversation; and the rule by which it moves. An event is taken only when it
 * lies beyond the position, and the position moves before anybody is told.
 *
 * Errors   ERR_IO and ERR_BAD_REQUEST, naming the file.
 * Threads  one at a time. Memory: borrows the conversation and the path.
 */
#ifndef RUNG_POSITION_H
#define RUNG_POSITION_H

#include "server/base/buf.h"
#include "server/event.h"

#include <jansson.h>

struct position {
    const char *conversation;      /* NULL: the mixed chain */
    char cursor[CURSOR_MAX_BYTES]; /* mixed; "" means "from now on" */
    uint64_t after;                /* single */
    bool has_after;                /* single; else "from now on" */
};

/* Whether the event lies beyond; moves there. */
bool position_take(struct position *position, const json_t *event);
/* All up to here has come. */
void position_level(struct position *position, const char *cursor);
/* A cursor as a user gives it. */
bool position_set(struct position *position, const char *cursor);

/* "cursor=…" or "conversation=…&after=…", percent-encoded. */
void position_query(struct buf *out, const struct position *position);
void query_escape(struct buf *out, const char *text);

/* The file's one line is the cursor, or the seq. An absent file leaves the
 * position as it is. Saving is atomic: write, fsync, rename. */
MUST_CHECK enum err position_load(struct position *position, const char *path,
                                  struct failure *why);
MUST_CHECK enum err position_save(const struct position *position,
                                  const char *path, struct failure *why);

#endif
