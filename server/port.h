/* What the sequencer makes for its ports; others see sequencer.h.
 *
 * Errors   NULL, or ERR_NOMEM, when memory is short.
 * Threads  made and filled on the sequencer thread; once posted, an
 *          announcement belongs to the port's loop.
 * Memory   an announcement is owned by its maker until it is posted to the
 *          mailbox of a port, which frees it and drops its commit.
 */
#ifndef RUNG_PORT_H
#define RUNG_PORT_H

#include "server/sequencer.h"

/* What one port is told after one commit. */
struct announcement {
    struct letter letter;
    struct commit *commit; /* a reference, or NULL */
    struct submission *answers, **last_answer;
};

/* An empty commit, without room for entries: one reference. */
struct commit *commit_create(void);
/* Room for so many entries in all; those that are in stay. */
MUST_CHECK enum err commit_widen(struct commit *commit, size_t room);

/* Without a commit and without answers. */
struct announcement *announcement_create(void);
/* The port will call its done(), after those that were added before. */
void announcement_answer(struct announcement *to, struct submission *answer);

#endif
