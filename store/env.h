/* LMDB, and nobody else's: opens the environment, translates its codes, lends
 * transactions and scans, counts its calls and makes them fail for tests.
 *
 * Errors   ERR_NOT_FOUND for an absent key, ERR_END when a scan is at its end;
 *          the rest as store.h says.
 * Threads  a tx and its scans belong to one thread at a time (MDB_NOTLS).
 * Memory   values are borrowed: until the tx ends, and in a writing tx only
 *          until its next put or del, or its next get of the same table.
 */
#ifndef RUNG_STORE_ENV_H
#define RUNG_STORE_ENV_H

#include "server/base/buf.h"
#include "server/base/err.h"
#include "store/key.h"
#include "store/row_cache.h"
#include "store/tables.h"

#include <lmdb.h>

struct env {
    MDB_env *mdb;
    MDB_dbi dbi[TABLE_COUNT];
};

struct env_options {
    const char *file;
    uint64_t map_size_bytes;
    bool read_only;
    bool no_sync; /* commits do not fsync */
    bool no_lock; /* nobody else can know this file */
};

/* Where the appending transaction was last in tables in which its next step is
 * near: zeroed at its beginning, and LMDB's to free at its end. */
struct cursors {
    MDB_cursor *log, *dedup;
};

struct tx {
    MDB_txn *txn; /* NULL: none */
    const struct env *env;
    /* The appending one's; else NULL. */
    struct row_cache *cache;
    struct cursors *cursors;
};

#define ENV_MAX_READERS 512

enum err env_translate(int code);

MUST_CHECK enum err env_open(struct env *env, const struct env_options *options,
                             struct failure *why);
/* Open (and with `create` make) the tables. ERR_NOT_FOUND: one is missing. */
MUST_CHECK enum err env_open_tables(struct env *env, bool create);
/* Only this one, which must be there. */
MUST_CHECK enum err env_open_table(struct env *env, enum table table);
void env_close(struct env *env); /* zeroed: nothing */

MUST_CHECK enum err tx_begin(struct tx *tx, const struct env *env, bool write);
MUST_CHECK enum err tx_commit(struct tx *tx); /* ends it whatever happens */
void tx_abort(struct tx *tx);                 /* ended or zeroed: nothing */
/* A reading transaction parked between uses: keeps its reader's slot. */
void tx_park(struct tx *tx);
MUST_CHECK enum err tx_renew(struct tx *tx);

MUST_CHECK enum err tx_get(const struct tx *tx, enum table table,
                           const struct key *key, struct span *value);
MUST_CHECK enum err tx_put(const struct tx *tx, enum table table,
                           const struct key *key, struct span value);
/* The key is greater than all others, else ERR_DAMAGED. */
MUST_CHECK enum err tx_append(const struct tx *tx, enum table table,
                              const struct key *key, struct span value);
MUST_CHECK enum err tx_del(const struct tx *tx, enum table table,
                           const struct key *key);
MUST_CHECK enum err tx_clear(const struct tx *tx, enum table table);
MUST_CHECK enum err tx_count(const struct tx *tx, enum table table,
                             uint64_t *rows);

struct scan {
    MDB_cursor *cursor; /* NULL: closed */
    struct span key, value;
};

MUST_CHECK enum err scan_open(struct scan *scan, const struct tx *tx,
                              enum table table);
void scan_close(struct scan *scan); /* closed or zeroed: nothing */
/* Each leaves scan->key and ->value on the row reached, or returns ERR_END. */
MUST_CHECK enum err scan_first(struct scan *scan);
MUST_CHECK enum err scan_last(struct scan *scan);
MUST_CHECK enum err scan_next(struct scan *scan);
MUST_CHECK enum err scan_prev(struct scan *scan);
MUST_CHECK enum err scan_from(struct scan *scan, const struct key *key);
/* Exactly this key, or ERR_NOT_FOUND. */
MUST_CHECK enum err scan_at(struct scan *scan, const struct key *key);
/* The last row whose key is below `key`. */
MUST_CHECK enum err scan_before(struct scan *scan, const struct key *key);
MUST_CHECK enum err scan_del(struct scan *scan); /* the row it is on */

#endif
