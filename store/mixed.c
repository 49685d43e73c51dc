/* The mixed chain: a merge, by lsn, of what a user's stints allow. Each stint
 * gives up to three sources: what retention took (one gap), its part of the
 * chain, and, while it is open, the receipts. A heap holds the next lsn of
 * each.
 */
#include "server/base/mem.h"
#include "store/snapshot.h"

#include <assert.h>

enum source_kind { SOURCE_GAP, SOURCE_CHAIN, SOURCE_RECEIPTS };

struct source {
    lsn at; /* of its next element: what the heap orders by */
    enum source_kind kind;
    conv_no conv;
    uint64_t seq, last_seq; /* CHAIN: next and last. GAP: from and to */
};

struct merge {
    struct reader *reader;
    const struct tx *tx;
    struct span user;
    bool user_known; /* looked up already */
    uint64_t user_no;
    lsn upto;
    struct scan chain, receipts, log;
};

/* --- the heap ------------------------------------------------------------ */

static enum err heap_add(struct reader *r, const struct source *source)
{
    size_t at = r->heap_size;

    if (at == r->heap_capacity) {
        size_t capacity = at ? at * 2 : 16;
        void *heap = mem_realloc(r->heap, capacity * sizeof(*r->heap));

        if (!heap)
            return ERR_NOMEM;
        r->heap = heap;
        r->heap_capacity = capacity;
    }
    r->heap_size++;
    while (at > 0 && r->heap[(at - 1) / 2].at > source->at) {
        r->heap[at] = r->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    r->heap[at] = *source;
    return ERR_NONE;
}

/* The top has changed: let it sink to its place. */
static void heap_settle(struct reader *r)
{
    struct source top = r->heap[0];
    size_t at = 0;

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= r->heap_size)
            break;
        if (child + 1 < r->heap_size &&
            r->heap[child + 1].at < r->heap[child].at)
            child++;
        if (r->heap[child].at >= top.at)
            break;
        r->heap[at] = r->heap[child];
        at = child;
    }
    r->heap[at] = top;
}

static void heap_drop(struct reader *r)
{
    r->heap[0] = r->heap[--r->heap_size];
    if (r->heap_size > 0)
        heap_settle(r);
}

/* --- sources ------------------------------------------------------------- */

static enum err chain_at(struct merge *m, struct source *source)
{
    struct chain_row row;
    struct key key;
    enum err err;

    key_pair(&key, source->conv, source->seq);
    err = scan_at(&m->chain, &key);
    if (!err)
        err = chain_row_read(&row, m->chain.value);
    if (err)
        return err == ERR_NOT_FOUND ? ERR_DAMAGED : err;
    source->at = row.lsn;
    return ERR_NONE;
}

static bool receipt_shown(const struct merge *m, const struct receipt_row *row)
{
    bool own = row->user_no == m->user_no;

    if (row->kind == ENTRY_DELIVERED)
        return !own && row->audience != TO_OWN_DEVICES;
    if (row->audience == TO_OWN_DEVICES)
        return own;
    return row->audience != TO_OTHERS || !own;
}

/* The next receipt beyond `pos` that the user is shown; ERR_END: none. */
static enum err receipt_beyond(struct merge *m, struct source *source, lsn pos)
{
    struct receipt_row row;
    struct key key;
    enum err err;

    key_pair(&key, source->conv, pos + 1);
    for (err = scan_from(&m->receipts, &key); !err;
         err = scan_next(&m->receipts)) {
        if (!key_begins(m->receipts.key, source->conv))
            return ERR_END;
        err = receipt_row_read(&row, m->receipts.value);
        if (err)
            return err;
        if (receipt_shown(m, &row)) {
            source->at = key_part(m->receipts.key, 1);
            return ERR_NONE;
        }
    }
    return err;
}

static enum err add_if_due(struct merge *m, const struct source *source)
{
    return source->at <= m->upto ? heap_add(m->reader, source) : ERR_NONE;
}

static enum err add_gap(struct merge *m, const struct stint *stint,
                        const struct conv_row *conv, lsn cursor)
{
    struct source gap = {.at = conv->trimmed_lsn,
                         .kind = SOURCE_GAP,
                         .conv = stint->conv,
                         .seq = stint->from_seq,
                         .last_seq = conv->trimmed_seq};

    if (stint->to_seq > 0 && stint->to_seq <= conv->trimmed_seq) {
        gap.last_seq = stint->to_seq;
        if (stint->leave_lsn > 0)
            gap.at = stint->leave_lsn;
    }
    if (gap.seq > gap.last_seq || gap.at <= cursor)
        return ERR_NONE;
    /* What was trimmed beyond `upto` may lie before it: tell at its end. */
    if (gap.at > m->upto)
        gap.at = m->upto;
    return heap_add(m->reader, &gap);
}

static enum err add_chain(struct merge *m, const struct stint *stint,
                          const struct conv_row *conv, lsn cursor)
{
    struct source source = {.kind = SOURCE_CHAIN, .conv = stint->conv};
    uint64_t from = stint->from_seq;
    lsn last_lsn;
    enum err err = chain_tail(m->tx, stint->conv, &source.last_seq, &last_lsn);

    if (err || last_lsn <= cursor)
        return err;
    if (from <= conv->trimmed_seq)
        from = conv->trimmed_seq + 1;
    if (stint->to_seq > 0 && stint->to_seq < source.last_seq)
        source.last_seq = stint->to_seq;
    if (from > source.last_seq)
        return ERR_NONE;
    err = chain_find_beyond(m->tx, stint->conv, from, source.last_seq, cursor,
                            &source.seq);
    if (err || source.seq > source.last_seq)
        return err;
    err = chain_at(m, &source);
    return err ? err : add_if_due(m, &source);
}

