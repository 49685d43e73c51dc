/* One entry of the log, as bytes and as a view on those bytes.
 *
 * An entry is self-contained: it names app, conversation and users in full, so
 * that every other table can be rebuilt by applying the log again. The byte
 * layout is docs/FORMAT.md's; nothing here knows JSON: `body` is opaque.
 *
 * Units    ts: milliseconds since the Unix epoch UTC. lsn and seq: positions,
 *          0 meaning "none".
 * Errors   ERR_DAMAGED when bytes are not an entry (each length is checked);
 *          ERR_TOO_LARGE when a field passes its bound.
 * Threads  pure functions.
 * Memory   the spans of a decoded entry point into the bytes decoded.
 */
#ifndef RUNG_STORE_ENTRY_H
#define RUNG_STORE_ENTRY_H

#include "server/base/buf.h"
#include "server/base/err.h"

#include <stdbool.h>
#include <stdint.h>

typedef uint64_t lsn;
typedef uint64_t conv_no; /* a conversation's number: the lsn that created it;
                             `short_id` on the wire */

enum entry_kind {
    ENTRY_MESSAGE = 1, /* takes a seq; creates a p2p conversation if need be */
    ENTRY_CREATE = 2,  /* takes seq 1: group or channel; users = first members
                          (the creator `from` is always one of a group's) */
    ENTRY_JOIN = 3,    /* takes a seq: `from` lets `users` in (itself: join) */
    ENTRY_LEAVE = 4,   /* takes a seq: `from` leaves (users = {from}) */
    ENTRY_READ = 5,    /* no seq: `from` has read up to `mark` */
    ENTRY_DELIVERED =
        6,          /* no seq: a device of `from` has received up to `mark` */
    ENTRY_TRIM = 7, /* no seq: retention forgets seq 1..mark */
};

/* Bounds of the fields, in bytes. */
#define ENTRY_TEXT_MAX 64 /* app, from, device, client_msg_id, type */
#define ENTRY_CONVERSATION_MAX 160
#define ENTRY_BODY_MAX ((size_t)16 << 20)
#define ENTRY_USERS_MAX ((size_t)10000 * 65)
#define ENTRY_HASH_BYTES 16

enum entry_flag {
    ENTRY_NO_ECHO = 1, /* keep it from the sending device's own streams */
    ENTRY_TRIMMED = 2, /* a stub: retention took type and body; dedup stays */
};

/* Who may see an entry on the mixed chain, beyond being a member. */
enum audience {
    TO_MEMBERS = 0,
    TO_OWN_DEVICES = 1, /* only `from`'s */
    TO_OTHERS = 2,      /* members but `from` */
};

struct entry {
    enum entry_kind kind;
    unsigned flags;
    uint64_t ts;
    struct span app;
    struct span conversation;  /* "0:1:alice:bob", in full */
    struct span from;          /* user */
    struct span device;        /* may be empty */
    struct span client_msg_id; /* may be empty: no dedup; MESSAGE only */
    struct span type;          /* MESSAGE only */
    struct span body;  /* MESSAGE: the body (of a stub: its content hash).
                          CREATE: settings etc. Opaque */
    struct span users; /* names, each followed by one NUL */
    uint64_t mark;     /* READ, DELIVERED, TRIM: a seq. MESSAGE: the client_seq
                          plus one; 0: it has none */

    /* What the sequencer assigned; 0 before. Stored with the entry. */
    lsn lsn;
    uint64_t seq; /* 0: this kind takes none */
    conv_no conv;
    enum audience audience;
    lsn mark_lsn; /* TRIM: the lsn that `mark` had */
};

/* ERR_TOO_LARGE when a field passes its bound. */
MUST_CHECK enum err entry_bounds(const struct entry *entry);

/* Append the entry's bytes to `out`. The entry is within its bounds. */
void entry_encode(struct buf *out, const struct entry *entry);
/* Checks shape and lengths, not the checksum: entry_intact() does that. */
MUST_CHECK enum err entry_decode(struct entry *out, struct span bytes);
bool entry_intact(struct span bytes);

/* Step through entry.users: for (struct span u = {0}; entry_user(e, &u);) */
bool entry_user(const struct entry *entry, struct span *user);

/* What dedup compares: conversation, type and body. 16 bytes of SHA-256. Of a
 * stub: the hash it kept. */
void entry_content_hash(unsigned char out[ENTRY_HASH_BYTES],
                        const struct entry *entry);

#endif
