/* Trim: what a TRIM entry takes from the log itself. See trim.h. */
#include "store/trim.h"

enum err trim_keeps_stub(const struct tx *tx, const struct entry *message,
                         bool *keeps)
{
    struct user_row sender;
    enum err err;

    *keeps = message->client_msg_id.size > 0 || message->conv == message->lsn;
    if (*keeps)
        return ERR_NONE;
    err = user_row_find(tx, message->app, message->from, &sender);
    if (err)
        return err == ERR_NOT_FOUND ? ERR_DAMAGED : err;
    *keeps = sender.first == message->lsn;
    return ERR_NONE;
}

/* The stub's bytes, made before the tables change under the entry's spans. */
static enum err make_stub(const struct entry *message, struct buf *scratch)
{
    unsigned char hash[ENTRY_HASH_BYTES];
    struct entry stub = *message;

    entry_content_hash(hash, message);
    stub.flags |= ENTRY_TRIMMED;
    stub.type = (struct span){0};
    stub.body = (struct span){(const char *)hash, sizeof(hash)};
    buf_reset(scratch);
    entry_encode(scratch, &stub);
    return buf_status(scratch);
}

static enum err forget(const struct tx *tx, lsn at, struct buf *scratch)
{
    struct entry entry;
    struct key key;
    bool keeps;
    enum err err = log_find(tx, at, &entry, NULL);

    if (err || entry.kind != ENTRY_MESSAGE)
        return err;
    err = trim_keeps_stub(tx, &entry, &keeps);
    if (!err && keeps)
        err = make_stub(&entry, scratch);
    if (err)
        return err;
    /* Delete and put, not overwrite: so LMDB merges the pages left small. */
    key_log(&key, at);
    err = tx_del(tx, TABLE_LOG, &key);
    if (!err && keeps)
        err = tx_put(tx, TABLE_LOG, &key,
                     (struct span){scratch->data, scratch->size});
    return err;
}

enum err trim_log(const struct tx *tx, const struct entry *trim,
                  uint64_t already, struct buf *scratch)
{
    for (uint64_t seq = already + 1; seq <= trim->mark; seq++) {
        struct chain_row row;
        enum err err = chain_row_find(tx, trim->conv, seq, &row);

        if (err)
            return err == ERR_NOT_FOUND ? ERR_DAMAGED : err;
        err = forget(tx, row.lsn, scratch);
        if (err)
            return err == ERR_NOT_FOUND ? ERR_DAMAGED : err;
    }
    return ERR_NONE;
}
