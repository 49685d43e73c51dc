/* Random workloads against a plain model: what each user sees on the mixed
 * chain from any cursor, and that the log alone makes the same tables again.
 */
#include "server/base/mem.h"
#include "tests/lib/given_store.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define USERS 7
#define CONVS 10
#define RECORDS 6000
#define STINTS 400
#define DEVICES 2

/* --- the model ------------------------------------------------------------ */

struct record {
    enum entry_kind kind;
    uint64_t seq, mark;
    int conv, from;
    enum audience audience;
    bool newest; /* of its kind by its user here; receipts only */
    char body[12];
};

struct model_stint {
    int user;
    uint64_t from, join, to;
    lsn join_lsn, leave_lsn;
};

struct model_conv {
    const char *name;
    const char *flags;
    bool exists;
    uint64_t last_seq, trimmed_seq;
    lsn trimmed_lsn;
    lsn lsns[RECORDS]; /* of each seq */
    lsn marks[USERS][2];
    struct model_stint stints[STINTS];
    int stint_count;
    struct {
        uint64_t last, seq; /* the client_seq plus one, and its message's */
    } numbers[USERS][DEVICES];
};

struct model {
    struct given *given;
    unsigned seed, disordered;
    struct record records[RECORDS]; /* by lsn */
    lsn head;
    struct model_conv convs[CONVS];
    char texts[64][40]; /* what entries of one commit borrow */
    int next_text;
};

static const char *const users[USERS] = {"u0", "u1", "u2", "17",
                                         "9",  "u5", "u6"};
static const struct {
    const char *name, *flags;
} plan[CONVS] = {
    {"0:2:g0", ""},    {"0:2:g1", "hj"},  {"0:2:g2", "j"},   {"0:2:g3", "h"},
    {"0:1:9:17", ""},  {"0:1:u0:u1", ""}, {"0:1:17:u2", ""}, {"0:1:u5:u5", ""},
    {"0:3:open", "o"}, {"1:2:g0", "j"},
};

static const char *const devices[DEVICES] = {"", "phone"};

static unsigned roll(struct model *m, unsigned below)
{
    m->seed = m->seed * 1103515245u + 12345u;
    return (m->seed >> 8) % below;
}

static char *text_room(struct model *m)
{
    return m->texts[m->next_text++ % 64];
}

static struct model_stint *open_stint(struct model_conv *conv, int user)
{
    for (int i = 0; i < conv->stint_count; i++)
        if (conv->stints[i].user == user && conv->stints[i].to == 0)
            return &conv->stints[i];
    return NULL;
}

static int user_index(struct span name)
{
    for (int i = 0; i < USERS; i++)
        if (span_is(name, users[i]))
            return i;
    return -1;
}

static void model_let_in(struct model_conv *conv, const struct entry *entry,
                         struct span name)
{
    struct model_stint *stint = &conv->stints[conv->stint_count++];
    bool all = strchr(conv->flags, 'h') != NULL;

    assert_true(conv->stint_count <= STINTS);
    *stint = (struct model_stint){
        .user = user_index(name),
        .from = all ? 1 : entry->seq,
        .join = entry->seq,
        .join_lsn = entry->lsn,
    };
    for (int i = 0; all && i + 1 < conv->stint_count; i++)
        if (conv->stints[i].user == stint->user)
            stint->from = conv->stints[i].to + 1;
}

static void model_message(struct model_conv *conv, const struct entry *entry)
{
    struct conv_name name;

    if (conv->exists)
        return;
    assert_int_equal(name_parse(&name, entry->conversation), ERR_NONE);
    model_let_in(conv, entry, name.a);
    if (!span_equal(name.a, name.b))
        model_let_in(conv, entry, name.b);
}

