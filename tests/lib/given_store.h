/* Fixtures for the store's tests: a store in a directory of its own, entries in
 * one line each, and what to compare.
 */
#ifndef RUNG_TESTS_GIVEN_STORE_H
#define RUNG_TESTS_GIVEN_STORE_H

#include "store/append.h"
#include "store/reader.h"
#include "store/store.h"

#define GIVEN_APP "acme"

struct given {
    char dir[128];
    struct store *store;
    uint64_t map_size_bytes;
    uint64_t ts; /* the next entry's */
};

/* An empty store; map_size_bytes 0: the default. Asserts that it opened. */
struct given *given_store(void);
struct given *given_store_of(uint64_t map_size_bytes);
/* Closes, verifies nothing, removes the directory. */
void given_end(struct given *given);
void given_close(struct given *given); /* the store only */
void given_reopen(struct given *given);
char *given_path(const struct given *given, const char *name); /* static */
void remove_dir(const char *dir);

/* Entries; the texts are borrowed. */
struct entry a_message(const char *conversation, const char *from,
                       const char *client_msg_id, const char *body);
/* One with a client_seq, of a device ("" is one, too). */
struct entry a_numbered(const char *conversation, const char *from,
                        const char *device, uint64_t client_seq);
/* flags as in the settings line: "h", "j", "o" in any number. `users` are
 * separated by spaces. */
struct entry a_create(const char *conversation, const char *from,
                      const char *flags, const char *users);
struct entry a_join(const char *conversation, const char *from,
                    const char *users);
struct entry a_leave(const char *conversation, const char *from);
struct entry a_mark(enum entry_kind kind, const char *conversation,
                    const char *from, uint64_t mark);

/* Append in a commit of its own. The call must succeed; the answer may refuse.
 */
struct applied append_one(struct given *given, struct entry entry);
/* The same, and the answer must be: written. */
struct applied append_ok(struct given *given, struct entry entry);
/* The same, and the answer must be this refusal. */
void append_refused(struct given *given, struct entry entry, enum err err);
/* As append_one(), but an error comes back. */
enum err try_append(struct given *given, struct entry entry,
                    struct applied *applied);

/* Verify and print what is found; returns how much. */
uint64_t problems_of(struct store *store);
/* The bytes of every table but meta (of `log` too when with_log). */
void dump_tables(struct store *store, bool with_log, struct buf *out);

struct reader *given_reader(struct given *given); /* begun */
void reader_done(struct reader *reader);          /* ended and destroyed */

/* A reader's transcript as text: "m1:alice:hi " for a message of seq 1,
 * likewise c(reate) j(oin) l(eave), "r5:bob@9 " a read mark 5 at lsn 9,
 * d(elivered), "gap1-4 ". */
bool write_entry(const struct entry *entry, struct span bytes, void *buf);
bool write_gap(const struct gap *gap, void *buf);
const char *text_of_buf(struct buf *buf); /* terminated; borrowed */

/* The whole mixed chain of a user beyond `cursor` as text (static). */
const char *mixed_of(struct given *given, const char *user, lsn cursor);
const char *chain_of(struct given *given, const char *conversation,
                     uint64_t from, uint64_t to, bool descending);

#endif
