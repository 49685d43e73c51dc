/* The sequencer: every submission is answered exactly once and honestly, every
 * worker hears of every commit in order, whatever fails. */
#include "server/base/clock.h"
#include "server/base/list.h"
#include "server/base/mem.h"
#include "server/sequencer.h"
#include "store/reader.h"
#include "tests/lib/given_store.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PLACE "0:1:alice:bob"
#define PORTS 2
#define ENTRIES_MAX 4096

/* --- a desk with two ports ------------------------------------------------ */

struct ear {
    struct port port;
    lsn heard[ENTRIES_MAX]; /* entries, in the order announced */
    size_t count, commits;
    size_t largest; /* commit, in bytes */
    lsn head;
};

struct desk {
    struct given *given;
    uv_loop_t loop;
    struct ear ears[PORTS];
    struct port *ports[PORTS];
    struct config *config;
    struct sequencer *sequencer;
    struct append *lock;
    size_t waiting; /* submissions without an answer */
};

static void on_announce(struct port *port, struct commit *commit)
{
    struct ear *ear = container_of(port, struct ear, port);

    assert_true(commit->count > 0);
    for (size_t i = 0; i < commit->count; i++) {
        lsn at = commit->entries[i].entry.lsn;

        assert_true(at == ear->head + 1); /* none is missing, none is twice */
        ear->head = at;
        if (ear->count < ENTRIES_MAX)
            ear->heard[ear->count++] = at;
    }
    assert_true(commit->head == ear->head);
    ear->commits++;
    if (commit->bytes.size > ear->largest)
        ear->largest = commit->bytes.size;
}

static void start(struct desk *desk, size_t max_queue)
{
    struct sequencer_options options = {.store = desk->given->store,
                                        .config = desk->config,
                                        .ports = desk->ports,
                                        .port_count = PORTS,
                                        .max_queue = max_queue};

    assert_int_equal(sequencer_start(&desk->sequencer, &options, NULL),
                     ERR_NONE);
}

static struct desk *given_desk_of(size_t max_queue, uint64_t map_size_bytes)
{
    struct desk *desk = calloc(1, sizeof *desk);

    desk->given = given_store_of(map_size_bytes);
    assert_int_equal(config_defaults(&desk->config), ERR_NONE);
    desk->config->queue_wait_ms = 600000; /* disks of tests may be slow */
    assert_int_equal(uv_loop_init(&desk->loop), 0);
    for (int i = 0; i < PORTS; i++) {
        desk->ports[i] = &desk->ears[i].port;
        assert_int_equal(port_init(desk->ports[i], &desk->loop, on_announce),
                         ERR_NONE);
    }
    start(desk, max_queue);
    return desk;
}

static struct desk *given_desk(void)
{
    return given_desk_of(0, 0);
}

static void stop(struct desk *desk)
{
    sequencer_stop(desk->sequencer);
    desk->sequencer = NULL;
    uv_run(&desk->loop, UV_RUN_NOWAIT);
}

static void end_desk(struct desk *desk)
{
    if (desk->sequencer)
        stop(desk);
    assert_int_equal(desk->waiting, 0);
    for (int i = 0; i < PORTS; i++) {
        assert_true(desk->ears[i].head == store_head(desk->given->store));
        port_close(desk->ports[i], NULL);
    }
    uv_run(&desk->loop, UV_RUN_DEFAULT);
    uv_loop_close(&desk->loop);
    config_unref(desk->config);
    given_end(desk->given);
    free(desk);
}

/* While it is held the sequencer cannot begin a transaction: what is submitted
 * gathers. */
static void hold(struct desk *desk)
{
    assert_int_equal(append_begin(&desk->lock, desk->given->store), ERR_NONE);
}

static void let_go(struct desk *desk)
{
    append_abort(desk->lock);
    desk->lock = NULL;
}

/* --- submissions ---------------------------------------------------------- */

struct said {
    struct submission submission;
    struct desk *desk;
    int answers;
};

static void said_done(struct submission *submission)
{
    struct said *said = container_of(submission, struct said, submission);
    struct ear *ear = container_of(submission->port, struct ear, port);

    said->answers++;
    said->desk->waiting--;
    assert_int_equal(said->answers, 1);
    assert_int_equal(submission->failure.err, submission->applied.err);
    if (submission->failure.err)
        assert_true(submission->failure.message[0]);
    else if (!submission->applied.duplicate) /* announced before */
        assert_true(submission->applied.lsn <= ear->head);
}