static void model_receipt(struct model *m, struct model_conv *conv,
                          const struct entry *entry)
{
    int kind = entry->kind == ENTRY_READ ? 0 : 1;
    int user = user_index(entry->from);

    if (conv->marks[user][kind])
        m->records[conv->marks[user][kind]].newest = false;
    conv->marks[user][kind] = entry->lsn;
    m->records[entry->lsn].newest = true;
}

static int device_index(const struct entry *entry)
{
    return span_is(entry->device, devices[1]);
}

/* Whether a message is in the client's order. */
static bool in_order(const struct model_conv *conv, const struct entry *entry)
{
    int user = user_index(entry->from), device = device_index(entry);
    uint64_t last = conv->numbers[user][device].last;

    return !entry->mark || !last || entry->mark == last + 1;
}

static void model_numbers(struct model_conv *conv, const struct entry *entry)
{
    int user = user_index(entry->from), device = device_index(entry);

    if (entry->kind == ENTRY_MESSAGE && entry->mark) {
        conv->numbers[user][device].last = entry->mark;
        conv->numbers[user][device].seq = entry->seq;
    }
    for (int i = 0; entry->kind == ENTRY_TRIM && i < USERS * DEVICES; i++)
        if (conv->numbers[i / DEVICES][i % DEVICES].seq <= entry->mark)
            conv->numbers[i / DEVICES][i % DEVICES].last = 0;
}

/* An entry that the store has taken. */
static void model_add(struct model *m, int at, const struct entry *entry)
{
    struct model_conv *conv = &m->convs[at];
    struct record *record = &m->records[entry->lsn];

    assert_int_equal(entry->lsn, m->head + 1);
    m->head = entry->lsn;
    *record = (struct record){.kind = entry->kind,
                              .seq = entry->seq,
                              .mark = entry->mark,
                              .conv = at,
                              .from = user_index(entry->from),
                              .audience = entry->audience};
    if (entry->kind == ENTRY_MESSAGE)
        (void)snprintf(record->body, sizeof(record->body), "%.*s",
                       (int)entry->body.size, entry->body.data);
    if (entry->kind <= ENTRY_LEAVE) {
        assert_int_equal(entry->seq, conv->last_seq + 1);
        conv->last_seq = entry->seq;
        conv->lsns[entry->seq] = entry->lsn;
    }
    model_numbers(conv, entry);
    if (entry->kind == ENTRY_MESSAGE && !strchr(conv->flags, 'o'))
        model_message(conv, entry);
    conv->exists = true;
    if (entry->kind == ENTRY_CREATE || entry->kind == ENTRY_JOIN)
        for (struct span u = {0}; entry_user(entry, &u);)
            model_let_in(conv, entry, u);
    if (entry->kind == ENTRY_LEAVE) {
        struct model_stint *stint = open_stint(conv, record->from);

        assert_non_null(stint);
        stint->to = entry->seq;
        stint->leave_lsn = entry->lsn;
    }
    if (entry->kind == ENTRY_READ || entry->kind == ENTRY_DELIVERED)
        model_receipt(m, conv, entry);
    if (entry->kind == ENTRY_TRIM) {
        conv->trimmed_seq = entry->mark;
        conv->trimmed_lsn = conv->lsns[entry->mark];
    }
}

/* --- what a user should see ----------------------------------------------- */

static bool sees_receipt(const struct model *m, lsn at, int user)
{
    const struct record *r = &m->records[at];
    const struct model_conv *conv = &m->convs[r->conv];
    bool in = false;

    for (int i = 0; i < conv->stint_count; i++) {
        const struct model_stint *s = &conv->stints[i];

        if (s->user == user && s->to == 0)
            in = strchr(conv->flags, 'h') || at > s->join_lsn;
    }
    if (!in || !r->newest)
        return false;
    return r->kind == ENTRY_READ || r->from != user;
}

