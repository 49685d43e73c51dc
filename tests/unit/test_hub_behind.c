/* A worker that has not yet heard of what is on the disk, as happens all the
 * time when there are several: what is opened then is as right as ever. */
#include "tests/lib/given_house.h"

#include "server/watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TEAM "0:2:team"
#define OPEN_TEAM "0:2:open" /* newcomers may read what came before them */

static void given_team(struct house *house, const char *name)
{
    struct entry create = changing(ENTRY_CREATE, "alice", name, SPAN("bob\0"));

    house_write(house, &create);
}

static struct commit *commit_one(struct house *house, struct entry entry)
{
    return house_commit(house, &entry, 1);
}

static struct entry bob_leaves(const char *name)
{
    return changing(ENTRY_LEAVE, "bob", name, SPAN("bob\0"));
}

static struct entry bob_joins(const char *name)
{
    return changing(ENTRY_JOIN, "bob", name, SPAN("bob\0"));
}

/* Bob's session is loaded when he has left and come back already. */
static void what_was_said_while_one_was_out_stays_unseen(void **state)
{
    struct house *house = given_house();
    struct commit *commits[4];
    struct note bob, whole;

    (void)state;
    given_team(house, TEAM);
    commits[0] = commit_one(house, bob_leaves(TEAM));
    commits[1] = commit_one(house, saying("alice", TEAM, "\"secret\""));
    commits[2] = commit_one(house, bob_joins(TEAM));
    commits[3] = commit_one(house, saying("alice", TEAM, "\"b\""));
    open_note(house, &bob, "bob", "0");
    for (int i = 0; i < 4; i++)
        house_announce(house, commits[i]);
    assert_string_equal(heard(&bob), "created left joined b");
    open_note(house, &whole, "bob", "0");
    assert_string_equal(heard(&whole), "created left joined b");
    end_note(&bob);
    end_note(&whole);
    end_house(house);
}

/* Two times of membership are known, both seem to last: a receipt, which has no
 * seq, still comes once. */
static void a_receipt_comes_once_to_one_of_two_memberships(void **state)
{
    struct house *house = given_house();
    struct entry hi = saying("alice", OPEN_TEAM, "\"hi\"");
    struct commit *commits[3];
    struct note bob;

    (void)state;
    given_team(house, OPEN_TEAM);
    house_write(house, &hi);
    commits[0] = commit_one(house, marking(ENTRY_READ, "alice", OPEN_TEAM, 2));
    commits[1] = commit_one(house, bob_leaves(OPEN_TEAM));
    commits[2] = commit_one(house, bob_joins(OPEN_TEAM));
    open_note(house, &bob, "bob", "0");
    house_announce(house, commits[0]);
    assert_string_equal(heard(&bob), "created hi read");
    house_announce(house, commits[1]);
    house_announce(house, commits[2]);
    assert_string_equal(heard(&bob), "created hi read left joined");
    end_note(&bob);
    end_house(house);
}

/* One may follow at once what another worker has just said one is in. */
static void a_group_made_on_another_worker_can_be_followed_at_once(void **state)
{
    struct house *house = given_house();
    struct note mixed, chain;
    struct follow follow = {.conversation = SPAN(TEAM), .after = SPAN("0")};
    struct commit *commits[3];

    (void)state;
    open_note(house, &mixed, "bob", NULL); /* the session is in memory */
    commits[0] =
        commit_one(house, changing(ENTRY_CREATE, "alice", TEAM, SPAN("bob\0")));
    commits[1] = commit_one(house, saying("alice", TEAM, "\"hi\""));
    assert_int_equal(try_open(house, &chain, "bob", &follow), ERR_NONE);
    read_on(&chain);
    assert_string_equal(heard(&chain), "");
    house_announce(house, commits[0]);
    house_announce(house, commits[1]);
    assert_string_equal(heard(&mixed), "created hi");
    assert_string_equal(heard(&chain), "created hi");
    end_note(&chain);
    assert_int_equal(try_open(house, &chain, "dave", &follow), ERR_NOT_MEMBER);
    end_note(&chain);
    end_note(&mixed);
    end_house(house);
}

/* The same when what they opened was a stream they lose before it is heard of.
 */
static void a_leave_not_heard_of_still_ends_the_sight(void **state)
{
    struct house *house = given_house();
    struct commit *commits[3];
    struct note mixed, chain;

    (void)state;
    given_team(house, TEAM);
    commits[0] = commit_one(house, saying("alice", TEAM, "\"a\""));
    commits[1] = commit_one(house, bob_leaves(TEAM));
    commits[2] = commit_one(house, saying("alice", TEAM, "\"secret\""));
    open_note(house, &mixed, "bob", "0");
    open_chain(house, &chain, "bob", TEAM, "0");
    assert_string_equal(heard(&chain), "created");
    for (int i = 0; i < 3; i++)
        house_announce(house, commits[i]);
    assert_string_equal(heard(&mixed), "created a left");
    assert_string_equal(heard(&chain), "created a left");
    end_note(&mixed);
    end_note(&chain);
    end_house(house);
}

