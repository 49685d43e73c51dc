/* One run: a seed's steps, one after the other, and the checks behind them. */
#include "tests/simulate/run.h"

#include "tests/simulate/disk.h"
#include "tests/simulate/fiber.h"
#include "tests/simulate/house.h"
#include "tests/simulate/model.h"
#include "tests/simulate/net.h"
#include "tests/simulate/peer.h"
#include "tests/simulate/steps.h"
#include "tests/simulate/story.h"
#include "tests/simulate/time.h"

#define SECOND UINT64_C(1000000)
#define PATIENCE_S 120      /* for all to be answered, once all works */
#define TURNS_A_SECOND 1000 /* of an idle server: ticks, and little else */
#define DOWN_US 100000

static struct chance chance;
static uint64_t down_us; /* since when there is no server */
static bool last;        /* nobody starts it again */

struct chance *run_chance(void)
{
    return &chance;
}

/* --- time passes ---------------------------------------------------------- */

/* Whoever looks after the server starts it again. */
static void look_after(void)
{
    if (disk_ended())
        house_kill(chance_percent(&chance, 50));
    if (!house_down())
        down_us = time_now_us();
    else if (!last && time_now_us() >= down_us + DOWN_US)
        house_start();
}

static bool anything(void)
{
    switch (chance_below(&chance, 3)) {
    case 0:
        return fibers_turn(&chance) || net_turn(&chance) || peers_turn(&chance);
    case 1:
        return net_turn(&chance) || peers_turn(&chance) || fibers_turn(&chance);
    default:
        return peers_turn(&chance) || fibers_turn(&chance) || net_turn(&chance);
    }
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void pass_until(uint64_t until)
{
    uint64_t due = least(fibers_due_us(), least(net_due_us(), peers_due_us()));

    if (house_down())
        due = least(due, down_us + DOWN_US);
    if (due <= time_now_us())
        due = time_now_us() + 1;
    time_pass(least(due, until));
    fibers_stir();
}

void run_for(uint64_t us)
{
    uint64_t until = time_now_us() + us;

    while (time_now_us() < until && !story_failed()) {
        look_after();
        if (!anything())
            pass_until(until);
    }
}

/* --- the end -------------------------------------------------------------- */

static void hang_up(void)
{
    for (struct peer *peer = peers; peer < peers + PEERS; peer++) {
        follow_drop(peer);
        calls_drop(peer);
        peer->next_us = peer->calls_us = UINT64_MAX;
    }
}

static bool all_answered(void)
{
    for (unsigned s = 0; s < PATIENCE_S && !peers_idle() && !story_failed();
         s++)
        run_for(SECOND);
    return peers_idle();
}

/* Polls until there is nothing more; everyone by other means than before. */
static void catch_up(void)
{
    for (struct peer *peer = peers; peer < peers + PEERS; peer++)
        follow_over(peer, VIA_POLL);
    run_for(5 * SECOND);
}

static void check_idle(void)
{
    uint64_t before, turns;

    hang_up();
    run_for(2 * SECOND);
    before = fibers_turns();
    run_for(SECOND);
    turns = fibers_turns() - before;
    if (turns > TURNS_A_SECOND)
        story_fail("the server is busy with nothing: %llu turns in a second",
                   (unsigned long long)turns);
}

static void finish(void)
{
    steps_heal();
    run_for(3 * SECOND);
    if (!all_answered()) {
        story_tell("not everything is answered: the server is started anew");
        if (house_up())
            house_kill(false);
        if (!all_answered())
            story_fail("not everything is answered");
    }
    catch_up();
    check_idle();
    last = true;
    if (house_up())
        house_drain();
    for (unsigned s = 0; s < PATIENCE_S && !house_down() && !story_failed();
         s++)
        run_for(SECOND);
    if (story_failed())
        return;
    if (house_down())
        model_check(house_dir());
    else
        story_fail("the server does not end");
}

/* --- the whole ------------------------------------------------------------ */

/* Half of the runs forget: by number, or by age. */
static void choose_retention(struct house_options *options)
{
    options->retention_ms = (unsigned)chance_between(&chance, 100, 3000);
    if (chance_percent(&chance, 50))
        return;
    if (chance_percent(&chance, 60))
        options->keep_count = (unsigned)chance_between(&chance, 1, 15);
    else
        options->keep_age_s = (unsigned)chance_between(&chance, 1, 8);
}

static void begin(uint64_t seed)
{
    struct house_options options;

    chance = chance_of(seed, 0);
    time_begin(seed);
    options = (struct house_options){
        .relaxed = chance_percent(&chance, 20),
        .heartbeat_ms = (unsigned)chance_between(&chance, 500, 5000),
        .stream_max_ms = (unsigned)chance_between(&chance, 2000, 60000),
    };
    choose_retention(&options);
    net_weather((unsigned)chance_below(&chance, 4) * 10);
    house_found(&options);
    house_start();
    peers_begin();
    steps_begin(&chance);
    run_for(chance_below(&chance, SECOND));
}

static void tell_end(void)
{
    struct disk_counts disk = disk_counts();
    size_t entries;
    uint64_t log = model_digest(&entries);

    story_tell("%zu entries, %zu calls; disk: %llu steps, %llu failed, %llu "
               "the last, %llu pages lost; log %016llx, received %016llx",
               entries, calls_count(), (unsigned long long)disk.steps,
               (unsigned long long)disk.failed, (unsigned long long)disk.ended,
               (unsigned long long)disk.dropped, (unsigned long long)log,
               (unsigned long long)net_digest());
    tally.disk = (unsigned)disk.failed;
    for (size_t i = 0; i < calls_count(); i++)
        tally.messages += calls_all(i)->deed == SEND &&
                          calls_all(i)->status == 200 &&
                          !calls_all(i)->duplicate;
    story_tell(TALLY_FORMAT, tally.messages, tally.network, tally.disk,
               tally.kills, tally.cuts, tally.lines, tally.gaps, tally.restores,
               tally.resets);
}

void run(const struct run_options *options)
{
    begin(options->seed);
    for (unsigned i = 0; i < options->steps && !story_failed(); i++) {
        struct chance step = chance_of(options->seed, i + 1);

        chance = chance_of(~options->seed, i + 1);
        if (options->left_out && options->left_out[i])
            continue;
        steps_make(&step);
        run_for(chance_percent(&step, 10) ? chance_below(&step, 2 * SECOND)
                                          : chance_below(&step, 60000));
    }
    if (!story_failed())
        finish();
    tell_end();
    house_raze();
}
