/* The flight recorder: what is noted of a delivery, what is forgotten, and that
 * others may read while it is written. */
#include "server/recorder.h"
#include "tests/lib/given_house.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define PAIR "0:1:alice:bob"

static struct house *given_recording_house(size_t points)
{
    struct house *house = given_house();

    house->worker.recorder = recorder_create(points);
    assert_non_null(house->worker.recorder);
    return house;
}

static void end_recording_house(struct house *house)
{
    struct recorder *recorder = house->worker.recorder;

    end_house(house);
    recorder_destroy(recorder);
}

/* "announced 3-3; bob/phone ws 3-3 0; ": what is known of one entry. */
struct text {
    char text[2000];
    size_t size;
};

static void write_point(const struct recorded *point, void *arg)
{
    struct text *out = arg;
    char *at = out->text + out->size;
    size_t room = sizeof(out->text) - out->size;

    assert_true(point->at_us > 0);
    if (point->kind == RECORDED_ANNOUNCED)
        out->size += (size_t)snprintf(at, room, "announced; ");
    else
        out->size += (size_t)snprintf(
            at, room, "%.*s/%.*s/%.*s of %llu; ", (int)point->app.size,
            point->app.data, (int)point->user.size, point->user.data,
            (int)point->device.size, point->device.data,
            (unsigned long long)point->conv);
    assert_true(out->size < sizeof(out->text));
}

static const char *known_of(const struct house *house, lsn at)
{
    static struct text out;

    out = (struct text){{0}, 0};
    recorder_visit(house->worker.recorder, at, write_point, &out);
    return out.text;
}

static void a_delivery_is_noted_with_its_reader(void **state)
{
    struct house *house = given_recording_house(100);
    struct entry one = saying("alice", PAIR, "\"one\"");
    struct note live, late, chain;
    lsn first = house_write(house, &one), second;

    (void)state;
    assert_string_equal(known_of(house, first), "announced; ");
    open_note(house, &live, "bob", "0");
    read_on(&live);
    assert_string_equal(known_of(house, first),
                        "announced; demo/bob/phone of 0; ");
    open_chain(house, &chain, "bob", PAIR, "1");
    second = house_write(house, &one);
    assert_string_equal(
        known_of(house, second),
        "announced; demo/bob/phone of 0; demo/bob/phone of 1; ");
    open_note(house, &late, "alice", cursor_at(house, second)); /* says hello */
    read_on(&late);
    assert_string_equal(
        known_of(house, second),
        "announced; demo/bob/phone of 0; demo/bob/phone of 1; ");
    end_note(&live);
    end_note(&late);
    end_note(&chain);
    end_recording_house(house);
}

static void the_oldest_is_forgotten(void **state)
{
    struct house *house = given_recording_house(2);
    struct entry one = saying("alice", PAIR, "\"one\"");
    lsn first = house_write(house, &one);

    (void)state;
    house_write(house, &one);
    assert_string_equal(known_of(house, first), "announced; ");
    house_write(house, &one);
    assert_string_equal(known_of(house, first), "");
    end_recording_house(house);
}

/* Of many who are handed the same, the first few. */
static void a_channel_costs_a_few_points(void **state)
{
    struct house *house = given_recording_house(100);
    struct entry channel =
        changing(ENTRY_CREATE, "alice", "0:3:news", SPAN(""));
    struct entry one = saying("alice", "0:3:news", "\"one\"");
    struct note notes[20];
    const char *known;
    size_t written = 0;

    (void)state;
    house_write(house, &channel);
    for (int i = 0; i < 20; i++)
        open_chain(house, &notes[i], "bob", "0:3:news", "1");
    known = known_of(house, house_write(house, &one));
    while ((known = strstr(known, "demo/bob")) != NULL) {
        known++;
        written++;
    }
    assert_int_equal(written, 8);
    for (int i = 0; i < 20; i++)
        end_note(&notes[i]);
    end_recording_house(house);
}

struct watching {
    struct recorder *recorder;
    atomic_bool over;
    uint64_t seen, torn;
};

/* Each commit's words are one number: a mixture is seen. */
static void look_at(const struct recorded *point, void *arg)
{
    struct watching *watching = arg;

    watching->seen++;
    watching->torn += point->first != point->committed_us;
}

static void watch(void *arg)
{
    struct watching *watching = arg;

    while (!atomic_load(&watching->over))
        recorder_visit(watching->recorder, UINT64_MAX, look_at, watching);
}

static void a_point_is_read_whole_or_not(void **state)
{
    struct watching watching = {.recorder = recorder_create(4)};
    struct committed entries[1] = {0};
    struct commit commit = {.count = 1, .entries = entries};
    uv_thread_t thread;

    (void)state;
    assert_non_null(watching.recorder);
    commit.head = UINT64_MAX;
    assert_int_equal(uv_thread_create(&thread, watch, &watching), 0);
    for (uint64_t i = 1; i <= 200000; i++) {
        entries[0].entry.lsn = i;
        commit.committed_us = i;
        recorder_announced(watching.recorder, &commit);
    }
    atomic_store(&watching.over, true);
    uv_thread_join(&thread);
    recorder_visit(watching.recorder, UINT64_MAX, look_at, &watching);
    assert_true(watching.seen >= 4);
    assert_int_equal(watching.torn, 0);
    recorder_destroy(watching.recorder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_delivery_is_noted_with_its_reader),
        cmocka_unit_test(the_oldest_is_forgotten),
        cmocka_unit_test(a_channel_costs_a_few_points),
        cmocka_unit_test(a_point_is_read_whole_or_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
