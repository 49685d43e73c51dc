/* Rows: what each table holds under a key, and looking one up. docs/FORMAT.md
 * gives the bytes.
 *
 * Errors   ERR_NOT_FOUND for an absent row; ERR_DAMAGED when a row is not one.
 * Memory   spans are borrowed from the transaction (env.h).
 */
#ifndef RUNG_STORE_ROWS_H
#define RUNG_STORE_ROWS_H

#include "store/entry.h"
#include "store/env.h"
#include "store/name.h"

#define CONV_ROW_MAX 384

struct conv_row {
    enum conv_type type;
    bool history_all, joinable, open;
    uint64_t inbox, max_age_ms, max_count;
    uint64_t trimmed_seq;
    lsn trimmed_lsn;
    uint64_t member_count;
    struct span app, name, creator;
};

struct chain_row {
    lsn lsn;
    uint64_t sender; /* a MESSAGE's user number, else 0 */
};

struct user_row {
    uint64_t no;
    lsn first; /* the entry that made it */
};

struct stint_row {
    uint64_t from_seq, to_seq, inbox;
    lsn join_lsn, leave_lsn;
};

struct member_row {
    uint64_t user_no, join_seq;
};

struct marks_row {
    uint64_t read_seq;
    lsn read_lsn; /* the receipt entry's */
    uint64_t delivered_seq;
    lsn delivered_lsn;
};

struct receipt_row {
    uint64_t user_no, mark;
    enum entry_kind kind;
    enum audience audience;
};

struct dedup_row {
    lsn lsn;
    conv_no conv;
    uint64_t seq, ts;
    unsigned char hash[ENTRY_HASH_BYTES];
};

struct client_seq_row {
    uint64_t client_seq; /* of the last message that had one */
    uint64_t seq;        /* of that message */
};

/* Reading a row from its bytes. */
MUST_CHECK enum err conv_row_read(struct conv_row *row, struct span bytes);
MUST_CHECK enum err chain_row_read(struct chain_row *row, struct span bytes);
MUST_CHECK enum err stint_row_read(struct stint_row *row, struct span bytes);
MUST_CHECK enum err member_row_read(struct member_row *row, struct span bytes);
MUST_CHECK enum err receipt_row_read(struct receipt_row *row,
                                     struct span bytes);

MUST_CHECK enum err client_seq_row_read(struct client_seq_row *row,
                                        struct span bytes);

/* Looking one up. */
MUST_CHECK enum err conv_no_find(const struct tx *tx, struct span app,
                                 struct span name, conv_no *no);
MUST_CHECK enum err conv_row_find(const struct tx *tx, conv_no no,
                                  struct conv_row *row);
MUST_CHECK enum err chain_row_find(const struct tx *tx, conv_no conv,
                                   uint64_t seq, struct chain_row *row);
/* The last row of a chain; zeros when it has none. */
MUST_CHECK enum err chain_tail(const struct tx *tx, conv_no conv, uint64_t *seq,
                               lsn *at);
MUST_CHECK enum err user_row_find(const struct tx *tx, struct span app,
                                  struct span user, struct user_row *row);
MUST_CHECK enum err stint_row_find(const struct tx *tx, uint64_t user_no,
                                   conv_no conv, uint64_t join_seq,
                                   struct stint_row *row);
MUST_CHECK enum err member_row_find(const struct tx *tx, conv_no conv,
                                    struct span user, struct member_row *row);
/* Zeros when there is none. */
MUST_CHECK enum err marks_row_find(const struct tx *tx, conv_no conv,
                                   uint64_t user_no, struct marks_row *row);
MUST_CHECK enum err dedup_row_find(const struct tx *tx,
                                   struct span client_msg_id, uint64_t user_no,
                                   struct dedup_row *row);
MUST_CHECK enum err client_seq_row_find(const struct tx *tx, conv_no conv,
                                        uint64_t user_no, struct span device,
                                        struct client_seq_row *row);
/* An entry of the log; ERR_DAMAGED when it is not there. bytes may be NULL. */
MUST_CHECK enum err log_find(const struct tx *tx, lsn at, struct entry *entry,
                             struct span *bytes);
/* The log's last lsn, 0 when it is empty. */
MUST_CHECK enum err log_last(const struct tx *tx, lsn *last);

/* Writing one. */
MUST_CHECK enum err conv_row_put(const struct tx *tx, conv_no no,
                                 const struct conv_row *row);
/* At the chain's end: it grows nowhere else. */
MUST_CHECK enum err chain_row_put(const struct tx *tx, conv_no conv,
                                  uint64_t seq, const struct chain_row *row);
MUST_CHECK enum err user_row_put(const struct tx *tx, struct span app,
                                 struct span user, const struct user_row *row);
MUST_CHECK enum err stint_row_put(const struct tx *tx, uint64_t user_no,
                                  conv_no conv, uint64_t join_seq,
                                  const struct stint_row *row);
MUST_CHECK enum err member_row_put(const struct tx *tx, conv_no conv,
                                   struct span user,
                                   const struct member_row *row);
MUST_CHECK enum err marks_row_put(const struct tx *tx, conv_no conv,
                                  uint64_t user_no,
                                  const struct marks_row *row);
MUST_CHECK enum err receipt_row_put(const struct tx *tx, conv_no conv, lsn at,
                                    const struct receipt_row *row);
MUST_CHECK enum err dedup_row_put(const struct tx *tx,
                                  struct span client_msg_id, uint64_t user_no,
                                  const struct dedup_row *row);
MUST_CHECK enum err client_seq_row_put(const struct tx *tx, conv_no conv,
                                       uint64_t user_no, struct span device,
                                       const struct client_seq_row *row);

#endif
