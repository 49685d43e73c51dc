/* Rows: what each table holds, and looking one up. See rows.h. */
#include "store/rows.h"

#include <assert.h>
#include <string.h>

enum {
    CONV_HISTORY_ALL = 1,
    CONV_JOINABLE = 2,
    CONV_OPEN = 4,
    CONV_HEAD_BYTES = 53, /* type, flags, six numbers, three sizes */
    CHAIN_BYTES = 16,
    USER_BYTES = 16,
    STINT_BYTES = 40,
    MEMBER_BYTES = 16,
    MARKS_BYTES = 32,
    RECEIPT_BYTES = 18,
    DEDUP_BYTES = 48,
    CLIENT_SEQ_BYTES = 16,
};

static struct span row_span(const unsigned char *bytes, size_t size)
{
    return (struct span){(const char *)bytes, size};
}

/* --- conversations ------------------------------------------------------- */

enum err conv_row_read(struct conv_row *row, struct span bytes)
{
    const unsigned char *p = (const unsigned char *)bytes.data;
    const char *text;

    if (bytes.size < CONV_HEAD_BYTES || p[0] < CONV_P2P ||
        p[0] > CONV_CHANNEL ||
        bytes.size != (size_t)CONV_HEAD_BYTES + p[50] + p[51] + p[52])
        return ERR_DAMAGED;
    text = bytes.data + CONV_HEAD_BYTES;
    *row = (struct conv_row){
        .type = (enum conv_type)p[0],
        .history_all = p[1] & CONV_HISTORY_ALL,
        .joinable = p[1] & CONV_JOINABLE,
        .open = p[1] & CONV_OPEN,
        .inbox = u64_get(p + 2),
        .max_age_ms = u64_get(p + 10),
        .max_count = u64_get(p + 18),
        .trimmed_seq = u64_get(p + 26),
        .trimmed_lsn = u64_get(p + 34),
        .member_count = u64_get(p + 42),
        .app = {text, p[50]},
        .name = {text + p[50], p[51]},
        .creator = {text + p[50] + p[51], p[52]},
    };
    return ERR_NONE;
}

static size_t conv_row_write(unsigned char *p, const struct conv_row *row)
{
    const struct span *texts[3] = {&row->app, &row->name, &row->creator};
    size_t size = CONV_HEAD_BYTES;

    p[0] = (unsigned char)row->type;
    p[1] = (unsigned char)((row->history_all ? CONV_HISTORY_ALL : 0) |
                           (row->joinable ? CONV_JOINABLE : 0) |
                           (row->open ? CONV_OPEN : 0));
    u64_put(p + 2, row->inbox);
    u64_put(p + 10, row->max_age_ms);
    u64_put(p + 18, row->max_count);
    u64_put(p + 26, row->trimmed_seq);
    u64_put(p + 34, row->trimmed_lsn);
    u64_put(p + 42, row->member_count);
    for (int i = 0; i < 3; i++) {
        assert(size + texts[i]->size <= CONV_ROW_MAX);
        p[50 + i] = (unsigned char)texts[i]->size;
        if (texts[i]->size > 0)
            memcpy(p + size, texts[i]->data, texts[i]->size);
        size += texts[i]->size;
    }
    return size;
}

enum err conv_row_put(const struct tx *tx, conv_no no,
                      const struct conv_row *row)
{
    unsigned char bytes[CONV_ROW_MAX];
    struct key key;

    key_number(&key, no);
    return tx_put(tx, TABLE_CONVERSATIONS, &key,
                  row_span(bytes, conv_row_write(bytes, row)));
}

enum err conv_row_find(const struct tx *tx, conv_no no, struct conv_row *row)
{
    struct key key;
    struct span value;
    enum err err;

    key_number(&key, no);
    err = tx_get(tx, TABLE_CONVERSATIONS, &key, &value);
    return err ? err : conv_row_read(row, value);
}

