/* Appending: one group commit.
 *
 *     append_begin → append_entry × n → append_commit | append_abort
 *
 * Apply is deterministic: it decides from the entry and the tables alone (no
 * clock, no random), so replaying the log rebuilds the tables bit for bit.
 *
 * What apply decides, in this order:
 *   MESSAGE   conversation exists (p2p: created now, with its two members;
 *             `from` must be one of them), `from` is a member (group) or may
 *             post (channel: owner, or anyone when the conversation's `open` is
 *             set) → else NOT_FOUND / NOT_MEMBER / FORBIDDEN. Then dedup: the
 *             same (app, from, client_msg_id) → the first answer with
 *             duplicate, or CONFLICT when conversation, type or body differ.
 *             (Dedup is looked up first of all when the id is known: a retry
 *             after leaving still gets its first answer.)
 *   CREATE    CONFLICT when the name exists. Group members get a stint from
 *             seq 1.
 *   JOIN      group: `from` must be a member to let others in; letting oneself
 *             in needs the conversation's `joinable`, else FORBIDDEN. Users
 *             that are in already are dropped from the entry; if none is left
 *             the answer is a success with seq 0 and lsn 0 and nothing is
 *             written. Bounded members. p2p: FORBIDDEN. Channel: success,
 *             nothing written.
 *   LEAVE     NOT_MEMBER unless in. The stint ends at this entry's seq.
 *   READ,     the mark is cut to the last seq; a mark not beyond the stored one
 *   DELIVERED writes nothing and answers success with lsn 0. Channel: nothing.
 *             A `read` beyond `delivered` does not move `delivered`. Audience:
 *             TO_MEMBERS for READ, TO_OTHERS for DELIVERED in p2p and in groups
 *             of at most RECEIPT_MEMBERS; in larger ones READ is TO_OWN_DEVICES
 *             and DELIVERED is stored but shown to nobody (audience
 *             TO_OWN_DEVICES, hidden by its kind).
 *   TRIM      mark is cut below last_seq (the last entry always stays).
 *
 * Units    see entry.h.
 * Errors   append_entry() returns ERR_NONE also for refusals: the refusal is in
 *          applied->err and leaves no trace. A returned error (STORAGE_FULL,
 *          IO, …) means the transaction is lost: call append_abort().
 *          append_commit() failing means nothing of the transaction is kept.
 * Threads  the sequencer's only, and its transaction never leaves it.
 * Memory   entries are borrowed during the call.
 */
#ifndef RUNG_STORE_APPEND_H
#define RUNG_STORE_APPEND_H

#include "store/store.h"

#define RECEIPT_MEMBERS 32
#define MEMBERS_MAX 10000 /* of a group */

struct applied {
    enum err err;      /* the refusal, or ERR_NONE */
    const char *words; /* static text for a refusal, else NULL */
    bool duplicate;
    bool created; /* this entry created its conversation */
    lsn lsn;      /* 0: nothing was written */
    uint64_t seq;
    conv_no conv;
    uint64_t ts; /* of a duplicate: the first entry's */
    enum audience audience;
    /* Of a refusal for the sake of order (order_note in decide.c), what would
     * have been taken; else 0. */
    uint64_t next_client_seq;
};
/* A refusal in words; success: nothing. */
void applied_failure(const struct applied *applied, struct failure *why);

struct append;

MUST_CHECK enum err append_begin(struct append **out, struct store *store);
/* On success with lsn != 0 the entry's assigned fields are filled in, and the
 * stored bytes are appended to `bytes` (may be NULL). entry->users may be
 * replaced by the pruned list, pointing into memory valid until the commit. */
MUST_CHECK enum err append_entry(struct append *append, struct entry *entry,
                                 struct applied *applied, struct buf *bytes);
/* Takes `append` whatever happens. store_head() moves on success. */
MUST_CHECK enum err append_commit(struct append *append);
void append_abort(struct append *append); /* NULL: nothing */

#endif
