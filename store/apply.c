/* Apply: what an accepted entry does to the derived tables. See apply.h. */
#include "store/apply.h"

#include "store/reader.h"

#include <string.h>

/* A row that an entry presupposes. */
static enum err presupposed(enum err err)
{
    return err == ERR_NOT_FOUND ? ERR_DAMAGED : err;
}

/* The user's number, a new one when this entry is the first with that user. */
static enum err number_user(const struct tx *tx, const struct entry *entry,
                            struct span user, uint64_t *no)
{
    struct user_row row;
    enum err err = user_row_find(tx, entry->app, user, &row);

    if (err == ERR_NOT_FOUND) {
        err = tx_count(tx, TABLE_USERS, &row.no);
        if (err)
            return err;
        row.no++;
        row.first = entry->lsn;
        err = user_row_put(tx, entry->app, user, &row);
    }
    *no = row.no;
    return err;
}

static enum err chain_add(const struct tx *tx, const struct entry *entry,
                          uint64_t sender)
{
    struct chain_row row = {.lsn = entry->lsn, .sender = sender};

    return chain_row_put(tx, entry->conv, entry->seq, &row);
}

/* The first seq a newcomer may read: with history_all everything that no
 * earlier stint of theirs covers, so that stints never overlap. */
static enum err first_visible(const struct tx *tx, const struct entry *entry,
                              bool history_all, uint64_t user_no,
                              uint64_t *from_seq)
{
    struct stint_row before;
    struct scan scan;
    struct key key;
    enum err err;

    *from_seq = history_all ? 1 : entry->seq;
    if (!history_all)
        return ERR_NONE;
    err = scan_open(&scan, tx, TABLE_STINTS);
    if (err)
        return err;
    key_pair(&key, user_no, entry->conv + 1);
    err = scan_before(&scan, &key);
    if (!err && key_begins(scan.key, user_no) &&
        key_part(scan.key, 1) == entry->conv) {
        err = stint_row_read(&before, scan.value);
        if (!err)
            *from_seq = before.to_seq + 1;
    }
    scan_close(&scan);
    return err == ERR_END ? ERR_NONE : err;
}

static enum err let_in(const struct tx *tx, const struct entry *entry,
                       const struct conv_row *conv, struct span user)
{
    struct stint_row stint = {.inbox = conv->inbox, .join_lsn = entry->lsn};
    struct member_row member = {.join_seq = entry->seq};
    enum err err = number_user(tx, entry, user, &member.user_no);

    if (!err)
        err = first_visible(tx, entry, conv->history_all, member.user_no,
                            &stint.from_seq);
    if (!err)
        err =
            stint_row_put(tx, member.user_no, entry->conv, entry->seq, &stint);
    if (!err)
        err = member_row_put(tx, entry->conv, user, &member);
    return err;
}

static enum err add_conversation(const struct tx *tx, const struct entry *entry,
                                 const struct conv_row *row)
{
    unsigned char number[8];
    struct key key;
    enum err err = conv_row_put(tx, entry->conv, row);

    if (err)
        return err;
    key_text(&key, entry->app, entry->conversation);
    u64_put(number, entry->conv);
    return tx_put(tx, TABLE_CONVERSATION_NAMES, &key,
                  (struct span){(const char *)number, sizeof(number)});
}

static enum err create_p2p(const struct tx *tx, const struct entry *entry)
{
    struct conv_row row = {
        .type = CONV_P2P, .app = entry->app, .name = entry->conversation};
    struct conv_name name;
    bool alone;
    struct span other;
    enum err err;

    if (name_parse(&name, entry->conversation) || name.type != CONV_P2P)
        return ERR_DAMAGED;
    alone = span_equal(name.a, name.b);
    other = span_equal(name.a, entry->from) ? name.b : name.a;
    row.inbox = name.inbox;
    row.member_count = alone ? 1 : 2;
    err = let_in(tx, entry, &row, entry->from);
    if (!err && !alone)
        err = let_in(tx, entry, &row, other);
    if (!err)
        err = add_conversation(tx, entry, &row);
    return err;
}

