/* The clients of a run. */
#include "tests/simulate/peer.h"

#include "tests/simulate/fiber.h"

struct peer peers[PEERS] = {
    {.user = "alice", .device = "phone"},
    {.user = "alice", .device = "web"},
    {.user = "bob", .device = "phone"},
    {.user = "carol", .device = "phone"},
    {.user = "dave", .device = "phone"},
    {.user = "erin", .device = "tv", .chain = "0:3:news"},
};

void peers_begin(void)
{
    for (struct peer *peer = peers; peer < peers + PEERS; peer++) {
        list_init(&peer->calls);
        peer->line.fd = peer->calls_line.fd = -1;
        peer->via = (enum via)((peer - peers) % VIA_COUNT);
    }
}

bool peers_turn(struct chance *chance)
{
    size_t first = chance_below(chance, PEERS);

    for (size_t i = 0; i < PEERS; i++) {
        struct peer *peer = &peers[(first + i) % PEERS];

        if (follow_turn(peer) || calls_turn(peer))
            return true;
    }
    return false;
}

/* Not before now: a call may wait for the one before it. */
uint64_t peers_due_us(void)
{
    uint64_t due = UINT64_MAX, now = time_now_us();

    for (struct peer *peer = peers; peer < peers + PEERS; peer++) {
        uint64_t one = follow_due_us(peer), other = calls_due_us(peer);

        if (one > now && one < due)
            due = one;
        if (other > now && other < due)
            due = other;
    }
    return due;
}

bool peers_idle(void)
{
    for (struct peer *peer = peers; peer < peers + PEERS; peer++)
        if (!list_empty(&peer->calls))
            return false;
    return true;
}
