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
 * Memory   a submission is owned by its maker; the sequencer borrows it from
 *          submit until `done`. A commit is shared, see commit_unref().
 */
#ifndef RUNG_SEQUENCER_H
#define RUNG_SEQUENCER_H

#include "server/base/mailbox.h"
#include "server/config.h"
#include "server/metrics.h"
#include "store/append.h"

struct sequencer;

/* One entry that was committed. */
struct committed {
    struct entry entry; /* assigned fields filled in; spans into the commit */
    bool created;       /* it created its conversation */
};

/* What one group commit wrote, in lsn order; immutable, shared by workers. */
struct commit {
    atomic_int refs;
    lsn head; /* the last entry's */
    size_t count;
    struct committed *entries;
    struct buf bytes;
};
struct commit *commit_ref(struct commit *commit);
void commit_unref(struct commit *commit); /* any thread; NULL: nothing */

struct submission {
    struct letter letter; /* the sequencer's */
    struct port *port;    /* where to be answered; set by the maker */
    struct entry entry;   /* set by the maker; spans into memory that lives
                             until done() */
    void (*done)(struct submission *submission); /* on the port's loop */
    struct applied applied;                      /* filled in before done() */
    struct failure failure;                      /* err ERR_NONE on success */
    struct submission *next; /* the sequencer's, then the announcement's */
    size_t size;             /* the sequencer's: what it weighs in the queue */
};

/* A worker's side of the sequencer. */
struct port {
    struct mailbox box; /* init by port_init() */
    /* On the port's loop, once per commit that wrote something, in order,
     * before the done() of that commit's submissions. Borrowed: ref it to keep
     * it. */
    void (*announce)(struct port *port, struct commit *commit);
};
MUST_CHECK enum err port_init(struct port *port, uv_loop_t *loop,
                              void (*announce)(struct port *, struct commit *));
void port_close(struct port *port, uv_close_cb closed);

struct sequencer_options {
    struct store *store; /* borrowed, outlives the sequencer */
    struct config *config;
    struct port **ports; /* borrowed array, outlives the sequencer */
    size_t port_count;
    size_t max_queue; /* submissions waiting; 0: 65536. In bytes: 256 MiB */
};
MUST_CHECK enum err sequencer_start(struct sequencer **out,
                                    const struct sequencer_options *options,
                                    struct failure *why);
/* ERR_OVERLOADED (with retry_after_ms) when the queue is full, ERR_UNAVAILABLE
 * when stopping: then done() is not called. */
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