static enum err try_submit(struct desk *desk, struct said *said, size_t port,
                           struct entry entry)
{
    struct failure why;
    enum err rc;

    entry.app = SPAN("demo");
    entry.ts = 1;
    *said = (struct said){.desk = desk,
                          .submission = {.port = desk->ports[port],
                                         .done = said_done,
                                         .entry = entry}};
    rc = sequencer_submit(desk->sequencer, &said->submission, &why);
    if (!rc)
        desk->waiting++;
    else
        assert_int_equal(why.err, rc);
    return rc;
}

static void submit(struct desk *desk, struct said *said, size_t port,
                   struct entry entry)
{
    assert_int_equal(try_submit(desk, said, port, entry), ERR_NONE);
}

static void await_all(struct desk *desk)
{
    while (desk->waiting)
        uv_run(&desk->loop, UV_RUN_ONCE);
    uv_run(&desk->loop, UV_RUN_NOWAIT); /* the other port's letters, too */
}

static struct applied say(struct desk *desk, const char *id)
{
    struct said said;

    submit(desk, &said, 0, a_message(PLACE, "alice", id, "\"hi\""));
    await_all(desk);
    return said.submission.applied;
}

/* --- stories -------------------------------------------------------------- */

static void a_group_commit_answers_everyone(void **state)
{
    enum { MANY = 300 };
    struct desk *desk = given_desk();
    struct said *said = calloc(MANY, sizeof *said);
    uint64_t seq = 0;

    (void)state;
    hold(desk);
    for (size_t i = 0; i < MANY; i++) {
        /* every third a retry of the one before, every fifth an intruder's */
        static char ids[MANY][8];

        snprintf(ids[i], sizeof ids[i], "id%zu", i - (i % 3 == 2));
        submit(desk, &said[i], i % PORTS,
               a_message(PLACE, i % 5 == 4 ? "mallory" : "alice", ids[i],
                         "\"hi\""));
    }
    let_go(desk);
    await_all(desk);
    for (size_t i = 0; i < MANY; i++) {
        const struct applied *applied = &said[i].submission.applied;
        bool retry = i % 3 == 2 && (i - 1) % 5 != 4;

        assert_int_equal(said[i].answers, 1);
        assert_int_equal(applied->err, i % 5 == 4 ? ERR_NOT_MEMBER : ERR_NONE);
        if (applied->err)
            continue;
        assert_int_equal(applied->duplicate, retry);
        if (!retry)
            seq++;
        assert_int_equal(applied->seq, seq);
    }
    assert_int_equal(desk->ears[0].head, seq);
    assert_int_equal(desk->ears[0].commits, 1); /* the late ones joined */
    assert_int_equal(desk->ears[1].commits, desk->ears[0].commits);
    free(said);
    end_desk(desk);
}

/* However the submissions were grouped: runs of failures among them. */
static int groups_failed(const struct said *said, size_t count)
{
    int runs = 0;

    for (size_t i = 0; i < count; i++)
        if (said[i].submission.failure.err &&
            (i == 0 || !said[i - 1].submission.failure.err))
            runs++;
    return runs;
}

/* Whichever call of the store fails: of one group either all is stored or
 * nothing, everyone is told which, and the next is as if nothing had been. */
static void a_failing_commit_answers_all_and_the_next_succeeds(void **state)
{
    static const int codes[] = {ENOSPC, EIO};
    bool failed = true;

    (void)state;
    for (uint64_t nth = 1; failed; nth++) {
        struct desk *desk = given_desk();
        struct said said[5];
        lsn before;

        say(desk, "first");
        before = store_head(desk->given->store);
        hold(desk);
        for (size_t i = 0; i < 5; i++)
            submit(desk, &said[i], i % PORTS,
                   a_message(PLACE, "bob", NULL, "\"all or nothing\""));
        store_fail_nth(nth, codes[nth % 2]);
        let_go(desk);
        await_all(desk);
        failed = store_fail_nth(0, 0) >= nth;
        assert_true(groups_failed(said, 5) <= 1);
        for (size_t i = 0; i < 5; i++) {
            const struct submission *one = &said[i].submission;

            if (!one->failure.err)
                before++;
            else
                assert_int_equal(one->failure.err,
                                 nth % 2 ? ERR_UNAVAILABLE : ERR_STORAGE_FULL);
            assert_int_equal(one->applied.lsn, one->failure.err ? 0 : before);
        }
        assert_int_equal(store_head(desk->given->store), before);
        assert_int_equal(say(desk, "last").lsn, before + 1);
        assert_int_equal(problems_of(desk->given->store), 0);
        end_desk(desk);
    }
}

