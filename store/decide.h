/* Decide: may this entry be appended, and as what? Reads the tables, writes
 * nothing, and fills in what the sequencer assigns (append.h gives the rules
 * and their order).
 */
#ifndef RUNG_STORE_DECIDE_H
#define RUNG_STORE_DECIDE_H

#include "store/append.h"
#include "store/users.h"

#define TRIM_MAX                                                               \
    10000 /* seqs one TRIM may take, so that a commit stays short */

struct decision {
    struct applied *applied; /* the answer */
    bool write;              /* append the entry now; else only answer */
    uint64_t from_no;        /* the sender's number; 0: not known */
    uint64_t trimmed_seq;    /* TRIM: what is gone already */
};

MUST_CHECK enum err decide(const struct tx *tx, struct arena *arena, lsn next,
                           struct entry *entry, struct decision *decision);

#endif