static enum err apply_message(const struct tx *tx, const struct entry *entry,
                              uint64_t from_no)
{
    struct dedup_row dedup = {.lsn = entry->lsn,
                              .conv = entry->conv,
                              .seq = entry->seq,
                              .ts = entry->ts};
    enum err err = ERR_NONE;

    if (entry->conv == entry->lsn)
        err = create_p2p(tx, entry);
    if (!err && from_no == 0)
        err = number_user(tx, entry, entry->from, &from_no);
    if (!err)
        err = chain_add(tx, entry, from_no);
    if (!err && entry->mark)
        err = client_seq_row_put(
            tx, entry->conv, from_no, entry->device,
            &(struct client_seq_row){entry->mark - 1, entry->seq});
    if (err || entry->client_msg_id.size == 0)
        return err;
    entry_content_hash(dedup.hash, entry);
    return dedup_row_put(tx, entry->client_msg_id, from_no, &dedup);
}

static enum err apply_create(const struct tx *tx, const struct entry *entry)
{
    struct conv_row row = {
        .app = entry->app, .name = entry->conversation, .creator = entry->from};
    struct conv_settings settings;
    struct conv_name name;
    struct span json;
    uint64_t creator;
    enum err err = number_user(tx, entry, entry->from, &creator);

    if (err)
        return err;
    if (name_parse(&name, entry->conversation) ||
        conv_settings_read(&settings, entry->body, &json))
        return ERR_DAMAGED;
    row.type = name.type;
    row.inbox = name.inbox;
    row.history_all = settings.history_all;
    row.joinable = settings.joinable;
    row.open = settings.open;
    row.max_age_ms = settings.max_age_ms;
    row.max_count = settings.max_count;
    for (struct span u = {0}; !err && entry_user(entry, &u);) {
        err = let_in(tx, entry, &row, u);
        row.member_count++;
    }
    if (!err)
        err = add_conversation(tx, entry, &row);
    return err ? err : chain_add(tx, entry, 0);
}

static enum err apply_join(const struct tx *tx, const struct entry *entry)
{
    struct conv_row row;
    uint64_t joined = 0;
    enum err err = conv_row_find(tx, entry->conv, &row);

    for (struct span u = {0}; !err && entry_user(entry, &u);) {
        err = let_in(tx, entry, &row, u);
        joined++;
    }
    if (!err) /* again: its texts were borrowed, and the tables have changed */
        err = conv_row_find(tx, entry->conv, &row);
    if (err)
        return presupposed(err);
    row.member_count += joined;
    err = conv_row_put(tx, entry->conv, &row);
    return err ? err : chain_add(tx, entry, 0);
}

static enum err apply_leave(const struct tx *tx, const struct entry *entry)
{
    struct member_row member;
    struct stint_row stint;
    struct conv_row row;
    struct key key;
    enum err err = member_row_find(tx, entry->conv, entry->from, &member);

    if (!err)
        err = stint_row_find(tx, member.user_no, entry->conv, member.join_seq,
                             &stint);
    if (err)
        return presupposed(err);
    stint.to_seq = entry->seq;
    stint.leave_lsn = entry->lsn;
    err =
        stint_row_put(tx, member.user_no, entry->conv, member.join_seq, &stint);
    key_member(&key, entry->conv, entry->from);
    if (!err)
        err = tx_del(tx, TABLE_MEMBERS, &key);
    if (!err)
        err = conv_row_find(tx, entry->conv, &row);
    if (err)
        return presupposed(err);
    row.member_count--;
    err = conv_row_put(tx, entry->conv, &row);
    return err ? err : chain_add(tx, entry, 0);
}

/* The receipt a newer one replaces; it may have been one shown to nobody. */
static enum err drop_receipt(const struct tx *tx, conv_no conv, lsn at)
{
    struct key key;
    enum err err;

    if (at == 0)
        return ERR_NONE;
    key_pair(&key, conv, at);
    err = tx_del(tx, TABLE_RECEIPTS, &key);
    return err == ERR_NOT_FOUND ? ERR_NONE : err;
}

static bool shown(const struct entry *entry)
{
    return entry->kind == ENTRY_READ || entry->audience != TO_OWN_DEVICES;
}

