/* The flight recorder: what each worker did with the newest entries, and when,
 * in a ring that forgets the oldest. `message.trace` reads it.
 *
 * One point per commit that a worker heard of, one per burst that it handed to
 * a carrier; of a burst that many are handed, the first few only. So a delivery
 * to ten thousand costs no more than one to a few, and an idle connection
 * nothing.
 *
 * turn_note: the owner writes without a lock while others read. A slot's turn
 * is odd while it is being written; who finds another turn after reading than
 * before has read nothing (a seqlock, all of it atomics).
 *
 * Units    microseconds since the Unix epoch UTC; lsn as in store/entry.h.
 * Errors   recorder_create(): NULL when memory is short. The rest cannot fail.
 * Threads  recorder_create/destroy while no other thread knows it;
 *          recorder_visit() any; the rest its worker's loop.
 * Memory   owned by its worker: 256 bytes a point.
 */
#ifndef RUNG_RECORDER_H
#define RUNG_RECORDER_H

#include "server/port.h"
#include "server/session.h"

struct recorder;

struct recorder *recorder_create(size_t points);  /* 1 or more */
void recorder_destroy(struct recorder *recorder); /* NULL: nothing */

/* A recorder that is NULL records nothing. */
void recorder_announced(struct recorder *recorder, const struct commit *commit);
/* This burst, of entries of the log, is about to be handed to `carrier`. */
void recorder_written(struct recorder *recorder, const struct carrier *carrier,
                      struct burst *burst);

enum recorded_kind { RECORDED_ANNOUNCED, RECORDED_WRITTEN };

struct recorded {
    enum recorded_kind kind;
    lsn first, last; /* the entries it is about lie there */
    uint64_t at_us;
    uint64_t committed_us; /* ANNOUNCED; 0: not known */
    /* WRITTEN: */
    enum carried_by by;
    conv_no conv;                  /* of a single chain; 0: the mixed one */
    uint64_t inbox;                /* the reader's, as the following */
    struct span app, user, device; /* borrowed during the visit */
};
typedef void (*recorder_visitor)(const struct recorded *point, void *arg);
/* Every point about the entry at `at`, in no order. */
void recorder_visit(const struct recorder *recorder, lsn at,
                    recorder_visitor visit, void *arg);

#endif
