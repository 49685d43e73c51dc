/* Appending: one group commit. See append.h. */
#include "store/append.h"

#include "server/base/mem.h"
#include "store/apply.h"
#include "store/decide.h"
#include "store/inside.h"
#include "store/trim.h"

#include <assert.h>

struct append {
    struct store *store;
    struct tx tx;
    struct cursors cursors;
    lsn next;
    bool lost; /* an error was returned: only abort is left */
    struct arena arena;
};

enum err append_begin(struct append **out, struct store *store)
{
    struct append *append;
    enum err err;

    assert(!store->read_only);
    append = mem_zalloc(sizeof(*append));
    if (!append)
        return ERR_NOMEM;
    append->store = store;
    append->next = store_head(store) + 1;
    err = tx_begin(&append->tx, &store->env, true);
    if (err) {
        mem_free(append);
        return err;
    }
    append->tx.cache = store->cache;
    append->tx.cursors = &append->cursors;
    row_cache_begin(store->cache);
    *out = append;
    return ERR_NONE;
}

static enum err write_entry(struct append *append, const struct entry *entry,
                            const struct decision *decision)
{
    struct buf *scratch = &append->store->scratch;
    struct key key;
    enum err err;

    key_log(&key, entry->lsn);
    err = tx_append(&append->tx, TABLE_LOG, &key,
                    (struct span){scratch->data, scratch->size});
    if (!err && entry->kind == ENTRY_TRIM)
        err = trim_log(&append->tx, entry, decision->trimmed_seq, scratch);
    if (!err)
        err = apply_entry(&append->tx, entry, decision->from_no);
    return err;
}

static enum err try_entry(struct append *append, struct entry *entry,
                          struct applied *applied, struct buf *bytes)
{
    struct decision decision = {.applied = applied};
    struct buf *scratch = &append->store->scratch;
    struct entry final = *entry;
    enum err err =
        decide(&append->tx, &append->arena, append->next, &final, &decision);

    if (err || !decision.write)
        return err;
    buf_reset(scratch);
    entry_encode(scratch, &final);
    err = buf_status(scratch);
    if (!err && bytes) {
        buf_append(bytes, scratch->data, scratch->size);
        err = buf_status(bytes);
    }
    if (!err)
        err = write_entry(append, &final, &decision);
    if (err)
        return err;
    *entry = final;
    append->next++;
    return ERR_NONE;
}

enum err append_entry(struct append *append, struct entry *entry,
                      struct applied *applied, struct buf *bytes)
{
    enum err err;

    assert(!append->lost);
    *applied = (struct applied){0};
    err = try_entry(append, entry, applied, bytes);
    append->lost = err != ERR_NONE;
    /* A row that must be there and is not: not a refusal. */
    return err == ERR_NOT_FOUND ? ERR_DAMAGED : err;
}

void applied_failure(const struct applied *applied, struct failure *why)
{
    if (applied->next_client_seq) {
        fail(why, applied->err,
             "client_seq: %llu was the last of this device here, %llu is next",
             (unsigned long long)applied->next_client_seq - 1,
             (unsigned long long)applied->next_client_seq);
        why->expected = applied->next_client_seq;
    } else if (applied->err) {
        fail(why, applied->err, "%s",
             applied->words ? applied->words : err_text(applied->err));
    }
}

static void append_free(struct append *append)
{
    arena_free(&append->arena);
    mem_free(append);
}

enum err append_commit(struct append *append)
{
    struct store *store = append->store;
    lsn last = append->next - 1;
    enum err err;

    assert(!append->lost);
    err = tx_commit(&append->tx);
    if (!err) {
        row_cache_commit(store->cache);
        atomic_store_explicit(&store->head, last, memory_order_release);
    }
    append_free(append);
    return err;
}

void append_abort(struct append *append)
{
    if (!append)
        return;
    if (!append->lost && append->next == store_head(append->store) + 1)
        row_cache_commit(append->store->cache); /* it has only read */
    tx_abort(&append->tx);
    append_free(append);
}
