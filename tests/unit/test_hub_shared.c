/* What many are given alike is read and composed once. */
#include "tests/lib/given_house.h"

#include "server/base/clock.h"
#include "server/watch.h"
#include "transports/transport.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NEWS "0:3:news"
#define MUCH (1u << 16)

static void given_channel(struct house *house)
{
    struct entry create = changing(ENTRY_CREATE, "alice", NEWS, SPAN(""));

    house_write(house, &create);
}

static void say(struct house *house, const char *json, unsigned flags)
{
    struct entry entry = saying("alice", NEWS, json);

    entry.flags = flags;
    house_write(house, &entry);
}

static void follow_news(struct house *house, struct note *note,
                        const char *user, const char *limit)
{
    struct follow follow = {.conversation = SPAN(NEWS),
                            .after = SPAN("1"),
                            .limit = span_of(limit)};

    assert_int_equal(try_open(house, note, user, &follow), ERR_NONE);
}

static struct burst *next(struct note *note, bool *more)
{
    struct burst *burst;

    assert_int_equal(carrier_next(&note->carrier, MUCH, &burst, more, NULL),
                     ERR_NONE);
    return burst;
}

static void who_fell_behind_together_reads_together(void **state)
{
    struct house *house = given_house();
    struct note bob, carol;
    struct burst *burst;
    bool more;

    (void)state;
    given_channel(house);
    say(house, "\"a\"", 0);
    say(house, "\"b\"", 0);
    say(house, "\"c\"", 0);
    follow_news(house, &bob, "bob", "2");
    follow_news(house, &carol, "carol", "2");
    burst = next(&bob, &more);
    assert_int_equal(burst->count, 2);
    assert_true(more);
    burst_unref(burst);
    assert_ptr_equal(next(&carol, &more), burst);
    assert_true(more);
    burst_unref(burst);
    assert_int_equal(carrier_seq(&carol.carrier), 3);
    assert_int_equal(carrier_at(&carol.carrier), carrier_at(&bob.carrier));
    burst = next(&bob, &more);
    assert_int_equal(burst->count, 1);
    assert_false(more);
    burst_unref(burst);
    say(house, "\"d\"", 0); /* carol stands elsewhere now, and the head too */
    assert_string_equal(heard(&bob), "d");
    read_on(&carol);
    assert_string_equal(heard(&carol), "c d");
    end_note(&bob);
    end_note(&carol);
    end_house(house);
}

/* What leaves out somebody's own echo is theirs alone. */
static void what_is_for_some_only_is_not_shared(void **state)
{
    struct house *house = given_house();
    struct note alice, bob;

    (void)state;
    given_channel(house);
    say(house, "\"a\"", 0);
    say(house, "\"b\"", ENTRY_NO_ECHO);
    follow_news(house, &alice, "alice", "9");
    follow_news(house, &bob, "bob", "9");
    read_on(&alice);
    read_on(&bob);
    assert_string_equal(heard(&alice), "a");
    assert_string_equal(heard(&bob), "a b");
    end_note(&alice);
    end_note(&bob);
    end_house(house);
}

/* The second who stands at the end is placed from memory, like the first. */
static void who_stands_at_the_end_is_placed_alike(void **state)
{
    struct house *house = given_house();
    struct note bob, carol, dave, erin;
    char at[32];

    (void)state;
    given_channel(house);
    say(house, "\"a\"", 0);
    snprintf(at, sizeof at, "%s", cursor_at(house, store_head(house->store)));
    assert_null(watch_named(house->worker.hub,
                            &(struct person){"demo", "bob", 0}, SPAN(NEWS)));
    open_chain(house, &bob, "bob", NEWS, "2");
    open_chain(house, &carol, "carol", NEWS, "2");
    assert_ptr_equal(watch_named(house->worker.hub,
                                 &(struct person){"demo", "bob", 0},
                                 SPAN(NEWS)),
                     bob.carrier.watch);
    assert_null(watch_named(house->worker.hub,
                            &(struct person){"demo", "bob", 7}, SPAN(NEWS)));
    assert_ptr_equal(carol.carrier.watch, bob.carrier.watch);
    assert_int_equal(carrier_seq(&carol.carrier), carrier_seq(&bob.carrier));
    assert_int_equal(carrier_at(&carol.carrier), carrier_at(&bob.carrier));
    open_chain(house, &dave, "dave", NEWS, "1");
    assert_string_equal(heard(&dave), "a");
    assert_int_equal(try_open(house, &erin, "erin",
                              &(struct follow){.conversation = SPAN(NEWS),
                                               .cursor = span_of(at)}),
                     ERR_NONE);
    read_on(&erin);
    say(house, "\"b\"", 0);
    assert_string_equal(heard(&bob), "b");
    assert_string_equal(heard(&carol), "b");
    assert_string_equal(heard(&dave), "a b");
    assert_string_equal(heard(&erin), "b");
    assert_int_equal(carrier_seq(&erin.carrier), 3);
    end_note(&bob);
    end_note(&carol);
    end_note(&dave);
    end_note(&erin);
    assert_null(watch_named(house->worker.hub,
                            &(struct person){"demo", "bob", 0}, SPAN(NEWS)));
    end_house(house);
}

/* --- a stream ------------------------------------------------------------- */

struct stream {
    struct carrier carrier;
    size_t delivered, woken;
};

static void stream_deliver(struct carrier *carrier, struct burst *burst)
{
    container_of(carrier, struct stream, carrier)->delivered += burst->count;
}

static void stream_wake(struct carrier *carrier)
{
    container_of(carrier, struct stream, carrier)->woken++;
}

static const struct transport streams = {
    .name = "streams",
    .by = BY_SSE,
    .stream = true,
    .deliver = stream_deliver,
    .wake = stream_wake,
};

static void a_stream_that_is_level_is_not_limited(void **state)
{
    struct house *house = given_house();
    struct identity who = {.app = "demo", .user = "bob"};
    struct follow follow = {.conversation = SPAN(NEWS), .limit = SPAN("1")};
    struct entry entries[] = {saying("alice", NEWS, "\"a\""),
                              saying("alice", NEWS, "\"b\""),
                              saying("alice", NEWS, "\"c\"")};
    struct stream stream = {0};
    struct burst *burst;
    struct note poll;
    bool more;

    (void)state;
    given_channel(house);
    who.expires_ms = clock_wall_ms() + 3600000;
    assert_int_equal(carrier_open(&stream.carrier, &house->worker, &streams,
                                  &who, &follow, NULL),
                     ERR_NONE);
    assert_int_equal(carrier_next(&stream.carrier, MUCH, &burst, &more, NULL),
                     ERR_NONE);
    burst_unref(burst); /* hello */
    follow_news(house, &poll, "carol", "1");
    read_on(&poll);
    house_announce(house, house_commit(house, entries, 3));
    assert_int_equal(stream.delivered, 3);
    assert_int_equal(stream.woken, 0);
    assert_string_equal(heard(&poll), "a b c"); /* from the log, one by one */
    carrier_close(&stream.carrier);
    end_note(&poll);
    end_house(house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_fell_behind_together_reads_together),
        cmocka_unit_test(what_is_for_some_only_is_not_shared),
        cmocka_unit_test(who_stands_at_the_end_is_placed_alike),
        cmocka_unit_test(a_stream_that_is_level_is_not_limited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
