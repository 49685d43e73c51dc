/* Reading: snapshots, lookups, and the two chains.
 *
 *     reader_begin → lookups and reads → reader_end
 *
 * All reads between begin and end see one snapshot. Costs: a lookup is one or
 * two B-tree descents; reading a chain costs the entries visited plus, once,
 * O(log n) for finding the place.
 *
 * Units    see entry.h. Ranges of seq are closed: from..to.
 * Errors   ERR_NOT_FOUND for an absent thing; ERR_IO, ERR_DAMAGED,
 *          ERR_OVERLOADED from below. After an error nothing was visited beyond
 *          what was.
 * Threads  a reader belongs to one thread at a time.
 * Memory   whatever is handed out is borrowed until reader_end() (it lies in
 *          the memory map). Visitors must not block.
 */
#ifndef RUNG_STORE_READER_H
#define RUNG_STORE_READER_H

#include "store/name.h"
#include "store/store.h"

struct reader;

MUST_CHECK enum err reader_create(struct reader **out, struct store *store);
void reader_destroy(struct reader *reader);
MUST_CHECK enum err reader_begin(struct reader *reader);
void reader_end(struct reader *reader);

/* --- lookups ------------------------------------------------------------ */

struct conversation {
    conv_no no;
    enum conv_type type;
    uint64_t inbox;
    struct span app, name; /* name: "0:2:team" */
    struct span creator;   /* p2p: empty */
    struct span body; /* of its CREATE entry: opaque settings; p2p: empty */
    bool history_all, joinable, open; /* conv_flags of its CREATE, see below */
    uint64_t max_age_ms, max_count;   /* its own retention; 0: none said */
    uint64_t last_seq;
    lsn last_lsn;         /* of last_seq's entry */
    lsn receipt_lsn;      /* the newest shown receipt's lsn; 0: none */
    uint64_t trimmed_seq; /* 1..trimmed_seq are gone */
    lsn trimmed_lsn;      /* the lsn that trimmed_seq had */
    uint64_t member_count;
};

/* How apply learns a CREATE's settings without reading its opaque body: the
 * body starts with this line, made by conv_settings_write(), and the JSON
 * follows it. */
struct conv_settings {
    bool history_all; /* newcomers may read what came before them */
    bool joinable;    /* anyone of the app may let themselves in */
    bool open;        /* channel: any user may post */
    uint64_t max_age_ms, max_count;
};
void conv_settings_write(struct buf *out, const struct conv_settings *settings);
/* *rest is the JSON behind the line. */
MUST_CHECK enum err conv_settings_read(struct conv_settings *out,
                                       struct span body, struct span *rest);

/* A conversation of `app` by its name, or by its number (ERR_NOT_FOUND when
 * that number is another app's). */
MUST_CHECK enum err reader_conversation(struct reader *reader, struct span app,
                                        struct span name,
                                        struct conversation *out);
MUST_CHECK enum err reader_conversation_no(struct reader *reader,
                                           struct span app, conv_no no,
                                           struct conversation *out);

/* One uninterrupted time of membership. Those of one user in one conversation
 * do not overlap. */
struct stint {
    conv_no conv;
    uint64_t inbox;
    uint64_t from_seq; /* first visible: the join; with history_all what follows
                          the stint before, or 1 */
    uint64_t join_seq; /* the entry that let them in */
    uint64_t to_seq;   /* last visible: the leave; 0: still in */
    lsn join_lsn;  /* of join_seq's entry; 0: unknown (a channel's reader) */
    lsn leave_lsn; /* of to_seq's entry; 0: still in, or unknown */
};
typedef bool (*stint_visit)(const struct stint *stint, void *arg);

/* Every stint of a user, by conversation, oldest first. An unknown user has
 * none: success. */
MUST_CHECK enum err reader_stints(struct reader *reader, struct span app,
                                  struct span user, stint_visit visit,
                                  void *arg);
/* The stints of one user in one conversation, newest last, at most `max`;
 * *count 0 when never a member. */
