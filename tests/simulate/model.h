/* What must be true of a run, whatever happened in it:
 *
 * - the log holds every message that was answered, where the answer said, once;
 *   none that was refused; seqs without a gap; what a device counts
 *   (client_seq) in its order;
 * - each client was shown exactly what its user may see, once, in order, but
 *   for what it was told that retention took, and retention did take;
 * - retention took what it may, and in the end all of that;
 * - where a backup was restored, all this is so of what it has and of what came
 *   since, and each client was told to start over;
 * - receipts only grow, and say nothing that did not happen: `delivered` not
 *   before a device presented a cursor beyond, `read` not before it was said.
 *
 * Membership is worked out from the log here, by a few lines of its own, not by
 * the server's code.
 *
 * Threads  one. Memory: kept until the process ends.
 */
#ifndef RUNG_SIMULATE_MODEL_H
#define RUNG_SIMULATE_MODEL_H

#include "tests/simulate/peer.h"

/* The one copy of a name, for comparison. */
const char *model_name(const char *name);

void model_presented(const char *user, uint64_t at);
void model_asked_read(const char *user, const char *conversation, uint64_t seq);
void model_receipt(const struct peer *peer, const char *conversation,
                   const char *user, bool read, uint64_t seq);
void model_gap(const struct peer *peer, const char *conversation, uint64_t from,
               uint64_t to);
/* A backup with the log up to `head` has taken the log's place. */
void model_restored(uint64_t head);
/* What it was told before is of no account. */
void model_starts_over(const struct peer *peer);
/* At the end: the store in `dir`, which nobody has open, against all of it. */
void model_check(const char *dir);
/* Of the log's bytes, once checked; and how many entries it has. */
uint64_t model_digest(size_t *entries);

#endif
