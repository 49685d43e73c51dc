/* Whichever allocation fails while a commit is announced: who listens goes on
 * without a loss, or is told to come back and then misses nothing. */
#include "tests/lib/given_house.h"

#include "server/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TEAM "0:2:team"
#define FAILURES 40 /* more than any announcement here allocates */

static void announce_short(struct house *house, struct commit *commit,
                           size_t nth)
{
    mem_fail_nth(nth);
    house_announce(house, commit);
    mem_fail_nth(0);
}

/* A group too large for receipts to be shown to others. */
static void given_crowd(struct house *house)
{
    char users[40 * 8];
    size_t size = 0;
    struct entry create;

    for (int i = 0; i < 40; i++)
        size +=
            (size_t)snprintf(users + size, sizeof users - size, "user%d", i) +
            1;
    create = changing(ENTRY_CREATE, "alice", TEAM, (struct span){users, size});
    house_write(house, &create);
}

static void ones_own_read_mark_reaches_the_other_device(void **state)
{
    (void)state;
    for (size_t nth = 0; nth < FAILURES; nth++) {
        struct house *house = given_house();
        struct entry said = saying("alice", TEAM, "\"hi\"");
        struct entry read = marking(ENTRY_READ, "user7", TEAM, 2);
        struct note note, other;

        given_crowd(house);
        house_write(house, &said);
        open_note(house, &note, "user7", NULL);
        open_note(house, &other, "user8", NULL);
        announce_short(house, house_commit(house, &read, 1), nth);
        assert_string_equal(heard(&note), "read");
        assert_string_equal(heard(&other), "");
        end_note(&note);
        end_note(&other);
        end_house(house);
    }
}

/* Nobody of theirs was here when it was announced, but others of the group. */
static void ones_own_read_mark_is_in_the_log_for_later(void **state)
{
    struct house *house = given_house();
    struct entry said = saying("alice", TEAM, "\"hi\"");
    struct entry read = marking(ENTRY_READ, "user7", TEAM, 2);
    struct note other, note;
    lsn before;

    (void)state;
    given_crowd(house);
    before = house_write(house, &said);
    open_note(house, &other, "user8", NULL);
    house_write(house, &read);
    open_note(house, &note, "user7", cursor_at(house, before));
    assert_string_equal(heard(&note), "read");
    end_note(&note);
    end_note(&other);
    end_house(house);
}

/* Bob is let into a group and spoken to in another place, in one commit. He
 * goes on from where a poll's last answer would leave him. */
static void who_is_dropped_finds_the_whole_commit_when_back(void **state)
{
    (void)state;
    for (size_t nth = 0; nth < FAILURES; nth++) {
        struct house *house = given_house();
        struct entry hello = saying("alice", "0:1:alice:bob", "\"hello\"");
        struct entry entries[] = {
            saying("alice", "0:1:alice:bob", "\"a\""),
            changing(ENTRY_CREATE, "alice", TEAM, SPAN("bob\0")),
            saying("alice", TEAM, "\"b\""),
            saying("alice", "0:1:alice:bob", "\"c\"")};
        struct note bob, again;

        house_write(house, &hello);
        open_note(house, &bob, "bob", NULL);
        announce_short(house, house_commit(house, entries, 4), nth);
        if (bob.ended) {
            assert_string_equal(heard(&bob), "");
            open_note(house, &again, "bob", cursor_at(house, bob.left_at));
            assert_string_equal(heard(&again), "a created b c");
            end_note(&again);
        } else {
            read_on(&bob);
            assert_string_equal(heard(&bob), "a created b c");
        }
        end_note(&bob);
        end_house(house);
    }
}

/* The stream of one conversation must not outlive what is known of its user. */
static void who_was_dropped_once_still_loses_what_they_leave(void **state)
{
    (void)state;
    for (size_t nth = 0; nth < FAILURES; nth++) {
        struct house *house = given_house();
        struct entry team =
            changing(ENTRY_CREATE, "alice", TEAM, SPAN("bob\0"));
        struct entry other =
            changing(ENTRY_CREATE, "alice", "0:2:other", SPAN("bob\0"));
        struct entry leave = changing(ENTRY_LEAVE, "bob", TEAM, SPAN("bob\0"));
        struct entry secret = saying("alice", TEAM, "\"secret\"");
        struct note chain;

        house_write(house, &team);
        open_chain(house, &chain, "bob", TEAM, "1");
        announce_short(house, house_commit(house, &other, 1), nth);
        house_write(house, &leave);
        house_write(house, &secret);
        assert_null(strstr(heard(&chain), "secret"));
        assert_non_null(chain.ended);
        end_note(&chain);
        end_house(house);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ones_own_read_mark_reaches_the_other_device),
        cmocka_unit_test(ones_own_read_mark_is_in_the_log_for_later),
        cmocka_unit_test(who_is_dropped_finds_the_whole_commit_when_back),
        cmocka_unit_test(who_was_dropped_once_still_loses_what_they_leave),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
