/* What retention should forget now. It only finds; a TRIM entry forgets. */
#include "store/decide.h"
#include "store/snapshot.h"

#include <assert.h>

struct limits {
    uint64_t now_ms, max_age_ms, max_count;
};

/* The last of the oldest entries, one after the other too old, up to `most`. */
static enum err too_old(const struct tx *tx, conv_no no, uint64_t trimmed,
                        uint64_t most, uint64_t before_ms, uint64_t *mark)
{
    for (uint64_t seq = trimmed + 1; seq <= most; seq++) {
        struct chain_row row;
        struct entry entry;
        enum err err = chain_row_find(tx, no, seq, &row);

        if (!err)
            err = log_find(tx, row.lsn, &entry, NULL);
        if (err)
            return err == ERR_NOT_FOUND ? ERR_DAMAGED : err;
        if (entry.ts >= before_ms)
            break;
        *mark = seq;
    }
    return ERR_NONE;
}

static enum err find_mark(const struct tx *tx, conv_no no,
                          const struct conv_row *row,
                          const struct limits *limits, uint64_t *mark)
{
    uint64_t age = row->max_age_ms ? row->max_age_ms : limits->max_age_ms;
    uint64_t count = row->max_count ? row->max_count : limits->max_count;
    uint64_t last, most;
    lsn at;
    enum err err;

    *mark = row->trimmed_seq;
    if (age == 0 && count == 0)
        return ERR_NONE;
    err = chain_tail(tx, no, &last, &at);
    if (err || last <= row->trimmed_seq + 1)
        return err;
    most = last - 1;
    if (most > row->trimmed_seq + TRIM_MAX)
        most = row->trimmed_seq + TRIM_MAX;
    if (count > 0 && last > count && last - count > *mark)
        *mark = last - count;
    if (*mark > most)
        *mark = most;
    if (age == 0 || age > limits->now_ms)
        return ERR_NONE;
    return too_old(tx, no, *mark, most, limits->now_ms - age, mark);
}

enum err retention_find(struct reader *reader, uint64_t now_ms,
                        uint64_t max_age_ms, uint64_t max_count, conv_no *start,
                        size_t limit, trim_visit visit, void *arg)
{
    struct limits limits = {now_ms, max_age_ms, max_count};
    struct scan scan;
    struct key key;
    enum err err;

    assert(reader->begun);
    err = scan_open(&scan, &reader->tx, TABLE_CONVERSATIONS);
    if (err)
        return err;
    key_number(&key, *start);
    *start = 0;
    for (err = scan_from(&scan, &key); !err; err = scan_next(&scan)) {
        conv_no no = key_part(scan.key, 0);
        struct conv_row row;
        uint64_t mark;

        if (limit-- == 0) {
            *start = no;
            break;
        }
        err = conv_row_read(&row, scan.value);
        if (!err)
            err = find_mark(&reader->tx, no, &row, &limits, &mark);
        if (err)
            break;
        if (mark > row.trimmed_seq && !visit(row.app, row.name, mark, arg)) {
            *start = no + 1;
            break;
        }
    }
    scan_close(&scan);
    return err == ERR_END ? ERR_NONE : err;
}