/* The cursor of a send's answer, taken to a worker that has not heard of it. */
static void
a_cursor_from_another_worker_is_neither_reset_nor_moved_back(void **state)
{
    struct house *house = given_house();
    struct commit *commits[3];
    struct note bob, chain;

    (void)state;
    given_team(house, TEAM);
    commits[0] = commit_one(house, saying("alice", TEAM, "\"a\""));
    commits[1] = commit_one(house, saying("bob", TEAM, "\"b\""));
    open_note(house, &bob, "bob", cursor_at(house, store_head(house->store)));
    open_chain(house, &chain, "bob", TEAM, "3");
    assert_string_equal(heard(&bob), "");
    assert_int_equal(carrier_at(&bob.carrier), store_head(house->store));
    commits[2] = commit_one(house, saying("alice", TEAM, "\"c\""));
    for (int i = 0; i < 3; i++)
        house_announce(house, commits[i]);
    assert_string_equal(heard(&bob), "c");
    assert_string_equal(heard(&chain), "c");
    assert_int_equal(carrier_seq(&chain.carrier), 4);
    end_note(&bob);
    end_note(&chain);
    end_house(house);
}

/* Retention took what was not heard of together with what was: whoever stood
 * before it is told. */
static void a_gap_that_reaches_beyond_the_head_is_told(void **state)
{
    struct house *house = given_house();
    struct entry early = saying("alice", TEAM, "\"early\"");
    struct commit *commits[3];
    struct note chain;

    (void)state;
    given_team(house, TEAM);
    house_write(house, &early);
    commits[0] = commit_one(house, saying("alice", TEAM, "\"a\""));
    commits[1] = commit_one(house, saying("alice", TEAM, "\"b\""));
    commits[2] = commit_one(house, marking(ENTRY_TRIM, "", TEAM, 3));
    open_chain(house, &chain, "bob", TEAM, "1");
    for (int i = 0; i < 3; i++)
        house_announce(house, commits[i]);
    assert_string_equal(heard(&chain), "gap b");
    end_note(&chain);
    end_house(house);
}

/* --- whatever happens ------------------------------------------------------
 */

#define PEOPLE 3
#define STEPS 1500
#define LATE_MAX 8

static const char *const people[PEOPLE] = {"alice", "bob", "carol"};
static const char *const places[] = {"0:1:alice:bob", "0:1:bob:carol", TEAM,
                                     "0:2:crew"};

static unsigned dice(unsigned *seed, unsigned below)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 16) % below;
}

/* Who is in which group, so that every entry is accepted. */
struct world {
    bool in[2][PEOPLE];
    uint64_t last[4];
    unsigned seed;
    int said;
};

static struct entry speak(struct world *world, char text[16])
{
    size_t place = dice(&world->seed, 4), who;

    do
        who = place < 2 ? place + dice(&world->seed, 2)
                        : dice(&world->seed, PEOPLE);
    while (place >= 2 && !world->in[place - 2][who]);
    snprintf(text, 16, "\"%d\"", ++world->said);
    world->last[place]++;
    return saying(people[who], places[place], text);
}

/* Alice stays, so that somebody is in. */
static struct entry come_or_go(struct world *world, char users[16])
{
    size_t group = dice(&world->seed, 2), who = 1 + dice(&world->seed, 2);
    bool *in = &world->in[group][who];
    struct span one = {users, strlen(people[who]) + 1};

    memcpy(users, people[who], one.size);
    *in = !*in;
    world->last[2 + group]++;
    return changing(*in ? ENTRY_JOIN : ENTRY_LEAVE, people[who],
                    places[2 + group], one);
}

static struct commit *a_commit(struct house *house, struct world *world)
{
    struct entry entries[4];
    char texts[4][16];
    size_t count = 1 + dice(&world->seed, 4);

    for (size_t i = 0; i < count; i++)
        entries[i] = dice(&world->seed, 4) ? speak(world, texts[i])
                                           : come_or_go(world, texts[i]);
    return house_commit(house, entries, count);
}

static lsn lsn_of(json_t *event)
{
    const char *cursor = json_string_value(json_object_get(event, "cursor"));

    return strtoull(cursor + 9, NULL, 10);
}

/* Presented cursors are not to become entries of the log here: all that is
 * written is written by house_commit(). */
static void keep_no_marks(struct house *house, const char *user)
{
    struct identity who = {.app = "demo"};
    struct session *session;

    snprintf(who.user, sizeof who.user, "%s", user);
    session = session_get(&house->worker, &who);
    session->presenting = UINT64_MAX;
    session_put(session);
}

/* What a client keeps of what it receives: only what is beyond its cursor. */
static void keep(json_t *transcript, lsn *cursor, struct note *note)
{
    size_t i;
    json_t *event;

    json_array_foreach (note->events, i, event) {
        assert_true(lsn_of(event) > *cursor); /* no duplicate, in order */
        *cursor = lsn_of(event);
        json_array_append(transcript, event);
    }
    json_array_clear(note->events);
}

