/* What befalls the server and its clients, a step at a time. */
#include "tests/simulate/steps.h"

#include "tests/simulate/disk.h"
#include "tests/simulate/fiber.h"
#include "tests/simulate/house.h"
#include "tests/simulate/peer.h"
#include "tests/simulate/run.h"
#include "tests/simulate/story.h"

static const char *const rooms[] = {
    "0:1:alice:bob", "0:1:carol:dave", "0:2:team",
    "0:2:team",      "0:2:club",       "0:3:news",
};
#define ROOMS (sizeof rooms / sizeof *rooms)

static void break_disk(struct chance *chance);

static void make_rooms(void)
{
    call_make(&peers[0], CREATE, "0:2:team");
    call_make(&peers[3], CREATE, "0:2:club");
    call_make(&peers[0], CREATE, "0:3:news");
}

void steps_begin(struct chance *chance)
{
    if (chance_percent(chance, 15))
        break_disk(chance); /* before there is a log */
    make_rooms();
}

static struct peer *somebody(struct chance *chance)
{
    return &peers[chance_below(chance, PEERS)];
}

/* --- what clients do ------------------------------------------------------ */

static void send_one(struct chance *chance)
{
    unsigned room = (unsigned)chance_below(chance, ROOMS);
    unsigned count = (unsigned)chance_between(chance, 1, 4);

    /* Whoever is not in it learns that, too. */
    for (struct peer *by = somebody(chance); count; count--) {
        /* What is known of a device goes with its last message
         * (docs/PROTOCOL.md, Order): then nothing can be said of it. */
        bool ordered =
            room == 0 && by <= &peers[2] && !house_forgets() && !house_era();

        if (ordered)
            call_count(call_make(by, SEND, rooms[0]));
        else if (room == 1 && by >= &peers[3] && by <= &peers[4])
            call_make(by, SEND, rooms[1]);
        else
            call_make(by, SEND, rooms[2 + room % (ROOMS - 2)]);
    }
}

static void send_again(struct chance *chance)
{
    const struct call *call;

    if (!calls_count())
        return;
    call = calls_all(chance_below(chance, calls_count()));
    if (call->deed == SEND)
        (void)call_again(call);
}

static void read_some(struct chance *chance)
{
    struct peer *by = somebody(chance);
    const struct shown *shown;
    struct call *call;

    if (!by->shown_count)
        return;
    shown = &by->shown[chance_below(chance, by->shown_count)];
    call = call_make(by, READ, shown->conversation);
    call->mark = shown->seq;
}

static void acknowledge(struct chance *chance)
{
    struct peer *by = somebody(chance);
    struct call *call;

    if (by->chain || !by->at || !by->epoch[0])
        return;
    call = call_make(by, ACK, "");
    call->mark = by->at;
}

static void come_or_go(struct chance *chance)
{
    static const char *const users[] = {"bob", "carol", "dave", "alice"};
    const char *room = chance_percent(chance, 60) ? "0:2:team" : "0:2:club";
    struct peer *by = &peers[chance_below(chance, PEERS - 1)];
    unsigned what = (unsigned)chance_below(chance, 3);

    if (what == 0)
        call_make(by, JOIN, room);
    else if (what == 1)
        call_make(by, LEAVE, room);
    else
        call_make(by, INVITE, room)->user = users[chance_below(chance, 4)];
}

static void other_transport(struct chance *chance)
{
    struct peer *peer = somebody(chance);
    enum via via = (enum via)chance_below(chance, VIA_COUNT);

    tally.network++;
    story_tell("%s/%s changes to %s", peer->user, peer->device, via_name(via));
    follow_over(peer, via);
}

static void short_token(struct chance *chance)
{
    struct peer *peer = somebody(chance);
    uint64_t seconds = chance_between(chance, 1, 6);

    tally.network++;
    story_tell("%s/%s has a token for %llu s", peer->user, peer->device,
               (unsigned long long)seconds);
    peer_token_for(peer, seconds);
    follow_drop(peer);
}

/* --- what the network does ------------------------------------------------ */

