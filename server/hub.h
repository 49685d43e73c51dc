/* The hub: turns "the log reaches N" into one burst per carrier that cares.
 *
 * One per worker. It keeps, for users with carriers here, which conversations
 * they are in, and for those conversations who listens. A commit costs the
 * listeners of the conversations it touched, nothing for anyone else.
 *
 * Errors   hub_create(): ERR_NOMEM. The rest cannot fail: without memory, whom
 *          a commit concerns reads it from the log, or is told to come back.
 * Threads  the worker's loop.
 * Memory   owned by the worker. A commit is borrowed during the call.
 */
#ifndef RUNG_HUB_H
#define RUNG_HUB_H

#include "server/session.h"

MUST_CHECK enum err hub_create(struct hub **out, struct worker *worker);
/* All carriers must be closed. */
void hub_destroy(struct hub *hub);
lsn hub_head(const struct hub *hub);

/* A commit has reached this worker: whom it concerns gets it by hub_deliver(),
 * which is called next, or after further commits. */
void hub_announce(struct hub *hub, struct commit *commit);
/* Hand over what was announced, to some carriers at most, so that ten thousand
 * followers of one conversation do not keep the loop from everybody else. False:
 * more are waiting; call it again, in another turn, before anything else is announced. */
bool hub_deliver(struct hub *hub);

/* The carriers of this user and device live as long as `who` now. */
void hub_renew(struct hub *hub, const struct identity *who);

/* End those of them that the demo's walls (demo_rungs.h) now stand before. */
void hub_end_hindered(struct hub *hub, const struct identity *who);

/* What `delivered` marks wait for their tick is stored now; before the end. */
void hub_store_marks(struct hub *hub);
/* Say goodbye to everyone, each with its own delay up to bye_spread_ms: calls
 * every carrier's via->end(). Used when draining. */
void hub_drain(struct hub *hub);

#endif