enum err conv_no_find(const struct tx *tx, struct span app, struct span name,
                      conv_no *no)
{
    struct key key;
    struct span value;
    enum err err;

    if (app.size > ENTRY_TEXT_MAX || name.size > ENTRY_CONVERSATION_MAX)
        return ERR_NOT_FOUND;
    key_text(&key, app, name);
    err = tx_get(tx, TABLE_CONVERSATION_NAMES, &key, &value);
    if (err)
        return err;
    if (value.size != 8)
        return ERR_DAMAGED;
    *no = u64_get(value.data);
    return ERR_NONE;
}

/* --- chain --------------------------------------------------------------- */

enum err chain_row_read(struct chain_row *row, struct span bytes)
{
    if (bytes.size != CHAIN_BYTES)
        return ERR_DAMAGED;
    row->lsn = key_part(bytes, 0);
    row->sender = key_part(bytes, 1);
    return ERR_NONE;
}

enum err chain_row_find(const struct tx *tx, conv_no conv, uint64_t seq,
                        struct chain_row *row)
{
    struct key key;
    struct span value;
    enum err err;

    key_pair(&key, conv, seq);
    err = tx_get(tx, TABLE_CHAIN, &key, &value);
    return err ? err : chain_row_read(row, value);
}

enum err chain_row_put(const struct tx *tx, conv_no conv, uint64_t seq,
                       const struct chain_row *row)
{
    unsigned char bytes[CHAIN_BYTES];
    struct key key;

    enum err err;

    key_pair(&key, conv, seq);
    u64_put(bytes, row->lsn);
    u64_put(bytes + 8, row->sender);
    err = tx_put(tx, TABLE_CHAIN, &key, row_span(bytes, sizeof(bytes)));
    if (!err && tx->cache)
        row_cache_end_put(tx->cache, &(struct chain_end){conv, seq, row->lsn});
    return err;
}

static enum err scan_tail(const struct tx *tx, struct chain_end *end)
{
    struct chain_row row = {0};
    struct scan scan;
    struct key key;
    enum err err = scan_open(&scan, tx, TABLE_CHAIN);

    if (err)
        return err;
    key_pair(&key, end->conv + 1, 0);
    err = scan_before(&scan, &key);
    if (!err && key_begins(scan.key, end->conv)) {
        err = chain_row_read(&row, scan.value);
        end->seq = key_part(scan.key, 1);
        end->lsn = row.lsn;
    }
    scan_close(&scan);
    return err == ERR_END ? ERR_NONE : err;
}

enum err chain_tail(const struct tx *tx, conv_no conv, uint64_t *seq, lsn *at)
{
    struct chain_end end = {.conv = conv};
    enum err err = ERR_NONE;

    if (!tx->cache || !row_cache_end_get(tx->cache, conv, &end)) {
        err = scan_tail(tx, &end);
        if (!err && tx->cache)
            row_cache_end_put(tx->cache, &end);
    }
    *seq = end.seq;
    *at = end.lsn;
    return err;
}

/* --- users, stints, members ---------------------------------------------- */

enum err user_row_find(const struct tx *tx, struct span app, struct span user,
                       struct user_row *row)
{
    struct key key;
    struct span value;
    enum err err;

    if (app.size > ENTRY_TEXT_MAX || user.size > ENTRY_TEXT_MAX)
        return ERR_NOT_FOUND;
    key_text(&key, app, user);
    err = tx_get(tx, TABLE_USERS, &key, &value);
    if (err)
        return err;
    if (value.size != USER_BYTES)
        return ERR_DAMAGED;
    row->no = key_part(value, 0);
    row->first = key_part(value, 1);
    return ERR_NONE;
}

enum err user_row_put(const struct tx *tx, struct span app, struct span user,
                      const struct user_row *row)
{
    unsigned char bytes[USER_BYTES];
    struct key key;

    key_text(&key, app, user);
    u64_put(bytes, row->no);
    u64_put(bytes + 8, row->first);
    return tx_put(tx, TABLE_USERS, &key, row_span(bytes, sizeof(bytes)));
}

enum err stint_row_read(struct stint_row *row, struct span bytes)
{
    if (bytes.size != STINT_BYTES)
        return ERR_DAMAGED;
    row->from_seq = key_part(bytes, 0);
    row->to_seq = key_part(bytes, 1);
    row->inbox = key_part(bytes, 2);
    row->join_lsn = key_part(bytes, 3);
    row->leave_lsn = key_part(bytes, 4);
    return ERR_NONE;
}