static bool count_link(const struct entry *entry, struct span bytes, void *arg)
{
    (void)entry;
    (void)bytes;
    ++*(size_t *)arg;
    return true;
}

static size_t messages_in(struct desk *desk)
{
    struct conversation conv;
    struct reader *reader;
    size_t count = 0;

    assert_int_equal(reader_create(&reader, desk->given->store), ERR_NONE);
    assert_int_equal(reader_begin(reader), ERR_NONE);
    assert_int_equal(
        reader_conversation(reader, SPAN("demo"), SPAN(PLACE), &conv),
        ERR_NONE);
    assert_int_equal(chain_read(reader, conv.no, 1, conv.last_seq, false,
                                count_link, &count),
                     ERR_NONE);
    reader_end(reader);
    reader_destroy(reader);
    return count;
}

static void a_full_map_refuses_honestly_and_is_read_on(void **state)
{
    struct desk *desk = given_desk_of(0, 1 << 20);
    static char body[20000];
    size_t stored = 0;
    struct said said;

    (void)state;
    memset(body, '1', sizeof body - 1);
    do {
        submit(desk, &said, 0, a_message(PLACE, "alice", NULL, body));
        await_all(desk);
        stored += !said.submission.failure.err;
    } while (!said.submission.failure.err && stored < 1000);
    assert_int_equal(said.submission.failure.err, ERR_STORAGE_FULL);
    assert_true(stored > 3 && stored < 1000);
    assert_int_equal(messages_in(desk), stored);
    submit(desk, &said, 1, a_message(PLACE, "alice", NULL, body));
    await_all(desk);
    assert_int_equal(said.submission.failure.err, ERR_STORAGE_FULL);
    assert_int_equal(messages_in(desk), stored);
    end_desk(desk);
}

static void a_full_queue_refuses_what_it_has_no_room_for(void **state)
{
    struct desk *desk = given_desk_of(8, 0);
    struct said said[20];
    size_t taken = 0;

    (void)state;
    hold(desk);
    for (size_t i = 0; i < 20; i++) {
        enum err rc = try_submit(desk, &said[taken], 0,
                                 a_message(PLACE, "alice", NULL, "\"hi\""));

        assert_int_equal(rc, i < 8 ? ERR_NONE : ERR_OVERLOADED);
        taken += !rc;
    }
    assert_int_equal(sequencer_queue(desk->sequencer), 8);
    let_go(desk);
    await_all(desk);
    assert_int_equal(sequencer_queue(desk->sequencer), 0);
    assert_int_equal(say(desk, NULL).seq, 9);
    end_desk(desk);
}

/* A clock that is ahead in one of the threads by more than may be waited. */
static uv_thread_t tester;
static atomic_bool ahead_here, ahead_there;

static uint64_t wall_ms(void)
{
    return 1;
}

static uint64_t mono_us(void)
{
    uv_thread_t self = uv_thread_self();
    bool ahead = atomic_load(uv_thread_equal(&self, &tester) ? &ahead_here
                                                             : &ahead_there);

    return ahead ? 1000000000000 : 1000000;
}

static struct desk *given_desk_with_a_clock(void)
{
    tester = uv_thread_self();
    clock_substitute(wall_ms, mono_us);
    return given_desk();
}

static void end_desk_with_a_clock(struct desk *desk)
{
    end_desk(desk);
    clock_substitute(NULL, NULL);
}

static void what_has_waited_too_long_is_refused(void **state)
{
    struct desk *desk = given_desk_with_a_clock();
    struct said said[3];

    (void)state;
    say(desk, NULL);
    atomic_store(&ahead_there, true); /* its turn comes late */
    for (size_t i = 0; i < 3; i++)
        submit(desk, &said[i], 0, a_message(PLACE, "alice", "a", "\"hi\""));
    await_all(desk);
    for (size_t i = 0; i < 3; i++) {
        const struct failure *why = &said[i].submission.failure;

        assert_int_equal(why->err, ERR_OVERLOADED);
        assert_in_range(why->retry_after_ms, 500, 1500);
    }
    assert_int_equal(sequencer_queue(desk->sequencer), 0);
    assert_int_equal(messages_in(desk), 1);
    atomic_store(&ahead_there, false);
    assert_false(say(desk, "a").duplicate); /* sent again: stored, once */
    assert_int_equal(messages_in(desk), 2);
    end_desk_with_a_clock(desk);
}

