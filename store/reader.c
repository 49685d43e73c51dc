/* Snapshots and lookups. See reader.h. */
#include "store/reader.h"

#include "server/base/mem.h"
#include "store/snapshot.h"

#include <assert.h>

enum err reader_create(struct reader **out, struct store *store)
{
    struct reader *reader = mem_zalloc(sizeof(*reader));
    enum err err;

    if (!reader)
        return ERR_NOMEM;
    reader->store = store;
    err = tx_begin(&reader->tx, &store->env, false);
    if (err) {
        mem_free(reader);
        return err;
    }
    tx_park(&reader->tx);
    *out = reader;
    return ERR_NONE;
}

void reader_destroy(struct reader *reader)
{
    if (!reader)
        return;
    tx_abort(&reader->tx);
    mem_free(reader->heap);
    mem_free(reader);
}

enum err reader_begin(struct reader *reader)
{
    enum err err;

    assert(!reader->begun);
    err = tx_renew(&reader->tx);
    reader->begun = !err;
    return err;
}

void reader_end(struct reader *reader)
{
    if (!reader->begun)
        return;
    tx_park(&reader->tx);
    reader->begun = false;
}

/* --- conversations ------------------------------------------------------- */

/* The newest receipt shown to anybody; 0 when there is none. */
static enum err newest_receipt(const struct tx *tx, conv_no no, lsn *at)
{
    struct scan scan;
    struct key key;
    enum err err = scan_open(&scan, tx, TABLE_RECEIPTS);

    *at = 0;
    if (err)
        return err;
    key_pair(&key, no + 1, 0);
    err = scan_before(&scan, &key);
    if (!err && key_begins(scan.key, no))
        *at = key_part(scan.key, 1);
    scan_close(&scan);
    return err == ERR_END ? ERR_NONE : err;
}

static enum err describe(const struct tx *tx, conv_no no,
                         const struct conv_row *row, struct conversation *out)
{
    struct entry create = {0};
    enum err err = ERR_NONE;

    *out = (struct conversation){
        .no = no,
        .type = row->type,
        .inbox = row->inbox,
        .app = row->app,
        .name = row->name,
        .creator = row->creator,
        .history_all = row->history_all,
        .joinable = row->joinable,
        .open = row->open,
        .max_age_ms = row->max_age_ms,
        .max_count = row->max_count,
        .trimmed_seq = row->trimmed_seq,
        .trimmed_lsn = row->trimmed_lsn,
        .member_count = row->member_count,
    };
    if (row->type != CONV_P2P)
        err = log_find(tx, no, &create, NULL);
    out->body = create.body;
    if (!err)
        err = chain_tail(tx, no, &out->last_seq, &out->last_lsn);
    if (!err && row->type != CONV_CHANNEL)
        err = newest_receipt(tx, no, &out->receipt_lsn);
    return err;
}

enum err reader_conversation(struct reader *reader, struct span app,
                             struct span name, struct conversation *out)
{
    conv_no no;
    enum err err = conv_no_find(&reader->tx, app, name, &no);

    return err ? err : reader_conversation_no(reader, app, no, out);
}

enum err reader_conversation_no(struct reader *reader, struct span app,
                                conv_no no, struct conversation *out)
{
    struct conv_row row;
    enum err err;

    assert(reader->begun);
    err = conv_row_find(&reader->tx, no, &row);
    if (err)
        return err;
    if (!span_equal(row.app, app))
        return ERR_NOT_FOUND;
    return describe(&reader->tx, no, &row, out);
}

/* --- stints and members -------------------------------------------------- */

static enum err stint_of(const struct scan *scan, struct stint *out)
{
    struct stint_row row;
    enum err err =
        scan->key.size == 24 ? stint_row_read(&row, scan->value) : ERR_DAMAGED;

    if (err)
        return err;
    *out = (struct stint){
        .conv = key_part(scan->key, 1),
        .inbox = row.inbox,
        .from_seq = row.from_seq,
        .join_seq = key_part(scan->key, 2),
        .to_seq = row.to_seq,
        .join_lsn = row.join_lsn,
        .leave_lsn = row.leave_lsn,
    };
    return ERR_NONE;
}

