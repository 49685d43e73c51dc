/* Leaving, where one commit holds more than the leave: who is out sees nothing
 * behind it, on the mixed chain and on the conversation's own. */
#include "tests/lib/given_house.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define TEAM "0:2:team"
#define OPEN_TEAM "0:2:open" /* newcomers may read what came before them */

static void given_team(struct house *house, const char *name)
{
    struct entry create = changing(ENTRY_CREATE, "alice", name, SPAN("bob\0"));

    house_write(house, &create);
}

static struct entry bob_leaves(const char *name)
{
    return changing(ENTRY_LEAVE, "bob", name, SPAN("bob\0"));
}

static struct entry bob_joins(const char *name)
{
    return changing(ENTRY_JOIN, "bob", name, SPAN("bob\0"));
}

static void a_message_behind_the_leave_in_one_commit_is_not_seen(void **state)
{
    struct house *house = given_house();
    struct entry entries[] = {saying("alice", TEAM, "\"a\""), bob_leaves(TEAM),
                              saying("alice", TEAM, "\"secret\"")};
    struct note mixed, chain;

    (void)state;
    given_team(house, TEAM);
    open_note(house, &mixed, "bob", NULL);
    open_chain(house, &chain, "bob", TEAM, "1");
    house_announce(house, house_commit(house, entries, 3));
    assert_string_equal(heard(&mixed), "a left");
    assert_string_equal(heard(&chain), "a left");
    assert_string_equal(chain.ended, "not_member");
    end_note(&mixed);
    end_note(&chain);
    end_house(house);
}

static void leaving_twice_in_one_commit_ends_a_stream_once(void **state)
{
    struct house *house = given_house();
    struct entry entries[] = {bob_leaves(TEAM), bob_joins(TEAM),
                              bob_leaves(TEAM)};
    struct note first, second;

    (void)state;
    given_team(house, TEAM);
    open_chain(house, &first, "bob", TEAM, "1");
    open_chain(house, &second, "bob", TEAM, "1");
    house_announce(house, house_commit(house, entries, 3));
    assert_string_equal(first.ended, "not_member");
    assert_string_equal(second.ended, "not_member");
    assert_string_equal(heard(&second), "left joined left");
    end_note(&first);
    end_note(&second);
    end_house(house);
}

/* A newcomer's own chain costs what they may see, not what was there before
 * them; and a gap begins where their sight does. */
static void the_chain_of_a_newcomer_begins_at_the_join(void **state)
{
    enum { BEFORE = 2000 };
    struct house *house = given_house();
    struct entry said = saying("alice", TEAM, "\"old\"");
    struct entry join = changing(ENTRY_JOIN, "carol", TEAM, SPAN("carol\0"));
    struct entry fresh = saying("alice", TEAM, "\"new\"");
    struct entry trim = marking(ENTRY_TRIM, "", TEAM, 1500);
    struct note carol;
    uint64_t calls;

    (void)state;
    given_team(house, TEAM);
    for (int i = 0; i < BEFORE; i++)
        house_write(house, &said);
    house_write(house, &join);
    house_write(house, &fresh);
    (void)store_fail_nth(0, 0);
    open_chain(house, &carol, "carol", TEAM, "0");
    calls = store_fail_nth(0, 0);
    assert_string_equal(heard(&carol), "joined new");
    assert_true(calls < 100);
    end_note(&carol);
    house_write(house, &trim);
    open_chain(house, &carol, "carol", TEAM, "0");
    assert_string_equal(heard(&carol), "joined new");
    end_note(&carol);
    trim.mark = BEFORE + 2; /* the join goes, too */
    house_write(house, &trim);
    open_chain(house, &carol, "carol", TEAM, "0");
    assert_string_equal(heard(&carol), "gap new");
    assert_int_equal(json_integer_value(json_object_get(
                         json_array_get(carol.events, 0), "from")),
                     BEFORE + 2);
    end_note(&carol);
    end_house(house);
}

/* Two times of membership with a time outside in between. */
static void
the_chain_of_one_who_came_back_leaves_out_what_was_between(void **state)
{
    struct house *house = given_house();
    struct entry entries[] = {saying("alice", TEAM, "\"a\""), bob_leaves(TEAM),
                              saying("alice", TEAM, "\"secret\""),
                              bob_joins(TEAM), saying("alice", TEAM, "\"b\"")};
    struct follow bit_by_bit = {
        .conversation = SPAN(TEAM), .after = SPAN("0"), .limit = SPAN("1")};
    struct note bob;

    (void)state;
    given_team(house, TEAM);
    house_announce(house, house_commit(house, entries, 5));
    open_chain(house, &bob, "bob", TEAM, "0");
    assert_string_equal(heard(&bob), "created a left joined b");
    end_note(&bob);
    assert_int_equal(try_open(house, &bob, "bob", &bit_by_bit), ERR_NONE);
    read_on(&bob);
    assert_string_equal(heard(&bob), "created a left joined b");
    end_note(&bob);
    open_chain(house, &bob, "bob", TEAM, "3");
    assert_string_equal(heard(&bob), "joined b");
    end_note(&bob);
    end_house(house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_behind_the_leave_in_one_commit_is_not_seen),
        cmocka_unit_test(the_chain_of_a_newcomer_begins_at_the_join),
        cmocka_unit_test(
            the_chain_of_one_who_came_back_leaves_out_what_was_between),
        cmocka_unit_test(leaving_twice_in_one_commit_ends_a_stream_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
