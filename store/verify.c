/* Verify: every invariant of docs/FORMAT.md, section "What check checks". The
 * log is read once from its beginning, each entry is checked against what came
 * before it and applied to a shadow store in a scratch file; then each derived
 * table must equal the shadow's, byte for byte.
 */
#include "store/apply.h"
#include "store/inside.h"
#include "store/trim.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHADOW_COMMIT 10000 /* entries; bounds the memory of a transaction */

struct verify {
    const struct store_check *check;
    struct tx live, shadow;
    struct env shadow_env;
    uint64_t found, done, total;
    uint64_t missing; /* lsns that the log does not have */
    uint64_t kept;    /* entries whose seq was trimmed, yet are in the log */
};

/* The entry being checked, and what the tables say of its conversation. */
struct subject {
    const struct entry *entry;
    struct conv_row live;   /* zeros when there is none */
    struct conv_row before; /* the shadow's, before this entry */
    bool exists;            /* in the shadow */
    uint64_t last_seq;      /* likewise */
};

static void report(struct verify *v, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void report(struct verify *v, const char *fmt, ...)
{
    char text[512];
    va_list args;

    v->found++;
    if (!v->check || !v->check->finding)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    v->check->finding(text, v->check->arg);
}

static void step(struct verify *v)
{
    v->done++;
    if (v->check && v->check->progress)
        v->check->progress(v->done, v->total, v->check->arg);
}

static unsigned long long ull(uint64_t number)
{
    return number;
}

static void blame(struct verify *v, const struct entry *entry,
                  const char *words)
{
    report(v, "log %llu (%.*s seq %llu): %s", ull(entry->lsn),
           (int)entry->conversation.size, entry->conversation.data,
           ull(entry->seq), words);
}

/* ERR_NOT_FOUND becomes an answer. */
static enum err exists(enum err err, bool *yes)
{
    *yes = err == ERR_NONE;
    return err == ERR_NOT_FOUND ? ERR_NONE : err;
}

/* --- one entry against what came before it ------------------------------- */

static bool takes_seq(const struct entry *entry)
{
    return entry->kind <= ENTRY_LEAVE;
}

static enum err learn(struct verify *v, struct subject *s)
{
    const struct entry *entry = s->entry;
    lsn at;
    bool live;
    enum err err =
        exists(conv_row_find(&v->live, entry->conv, &s->live), &live);

    if (!err)
        err = exists(conv_row_find(&v->shadow, entry->conv, &s->before),
                     &s->exists);
    if (!err)
        err = chain_tail(&v->shadow, entry->conv, &s->last_seq, &at);
    if (!live)
        s->live = (struct conv_row){0};
    return err;
}

static void check_conversation(struct verify *v, const struct subject *s)
{
    const struct entry *entry = s->entry;

    if (entry->conv == entry->lsn) {
        if (entry->kind != ENTRY_CREATE && entry->kind != ENTRY_MESSAGE)
            blame(v, entry, "creates a conversation, which its kind cannot");
    } else if (entry->kind == ENTRY_CREATE) {
        blame(v, entry, "a conversation's number is not its creator's lsn");
    } else if (!s->exists) {
        blame(v, entry, "its conversation was never created");
    } else if (!span_equal(entry->app, s->before.app) ||
               !span_equal(entry->conversation, s->before.name)) {
        blame(v, entry, "its conversation's number belongs to another one");
    }
}

/* Seqs run 1, 2, 3 …; only trimmed ones may be absent. */
static void check_seq(struct verify *v, const struct subject *s)
{
    const struct entry *entry = s->entry;
    uint64_t last = s->last_seq;

    if (!takes_seq(entry)) {
        if (entry->seq != 0)
            blame(v, entry, "has a seq, which its kind does not take");
        return;
    }
    if (s->exists && s->before.trimmed_seq > last)
        last = s->before.trimmed_seq;
    if (entry->seq <= last)
        blame(v, entry, "its seq is not beyond the one before it");
    else if (entry->seq > last + 1 && entry->seq - 1 > s->live.trimmed_seq)
        blame(v, entry, "seqs are missing before it");
    if (entry->seq <= s->live.trimmed_seq)
        v->kept++;
}

static void check_stub(struct verify *v, const struct subject *s)
{
    const struct entry *entry = s->entry;
    bool stub = entry->flags & ENTRY_TRIMMED;

    if (entry->kind != ENTRY_MESSAGE)
        return;
    if (stub && entry->seq > s->live.trimmed_seq)
        blame(v, entry, "a stub, but nothing trimmed it");
    if (!stub && entry->seq <= s->live.trimmed_seq)
        blame(v, entry, "trimmed, but still whole");
}

static enum err is_in(struct verify *v, const struct subject *s,
                      struct span user, bool *in)
{
    struct member_row row;

    return exists(member_row_find(&v->shadow, s->entry->conv, user, &row), in);
}

static enum err check_membership(struct verify *v, const struct subject *s)
{
    const struct entry *entry = s->entry;
    struct conv_name name;
    bool in = true;
    enum err err = ERR_NONE;

    if (name_parse(&name, entry->conversation)) {
        blame(v, entry, "its conversation's name is malformed");
        return ERR_NONE;
    }
    if (entry->kind == ENTRY_JOIN) {
        for (struct span u = {0}; !err && entry_user(entry, &u);) {
            err = is_in(v, s, u, &in);
            if (!err && in)
                blame(v, entry, "lets somebody in who is in already");
        }
        return err;
    }
    if (entry->kind == ENTRY_CREATE || entry->kind == ENTRY_TRIM)
        return ERR_NONE;
    if (name.type == CONV_P2P)
        in = span_equal(entry->from, name.a) || span_equal(entry->from, name.b);
    else if (name.type == CONV_GROUP)
        err = is_in(v, s, entry->from, &in);
    if (!err && !in)
        blame(v, entry, "its sender was not a member");
    return err;
}

static enum err check_dedup(struct verify *v, const struct entry *entry)
{
    struct user_row user;
    struct dedup_row row;
    bool known;
    enum err err;

    if (entry->kind != ENTRY_MESSAGE || entry->client_msg_id.size == 0)
        return ERR_NONE;
    err = exists(user_row_find(&v->shadow, entry->app, entry->from, &user),
                 &known);
    if (err || !known)
        return err;
    err =
        exists(dedup_row_find(&v->shadow, entry->client_msg_id, user.no, &row),
               &known);
    if (!err && known)
        blame(v, entry, "its client_msg_id was already used");
    return err;
}

/* Not that there is no gap: the one between may have been trimmed. */
static enum err check_client_seq(struct verify *v, const struct entry *entry)
{
    struct client_seq_row last;
    struct user_row user;
    bool known;
    enum err err;

    if (entry->kind != ENTRY_MESSAGE || !entry->mark)
        return ERR_NONE;
    err = exists(user_row_find(&v->shadow, entry->app, entry->from, &user),
                 &known);
    if (!err && known)
        err = exists(client_seq_row_find(&v->shadow, entry->conv, user.no,
                                         entry->device, &last),
                     &known);
    if (!err && known && entry->mark - 1 <= last.client_seq)
        blame(v, entry, "its client_seq is not beyond the one before it");
    return err;
}

static enum err check_marks(struct verify *v, const struct subject *s)
{
    const struct entry *entry = s->entry;
    struct marks_row marks;
    struct user_row user;
    bool known;
    enum err err;

    if (entry->kind == ENTRY_TRIM) {
        if (entry->mark <= s->before.trimmed_seq ||
            entry->mark > s->live.trimmed_seq || entry->mark_lsn >= entry->lsn)
            blame(v, entry, "its mark is out of order");
        return ERR_NONE;
    }
    if (entry->kind != ENTRY_READ && entry->kind != ENTRY_DELIVERED)
        return ERR_NONE;
    err = exists(user_row_find(&v->shadow, entry->app, entry->from, &user),
                 &known);
    if (!err && known)
        err = marks_row_find(&v->shadow, entry->conv, user.no, &marks);
    if (err)
        return err;
    if (!known)
        blame(v, entry, "its user was never seen before");
    else if (entry->mark <=
             (entry->kind == ENTRY_READ ? marks.read_seq : marks.delivered_seq))
        blame(v, entry, "its mark is not beyond the one before it");
    return ERR_NONE;
}

static enum err check_fit(struct verify *v, const struct entry *entry)
{
    struct subject s = {.entry = entry};
    enum err err = learn(v, &s);

    if (err)
        return err;
    check_conversation(v, &s);
    check_seq(v, &s);
    check_stub(v, &s);
    err = check_membership(v, &s);
    if (!err)
        err = check_dedup(v, entry);
    if (!err)
        err = check_client_seq(v, entry);
    if (!err)
        err = check_marks(v, &s);
    return err;
}

/* --- the log -------------------------------------------------------------- */

static enum err check_entry(struct verify *v, lsn at, struct span bytes)
{
    struct entry entry;
    enum err err;

    if (entry_decode(&entry, bytes)) {
        report(v, "log %llu: not an entry", ull(at));
        return ERR_NONE;
    }
    if (!entry_intact(bytes))
        report(v, "log %llu: its checksum is wrong", ull(at));
    if (entry.lsn != at) {
        report(v, "log %llu: it says that its lsn is %llu", ull(at),
               ull(entry.lsn));
        return ERR_NONE;
    }
    err = check_fit(v, &entry);
    if (!err)
        err = apply_entry(&v->shadow, &entry, 0);
    if (err == ERR_DAMAGED) {
        blame(v, &entry, "does not fit what came before it");
        return ERR_NONE;
    }
    return err;
}

static enum err renew_shadow(struct verify *v)
{
    enum err err = tx_commit(&v->shadow);

    return err ? err : tx_begin(&v->shadow, &v->shadow_env, true);
}

static enum err check_log(struct verify *v)
{
    uint64_t entries = 0;
    struct scan scan;
    lsn before = 0;
    enum err err = scan_open(&scan, &v->live, TABLE_LOG);

    if (err)
        return err;
    for (err = scan_first(&scan); !err; err = scan_next(&scan)) {
        lsn at = key_log_get(scan.key);

        v->missing += at - before - 1;
        before = at;
        err = check_entry(v, at, scan.value);
        if (!err && ++entries % SHADOW_COMMIT == 0)
            err = renew_shadow(v);
        if (err)
            break;
        step(v);
    }
    scan_close(&scan);
    return err == ERR_END ? ERR_NONE : err;
}

/* Each lsn that is absent is one trimmed message that left no stub. */
static enum err check_missing(struct verify *v)
{
    uint64_t trimmed = 0;
    struct conv_row row;
    struct scan scan;
    enum err err = scan_open(&scan, &v->live, TABLE_CONVERSATIONS);

    if (err)
        return err;
    for (err = scan_first(&scan); !err; err = scan_next(&scan))
        if (conv_row_read(&row, scan.value) == ERR_NONE)
            trimmed += row.trimmed_seq;
    scan_close(&scan);
    if (err != ERR_END)
        return err;
    if (trimmed - v->kept != v->missing)
        report(v, "log: %llu entries are missing, but retention took %llu",
               ull(v->missing), ull(trimmed - v->kept));
    return ERR_NONE;
}

/* --- chains, read as they are --------------------------------------------- */

struct walk {
    conv_no conv;
    uint64_t seq;
    lsn at;
};

static enum err check_link(struct verify *v, struct walk *walk,
                           const struct scan *scan)
{
    struct chain_row row;
    struct entry entry;
    uint64_t seq;
    enum err err;

    if (scan->key.size != 16 || chain_row_read(&row, scan->value)) {
        report(v, "chain: a malformed row");
        return ERR_NONE;
    }
    seq = key_part(scan->key, 1);
    if (key_part(scan->key, 0) == walk->conv &&
        (seq != walk->seq + 1 || row.lsn <= walk->at))
        report(v, "chain: conversation %llu goes from seq %llu to %llu",
               ull(walk->conv), ull(walk->seq), ull(seq));
    *walk = (struct walk){key_part(scan->key, 0), seq, row.lsn};
    err = log_find(&v->live, row.lsn, &entry, NULL);
    if (err == ERR_DAMAGED ||
        (!err && (entry.conv != walk->conv || entry.seq != seq))) {
        report(v,
               "chain: conversation %llu seq %llu points at lsn %llu, "
               "which is not it",
               ull(walk->conv), ull(seq), ull(row.lsn));
        return ERR_NONE;
    }
    return err;
}

static enum err check_chains(struct verify *v)
{
    struct walk walk = {0};
    struct scan scan;
    enum err err = scan_open(&scan, &v->live, TABLE_CHAIN);

    if (err)
        return err;
    for (err = scan_first(&scan); !err; err = scan_next(&scan)) {
        err = check_link(v, &walk, &scan);
        if (err)
            break;
    }
    scan_close(&scan);
    return err == ERR_END ? ERR_NONE : err;
}

/* --- derived tables against the shadow ------------------------------------ */

static void report_row(struct verify *v, enum table table, struct span key,
                       const char *words)
{
    char hex[2 * KEY_MAX_BYTES + 1];
    size_t size = key.size < KEY_MAX_BYTES ? key.size : KEY_MAX_BYTES;

    for (size_t i = 0; i < size; i++)
        snprintf(hex + 2 * i, 3, "%02x", (unsigned char)key.data[i]);
    hex[2 * size] = '\0';
    report(v, "%s: row %s %s", table_name(table), hex, words);
}

static int key_order(struct span a, struct span b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = memcmp(a.data, b.data, common);

    if (order != 0)
        return order;
    return (a.size > b.size) - (a.size < b.size);
}

/* Two scans side by side; either may be at its end. */
static enum err compare_rows(struct verify *v, enum table table,
                             struct scan *live, struct scan *made)
{
    enum err a = scan_first(live), b = scan_first(made);

    for (;;) {
        int order;

        if ((a && a != ERR_END) || (b && b != ERR_END))
            return a && a != ERR_END ? a : b;
        if (a && b)
            return ERR_NONE;
        order = a ? 1 : b ? -1 : key_order(live->key, made->key);
        if (order < 0)
            report_row(v, table, live->key, "is not accounted for by the log");
        else if (order > 0)
            report_row(v, table, made->key, "is missing");
        else if (!span_equal(live->value, made->value))
            report_row(v, table, live->key, "is not what the log says");
        if (order <= 0) {
            a = scan_next(live);
            step(v);
        }
        if (order >= 0)
            b = scan_next(made);
    }
}

static enum err compare_tables(struct verify *v)
{
    enum err err = ERR_NONE;

    for (int t = 0; !err && t < TABLE_COUNT; t++) {
        struct scan live = {0}, made = {0};

        if (!table_is_derived((enum table)t))
            continue;
        err = scan_open(&live, &v->live, (enum table)t);
        if (!err)
            err = scan_open(&made, &v->shadow, (enum table)t);
        if (!err)
            err = compare_rows(v, (enum table)t, &live, &made);
        scan_close(&live);
        scan_close(&made);
    }
    return err;
}

/* --- all ------------------------------------------------------------------ */

/* The scratch file has no name any more once it is open. */
static enum err open_shadow(struct verify *v, uint64_t map_size_bytes,
                            struct failure *why)
{
    const char *dir = getenv("TMPDIR");
    struct env_options options = {
        .map_size_bytes = map_size_bytes, .no_sync = true, .no_lock = true};
    char file[256];
    int fd;
    enum err err;

    snprintf(file, sizeof(file), "%s/rung-check-XXXXXX",
             dir && *dir ? dir : "/tmp");
    fd = mkstemp(file);
    if (fd < 0)
        return fail(why, env_translate(errno), "%s: no scratch file: %s", file,
                    strerror(errno));
    close(fd);
    options.file = file;
    err = env_open(&v->shadow_env, &options, why);
    unlink(file);
    if (err)
        return err;
    err = env_open_tables(&v->shadow_env, true);
    if (!err)
        err = tx_begin(&v->shadow, &v->shadow_env, true);
    return err ? fail_plain(why, err) : ERR_NONE;
}

static enum err count_rows(struct verify *v)
{
    enum err err = ERR_NONE;

    for (int t = 0; !err && t < TABLE_COUNT; t++) {
        uint64_t rows = 0;

        if (t != TABLE_META)
            err = tx_count(&v->live, (enum table)t, &rows);
        v->total += rows;
    }
    return err;
}

static enum err check_all(struct verify *v)
{
    enum err err = count_rows(v);

    if (!err)
        err = check_log(v);
    if (!err)
        err = check_missing(v);
    if (!err)
        err = check_chains(v);
    if (!err)
        err = compare_tables(v);
    return err;
}

enum err store_verify(struct store *store, const struct store_check *check,
                      uint64_t *found, struct failure *why)
{
    struct verify v = {.check = check};
    uint64_t used, size;
    enum err err;

    *found = 0;
    store_usage(store, &used, &size);
    err = open_shadow(&v, size > used ? size : used, why);
    if (!err) {
        err = tx_begin(&v.live, &store->env, false);
        if (!err)
            err = check_all(&v);
        if (err)
            fail(why, err, "%s could not be checked: %s", store->dir,
                 err_text(err));
    }
    tx_abort(&v.shadow);
    tx_abort(&v.live);
    env_close(&v.shadow_env);
    *found = v.found;
    return err;
}