static bool sees_entry(const struct model *m, lsn at, int user)
{
    const struct record *r = &m->records[at];
    const struct model_conv *conv = &m->convs[r->conv];

    if (r->kind == ENTRY_READ || r->kind == ENTRY_DELIVERED)
        return sees_receipt(m, at, user);
    if (r->kind == ENTRY_TRIM || r->seq <= conv->trimmed_seq)
        return false;
    for (int i = 0; i < conv->stint_count; i++) {
        const struct model_stint *s = &conv->stints[i];

        if (s->user == user && r->seq >= s->from &&
            (s->to == 0 || r->seq <= s->to))
            return true;
    }
    return false;
}

static void write_gaps(const struct model *m, lsn at, int user, struct buf *out)
{
    for (int c = 0; c < CONVS; c++) {
        const struct model_conv *conv = &m->convs[c];

        for (int i = 0; i < conv->stint_count; i++) {
            const struct model_stint *s = &conv->stints[i];
            bool whole = s->to > 0 && s->to <= conv->trimmed_seq;
            lsn where = whole ? s->leave_lsn : conv->trimmed_lsn;

            if (s->user != user || s->from > conv->trimmed_seq || where != at)
                continue;
            buf_printf(out, "gap%llu-%llu ", (unsigned long long)s->from,
                       (unsigned long long)(whole ? s->to : conv->trimmed_seq));
        }
    }
}

static const char *expected(const struct model *m, int user, lsn cursor,
                            struct buf *out)
{
    static const char letters[] = "?mcjlrdt";

    buf_init(out, 1 << 22);
    for (lsn at = cursor + 1; at <= m->head; at++) {
        const struct record *r = &m->records[at];

        write_gaps(m, at, user, out);
        if (!sees_entry(m, at, user))
            continue;
        if (r->kind == ENTRY_READ || r->kind == ENTRY_DELIVERED)
            buf_printf(out, "%c%llu:%s@%llu ", letters[r->kind],
                       (unsigned long long)r->mark, users[r->from],
                       (unsigned long long)at);
        else
            buf_printf(out, "%c%llu:%s:%s ", letters[r->kind],
                       (unsigned long long)r->seq, users[r->from], r->body);
    }
    return text_of_buf(out);
}

/* --- the workload --------------------------------------------------------- */

/* Mostly the next of its device, sometimes another, sometimes none. */
static struct entry random_message(struct model *m, int c, int user,
                                   const char *body, const char *id)
{
    struct entry message =
        a_message(plan[c].name, users[user], roll(m, 2) ? id : "", body);
    int device = (int)roll(m, DEVICES);

    message.device = span_of(devices[device]);
    if (roll(m, 2))
        message.mark = roll(m, 3) ? m->convs[c].numbers[user][device].last + 1
                                  : 1 + roll(m, 9);
    return message;
}

static struct entry random_entry(struct model *m, int *conv)
{
    int c = (int)roll(m, CONVS), user = (int)roll(m, USERS);
    const char *name = plan[c].name, *who = users[user];
    char *body = text_room(m), *id = text_room(m);
    unsigned dice = roll(m, 100);

    *conv = c;
    (void)snprintf(body, 40, "b%u", roll(m, 1000));
    (void)snprintf(id, 40, "%s-%u", "id", roll(m, 3000));
    if (dice < 8)
        return a_create(name, who, plan[c].flags, users[roll(m, USERS)]);
    if (dice < 18)
        return a_join(name, who, roll(m, 2) ? who : users[roll(m, USERS)]);
    if (dice < 23)
        return a_leave(name, who);
    if (dice < 31)
        return a_mark(ENTRY_READ, name, who, roll(m, 400));
    if (dice < 39)
        return a_mark(ENTRY_DELIVERED, name, who, roll(m, 400));
    if (dice < 41) {
        uint64_t last = m->convs[c].last_seq;
        struct entry trim =
            a_mark(ENTRY_TRIM, name, "", last > 5 ? last - 1 - roll(m, 5) : 1);

        return trim;
    }
    return random_message(m, c, user, body, id);
}

