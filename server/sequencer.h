/* The sequencer: the only thread that appends.
 *
 * It gathers every submission that is waiting into one transaction, applies
 * them in order, commits (with fsync unless relaxed), then answers each
 * submitter and announces the commit to every port, one letter a port. While a
 * commit is being synced the next group gathers by itself: that is the group
 * commit. What is submitted while a group is being applied joins that group; it
 * closes when nobody more has come, so that a lone submission never waits.
 *
 * Units    as in store/entry.h.
 * Errors   a submission's refusal or failure is in its `applied` and `failure`.
 *          When a commit fails, every submission of the group gets that error.
 * Threads  sequencer_submit(): any worker. ports are added before start.
 * Memory   as in server/port.h.
 */
#ifndef RUNG_SEQUENCER_H
#define RUNG_SEQUENCER_H

#include "server/config.h"
#include "server/metrics.h"
#include "server/port.h"

struct sequencer;

struct sequencer_options {
    struct store *store; /* borrowed, outlives the sequencer */
    struct config *config;
    struct port **ports; /* borrowed array, outlives the sequencer */
    size_t port_count;
    size_t max_queue; /* submissions waiting; 0: as in server/backlog.h */
    /* On the sequencer's thread, once: the store has ended all use until it is
     * opened again (store_usable()). May be NULL. */
    void (*lost)(void *arg);
    void *lost_arg;
};
MUST_CHECK enum err sequencer_start(struct sequencer **out,
                                    const struct sequencer_options *options,
                                    struct failure *why);
/* ERR_OVERLOADED (with retry_after_ms) when the queue is full or nothing has
 * been finished for queue_wait_ms, ERR_UNAVAILABLE when stopping: then done()
 * is not called. What has waited that long when its turn comes is not stored,
 * and is ERR_OVERLOADED as well. */
MUST_CHECK enum err sequencer_submit(struct sequencer *sequencer,
                                     struct submission *submission,
                                     struct failure *why);
/* Commit what was submitted, answer it, end the thread. The ports' loops must
 * still run afterwards until they have received their letters. */
void sequencer_stop(struct sequencer *sequencer);

struct metrics *sequencer_metrics(struct sequencer *sequencer);
size_t sequencer_queue(const struct sequencer *sequencer);
/* Hand over a new config (SIGHUP). Any thread. */
void sequencer_reload(struct sequencer *sequencer, struct config *config);

#endif
