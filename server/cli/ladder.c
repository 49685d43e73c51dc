/* See ladder.h; the numbers are those of docs/CLIENT.md. */
#include "server/cli/ladder.h"

#define STAGGER_MS 250
#define STAGGER_BEST_MS 500
#define CONNECT_MS 10000
#define TRUST_MS 1000 /* and three round trips */
#define JITTER_MS 500
#define JITTER_CAP_MS 30000
#define STABLE_MS 5000
#define PROBE_MS 5000
#define PROBE_CAP_MS 600000

void ladder_init(struct ladder *ladder)
{
    ladder->live = ladder->best = LADDER_NONE;
    ladder->next_open_ms = ladder->wait_until_ms = LADDER_NEVER;
}

/* --- rounds --------------------------------------------------------------- */

static void begin_round(struct ladder *ladder, uint64_t now)
{
    for (size_t i = 0; i < ladder->count; i++)
        ladder->rungs[i].tried = ladder->rungs[i].failed = false;
    ladder->round = true;
    ladder->next_open_ms = now;
    ladder->wait_until_ms = LADDER_NEVER;
}

void ladder_start(struct ladder *ladder, uint64_t now)
{
    for (size_t i = 0; i < ladder->count; i++)
        ladder->rungs[i].rests_until_ms = 0;
    begin_round(ladder, now);
}

static uint64_t full_jitter(struct ladder *ladder)
{
    unsigned doublings = ladder->attempt < 6 ? ladder->attempt : 6;
    uint64_t most = (uint64_t)JITTER_MS << doublings;

    ladder->attempt++;
    return ladder->random(most < JITTER_CAP_MS ? most : JITTER_CAP_MS);
}

static void close_opening(struct ladder *ladder)
{
    for (size_t i = 0; i < ladder->count; i++)
        if (ladder->rungs[i].state == RUNG_OPENING) {
            ladder->rungs[i].state = RUNG_UNTRIED;
            ladder->close(ladder, i);
        }
}

static void wait_until(struct ladder *ladder, uint64_t when)
{
    close_opening(ladder);
    ladder->round = false;
    ladder->next_open_ms = LADDER_NEVER;
    ladder->wait_until_ms = when;
}

/* A rung that failed in a round in which another got through. */
static void count_failure(struct ladder *ladder, struct ladder_rung *rung,
                          uint64_t now)
{
    unsigned doublings = rung->failures < 7 ? rung->failures : 7;
    uint64_t rest = (uint64_t)PROBE_MS << doublings;

    if (rest > PROBE_CAP_MS)
        rest = PROBE_CAP_MS;
    rung->failures++;
    rung->failed = false;
    rung->rests_until_ms = now + rest / 2 + ladder->random(rest / 2);
}

static bool may_open(const struct ladder *ladder, size_t i, bool resting,
                     uint64_t now)
{
    const struct ladder_rung *rung = &ladder->rungs[i];

    return !rung->tried && rung->state != RUNG_OPENING &&
           rung->state != RUNG_LIVE && (resting || rung->rests_until_ms <= now);
}

/* The next to be opened: better than the live one, if there is one. */
static int candidate(const struct ladder *ladder, bool resting, uint64_t now)
{
    size_t end = ladder->live < 0 ? ladder->count : (size_t)ladder->live;

    if (ladder->live < 0 && ladder->best >= 0 &&
        may_open(ladder, (size_t)ladder->best, resting, now))
        return ladder->best;
    for (size_t i = 0; i < end; i++)
        if (may_open(ladder, i, resting, now))
            return (int)i;
    return LADDER_NONE;
}

static int next_candidate(const struct ladder *ladder, uint64_t now)
{
    int i = candidate(ladder, false, now);

    return i < 0 && ladder->live < 0 ? candidate(ladder, true, now) : i;
}

static bool is_opening(const struct ladder *ladder)
{
    for (size_t i = 0; i < ladder->count; i++)
        if (ladder->rungs[i].state == RUNG_OPENING)
            return true;
    return false;
}

static void open_one(struct ladder *ladder, size_t i, uint64_t now)
{
    struct ladder_rung *rung = &ladder->rungs[i];
    bool best = ladder->live < 0 && (int)i == ladder->best;

    rung->state = RUNG_OPENING;
    rung->tried = true;
    rung->opened_ms = now;
    rung->accepted_ms = 0;
    ladder->next_open_ms = now + (best ? STAGGER_BEST_MS : STAGGER_MS);
    ladder->open(ladder, i);
}

static void go_on(struct ladder *ladder, uint64_t now)
{
    int i = next_candidate(ladder, now);

    if (i >= 0) {
        open_one(ladder, (size_t)i, now);
        return;
    }
    ladder->next_open_ms = LADDER_NEVER;
    if (is_opening(ladder))
        return;
    ladder->round = false;
    if (ladder->live < 0)
        wait_until(ladder, now + full_jitter(ladder));
}

/* --- what happens --------------------------------------------------------- */

static void failed(struct ladder *ladder, size_t i, uint64_t now)
{
    struct ladder_rung *rung = &ladder->rungs[i];

    rung->state = RUNG_FAILED;
    rung->failed = true;
    if (ladder->live >= 0)
        count_failure(ladder, rung, now);
    if (ladder->round)
        ladder->next_open_ms = now;
}