enum err stint_row_find(const struct tx *tx, uint64_t user_no, conv_no conv,
                        uint64_t join_seq, struct stint_row *row)
{
    struct key key;
    struct span value;
    enum err err;

    key_triple(&key, user_no, conv, join_seq);
    err = tx_get(tx, TABLE_STINTS, &key, &value);
    return err ? err : stint_row_read(row, value);
}

enum err stint_row_put(const struct tx *tx, uint64_t user_no, conv_no conv,
                       uint64_t join_seq, const struct stint_row *row)
{
    unsigned char bytes[STINT_BYTES];
    struct key key;

    key_triple(&key, user_no, conv, join_seq);
    u64_put(bytes, row->from_seq);
    u64_put(bytes + 8, row->to_seq);
    u64_put(bytes + 16, row->inbox);
    u64_put(bytes + 24, row->join_lsn);
    u64_put(bytes + 32, row->leave_lsn);
    return tx_put(tx, TABLE_STINTS, &key, row_span(bytes, sizeof(bytes)));
}

enum err member_row_read(struct member_row *row, struct span bytes)
{
    if (bytes.size != MEMBER_BYTES)
        return ERR_DAMAGED;
    row->user_no = key_part(bytes, 0);
    row->join_seq = key_part(bytes, 1);
    return ERR_NONE;
}

enum err member_row_find(const struct tx *tx, conv_no conv, struct span user,
                         struct member_row *row)
{
    struct key key;
    struct span value;
    enum err err;

    if (user.size > ENTRY_TEXT_MAX)
        return ERR_NOT_FOUND;
    key_member(&key, conv, user);
    err = tx_get(tx, TABLE_MEMBERS, &key, &value);
    return err ? err : member_row_read(row, value);
}

enum err member_row_put(const struct tx *tx, conv_no conv, struct span user,
                        const struct member_row *row)
{
    unsigned char bytes[MEMBER_BYTES];
    struct key key;

    key_member(&key, conv, user);
    u64_put(bytes, row->user_no);
    u64_put(bytes + 8, row->join_seq);
    return tx_put(tx, TABLE_MEMBERS, &key, row_span(bytes, sizeof(bytes)));
}

/* --- marks, receipts, dedup ---------------------------------------------- */

enum err marks_row_find(const struct tx *tx, conv_no conv, uint64_t user_no,
                        struct marks_row *row)
{
    struct key key;
    struct span value;
    enum err err;

    *row = (struct marks_row){0};
    key_pair(&key, conv, user_no);
    err = tx_get(tx, TABLE_MARKS, &key, &value);
    if (err)
        return err == ERR_NOT_FOUND ? ERR_NONE : err;
    if (value.size != MARKS_BYTES)
        return ERR_DAMAGED;
    row->read_seq = key_part(value, 0);
    row->read_lsn = key_part(value, 1);
    row->delivered_seq = key_part(value, 2);
    row->delivered_lsn = key_part(value, 3);
    return ERR_NONE;
}

enum err marks_row_put(const struct tx *tx, conv_no conv, uint64_t user_no,
                       const struct marks_row *row)
{
    unsigned char bytes[MARKS_BYTES];
    struct key key;

    key_pair(&key, conv, user_no);
    u64_put(bytes, row->read_seq);
    u64_put(bytes + 8, row->read_lsn);
    u64_put(bytes + 16, row->delivered_seq);
    u64_put(bytes + 24, row->delivered_lsn);
    return tx_put(tx, TABLE_MARKS, &key, row_span(bytes, sizeof(bytes)));
}

enum err receipt_row_read(struct receipt_row *row, struct span bytes)
{
    if (bytes.size != RECEIPT_BYTES)
        return ERR_DAMAGED;
    row->user_no = key_part(bytes, 0);
    row->mark = key_part(bytes, 1);
    row->kind = (enum entry_kind)(unsigned char)bytes.data[16];
    row->audience = (enum audience)(unsigned char)bytes.data[17];
    return ERR_NONE;
}

