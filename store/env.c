/* LMDB: opening, codes, transactions, scans, injected failures. See env.h.
 *
 * panic_note: LMDB 0.9.24 survives a failed write of data pages or a failed
 * fsync: the commit is undone and reads and later commits work. Only when
 * writing the *meta page* fails (EIO on the first two pages of the file) does
 * it mark the environment with MDB_FATAL_ERROR: from then on every begin, reads
 * too, returns MDB_PANIC, which is ERR_IO here, until the process has closed
 * the store and opened it again.
 */
#include "store/env.h"

#include "store/store.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
    const char *name;
    unsigned flags;
    int derived;
} tables[TABLE_COUNT] = {
#define X(name, text, integer, derived)                                        \
    {text, (integer) ? MDB_INTEGERKEY : 0, derived},
    TABLE_LIST(X)
#undef X
};

const char *table_name(enum table table)
{
    return tables[table].name;
}

int table_is_derived(enum table table)
{
    return tables[table].derived;
}

/* --- injected failures --------------------------------------------------- */

static atomic_bool counting; /* off: the only cost in a server */
static atomic_uint_fast64_t calls, fail_at;
static atomic_int fail_code;

uint64_t store_fail_nth(uint64_t nth, int code)
{
    uint64_t counted = atomic_exchange(&calls, 0);

    atomic_store(&fail_code, code);
    atomic_store(&fail_at, nth);
    atomic_store(&counting, true);
    return counted;
}

static int injected(void)
{
    if (!atomic_load_explicit(&counting, memory_order_relaxed))
        return 0;
    if (atomic_fetch_add(&calls, 1) + 1 != atomic_load(&fail_at))
        return 0;
    return atomic_load(&fail_code);
}

/* --- codes --------------------------------------------------------------- */

enum err env_translate(int code)
{
    switch (code) {
    case 0:
        return ERR_NONE;
    case MDB_NOTFOUND:
        return ERR_NOT_FOUND;
    case MDB_MAP_FULL:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return ERR_STORAGE_FULL;
    case MDB_CORRUPTED:
    case MDB_INVALID:
    case MDB_PAGE_NOTFOUND:
    case MDB_KEYEXIST: /* an append that is not one */
    case MDB_INCOMPATIBLE:
        return ERR_DAMAGED;
    case MDB_VERSION_MISMATCH:
        return ERR_NEWER_FORMAT;
    case MDB_READERS_FULL:
    case MDB_TXN_FULL:
        return ERR_OVERLOADED;
    case ENOMEM:
        return ERR_NOMEM;
    default:
        return ERR_IO; /* EIO, MDB_PANIC (panic_note), MDB_BAD_TXN, … */
    }
}

/* --- the environment ----------------------------------------------------- */

static int configure(MDB_env *mdb, const struct env_options *options)
{
    int rc = mdb_env_set_maxdbs(mdb, TABLE_COUNT);

    if (!rc)
        rc = mdb_env_set_maxreaders(mdb, ENV_MAX_READERS);
    if (!rc)
        rc = mdb_env_set_mapsize(mdb, (size_t)options->map_size_bytes);
    return rc;
}

static enum err explain(struct failure *why, int rc, const char *file)
{
    switch (rc) {
    case EACCES:
    case EPERM:
        return fail(why, ERR_IO, "%s: no permission to open it", file);
    case MDB_INVALID:
        return fail(why, ERR_DAMAGED,
                    "%s is damaged: it is not an LMDB file (or its head is "
                    "gone); restore a backup",
                    file);
    case MDB_VERSION_MISMATCH:
        return fail(why, ERR_NEWER_FORMAT,
                    "%s was written by another version of LMDB", file);
    default:
        return fail(why, env_translate(rc), "%s: %s", file, mdb_strerror(rc));
    }
}

enum err env_open(struct env *env, const struct env_options *options,
                  struct failure *why)
{
    unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD;
    int rc = mdb_env_create(&env->mdb);

    if (rc)
        return fail_plain(why, env_translate(rc));
    if (options->read_only)
        flags |= MDB_RDONLY;
    if (options->no_sync)
        flags |= MDB_NOSYNC;
    if (options->no_lock)
        flags |= MDB_NOLOCK;
    rc = configure(env->mdb, options);
    if (!rc)
        rc = mdb_env_open(env->mdb, options->file, flags, 0600);
    if (rc) {
        env_close(env);
        return explain(why, rc, options->file);
    }
    return ERR_NONE;
}