/* Streams are opened, stalled and lost while the worker is up to LATE_MAX
 * commits late, and its sessions are loaded from that newer snapshot. */
static void a_late_worker_gives_each_the_whole_chain(void **state)
{
    (void)state;
    for (unsigned round = 1; round <= 8; round++) {
        struct house *house = given_house();
        struct world world = {.seed = round};
        struct commit *late[LATE_MAX];
        size_t late_count = 0;
        struct note live[PEOPLE], whole;
        json_t *transcripts[PEOPLE];
        lsn cursors[PEOPLE] = {0};

        for (int group = 0; group < 2; group++) {
            struct entry create =
                changing(ENTRY_CREATE, "alice", places[2 + group], SPAN(""));

            house_write(house, &create);
            world.in[group][0] = true;
        }
        for (int i = 0; i < PEOPLE; i++) {
            transcripts[i] = json_array();
            open_note(house, &live[i], people[i], "0");
            end_note(&live[i]);
            memset(&live[i], 0, sizeof live[i]);
        }
        for (int step = 0; step < STEPS; step++) {
            int i = (int)dice(&world.seed, PEOPLE);

            if (late_count < LATE_MAX && dice(&world.seed, 2))
                late[late_count++] = a_commit(house, &world);
            if (late_count && dice(&world.seed, 2)) {
                house_announce(house, late[0]);
                late_count--;
                for (size_t n = 0; n < late_count; n++)
                    late[n] = late[n + 1];
            }
            switch (dice(&world.seed, 6)) {
            case 0:
                if (live[i].carrier.open)
                    break;
                keep_no_marks(house, people[i]);
                open_note(house, &live[i], people[i],
                          cursors[i] ? cursor_at(house, cursors[i]) : "0");
                break;
            case 1:
                if (live[i].carrier.open) {
                    keep(transcripts[i], &cursors[i], &live[i]);
                    end_note(&live[i]);
                    session_disown(session_find(house->worker.hub, SPAN("demo"),
                                                0, span_of(people[i])));
                }
                break;
            case 2:
                live[i].blocked = !live[i].blocked;
                if (live[i].carrier.open)
                    read_on(&live[i]);
                break;
            default:
                break;
            }
        }
        for (size_t i = 0; i < late_count; i++)
            house_announce(house, late[i]);
        for (int i = 0; i < PEOPLE; i++) {
            json_t *all = json_array();
            lsn from = 0;

            if (live[i].carrier.open) {
                live[i].blocked = false;
                read_on(&live[i]);
                keep(transcripts[i], &cursors[i], &live[i]);
                end_note(&live[i]);
            }
            open_note(house, &whole, people[i],
                      cursors[i] ? cursor_at(house, cursors[i]) : "0");
            keep(transcripts[i], &cursors[i], &whole);
            end_note(&whole);
            open_note(house, &whole, people[i], "0");
            keep(all, &from, &whole);
            end_note(&whole);
            assert_true(json_array_size(all) > 100);
            assert_true(json_equal(all, transcripts[i]));
            json_decref(all);
            json_decref(transcripts[i]);
        }
        end_house(house);
    }
}

/* … on the mixed chain, too, where the head comes before what was trimmed. */
static void the_mixed_chain_tells_such_a_gap_as_well(void **state)
{
    struct house *house = given_house();
    struct entry early = saying("alice", TEAM, "\"early\"");
    struct commit *commits[3];
    struct note bob;
    lsn before;

    (void)state;
    given_team(house, TEAM);
    before = hub_head(house->worker.hub);
    house_write(house, &early);
    commits[0] = commit_one(house, saying("alice", TEAM, "\"a\""));
    commits[1] = commit_one(house, saying("alice", TEAM, "\"b\""));
    commits[2] = commit_one(house, marking(ENTRY_TRIM, "", TEAM, 3));
    open_note(house, &bob, "bob", cursor_at(house, before));
    for (int i = 0; i < 3; i++)
        house_announce(house, commits[i]);
    assert_non_null(strstr(heard(&bob), "gap"));
    end_note(&bob);
    end_house(house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_said_while_one_was_out_stays_unseen),
        cmocka_unit_test(a_receipt_comes_once_to_one_of_two_memberships),
        cmocka_unit_test(
            a_group_made_on_another_worker_can_be_followed_at_once),
        cmocka_unit_test(a_leave_not_heard_of_still_ends_the_sight),
        cmocka_unit_test(
            a_cursor_from_another_worker_is_neither_reset_nor_moved_back),
        cmocka_unit_test(a_gap_that_reaches_beyond_the_head_is_told),
        cmocka_unit_test(the_mixed_chain_tells_such_a_gap_as_well),
        cmocka_unit_test(a_late_worker_gives_each_the_whole_chain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