MUST_CHECK enum err reader_stints_in(struct reader *reader, struct span app,
                                     struct span user, conv_no conv,
                                     struct stint *out, size_t max,
                                     size_t *count);

struct marks {
    uint64_t read_seq, delivered_seq;
    lsn read_lsn, delivered_lsn; /* of the entries that said so; 0: none */
};
/* A user's own marks in a conversation; zeros when none. */
MUST_CHECK enum err reader_marks(struct reader *reader, struct span app,
                                 struct span user, conv_no conv,
                                 struct marks *out);

struct member {
    struct span user;
    bool creator;
    struct marks marks;
};
typedef bool (*member_visit)(const struct member *member, void *arg);
/* Present members, in byte order of their names. */
MUST_CHECK enum err reader_members(struct reader *reader, conv_no conv,
                                   member_visit visit, void *arg);

/* Messages by others than `user` with seq in from..to (index rows only). */
MUST_CHECK enum err reader_count_unread(struct reader *reader, struct span app,
                                        struct span user, conv_no conv,
                                        uint64_t from, uint64_t to,
                                        uint64_t *count);

/* Where `pos` lies: the greatest seq whose lsn <= pos; 0 when none is kept. */
MUST_CHECK enum err reader_seq_at(struct reader *reader, conv_no conv, lsn pos,
                                  uint64_t *seq);
/* The lsn of one seq; ERR_NOT_FOUND when trimmed or beyond. */
MUST_CHECK enum err reader_lsn_of(struct reader *reader, conv_no conv,
                                  uint64_t seq, lsn *out);

/* --- chains ------------------------------------------------------------- */

typedef bool (*entry_visit)(const struct entry *entry, struct span bytes,
                            void *arg);

/* One conversation, ascending from..to or descending to..from; stops when the
 * visitor returns false. Trimmed seqs are simply not visited. */
MUST_CHECK enum err chain_read(struct reader *reader, conv_no conv,
                               uint64_t from, uint64_t to, bool descending,
                               entry_visit visit, void *arg);

/* The READ and DELIVERED entries of a conversation among the next `limit`
 * entries of the log beyond `at`, in their order, those that newer ones
 * replaced among them; stops when the visitor returns false. */
MUST_CHECK enum err receipts_read(struct reader *reader, conv_no conv, lsn at,
                                  size_t limit, entry_visit visit, void *arg);

/* What retention took from a reader: seqs from..to of conv, up to lsn `at`. */
struct gap {
    conv_no conv;
    struct span conversation, app;
    uint64_t from, to;
    lsn at;
};
typedef bool (*gap_visit)(const struct gap *gap, void *arg);

/* A user's mixed chain: the merge by lsn of what `stints` allow, beyond *cursor
 * and up to `upto`, oldest first. Receipts are in it for stints still open,
 * with entry.audience obeyed for `user` (DELIVERED by `user` is never shown);
 * of several receipts of one kind by one user only the newest exists. A stint
 * part of which was trimmed beyond *cursor gives one gap, in its place in the
 * order. *cursor ends on the last entry or gap visited; when everything up to
 * `upto` was visited it is set to `upto` and *more to false; when the visitor
 * stopped it, *more is true. The caller passes only stints worth looking at. */
MUST_CHECK enum err mixed_read(struct reader *reader, struct span user,
                               const struct stint *stints, size_t count,
                               lsn *cursor, lsn upto, entry_visit visit,
                               gap_visit gap, void *arg, bool *more);

/* --- retention ---------------------------------------------------------- */

/* What retention should forget now: for each conversation with something too
 * old or too many, visit(conv name, app, mark). Defaults apply where the
 * conversation says nothing; 0 means keep. `start` continues a bounded scan:
 * the first conversation number to look at; *start becomes the next, 0 at the
 * end. At most `limit` conversations are looked at. */
typedef bool (*trim_visit)(struct span app, struct span conversation,
                           uint64_t mark, void *arg);
MUST_CHECK enum err retention_find(struct reader *reader, uint64_t now_ms,
                                   uint64_t max_age_ms, uint64_t max_count,
                                   conv_no *start, size_t limit,
                                   trim_visit visit, void *arg);

#endif