static enum err open_some(struct env *env, bool create, int first, int last)
{
    unsigned begin = create ? 0 : MDB_RDONLY;
    MDB_txn *txn;
    int rc = mdb_txn_begin(env->mdb, NULL, begin, &txn);

    if (rc)
        return env_translate(rc);
    for (int i = first; i <= last; i++) {
        unsigned flags = tables[i].flags | (create ? MDB_CREATE : 0);

        rc = mdb_dbi_open(txn, tables[i].name, flags, &env->dbi[i]);
        if (rc) {
            mdb_txn_abort(txn);
            return env_translate(rc);
        }
    }
    return env_translate(mdb_txn_commit(txn));
}

enum err env_open_tables(struct env *env, bool create)
{
    return open_some(env, create, 0, TABLE_COUNT - 1);
}

enum err env_open_table(struct env *env, enum table table)
{
    return open_some(env, false, (int)table, (int)table);
}

void env_close(struct env *env)
{
    if (env->mdb)
        mdb_env_close(env->mdb);
    env->mdb = NULL;
}

/* --- transactions -------------------------------------------------------- */

enum err tx_begin(struct tx *tx, const struct env *env, bool write)
{
    int rc = injected();

    *tx = (struct tx){.env = env};
    if (!rc)
        rc = mdb_txn_begin(env->mdb, NULL, write ? 0 : MDB_RDONLY, &tx->txn);
    return env_translate(rc);
}

enum err tx_commit(struct tx *tx)
{
    MDB_txn *txn = tx->txn;
    int rc = injected();

    if (rc) {
        tx_abort(tx);
        return env_translate(rc);
    }
    tx->txn = NULL;
    return env_translate(mdb_txn_commit(txn));
}

void tx_abort(struct tx *tx)
{
    if (tx->txn)
        mdb_txn_abort(tx->txn);
    tx->txn = NULL;
}

void tx_park(struct tx *tx)
{
    mdb_txn_reset(tx->txn);
}

enum err tx_renew(struct tx *tx)
{
    int rc = injected();

    return env_translate(rc ? rc : mdb_txn_renew(tx->txn));
}

static MDB_val val_of(struct span span)
{
    return (MDB_val){.mv_size = span.size, .mv_data = (void *)span.data};
}

static struct span span_in(MDB_val val)
{
    return (struct span){val.mv_data, val.mv_size};
}

static MDB_val val_of_key(const struct key *key)
{
    return val_of(key_span(key));
}

/* --- at a kept cursor, or from the root ----------------------------------- */

static MDB_cursor **cursor_for(const struct tx *tx, enum table table)
{
    if (!tx->cursors)
        return NULL;
    if (table == TABLE_LOG)
        return &tx->cursors->log;
    return table == TABLE_DEDUP ? &tx->cursors->dedup : NULL;
}

static int opened(const struct tx *tx, enum table table, MDB_cursor **cursor)
{
    return *cursor ? 0 : mdb_cursor_open(tx->txn, tx->env->dbi[table], cursor);
}

/* The log's cursor stays at the end. */
static int get(const struct tx *tx, enum table table, MDB_val *k, MDB_val *v)
{
    MDB_cursor **kept = table == TABLE_LOG ? NULL : cursor_for(tx, table);
    int rc;

    if (!kept)
        return mdb_get(tx->txn, tx->env->dbi[table], k, v);
    rc = opened(tx, table, kept);
    return rc ? rc : mdb_cursor_get(*kept, k, v, MDB_SET);
}

static int put_at(const struct tx *tx, enum table table, MDB_val *k, MDB_val *v,
                  unsigned flags)
{
    MDB_cursor **kept = cursor_for(tx, table);
    int rc;

    if (!kept || (table == TABLE_LOG && !(flags & MDB_APPEND)))
        return mdb_put(tx->txn, tx->env->dbi[table], k, v, flags);
    rc = opened(tx, table, kept);
    return rc ? rc : mdb_cursor_put(*kept, k, v, flags);
}

static void let_go_of(const struct tx *tx, enum table table)
{
    MDB_cursor **kept = cursor_for(tx, table);

    if (!kept || !*kept)
        return;
    mdb_cursor_close(*kept);
    *kept = NULL;
}

/* --- rows ---------------------------------------------------------------- */