static enum err apply_receipt(const struct tx *tx, const struct entry *entry,
                              uint64_t from_no)
{
    struct receipt_row receipt = {
        .mark = entry->mark, .kind = entry->kind, .audience = entry->audience};
    struct marks_row marks;
    lsn replaced;
    enum err err = ERR_NONE;

    if (from_no == 0)
        err = number_user(tx, entry, entry->from, &from_no);
    if (!err)
        err = marks_row_find(tx, entry->conv, from_no, &marks);
    if (err)
        return err;
    if (entry->kind == ENTRY_READ) {
        replaced = marks.read_lsn;
        marks.read_seq = entry->mark;
        marks.read_lsn = entry->lsn;
    } else {
        replaced = marks.delivered_lsn;
        marks.delivered_seq = entry->mark;
        marks.delivered_lsn = entry->lsn;
    }
    err = marks_row_put(tx, entry->conv, from_no, &marks);
    if (!err)
        err = drop_receipt(tx, entry->conv, replaced);
    if (err || !shown(entry))
        return err;
    receipt.user_no = from_no;
    return receipt_row_put(tx, entry->conv, entry->lsn, &receipt);
}

/* Rows of seq 1..mark leave the chain: all of them when the entry is new, and
 * in a replay those whose log entries were kept. */
static enum err cut_chain(const struct tx *tx, conv_no conv, uint64_t mark)
{
    struct scan scan;
    struct key key;
    enum err err = scan_open(&scan, tx, TABLE_CHAIN);

    if (tx->cache)
        row_cache_end_forget(tx->cache, conv);
    key_pair(&key, conv, 0);
    while (!err) {
        err = scan_from(&scan, &key);
        if (err || !key_begins(scan.key, conv) || key_part(scan.key, 1) > mark)
            break;
        err = scan_del(&scan);
    }
    scan_close(&scan);
    return err == ERR_END ? ERR_NONE : err;
}

/* Rows of messages that are gone: the device may begin anew. */
static enum err cut_client_seqs(const struct tx *tx, conv_no conv,
                                uint64_t mark)
{
    struct client_seq_row row;
    struct scan scan;
    struct key key;
    enum err err = scan_open(&scan, tx, TABLE_CLIENT_SEQS);

    key_number(&key, conv);
    if (!err)
        err = scan_from(&scan, &key);
    while (!err && key_begins(scan.key, conv)) {
        err = client_seq_row_read(&row, scan.value);
        if (err)
            break;
        if (row.seq > mark) {
            err = scan_next(&scan);
            continue;
        }
        key.size = scan.key.size;
        memcpy(key.bytes, scan.key.data, key.size);
        err = scan_del(&scan);
        if (!err)
            err = scan_from(&scan, &key);
    }
    scan_close(&scan);
    return err == ERR_END ? ERR_NONE : err;
}

static enum err apply_trim(const struct tx *tx, const struct entry *entry)
{
    struct conv_row row;
    enum err err = cut_chain(tx, entry->conv, entry->mark);

    if (!err)
        err = cut_client_seqs(tx, entry->conv, entry->mark);
    if (!err)
        err = conv_row_find(tx, entry->conv, &row);
    if (err)
        return presupposed(err);
    row.trimmed_seq = entry->mark;
    row.trimmed_lsn = entry->mark_lsn;
    return conv_row_put(tx, entry->conv, &row);
}

enum err apply_entry(const struct tx *tx, const struct entry *entry,
                     uint64_t from_no)
{
    switch (entry->kind) {
    case ENTRY_MESSAGE:
        return apply_message(tx, entry, from_no);
    case ENTRY_CREATE:
        return apply_create(tx, entry);
    case ENTRY_JOIN:
        return apply_join(tx, entry);
    case ENTRY_LEAVE:
        return apply_leave(tx, entry);
    case ENTRY_READ:
    case ENTRY_DELIVERED:
        return apply_receipt(tx, entry, from_no);
    case ENTRY_TRIM:
        return apply_trim(tx, entry);
    }
    return ERR_DAMAGED;
}