static void while_nothing_is_finished_nothing_more_is_taken(void **state)
{
    struct desk *desk = given_desk_with_a_clock();
    struct said said;

    (void)state;
    atomic_store(&ahead_here, true); /* its last sign of life is old */
    assert_int_equal(
        try_submit(desk, &said, 0, a_message(PLACE, "alice", NULL, "\"hi\"")),
        ERR_OVERLOADED);
    assert_int_equal(sequencer_queue(desk->sequencer), 0);
    atomic_store(&ahead_here, false);
    assert_int_equal(say(desk, NULL).seq, 1);
    end_desk_with_a_clock(desk);
}

/* Large messages are counted by their bytes, waiting and in one commit. */
static void large_messages_wait_and_commit_within_bounds(void **state)
{
    enum { LARGE = 15 << 20 };
    struct desk *desk = given_desk_of(0, 1 << 30);
    struct said *said = calloc(64, sizeof *said);
    char *body = malloc(LARGE);
    size_t taken = 0;
    enum err rc;

    (void)state;
    memset(body, '1', LARGE);
    hold(desk);
    do {
        struct entry large = a_message(PLACE, "alice", NULL, "");

        large.body = (struct span){body, LARGE};
        rc = try_submit(desk, &said[taken], 0, large);
        taken += !rc;
    } while (!rc && taken < 64);
    assert_int_equal(rc, ERR_OVERLOADED);
    assert_int_equal(taken, (256 << 20) / LARGE);
    let_go(desk);
    await_all(desk);
    for (size_t i = 0; i < taken; i++)
        assert_int_equal(said[i].submission.failure.err, ERR_NONE);
    assert_true(desk->ears[0].largest <= 33u << 20);
    assert_int_equal(say(desk, NULL).seq, taken + 1);
    free(body);
    free(said);
    end_desk(desk);
}

static void stopping_answers_what_was_submitted(void **state)
{
    enum { MANY = 100 };
    struct desk *desk = given_desk();
    struct said said[MANY];

    (void)state;
    hold(desk);
    for (size_t i = 0; i < MANY; i++)
        submit(desk, &said[i], i % PORTS,
               a_message(PLACE, "alice", NULL, "\"hi\""));
    let_go(desk);
    stop(desk);
    assert_int_equal(desk->waiting, 0);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(said[i].submission.applied.seq, i + 1);
    end_desk(desk);
}

static void short_memory_loses_no_answer(void **state)
{
    enum { MANY = 6 };

    (void)state;
    for (size_t nth = 1; nth < 40; nth++) {
        struct desk *desk = given_desk();
        struct said said[MANY];

        hold(desk);
        for (size_t i = 0; i < MANY; i++)
            submit(desk, &said[i], i % PORTS,
                   a_message(PLACE, "alice", NULL, "\"hi\""));
        mem_fail_nth(nth);
        let_go(desk);
        await_all(desk);
        mem_fail_nth(0);
        for (size_t i = 0; i < MANY; i++)
            if (said[i].submission.failure.err)
                assert_int_equal(said[i].submission.failure.err,
                                 ERR_UNAVAILABLE);
        assert_int_equal(say(desk, NULL).err, ERR_NONE);
        end_desk(desk);
    }
}

/* SIGHUP after SIGHUP, while the sequencer is busy. */
static void reload_often(void *arg)
{
    struct desk *desk = arg;

    for (int i = 0; i < 20000; i++)
        sequencer_reload(desk->sequencer, desk->config);
}

static void reloading_loses_no_submission(void **state)
{
    enum { MANY = 4000 };
    struct desk *desk = given_desk();
    struct said *said = calloc(MANY, sizeof *said);
    uv_thread_t thread;

    (void)state;
    assert_int_equal(uv_thread_create(&thread, reload_often, desk), 0);
    for (size_t i = 0; i < MANY; i++) {
        submit(desk, &said[i], 0, a_message(PLACE, "alice", NULL, "\"hi\""));
        uv_run(&desk->loop, UV_RUN_NOWAIT);
    }
    await_all(desk);
    uv_thread_join(&thread);
    free(said);
    end_desk(desk);
}

/* --- retention ------------------------------------------------------------ */

#define TRIMMED UINT64_C(400)

static struct said interrupting;
static lsn last_trim;