enum err tx_get(const struct tx *tx, enum table table, const struct key *key,
                struct span *value)
{
    MDB_val k = val_of_key(key), v = {0};
    int rc;

    if (tx->cache && row_cache_get(tx->cache, table, key, value))
        return ERR_NONE;
    rc = injected();
    if (!rc)
        rc = get(tx, table, &k, &v);
    *value = span_in(v);
    if (!rc && tx->cache)
        row_cache_put(tx->cache, table, key, *value);
    return env_translate(rc);
}

static enum err put(const struct tx *tx, enum table table,
                    const struct key *key, struct span value, unsigned flags)
{
    MDB_val k = val_of_key(key), v = val_of(value);
    int rc = injected();

    if (!rc)
        rc = put_at(tx, table, &k, &v, flags);
    if (!rc && tx->cache)
        row_cache_put(tx->cache, table, key, value);
    return env_translate(rc);
}

enum err tx_put(const struct tx *tx, enum table table, const struct key *key,
                struct span value)
{
    return put(tx, table, key, value, 0);
}

enum err tx_append(const struct tx *tx, enum table table, const struct key *key,
                   struct span value)
{
    return put(tx, table, key, value, MDB_APPEND);
}

enum err tx_del(const struct tx *tx, enum table table, const struct key *key)
{
    MDB_val k = val_of_key(key);
    int rc = injected();

    if (tx->cache)
        row_cache_forget(tx->cache, table, key);
    let_go_of(tx, table);
    if (!rc)
        rc = mdb_del(tx->txn, tx->env->dbi[table], &k, NULL);
    return env_translate(rc);
}

enum err tx_clear(const struct tx *tx, enum table table)
{
    int rc = injected();

    assert(table_is_derived(table) && !tx->cache);
    if (!rc)
        rc = mdb_drop(tx->txn, tx->env->dbi[table], 0);
    return env_translate(rc);
}

enum err tx_count(const struct tx *tx, enum table table, uint64_t *rows)
{
    MDB_stat stat = {0};
    int rc = injected();

    if (!rc)
        rc = mdb_stat(tx->txn, tx->env->dbi[table], &stat);
    *rows = stat.ms_entries;
    return env_translate(rc);
}

/* --- scans --------------------------------------------------------------- */

enum err scan_open(struct scan *scan, const struct tx *tx, enum table table)
{
    int rc = injected();

    *scan = (struct scan){0};
    if (!rc)
        rc = mdb_cursor_open(tx->txn, tx->env->dbi[table], &scan->cursor);
    return env_translate(rc);
}

void scan_close(struct scan *scan)
{
    if (scan->cursor)
        mdb_cursor_close(scan->cursor);
    scan->cursor = NULL;
}

static enum err move(struct scan *scan, const struct key *key, MDB_cursor_op op)
{
    MDB_val k = {0}, v = {0};
    int rc = injected();

    if (key)
        k = val_of_key(key);
    if (!rc)
        rc = mdb_cursor_get(scan->cursor, &k, &v, op);
    if (rc == MDB_NOTFOUND)
        return ERR_END;
    if (!rc) {
        scan->key = span_in(k);
        scan->value = span_in(v);
    }
    return env_translate(rc);
}

enum err scan_first(struct scan *scan)
{
    return move(scan, NULL, MDB_FIRST);
}

enum err scan_last(struct scan *scan)
{
    return move(scan, NULL, MDB_LAST);
}

enum err scan_next(struct scan *scan)
{
    return move(scan, NULL, MDB_NEXT);
}

enum err scan_prev(struct scan *scan)
{
    return move(scan, NULL, MDB_PREV);
}

enum err scan_from(struct scan *scan, const struct key *key)
{
    return move(scan, key, MDB_SET_RANGE);
}

enum err scan_at(struct scan *scan, const struct key *key)
{
    enum err err = move(scan, key, MDB_SET_KEY);

    return err == ERR_END ? ERR_NOT_FOUND : err;
}

enum err scan_before(struct scan *scan, const struct key *key)
{
    enum err err = scan_from(scan, key);

    if (err == ERR_END)
        return scan_last(scan);
    return err ? err : scan_prev(scan);
}

enum err scan_del(struct scan *scan)
{
    int rc = injected();

    return env_translate(rc ? rc : mdb_cursor_del(scan->cursor, 0));
}