/* A group of which nothing may stay: given up, cut off by a failing call, or
 * refused at its commit. */
static void run_in_vain(struct model *m)
{
    struct append *append;
    unsigned count = 1 + roll(m, 20);
    enum err err = ERR_NONE;

    assert_int_equal(append_begin(&append, m->given->store), ERR_NONE);
    if (roll(m, 2))
        (void)store_fail_nth(1 + roll(m, 100), EIO);
    for (unsigned i = 0; i < count && !err; i++) {
        struct applied applied;
        int conv;
        struct entry entry = random_entry(m, &conv);

        entry.ts = m->given->ts;
        err = append_entry(append, &entry, &applied, NULL);
    }
    if (!err && roll(m, 2)) {
        (void)store_fail_nth(1, EIO);
        assert_int_equal(append_commit(append), ERR_IO);
    } else {
        append_abort(append);
    }
    (void)store_fail_nth(0, 0);
}

static void run_commit(struct model *m)
{
    struct append *append;
    unsigned count = 1 + roll(m, 20);

    assert_int_equal(append_begin(&append, m->given->store), ERR_NONE);
    for (unsigned i = 0; i < count; i++) {
        struct applied applied;
        int conv;
        struct entry entry = random_entry(m, &conv);

        entry.ts = m->given->ts++;
        assert_int_equal(append_entry(append, &entry, &applied, NULL),
                         ERR_NONE);
        if (applied.next_client_seq) {
            assert_int_equal(applied.err, ERR_CONFLICT);
            assert_false(in_order(&m->convs[conv], &entry));
            m->disordered++;
        }
        if (applied.err == ERR_NONE && applied.lsn > 0 && !applied.duplicate) {
            assert_true(entry.kind != ENTRY_MESSAGE ||
                        in_order(&m->convs[conv], &entry));
            model_add(m, conv, &entry);
        }
    }
    assert_int_equal(append_commit(append), ERR_NONE);
}

static void compare_reading(struct model *m)
{
    for (int user = 0; user < USERS; user++)
        for (int i = 0; i < 5; i++) {
            lsn cursor = i == 0 ? 0 : roll(m, (unsigned)m->head + 1);
            struct buf out;
            const char *expect = expected(m, user, cursor, &out);

            assert_string_equal(mixed_of(m->given, users[user], cursor),
                                expect);
            buf_fini(&out);
        }
}

static void compare_rebuild(struct model *m)
{
    struct buf before, after;
    struct failure why;

    buf_init(&before, 1 << 26);
    buf_init(&after, 1 << 26);
    dump_tables(m->given->store, true, &before);
    assert_int_equal(store_rebuild(m->given->store, NULL, &why), ERR_NONE);
    dump_tables(m->given->store, true, &after);
    assert_int_equal(before.size, after.size);
    assert_memory_equal(before.data, after.data, before.size);
    assert_int_equal(problems_of(m->given->store), 0);
    buf_fini(&before);
    buf_fini(&after);
}

/* Whatever happened, in whatever order: the model and the store agree. */
static void random_workloads_agree_with_the_model(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 6; seed++) {
        struct model *m = mem_zalloc(sizeof(*m));

        assert_non_null(m);
        m->given = given_store();
        m->seed = seed * 7919;
        for (int c = 0; c < CONVS; c++) {
            m->convs[c].name = plan[c].name;
            m->convs[c].flags = plan[c].flags;
        }
        for (int round = 0; round < 5; round++) {
            for (int i = 0; i < 40; i++) {
                if (roll(m, 3) == 0)
                    run_in_vain(m);
                run_commit(m);
            }
            compare_reading(m);
            compare_rebuild(m);
            compare_reading(m);
            given_reopen(m->given);
            assert_int_equal(store_head(m->given->store), m->head);
        }
        assert_true(m->disordered > 0);
        given_end(m->given);
        mem_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_workloads_agree_with_the_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