enum err receipt_row_put(const struct tx *tx, conv_no conv, lsn at,
                         const struct receipt_row *row)
{
    unsigned char bytes[RECEIPT_BYTES];
    struct key key;

    key_pair(&key, conv, at);
    u64_put(bytes, row->user_no);
    u64_put(bytes + 8, row->mark);
    bytes[16] = (unsigned char)row->kind;
    bytes[17] = (unsigned char)row->audience;
    return tx_put(tx, TABLE_RECEIPTS, &key, row_span(bytes, sizeof(bytes)));
}

enum err dedup_row_find(const struct tx *tx, struct span client_msg_id,
                        uint64_t user_no, struct dedup_row *row)
{
    struct key key;
    struct span value;
    enum err err;

    key_dedup(&key, client_msg_id, user_no);
    err = tx_get(tx, TABLE_DEDUP, &key, &value);
    if (err)
        return err;
    if (value.size != DEDUP_BYTES)
        return ERR_DAMAGED;
    row->lsn = key_part(value, 0);
    row->conv = key_part(value, 1);
    row->seq = key_part(value, 2);
    row->ts = key_part(value, 3);
    memcpy(row->hash, value.data + 32, ENTRY_HASH_BYTES);
    return ERR_NONE;
}

enum err dedup_row_put(const struct tx *tx, struct span client_msg_id,
                       uint64_t user_no, const struct dedup_row *row)
{
    unsigned char bytes[DEDUP_BYTES];
    struct key key;

    key_dedup(&key, client_msg_id, user_no);
    u64_put(bytes, row->lsn);
    u64_put(bytes + 8, row->conv);
    u64_put(bytes + 16, row->seq);
    u64_put(bytes + 24, row->ts);
    memcpy(bytes + 32, row->hash, ENTRY_HASH_BYTES);
    return tx_put(tx, TABLE_DEDUP, &key, row_span(bytes, sizeof(bytes)));
}

/* --- client_seqs --------------------------------------------------------- */

enum err client_seq_row_read(struct client_seq_row *row, struct span bytes)
{
    if (bytes.size != CLIENT_SEQ_BYTES)
        return ERR_DAMAGED;
    row->client_seq = key_part(bytes, 0);
    row->seq = key_part(bytes, 1);
    return ERR_NONE;
}

enum err client_seq_row_find(const struct tx *tx, conv_no conv,
                             uint64_t user_no, struct span device,
                             struct client_seq_row *row)
{
    struct key key;
    struct span value;
    enum err err;

    key_client_seq(&key, conv, user_no, device);
    err = tx_get(tx, TABLE_CLIENT_SEQS, &key, &value);
    return err ? err : client_seq_row_read(row, value);
}

enum err client_seq_row_put(const struct tx *tx, conv_no conv, uint64_t user_no,
                            struct span device,
                            const struct client_seq_row *row)
{
    unsigned char bytes[CLIENT_SEQ_BYTES];
    struct key key;

    key_client_seq(&key, conv, user_no, device);
    u64_put(bytes, row->client_seq);
    u64_put(bytes + 8, row->seq);
    return tx_put(tx, TABLE_CLIENT_SEQS, &key, row_span(bytes, sizeof(bytes)));
}

/* --- log ----------------------------------------------------------------- */

enum err log_find(const struct tx *tx, lsn at, struct entry *entry,
                  struct span *bytes)
{
    struct key key;
    struct span value;
    enum err err;

    key_log(&key, at);
    err = tx_get(tx, TABLE_LOG, &key, &value);
    if (err)
        return err == ERR_NOT_FOUND ? ERR_DAMAGED : err;
    if (bytes)
        *bytes = value;
    return entry_decode(entry, value);
}

enum err log_last(const struct tx *tx, lsn *last)
{
    struct scan scan;
    enum err err = scan_open(&scan, tx, TABLE_LOG);

    *last = 0;
    if (err)
        return err;
    err = scan_last(&scan);
    if (!err)
        *last = key_log_get(scan.key);
    scan_close(&scan);
    return err == ERR_END ? ERR_NONE : err;
}
