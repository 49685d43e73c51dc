/* Rebuild: drop every derived table and apply the log again, in one
 * transaction, so that a failure leaves the store as it was.
 */
#include "store/apply.h"
#include "store/inside.h"

#include <stdio.h>

struct rebuild {
    struct tx tx;
    const struct store_check *check;
    uint64_t done, total;
};

static void say(const struct rebuild *r, lsn at, const char *words)
{
    char text[160];

    snprintf(text, sizeof(text), "log %llu: %s", (unsigned long long)at, words);
    if (r->check && r->check->finding)
        r->check->finding(text, r->check->arg);
}

static enum err clear_all(struct rebuild *r)
{
    enum err err = ERR_NONE;

    for (int t = 0; !err && t < TABLE_COUNT; t++)
        if (table_is_derived((enum table)t))
            err = tx_clear(&r->tx, (enum table)t);
    return err;
}

static enum err apply_bytes(struct rebuild *r, lsn at, struct span bytes)
{
    struct entry entry;
    enum err err;

    if (!entry_intact(bytes) || entry_decode(&entry, bytes) ||
        entry.lsn != at) {
        say(r, at, "not an entry, or a damaged one");
        return ERR_DAMAGED;
    }
    err = apply_entry(&r->tx, &entry, 0);
    if (err == ERR_DAMAGED)
        say(r, at, "does not fit what came before it");
    return err;
}

static enum err apply_all(struct rebuild *r)
{
    struct scan log;
    enum err err = scan_open(&log, &r->tx, TABLE_LOG);

    if (err)
        return err;
    for (err = scan_first(&log); !err; err = scan_next(&log)) {
        err = apply_bytes(r, key_log_get(log.key), log.value);
        if (err)
            break;
        if (r->check && r->check->progress)
            r->check->progress(++r->done, r->total, r->check->arg);
    }
    scan_close(&log);
    return err == ERR_END ? ERR_NONE : err;
}

enum err store_rebuild(struct store *store, const struct store_check *check,
                       struct failure *why)
{
    struct rebuild r = {.check = check};
    enum err err;

    if (store->read_only)
        return fail(why, ERR_FORBIDDEN, "%s was opened to read only",
                    store->dir);
    err = tx_begin(&r.tx, &store->env, true);
    if (!err) {
        row_cache_begin(store->cache); /* and never commits: it is empty next */
        err = tx_count(&r.tx, TABLE_LOG, &r.total);
    }
    if (!err)
        err = clear_all(&r);
    if (!err)
        err = apply_all(&r);
    if (!err)
        err = tx_commit(&r.tx);
    tx_abort(&r.tx);
    if (err)
        return fail(why, err, "%s: not rebuilt, left as it was: %s", store->dir,
                    err_text(err));
    return ERR_NONE;
}