static void break_line(struct chance *chance)
{
    struct peer *peer = somebody(chance);

    tally.network++;
    if (chance_percent(chance, 50)) {
        story_tell("%s/%s loses what it follows over", peer->user,
                   peer->device);
        follow_drop(peer);
    } else {
        story_tell("%s/%s loses what it calls over", peer->user, peer->device);
        calls_drop(peer);
    }
}

static void stall_line(struct chance *chance)
{
    struct peer *peer = somebody(chance);
    struct line *line =
        chance_percent(chance, 70) ? &peer->line : &peer->calls_line;

    tally.network++;
    story_tell("%s/%s %s", peer->user, peer->device,
               line->stalled ? "reads on" : "stops reading");
    line->stalled = !line->stalled;
}

static void change_weather(struct chance *chance)
{
    unsigned percent = (unsigned)chance_below(chance, 4) * 15;

    story_tell("the network: %u %% of what can go wrong does", percent);
    net_weather(percent);
}

/* --- what the machine does ------------------------------------------------ */

static void break_disk(struct chance *chance)
{
    static const struct {
        enum disk_fault fault;
        const char *words;
    } kinds[] = {
        {DISK_EIO, "fail"},           {DISK_FULL, "find no room"},
        {DISK_BEFORE, "not be made"}, {DISK_WITHIN, "be half made"},
        {DISK_AFTER, "be the last"},
    };
    size_t kind = chance_below(chance, sizeof kinds / sizeof *kinds);
    unsigned nth = (unsigned)chance_between(chance, 1, 9);
    unsigned times = kinds[kind].fault <= DISK_FULL
                         ? (unsigned)chance_between(chance, 1, 6)
                         : 1;

    story_tell("the disk: from the %uth step on, %u will %s", nth, times,
               kinds[kind].words);
    disk_arm(kinds[kind].fault, nth, times);
}

static void slow_disk(struct chance *chance)
{
    uint64_t most_us = chance_below(chance, 3) * 40000;

    story_tell("the disk: a step takes up to %llu ms",
               (unsigned long long)most_us / 1000);
    disk_slow(most_us);
}

static void hold_thread(struct chance *chance)
{
    uint64_t us = chance_below(chance, 400000);
    int which = fibers_hold(chance, us);

    story_tell("the kernel lets thread %d stand for %llu ms", which,
               (unsigned long long)us / 1000);
}

static void end_life(struct chance *chance)
{
    if (!house_up())
        return;
    if (chance_percent(chance, 40))
        house_drain();
    else
        house_kill(chance_percent(chance, 50));
}

static void back_up(struct chance *chance)
{
    (void)chance;
    if (house_up())
        house_backup();
}

/* What is not in it is asked for again: rooms by this, the rest by whom it was
 * not answered. */
static void restore(struct chance *chance)
{
    (void)chance;
    if (!house_has_backup())
        return;
    house_restore();
    calls_restored();
    make_rooms();
}

/* --- the whole ------------------------------------------------------------ */

static const struct {
    unsigned weight;
    void (*make)(struct chance *chance);
} kinds[] = {
    {40, send_one},   {8, send_again},       {8, read_some},   {5, acknowledge},
    {8, come_or_go},  {10, other_transport}, {2, short_token}, {7, break_line},
    {4, stall_line},  {3, change_weather},   {5, break_disk},  {3, slow_disk},
    {8, hold_thread}, {8, hold_thread},      {2, end_life},    {1, back_up},
    {1, restore},
};

void steps_make(struct chance *chance)
{
    unsigned left, all = 0;
    size_t i = 0;

    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++)
        all += kinds[kind].weight;
    left = (unsigned)chance_below(chance, all);
    while (left >= kinds[i].weight)
        left -= kinds[i++].weight;
    kinds[i].make(chance);
}

void steps_heal(void)
{
    story_tell("everything works again");
    disk_heal();
    net_weather(0);
    for (struct peer *peer = peers; peer < peers + PEERS; peer++)
        peer->line.stalled = peer->calls_line.stalled = false;
}