/* The deadline of a rung that is being opened. */
static uint64_t deadline_of(const struct ladder *ladder,
                            const struct ladder_rung *rung)
{
    return rung->accepted_ms ? rung->accepted_ms + TRUST_MS + 3 * ladder->rtt_ms
                             : rung->opened_ms + CONNECT_MS;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* When a better rung may be tried beside the live one. */
static uint64_t probe_due(const struct ladder *ladder)
{
    uint64_t due = LADDER_NEVER;

    for (int i = 0; i < ladder->live && !ladder->round; i++)
        if (ladder->rungs[i].state == RUNG_FAILED)
            due = sooner(due, ladder->rungs[i].rests_until_ms);
    return due;
}

static uint64_t stable_due(const struct ladder *ladder)
{
    bool clean = ladder->live >= 0 && !ladder->attempt &&
                 !ladder->rungs[ladder->live].failures;

    return ladder->live < 0 || clean ? LADDER_NEVER
                                     : ladder->live_ms + STABLE_MS;
}

static uint64_t next_due(const struct ladder *ladder)
{
    uint64_t due = sooner(ladder->wait_until_ms, stable_due(ladder));

    due = sooner(due, probe_due(ladder));
    if (ladder->round)
        due = sooner(due, ladder->next_open_ms);
    for (size_t i = 0; i < ladder->count; i++)
        if (ladder->rungs[i].state == RUNG_OPENING)
            due = sooner(due, deadline_of(ladder, &ladder->rungs[i]));
    return due;
}

static void give_up_late(struct ladder *ladder, uint64_t now)
{
    for (size_t i = 0; i < ladder->count; i++)
        if (ladder->rungs[i].state == RUNG_OPENING &&
            deadline_of(ladder, &ladder->rungs[i]) <= now) {
            failed(ladder, i, now);
            ladder->close(ladder, i);
        }
}

uint64_t ladder_tick(struct ladder *ladder, uint64_t now)
{
    give_up_late(ladder, now);
    if (ladder->live >= 0 && stable_due(ladder) <= now)
        ladder->attempt = ladder->rungs[ladder->live].failures = 0;
    if (ladder->wait_until_ms <= now || probe_due(ladder) <= now)
        begin_round(ladder, now);
    while (ladder->round && ladder->next_open_ms <= now)
        go_on(ladder, now);
    if (ladder->round && ladder->next_open_ms == LADDER_NEVER &&
        !is_opening(ladder))
        go_on(ladder, now);
    return next_due(ladder);
}

void ladder_accepted(struct ladder *ladder, size_t i, uint64_t now)
{
    struct ladder_rung *rung = &ladder->rungs[i];
    uint64_t took = now - rung->opened_ms;

    if (rung->state != RUNG_OPENING || rung->accepted_ms)
        return;
    rung->accepted_ms = now ? now : 1;
    ladder->rtt_ms = !ladder->rtt_ms || took < ladder->rtt_ms
                         ? took
                         : (7 * ladder->rtt_ms + took) / 8;
}

static void take_over(struct ladder *ladder, size_t i, uint64_t now)
{
    int before = ladder->live;

    ladder->live = ladder->best = (int)i;
    ladder->live_ms = now;
    ladder->rungs[i].state = RUNG_LIVE;
    for (size_t k = 0; k < ladder->count; k++) {
        struct ladder_rung *rung = &ladder->rungs[k];

        if (rung->failed)
            count_failure(ladder, rung, now);
        if ((int)k == before || (k > i && rung->state == RUNG_OPENING)) {
            rung->state = RUNG_UNTRIED;
            ladder->close(ladder, k);
        }
    }
}

void ladder_heard(struct ladder *ladder, size_t i, uint64_t now)
{
    if (ladder->rungs[i].state == RUNG_OPENING)
        take_over(ladder, i, now);
}

/* The live rung is no more. */
static void fell(struct ladder *ladder, size_t i, enum rung_end how,
                 uint64_t now)
{
    struct ladder_rung *rung = &ladder->rungs[i];
    bool flapping = how == RUNG_UNFIT || now < ladder->live_ms + STABLE_MS;

    rung->state = flapping ? RUNG_FAILED : RUNG_UNTRIED;
    if (flapping) {
        count_failure(ladder, rung, now);
        if (ladder->best == (int)i)
            ladder->best = LADDER_NONE;
    }
    begin_round(ladder, now);
    /* To a ladder of one, or when all the others rest, it would be at once. */
    if (ladder->count == 1 || (flapping && candidate(ladder, false, now) < 0))
        wait_until(ladder, now + full_jitter(ladder));
}

void ladder_ended(struct ladder *ladder, size_t i, enum rung_end how,
                  uint64_t delay, uint64_t now)
{
    struct ladder_rung *rung = &ladder->rungs[i];
    bool live = rung->state == RUNG_LIVE;

    if (rung->state != RUNG_OPENING && !live)
        return;
    if (live)
        ladder->live = LADDER_NONE;
    if (!live && (ladder->live >= 0 || how == RUNG_FELL || how == RUNG_UNFIT)) {
        failed(ladder, i, now);
    } else if (how == RUNG_FELL || how == RUNG_UNFIT) {
        fell(ladder, i, how, now);
    } else {
        rung->state = RUNG_UNTRIED;
        if (how == RUNG_LATER)
            delay += full_jitter(ladder);
        else if (!delay && (!live || now < ladder->live_ms + STABLE_MS))
            delay = ladder->random(JITTER_MS); /* or it goes in a circle */
        wait_until(ladder, now + delay);
    }
}