enum err reader_stints(struct reader *reader, struct span app, struct span user,
                       stint_visit visit, void *arg)
{
    struct user_row who;
    struct scan scan;
    struct stint stint;
    struct key key;
    enum err err;

    assert(reader->begun);
    err = user_row_find(&reader->tx, app, user, &who);
    if (err)
        return err == ERR_NOT_FOUND ? ERR_NONE : err;
    err = scan_open(&scan, &reader->tx, TABLE_STINTS);
    if (err)
        return err;
    key_number(&key, who.no);
    for (err = scan_from(&scan, &key); !err && key_begins(scan.key, who.no);
         err = scan_next(&scan)) {
        err = stint_of(&scan, &stint);
        if (err || !visit(&stint, arg))
            break;
    }
    scan_close(&scan);
    return err == ERR_END ? ERR_NONE : err;
}

/* Newest last, so the oldest fall out when there are more than `max`. */
static void keep_newest(struct stint *out, size_t max, size_t *count,
                        const struct stint *stint)
{
    if (max == 0)
        return;
    if (*count == max) {
        for (size_t i = 1; i < max; i++)
            out[i - 1] = out[i];
        --*count;
    }
    out[(*count)++] = *stint;
}

enum err reader_stints_in(struct reader *reader, struct span app,
                          struct span user, conv_no conv, struct stint *out,
                          size_t max, size_t *count)
{
    struct user_row who;
    struct scan scan;
    struct key key;
    enum err err;

    assert(reader->begun);
    *count = 0;
    err = user_row_find(&reader->tx, app, user, &who);
    if (err)
        return err == ERR_NOT_FOUND ? ERR_NONE : err;
    err = scan_open(&scan, &reader->tx, TABLE_STINTS);
    if (err)
        return err;
    key_pair(&key, who.no, conv);
    for (err = scan_from(&scan, &key); !err; err = scan_next(&scan)) {
        struct stint stint;

        if (!key_begins(scan.key, who.no) || key_part(scan.key, 1) != conv)
            break;
        err = stint_of(&scan, &stint);
        if (err)
            break;
        keep_newest(out, max, count, &stint);
    }
    scan_close(&scan);
    return err == ERR_END ? ERR_NONE : err;
}

static struct marks marks_of(const struct marks_row *row)
{
    return (struct marks){
        .read_seq = row->read_seq,
        .delivered_seq = row->delivered_seq,
        .read_lsn = row->read_lsn,
        .delivered_lsn = row->delivered_lsn,
    };
}

enum err reader_marks(struct reader *reader, struct span app, struct span user,
                      conv_no conv, struct marks *out)
{
    struct marks_row row = {0};
    struct user_row who;
    enum err err;

    assert(reader->begun);
    *out = (struct marks){0};
    err = user_row_find(&reader->tx, app, user, &who);
    if (!err)
        err = marks_row_find(&reader->tx, conv, who.no, &row);
    if (err)
        return err == ERR_NOT_FOUND ? ERR_NONE : err;
    *out = marks_of(&row);
    return ERR_NONE;
}

static enum err member_of(const struct tx *tx, conv_no conv,
                          const struct conv_row *row, const struct scan *scan,
                          struct member *out)
{
    struct member_row member;
    struct marks_row marks;
    enum err err = member_row_read(&member, scan->value);

    if (!err)
        err = marks_row_find(tx, conv, member.user_no, &marks);
    if (err)
        return err;
    out->user = (struct span){scan->key.data + 8, scan->key.size - 8};
    out->creator = span_equal(out->user, row->creator);
    out->marks = marks_of(&marks);
    return ERR_NONE;
}

enum err reader_members(struct reader *reader, conv_no conv, member_visit visit,
                        void *arg)
{
    struct conv_row row;
    struct scan scan;
    struct member member;
    struct key key;
    enum err err;

    assert(reader->begun);
    err = conv_row_find(&reader->tx, conv, &row);
    if (!err)
        err = scan_open(&scan, &reader->tx, TABLE_MEMBERS);
    if (err)
        return err;
    key_number(&key, conv);
    for (err = scan_from(&scan, &key); !err && key_begins(scan.key, conv);
         err = scan_next(&scan)) {
        err = member_of(&reader->tx, conv, &row, &scan, &member);
        if (err || !visit(&member, arg))
            break;
    }
    scan_close(&scan);
    return err == ERR_END ? ERR_NONE : err;
}