static enum err know_user(struct merge *m, struct span app)
{
    struct user_row row = {0};
    enum err err;

    if (m->user_known)
        return ERR_NONE;
    err = user_row_find(m->tx, app, m->user, &row);
    if (err && err != ERR_NOT_FOUND)
        return err;
    m->user_no = row.no;
    m->user_known = true;
    return ERR_NONE;
}

static enum err add_receipts(struct merge *m, const struct stint *stint,
                             const struct conv_row *conv, lsn cursor)
{
    struct source source = {.kind = SOURCE_RECEIPTS, .conv = stint->conv};
    lsn pos = cursor;
    enum err err;

    if (stint->to_seq > 0 || conv->type == CONV_CHANNEL)
        return ERR_NONE;
    if (!conv->history_all && stint->join_lsn > pos)
        pos = stint->join_lsn;
    err = know_user(m, conv->app);
    if (!err)
        err = receipt_beyond(m, &source, pos);
    if (err)
        return err == ERR_END ? ERR_NONE : err;
    return add_if_due(m, &source);
}

static enum err add_stint(struct merge *m, const struct stint *stint,
                          lsn cursor)
{
    struct conv_row conv;
    enum err err = conv_row_find(m->tx, stint->conv, &conv);

    if (!err)
        err = add_gap(m, stint, &conv, cursor);
    if (!err)
        err = add_chain(m, stint, &conv, cursor);
    if (!err)
        err = add_receipts(m, stint, &conv, cursor);
    return err;
}

/* Step the top source; it leaves the heap when it has no more. */
static enum err advance(struct merge *m)
{
    struct source *top = &m->reader->heap[0];
    enum err err = ERR_END;

    if (top->kind == SOURCE_CHAIN && top->seq < top->last_seq) {
        top->seq++;
        err = chain_at(m, top);
    } else if (top->kind == SOURCE_RECEIPTS) {
        err = receipt_beyond(m, top, top->at);
    }
    if (err && err != ERR_END)
        return err;
    if (err == ERR_END || top->at > m->upto)
        heap_drop(m->reader);
    else
        heap_settle(m->reader);
    return ERR_NONE;
}

/* --- the merge ----------------------------------------------------------- */

static enum err visit_gap(struct merge *m, const struct source *top,
                          gap_visit visit, void *arg, bool *go_on)
{
    struct gap gap = {.conv = top->conv,
                      .from = top->seq,
                      .to = top->last_seq,
                      .at = top->at};
    struct conv_row conv;
    enum err err = conv_row_find(m->tx, top->conv, &conv);

    if (err)
        return err;
    gap.conversation = conv.name;
    gap.app = conv.app;
    *go_on = visit(&gap, arg);
    return ERR_NONE;
}

static enum err visit_entry(struct merge *m, const struct source *top,
                            entry_visit visit, void *arg, bool *go_on)
{
    struct entry entry;
    struct key key;
    enum err err;

    key_log(&key, top->at);
    err = scan_at(&m->log, &key);
    if (!err)
        err = entry_decode(&entry, m->log.value);
    if (err)
        return err == ERR_NOT_FOUND ? ERR_DAMAGED : err;
    *go_on = visit(&entry, m->log.value, arg);
    return ERR_NONE;
}

static enum err run(struct merge *m, lsn *cursor, entry_visit visit,
                    gap_visit gap, void *arg, bool *more)
{
    while (m->reader->heap_size > 0) {
        struct source top = m->reader->heap[0];
        bool go_on = true;
        enum err err = top.kind == SOURCE_GAP
                           ? visit_gap(m, &top, gap, arg, &go_on)
                           : visit_entry(m, &top, visit, arg, &go_on);

        if (err)
            return err;
        *cursor = top.at;
        if (!go_on) {
            *more = true;
            return ERR_NONE;
        }
        err = advance(m);
        if (err)
            return err;
    }
    if (*cursor < m->upto)
        *cursor = m->upto;
    return ERR_NONE;
}

static enum err open_scans(struct merge *m)
{
    enum err err = scan_open(&m->chain, m->tx, TABLE_CHAIN);

    if (!err)
        err = scan_open(&m->receipts, m->tx, TABLE_RECEIPTS);
    if (!err)
        err = scan_open(&m->log, m->tx, TABLE_LOG);
    return err;
}

static void close_scans(struct merge *m)
{
    scan_close(&m->chain);
    scan_close(&m->receipts);
    scan_close(&m->log);
}

enum err mixed_read(struct reader *reader, struct span user,
                    const struct stint *stints, size_t count, lsn *cursor,
                    lsn upto, entry_visit visit, gap_visit gap, void *arg,
                    bool *more)
{
    struct merge m = {
        .reader = reader, .tx = &reader->tx, .user = user, .upto = upto};
    enum err err;

    assert(reader->begun);
    *more = false;
    if (*cursor >= upto)
        return ERR_NONE;
    reader->heap_size = 0;
    err = open_scans(&m);
    for (size_t i = 0; !err && i < count; i++)
        err = add_stint(&m, &stints[i], *cursor);
    if (!err)
        err = run(&m, cursor, visit, gap, arg, more);
    close_scans(&m);
    return err;
}