static void on_trim(struct port *port, struct commit *commit)
{
    struct ear *ear = container_of(port, struct ear, port);
    struct desk *desk = interrupting.desk;

    ear->head = commit->head;
    if (commit->entries[0].entry.kind != ENTRY_TRIM)
        return;
    last_trim = commit->head;
    if (desk)
        return;
    desk = container_of(ear, struct desk, ears[0]);
    submit(desk, &interrupting, 0,
           a_message(PLACE, "alice", NULL, "\"in between\""));
}

/* A sender waits for the one trim that is being committed, not for the pass. */
static void a_sender_waits_for_one_trim_at_most(void **state)
{
    struct desk *desk = given_desk();
    struct config *config;
    char *args[] = {"serve", "--retention-interval-ms=50",
                    "--retention-max-count=1", NULL};
    struct failure why;

    (void)state;
    interrupting.desk = NULL;
    for (unsigned i = 0; i < TRIMMED; i++) {
        char name[32];

        snprintf(name, sizeof name, "0:1:alice:b%u", i);
        for (int said = 0; said < 2; said++) {
            struct said one;

            submit(desk, &one, 0, a_message(name, "alice", NULL, "\"hi\""));
            await_all(desk);
        }
    }
    desk->ports[0]->announce = on_trim;
    assert_int_equal(config_load(&config, 3, args, &why), ERR_NONE);
    sequencer_reload(desk->sequencer, config);
    config_unref(config);
    while (last_trim < 3 * TRIMMED)
        uv_run(&desk->loop, UV_RUN_ONCE);
    await_all(desk);
    assert_int_equal(interrupting.answers, 1);
    assert_true(interrupting.submission.applied.lsn < last_trim - TRIMMED / 4);
    end_desk(desk);
}

/* --- a flood -------------------------------------------------------------- */

#define FLOOD (4u * 4096) /* several groups' worth, all the time */
#define FLOOD_ENDS 400000

static struct {
    struct desk *desk;
    bool over;
    unsigned answers;
} flood;

static void flood_submit(struct submission *submission);

static void flood_done(struct submission *submission)
{
    assert_int_equal(submission->failure.err, ERR_NONE);
    flood.desk->waiting--;
    flood.answers++;
    if (!flood.over)
        flood_submit(submission);
}

static void flood_submit(struct submission *submission)
{
    struct failure why;

    *submission = (struct submission){
        .port = flood.desk->ports[0],
        .done = flood_done,
        .entry = a_message(PLACE, "alice", NULL, "\"hi\""),
    };
    submission->entry.app = SPAN("demo");
    assert_int_equal(sequencer_submit(flood.desk->sequencer, submission, &why),
                     ERR_NONE);
    flood.desk->waiting++;
}

static void a_flood_leaves_the_timers_their_turn(void **state)
{
    struct submission *all = calloc((size_t)FLOOD, sizeof *all);
    atomic_uint_fast64_t *life;
    uint64_t first;

    (void)state;
    flood.desk = given_desk();
    flood.over = false;
    flood.answers = 0;
    life = &sequencer_metrics(flood.desk->sequencer)->heartbeat_ms;
    for (unsigned i = 0; i < FLOOD; i++)
        flood_submit(&all[i]);
    while (flood.answers < FLOOD) /* the flood has the sequencer by now */
        uv_run(&flood.desk->loop, UV_RUN_ONCE);
    first = atomic_load(life);
    while (atomic_load(life) == first && flood.answers < FLOOD_ENDS)
        uv_run(&flood.desk->loop, UV_RUN_ONCE);
    assert_true(atomic_load(life) > first);
    flood.over = true;
    await_all(flood.desk);
    end_desk(flood.desk);
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_commit_answers_everyone),
        cmocka_unit_test(a_failing_commit_answers_all_and_the_next_succeeds),
        cmocka_unit_test(a_full_map_refuses_honestly_and_is_read_on),
        cmocka_unit_test(a_full_queue_refuses_what_it_has_no_room_for),
        cmocka_unit_test(what_has_waited_too_long_is_refused),
        cmocka_unit_test(while_nothing_is_finished_nothing_more_is_taken),
        cmocka_unit_test(large_messages_wait_and_commit_within_bounds),
        cmocka_unit_test(stopping_answers_what_was_submitted),
        cmocka_unit_test(short_memory_loses_no_answer),
        cmocka_unit_test(reloading_loses_no_submission),
        cmocka_unit_test(a_sender_waits_for_one_trim_at_most),
        cmocka_unit_test(a_flood_leaves_the_timers_their_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
