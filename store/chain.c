/* One conversation's seqs as an index into the log. See reader.h. */
#include "store/snapshot.h"

#include <assert.h>

static enum err visit_at(const struct tx *tx, const struct scan *scan,
                         entry_visit visit, void *arg, bool *go_on)
{
    struct chain_row row;
    struct entry entry;
    struct span bytes;
    enum err err = chain_row_read(&row, scan->value);

    if (!err)
        err = log_find(tx, row.lsn, &entry, &bytes);
    if (!err)
        *go_on = visit(&entry, bytes, arg);
    return err;
}

static enum err start(struct scan *scan, conv_no conv, uint64_t from,
                      uint64_t to, bool descending)
{
    struct key key;

    if (!descending) {
        key_pair(&key, conv, from);
        return scan_from(scan, &key);
    }
    if (to == UINT64_MAX)
        key_pair(&key, conv + 1, 0);
    else
        key_pair(&key, conv, to + 1);
    return scan_before(scan, &key);
}

enum err chain_read(struct reader *reader, conv_no conv, uint64_t from,
                    uint64_t to, bool descending, entry_visit visit, void *arg)
{
    struct scan scan;
    bool go_on = true;
    enum err err;

    assert(reader->begun);
    err = scan_open(&scan, &reader->tx, TABLE_CHAIN);
    if (err)
        return err;
    err = start(&scan, conv, from, to, descending);
    while (!err) {
        uint64_t seq = key_part(scan.key, 1);

        if (!key_begins(scan.key, conv) || seq < from || seq > to)
            break;
        err = visit_at(&reader->tx, &scan, visit, arg, &go_on);
        if (err || !go_on)
            break;
        err = descending ? scan_prev(&scan) : scan_next(&scan);
    }
    scan_close(&scan);
    return err == ERR_END ? ERR_NONE : err;
}

enum err reader_count_unread(struct reader *reader, struct span app,
                             struct span user, conv_no conv, uint64_t from,
                             uint64_t to, uint64_t *count)
{
    struct user_row who = {0};
    struct chain_row row;
    struct scan scan;
    enum err err;

    assert(reader->begun);
    *count = 0;
    err = user_row_find(&reader->tx, app, user, &who);
    if (err && err != ERR_NOT_FOUND)
        return err;
    err = scan_open(&scan, &reader->tx, TABLE_CHAIN);
    if (err)
        return err;
    for (err = start(&scan, conv, from, to, false); !err;
         err = scan_next(&scan)) {
        if (!key_begins(scan.key, conv) || key_part(scan.key, 1) > to)
            break;
        err = chain_row_read(&row, scan.value);
        if (err)
            break;
        *count += row.sender != 0 && row.sender != who.no;
    }
    scan_close(&scan);
    return err == ERR_END ? ERR_NONE : err;
}

static enum err beyond(const struct tx *tx, conv_no conv, uint64_t seq, lsn pos,
                       bool *yes)
{
    struct chain_row row;
    enum err err = chain_row_find(tx, conv, seq, &row);

    if (err)
        return err == ERR_NOT_FOUND ? ERR_DAMAGED : err;
    *yes = row.lsn > pos;
    return ERR_NONE;
}

enum err chain_find_beyond(const struct tx *tx, conv_no conv, uint64_t from,
                           uint64_t to, lsn pos, uint64_t *seq)
{
    uint64_t low = from, high = to + 1; /* the answer is in low..high */
    uint64_t step = 1;
    bool yes;
    enum err err;

    while (low < high && high - low > step) { /* gallop back */
        err = beyond(tx, conv, high - step, pos, &yes);
        if (err)
            return err;
        if (!yes) {
            low = high - step + 1;
            break;
        }
        high -= step;
        step *= 2;
    }
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        err = beyond(tx, conv, middle, pos, &yes);
        if (err)
            return err;
        if (yes)
            high = middle;
        else
            low = middle + 1;
    }
    *seq = low;
    return ERR_NONE;
}

enum err reader_seq_at(struct reader *reader, conv_no conv, lsn pos,
                       uint64_t *seq)
{
    uint64_t last, first;
    struct conv_row row;
    lsn at;
    enum err err;

    assert(reader->begun);
    *seq = 0;
    err = conv_row_find(&reader->tx, conv, &row);
    if (!err)
        err = chain_tail(&reader->tx, conv, &last, &at);
    if (!err)
        err = chain_find_beyond(&reader->tx, conv, row.trimmed_seq + 1, last,
                                pos, &first);
    if (err)
        return err;
    *seq = first > row.trimmed_seq + 1 ? first - 1 : 0;
    return ERR_NONE;
}

enum err reader_lsn_of(struct reader *reader, conv_no conv, uint64_t seq,
                       lsn *out)
{
    struct chain_row row;
    enum err err;

    assert(reader->begun);
    err = chain_row_find(&reader->tx, conv, seq, &row);
    if (!err)
        *out = row.lsn;
    return err;
}

enum err receipts_read(struct reader *reader, conv_no conv, lsn at,
                       size_t limit, entry_visit visit, void *arg)
{
    struct entry entry;
    struct scan scan;
    struct key key;
    enum err err;

    assert(reader->begun);
    err = scan_open(&scan, &reader->tx, TABLE_LOG);
    key_log(&key, at + 1);
    if (!err)
        err = scan_from(&scan, &key);
    while (!err && limit-- > 0) {
        err = entry_decode(&entry, scan.value);
        if (err ||
            (entry.conv == conv &&
             (entry.kind == ENTRY_READ || entry.kind == ENTRY_DELIVERED) &&
             !visit(&entry, scan.value, arg)))
            break;
        err = scan_next(&scan);
    }
    scan_close(&scan);
    return err == ERR_END ? ERR_NONE : err;
}
