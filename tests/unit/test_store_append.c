/* What append decides: membership, seqs, dedup, receipts. */
#include "tests/lib/given_store.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Each conversation counts 1, 2, 3; the lsn counts over all of them. */
static void seqs_have_no_gaps(void **state)
{
    struct given *g = given_store();

    (void)state;
    for (uint64_t i = 1; i <= 20; i++) {
        struct applied a =
            append_ok(g, a_message("0:1:alice:bob", "alice", "", "x"));
        struct applied b =
            append_ok(g, a_message("0:1:alice:eve", "eve", "", "x"));

        assert_int_equal(a.seq, i);
        assert_int_equal(b.seq, i);
        assert_int_equal(b.lsn, a.lsn + 1);
        assert_int_equal(b.lsn, 2 * i);
        assert_int_equal(a.created, i == 1);
        assert_int_equal(a.conv, 1);
        assert_int_equal(b.conv, 2);
    }
    assert_int_equal(store_head(g->store), 40);
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

/* The bytes handed back are the entry's, with what was assigned. */
static void appended_bytes_are_the_stored_entry(void **state)
{
    struct given *g = given_store();
    struct entry entry = a_message("0:1:alice:bob", "bob", "id1", "hello");
    struct entry back;
    struct applied applied;
    struct append *append;
    struct buf bytes;

    (void)state;
    buf_init(&bytes, 10000);
    entry.ts = 77;
    entry.flags = ENTRY_NO_ECHO;
    assert_int_equal(append_begin(&append, g->store), ERR_NONE);
    assert_int_equal(append_entry(append, &entry, &applied, &bytes), ERR_NONE);
    assert_int_equal(append_commit(append), ERR_NONE);
    assert_int_equal(entry.lsn, 1);
    assert_int_equal(entry.seq, 1);
    assert_int_equal(entry_decode(&back, (struct span){bytes.data, bytes.size}),
                     ERR_NONE);
    assert_int_equal(back.lsn, 1);
    assert_int_equal(back.ts, 77);
    assert_int_equal(back.flags, ENTRY_NO_ECHO);
    assert_true(span_is(back.body, "hello"));
    assert_true(span_is(back.conversation, "0:1:alice:bob"));
    buf_fini(&bytes);
    given_end(g);
}

/* Two people's conversation begins with its first message, by one of the two.
 */
static void p2p_is_made_by_its_first_message(void **state)
{
    struct given *g = given_store();

    (void)state;
    append_refused(g, a_message("0:1:alice:bob", "eve", "", "x"),
                   ERR_NOT_MEMBER);
    append_refused(g, a_message("0:1:bob:alice", "bob", "", "x"),
                   ERR_BAD_REQUEST);
    append_ok(g, a_message("0:1:12333:12345", "12345", "", "x"));
    append_refused(g, a_create("0:1:alice:bob", "alice", "", ""),
                   ERR_BAD_REQUEST);
    append_refused(g, a_join("0:1:12333:12345", "12345", "eve"), ERR_FORBIDDEN);
    append_refused(g, a_leave("0:1:12333:12345", "12345"), ERR_FORBIDDEN);
    assert_string_equal(mixed_of(g, "12333", 0), "m1:12345:x ");
    append_ok(g, a_message("0:1:me:me", "me", "", "note"));
    assert_string_equal(mixed_of(g, "me", 0), "m1:me:note ");
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

/* The same id again gets the first answer, whatever has happened since. */
static void a_retry_gets_the_first_answer(void **state)
{
    struct given *g = given_store();
    struct applied first, again;

    (void)state;
    append_ok(g, a_create("0:2:team", "alice", "", "bob"));
    first = append_ok(g, a_message("0:2:team", "bob", "id1", "hi"));
    append_ok(g, a_message("0:2:team", "alice", "id1", "alice's own id1"));
    append_ok(g, a_leave("0:2:team", "bob"));
    again = append_one(g, a_message("0:2:team", "bob", "id1", "hi"));
    assert_true(again.duplicate);
    assert_int_equal(again.err, ERR_NONE);
    assert_int_equal(again.seq, first.seq);
    assert_int_equal(again.lsn, first.lsn);
    assert_int_equal(again.conv, first.conv);
    assert_int_equal(again.ts, 1001);
    assert_int_equal(store_head(g->store), 4);
    append_refused(g, a_message("0:2:team", "bob", "id1", "other"),
                   ERR_CONFLICT);
    append_refused(g, a_message("0:1:alice:bob", "bob", "id1", "hi"),
                   ERR_CONFLICT);
    append_refused(g, a_message("0:2:team", "bob", "id2", "hi"),
                   ERR_NOT_MEMBER);
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

/* Retry and first may wait in the same commit. */
static void a_retry_in_one_transaction_is_seen(void **state)
{
    struct given *g = given_store();
    struct entry first = a_message("0:1:a:b", "a", "id", "hi");
    struct entry again = first;
    struct entry other = a_message("0:1:a:b", "a", "id", "ho");
    struct applied applied;
    struct append *append;

    (void)state;
    assert_int_equal(append_begin(&append, g->store), ERR_NONE);
    assert_int_equal(append_entry(append, &first, &applied, NULL), ERR_NONE);
    assert_false(applied.duplicate);
    assert_int_equal(append_entry(append, &again, &applied, NULL), ERR_NONE);
    assert_true(applied.duplicate);
    assert_int_equal(applied.seq, 1);
    assert_int_equal(append_entry(append, &other, &applied, NULL), ERR_NONE);
    assert_int_equal(applied.err, ERR_CONFLICT);
    assert_int_equal(store_head(g->store), 0);
    assert_int_equal(append_commit(append), ERR_NONE);
    assert_int_equal(store_head(g->store), 1);
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

/* What was not committed has never been. */
static void an_abort_leaves_nothing(void **state)
{
    struct given *g = given_store();
    struct entry entry = a_message("0:1:a:b", "a", "id", "hi");
    struct applied applied;
    struct append *append;

    (void)state;
    assert_int_equal(append_begin(&append, g->store), ERR_NONE);
    assert_int_equal(append_entry(append, &entry, &applied, NULL), ERR_NONE);
    append_abort(append);
    append_abort(NULL);
    assert_int_equal(store_head(g->store), 0);
    applied = append_ok(g, a_message("0:1:a:b", "a", "id", "hi"));
    assert_false(applied.duplicate);
    assert_int_equal(applied.lsn, 1);
    given_end(g);
}

/* One after the other in one transaction, the answer to each. */
static void append_all(struct given *g, struct entry *entries,
                       const enum err *answers, size_t count, bool commit)
{
    struct applied applied;
    struct append *append;

    assert_int_equal(append_begin(&append, g->store), ERR_NONE);
    for (size_t i = 0; i < count; i++) {
        entries[i].ts = g->ts++;
        assert_int_equal(append_entry(append, &entries[i], &applied, NULL),
                         ERR_NONE);
        assert_int_equal(applied.err, answers[i]);
    }
    if (commit)
        assert_int_equal(append_commit(append), ERR_NONE);
    else
        append_abort(append);
}

/* Whoever comes and goes: what follows in the same transaction knows it, and
 * when it is aborted the next one does not. */
static void members_change_within_one_transaction(void **state)
{
    static const enum err answers[] = {ERR_NONE,       ERR_NONE, ERR_NONE,
                                       ERR_NOT_MEMBER, ERR_NONE, ERR_NONE,
                                       ERR_NOT_MEMBER, ERR_NONE};
    struct given *g = given_store();

    (void)state;
    append_ok(g, a_create("0:2:t", "alice", "", "bob"));
    append_ok(g, a_message("0:2:t", "bob", "", "here"));
    for (int commit = 0; commit < 2; commit++) {
        struct entry entries[] = {
            a_message("0:2:t", "alice", "", "1"),
            a_message("0:2:t", "bob", "", "2"),
            a_leave("0:2:t", "bob"),
            a_message("0:2:t", "bob", "", "gone"),
            a_join("0:2:t", "alice", "carol"),
            a_message("0:2:t", "carol", "", "3"),
            a_mark(ENTRY_READ, "0:2:t", "bob", 1),
            a_mark(ENTRY_READ, "0:2:t", "carol", 9),
        };

        append_all(g, entries, answers, 8, commit);
        if (!commit) {
            assert_int_equal(store_head(g->store), 2);
            append_refused(g, a_message("0:2:t", "carol", "", "no"),
                           ERR_NOT_MEMBER);
            append_ok(g, a_message("0:2:t", "bob", "", "here"));
        }
    }
    assert_int_equal(store_head(g->store), 9);
    append_refused(g, a_message("0:2:t", "bob", "", "no"), ERR_NOT_MEMBER);
    assert_int_equal(append_ok(g, a_message("0:2:t", "carol", "", "4")).seq, 9);
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

/* A rebuild, a trim and a refusal in between change nothing for who comes next.
 */
static void seqs_go_on_after_trim_and_rebuild(void **state)
{
    struct given *g = given_store();
    struct failure why;

    (void)state;
    for (int i = 0; i < 5; i++)
        append_ok(g, a_message("0:1:a:b", "a", "", "hi"));
    append_ok(g, a_mark(ENTRY_TRIM, "0:1:a:b", "", UINT64_MAX));
    assert_int_equal(append_ok(g, a_message("0:1:a:b", "b", "", "hi")).seq, 6);
    assert_int_equal(store_rebuild(g->store, NULL, &why), ERR_NONE);
    assert_int_equal(append_ok(g, a_message("0:1:a:b", "a", "", "hi")).seq, 7);
    append_refused(g, a_message("0:1:a:b", "c", "", "hi"), ERR_NOT_MEMBER);
    assert_int_equal(append_ok(g, a_message("0:1:a:b", "b", "", "hi")).seq, 8);
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

static const char *members_of(struct given *g, const char *conversation);

/* A group's first members are the creator and those named, each once. */
static void create_makes_members_once(void **state)
{
    struct given *g = given_store();

    (void)state;
    append_ok(g, a_create("0:2:team", "alice", "", "bob alice bob carol"));
    assert_string_equal(members_of(g, "0:2:team"), "alice* bob carol ");
    append_refused(g, a_create("0:2:team", "bob", "", ""), ERR_CONFLICT);
    append_refused(g, a_create("0:2:x", "bob", "", "bad/name"),
                   ERR_BAD_REQUEST);
    append_refused(g, a_message("0:2:none", "bob", "", "x"), ERR_NOT_FOUND);
    append_refused(g, a_message("0:2:team", "eve", "", "x"), ERR_NOT_MEMBER);
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

static bool write_member(const struct member *member, void *arg)
{
    buf_append_span(arg, member->user);
    buf_append_text(arg, member->creator ? "* " : " ");
    return true;
}

static const char *members_of(struct given *g, const char *conversation)
{
    static char text[1000];
    struct reader *reader = given_reader(g);
    struct conversation conv;
    struct buf out;

    buf_init(&out, sizeof(text) - 1);
    assert_int_equal(reader_conversation(reader, SPAN(GIVEN_APP),
                                         span_of(conversation), &conv),
                     ERR_NONE);
    assert_int_equal(reader_members(reader, conv.no, write_member, &out),
                     ERR_NONE);
    memcpy(text, out.data ? out.data : "", out.size);
    text[out.size] = '\0';
    buf_fini(&out);
    reader_done(reader);
    return text;
}

/* Members let others in; only a joinable group lets one let oneself in. */
static void joins_follow_the_rules(void **state)
{
    struct given *g = given_store();
    struct applied none;

    (void)state;
    append_ok(g, a_create("0:2:closed", "alice", "", ""));
    append_ok(g, a_create("0:2:joinable", "alice", "j", ""));
    append_refused(g, a_join("0:2:none", "bob", "bob"), ERR_NOT_FOUND);
    append_refused(g, a_join("0:2:closed", "bob", "bob"), ERR_FORBIDDEN);
    append_refused(g, a_join("0:2:closed", "bob", "carol"), ERR_NOT_MEMBER);
    append_refused(g, a_join("0:2:joinable", "bob", "carol"), ERR_NOT_MEMBER);
    append_ok(g, a_join("0:2:joinable", "bob", "bob"));
    append_ok(g, a_join("0:2:closed", "alice", "bob carol bob alice"));
    assert_string_equal(members_of(g, "0:2:closed"), "alice* bob carol ");
    assert_string_equal(members_of(g, "0:2:joinable"), "alice* bob ");
    none = append_one(g, a_join("0:2:closed", "alice", "bob carol"));
    assert_int_equal(none.err, ERR_NONE);
    assert_int_equal(none.lsn, 0);
    assert_int_equal(none.seq, 0);
    append_refused(g, a_leave("0:2:closed", "eve"), ERR_NOT_MEMBER);
    append_ok(g, a_leave("0:2:closed", "bob"));
    assert_string_equal(members_of(g, "0:2:closed"), "alice* carol ");
    append_refused(g, a_leave("0:2:closed", "bob"), ERR_NOT_MEMBER);
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

/* A group does not grow beyond its bound. */
static void members_are_bounded(void **state)
{
    static char list[MEMBERS_MAX * 8 + 80];
    struct given *g = given_store();
    size_t at = 0;

    (void)state;
    for (int i = 1; i < MEMBERS_MAX; i++)
        at += (size_t)sprintf(list + at, i > 1 ? " u%d" : "u%d", i);
    append_ok(g, a_create("0:2:big", "alice", "", list));
    append_refused(g, a_join("0:2:big", "alice", "onemore"), ERR_TOO_LARGE);
    append_ok(g, a_leave("0:2:big", "u7"));
    append_ok(g, a_join("0:2:big", "alice", "onemore"));
    sprintf(list + at, " v1 v2");
    append_refused(g, a_create("0:2:bigger", "alice", "", list), ERR_TOO_LARGE);
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

/* A channel has no members: its owner posts, others only when it is open. */
static void channels_follow_their_setting(void **state)
{
    struct given *g = given_store();

    (void)state;
    append_ok(g, a_create("0:3:news", "alice", "", "ignored"));
    append_ok(g, a_create("0:3:forum", "alice", "o", ""));
    append_refused(g, a_message("0:3:news", "bob", "", "x"), ERR_FORBIDDEN);
    append_ok(g, a_message("0:3:news", "alice", "", "x"));
    append_ok(g, a_message("0:3:forum", "bob", "", "x"));
    assert_int_equal(append_one(g, a_join("0:3:news", "bob", "bob")).lsn, 0);
    assert_int_equal(append_one(g, a_leave("0:3:news", "bob")).lsn, 0);
    assert_int_equal(
        append_one(g, a_mark(ENTRY_READ, "0:3:news", "bob", 1)).lsn, 0);
    assert_string_equal(members_of(g, "0:3:news"), "");
    assert_string_equal(mixed_of(g, "alice", 0), "");
    assert_string_equal(chain_of(g, "0:3:forum", 1, 9, false),
                        "c1:alice: m2:bob:x ");
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

/* Marks only grow, never pass the last seq, and only the newest shows. */
static void only_the_newest_receipt_shows(void **state)
{
    struct given *g = given_store();
    struct applied a;

    (void)state;
    for (int i = 0; i < 5; i++)
        append_ok(g, a_message("0:1:alice:bob", "alice", "", "x"));
    append_refused(g, a_mark(ENTRY_READ, "0:1:alice:bob", "eve", 2),
                   ERR_NOT_MEMBER);
    a = append_ok(g, a_mark(ENTRY_READ, "0:1:alice:bob", "bob", 2));
    assert_int_equal(a.audience, TO_MEMBERS);
    assert_int_equal(a.seq, 0);
    a = append_ok(g, a_mark(ENTRY_DELIVERED, "0:1:alice:bob", "bob", 4));
    assert_int_equal(a.audience, TO_OTHERS);
    a = append_one(g, a_mark(ENTRY_READ, "0:1:alice:bob", "bob", 2));
    assert_int_equal(a.lsn, 0);
    append_ok(g, a_mark(ENTRY_READ, "0:1:alice:bob", "bob", 99));
    assert_int_equal(
        append_one(g, a_mark(ENTRY_READ, "0:1:alice:bob", "bob", 99)).lsn, 0);
    assert_string_equal(mixed_of(g, "alice", 5), "d4:bob@7 r5:bob@8 ");
    assert_string_equal(mixed_of(g, "bob", 5), "r5:bob@8 ");
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

/* Large groups: a read mark for one's own devices, a delivery for nobody. */
static void receipts_stay_private_in_large_groups(void **state)
{
    char list[RECEIPT_MEMBERS * 5 + 10];
    struct given *g = given_store();
    struct applied a;
    size_t at = 0;

    (void)state;
    for (int i = 0; i < RECEIPT_MEMBERS; i++)
        at += (size_t)sprintf(list + at, i ? " u%d" : "u%d", i);
    append_ok(g, a_create("0:2:big", "alice", "", list));
    a = append_ok(g, a_mark(ENTRY_READ, "0:2:big", "u1", 1));
    assert_int_equal(a.audience, TO_OWN_DEVICES);
    append_ok(g, a_mark(ENTRY_DELIVERED, "0:2:big", "u1", 1));
    assert_string_equal(mixed_of(g, "u1", 1), "r1:u1@2 ");
    assert_string_equal(mixed_of(g, "alice", 1), "");
    append_ok(g, a_leave("0:2:big", "u2")); /* now it is small enough */
    append_ok(g, a_message("0:2:big", "alice", "", "x"));
    append_ok(g, a_mark(ENTRY_READ, "0:2:big", "u1", 3));
    assert_string_equal(mixed_of(g, "alice", 5), "r3:u1@6 ");
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

/* What cannot be an entry is refused in words, and leaves no trace. */
static void malformed_entries_are_refused(void **state)
{
    static char big[ENTRY_BODY_MAX + 1];
    struct given *g = given_store();
    struct entry e = a_message("nonsense", "alice", "", "x");

    (void)state;
    append_refused(g, e, ERR_BAD_REQUEST);
    append_refused(g, a_message("0:1:a:b", "a b", "", "x"), ERR_BAD_REQUEST);
    e = a_message("0:1:a:b", "a", "", "x");
    e.app = SPAN("");
    append_refused(g, e, ERR_BAD_REQUEST);
    e = a_message("0:1:a:b", "a", "", "x");
    e.body = (struct span){big, sizeof(big)};
    append_refused(g, e, ERR_TOO_LARGE);
    e.body = (struct span){big, sizeof(big) - 1};
    append_ok(g, e);
    e = a_create("0:2:g", "a", "", "");
    e.body = SPAN("{}");
    append_refused(g, e, ERR_BAD_REQUEST);
    e.kind = (enum entry_kind)99;
    append_refused(g, e, ERR_BAD_REQUEST);
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

/* Refused, and told what comes next. */
static void out_of_order(struct given *g, struct entry entry, uint64_t next)
{
    struct applied applied = append_one(g, entry);
    struct failure why = {0};
    char words[100];

    assert_int_equal(applied.err, ERR_CONFLICT);
    assert_int_equal(applied.lsn, 0);
    applied_failure(&applied, &why);
    assert_int_equal(why.err, ERR_CONFLICT);
    snprintf(words, sizeof(words),
             "client_seq: %llu was the last of this device here, %llu is next",
             (unsigned long long)next - 1, (unsigned long long)next);
    assert_string_equal(why.message, words);
}

/* What was overtaken on its way is in time: who overtook it was refused. */
static void numbered_messages_keep_their_order(void **state)
{
    const char *ab = "0:1:a:b";
    struct given *g = given_store();

    (void)state;
    append_ok(g, a_numbered(ab, "a", "phone", 7)); /* begins where it likes */
    out_of_order(g, a_numbered(ab, "a", "phone", 9), 8);
    append_ok(g, a_numbered(ab, "a", "phone", 8));
    append_ok(g, a_numbered(ab, "a", "phone", 9));
    out_of_order(g, a_numbered(ab, "a", "phone", 9), 10);
    out_of_order(g, a_numbered(ab, "a", "phone", 0), 10);
    append_ok(g, a_message(ab, "a", "", "one without a number"));
    append_ok(g, a_numbered(ab, "a", "phone", 10));
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

/* Others, other devices and other conversations count for themselves. */
static void each_device_counts_in_each_conversation(void **state)
{
    struct given *g = given_store();

    (void)state;
    append_ok(g, a_numbered("0:1:a:b", "a", "phone", 5));
    append_ok(g, a_numbered("0:1:a:b", "a", "tv", 1));
    append_ok(g, a_numbered("0:1:a:b", "a", "", 0));
    append_ok(g, a_numbered("0:1:a:b", "b", "phone", 1));
    append_ok(g, a_numbered("0:1:a:c", "a", "phone", 1));
    out_of_order(g, a_numbered("0:1:a:b", "a", "", 6), 1);
    out_of_order(g, a_numbered("0:1:a:b", "a", "phone", 2), 6);
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

/* A retry gets the first answer, whatever its number; the same message under
 * another number, too. */
static void a_retry_is_no_disorder(void **state)
{
    struct given *g = given_store();
    struct entry message = a_numbered("0:1:a:b", "a", "d", 1);

    (void)state;
    message.client_msg_id = SPAN("id");
    append_ok(g, message);
    append_ok(g, a_numbered("0:1:a:b", "a", "d", 2));
    assert_true(append_one(g, message).duplicate);
    message.mark = 99;
    assert_true(append_one(g, message).duplicate);
    given_end(g);
}

/* In one commit as in many, and when the store is opened again or rebuilt. */
static void the_order_is_durable(void **state)
{
    static const enum err answers[] = {ERR_NONE, ERR_CONFLICT, ERR_NONE};
    struct given *g = given_store();
    struct failure why;

    (void)state;
    for (int commit = 0; commit < 2; commit++) {
        struct entry entries[] = {a_numbered("0:1:a:b", "a", "d", 1),
                                  a_numbered("0:1:a:b", "a", "d", 3),
                                  a_numbered("0:1:a:b", "a", "d", 2)};

        append_all(g, entries, answers, 3, commit);
    }
    given_reopen(g);
    out_of_order(g, a_numbered("0:1:a:b", "a", "d", 4), 3);
    assert_int_equal(store_rebuild(g->store, NULL, &why), ERR_NONE);
    out_of_order(g, a_numbered("0:1:a:b", "a", "d", 4), 3);
    append_ok(g, a_numbered("0:1:a:b", "a", "d", 3));
    given_end(g);
}

/* Two apps share nothing, even with equal ids. */
static void two_apps_with_equal_ids_are_apart(void **state)
{
    struct given *g = given_store();
    struct entry ours = a_message("0:1:alice:bob", "alice", "id", "ours");
    struct entry theirs = a_message("0:1:alice:bob", "alice", "id", "theirs");
    struct applied a, b;
    struct conversation conv;
    struct reader *reader;

    (void)state;
    theirs.app = SPAN("other");
    a = append_ok(g, ours);
    b = append_ok(g, theirs);
    assert_int_not_equal(a.conv, b.conv);
    assert_int_equal(b.seq, 1);
    assert_string_equal(mixed_of(g, "bob", 0), "m1:alice:ours ");
    reader = given_reader(g);
    assert_int_equal(
        reader_conversation_no(reader, SPAN("other"), a.conv, &conv),
        ERR_NOT_FOUND);
    assert_int_equal(
        reader_conversation_no(reader, SPAN("other"), b.conv, &conv), ERR_NONE);
    assert_int_equal(reader_conversation(reader, SPAN("third"),
                                         SPAN("0:1:alice:bob"), &conv),
                     ERR_NOT_FOUND);
    reader_done(reader);
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seqs_have_no_gaps),
        cmocka_unit_test(appended_bytes_are_the_stored_entry),
        cmocka_unit_test(p2p_is_made_by_its_first_message),
        cmocka_unit_test(a_retry_gets_the_first_answer),
        cmocka_unit_test(a_retry_in_one_transaction_is_seen),
        cmocka_unit_test(an_abort_leaves_nothing),
        cmocka_unit_test(members_change_within_one_transaction),
        cmocka_unit_test(seqs_go_on_after_trim_and_rebuild),
        cmocka_unit_test(create_makes_members_once),
        cmocka_unit_test(joins_follow_the_rules),
        cmocka_unit_test(members_are_bounded),
        cmocka_unit_test(channels_follow_their_setting),
        cmocka_unit_test(only_the_newest_receipt_shows),
        cmocka_unit_test(receipts_stay_private_in_large_groups),
        cmocka_unit_test(malformed_entries_are_refused),
        cmocka_unit_test(numbered_messages_keep_their_order),
        cmocka_unit_test(each_device_counts_in_each_conversation),
        cmocka_unit_test(a_retry_is_no_disorder),
        cmocka_unit_test(the_order_is_durable),
        cmocka_unit_test(two_apps_with_equal_ids_are_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
