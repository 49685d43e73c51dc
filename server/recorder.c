/* The ring of points, and reading it while it is written: see turn_note. */
#include "server/recorder.h"

#include "server/base/clock.h"
#include "server/base/mem.h"
#include "transports/transport.h"

#include <string.h>

#define SLOT_WORDS 32
#define NAMES_WORDS (SLOT_WORDS - AT_NAMES)
#define PER_BURST 8 /* of those it is handed to */

/* The words of a slot. Names are app, user and device, one behind the other. */
enum {
    AT_TURN,
    AT_FIRST,
    AT_LAST,
    AT_TIME,
    AT_MORE,
    AT_CONV,
    AT_KIND,
    AT_NAMES
};

/* The bytes of AT_KIND's word. */
enum { KIND, BY, APP_SIZE, USER_SIZE, DEVICE_SIZE };

struct slot {
    _Atomic uint64_t words[SLOT_WORDS];
};

struct recorder {
    size_t count, next;
    struct slot slots[];
};

struct point {
    uint64_t words[SLOT_WORDS];
    size_t size; /* of them in use */
};

struct recorder *recorder_create(size_t points)
{
    struct recorder *recorder =
        mem_zalloc(sizeof *recorder + points * sizeof *recorder->slots);

    if (recorder)
        recorder->count = points;
    return recorder;
}

void recorder_destroy(struct recorder *recorder)
{
    mem_free(recorder);
}

/* --- writing -------------------------------------------------------------- */

static void put(struct recorder *recorder, const struct point *point)
{
    struct slot *slot = &recorder->slots[recorder->next];
    uint64_t turn =
        atomic_load_explicit(&slot->words[AT_TURN], memory_order_relaxed);

    recorder->next =
        recorder->next + 1 < recorder->count ? recorder->next + 1 : 0;
    atomic_store_explicit(&slot->words[AT_TURN], turn + 1,
                          memory_order_relaxed);
    for (size_t i = AT_FIRST; i < point->size; i++)
        atomic_store_explicit(&slot->words[i], point->words[i],
                              memory_order_release);
    atomic_store_explicit(&slot->words[AT_TURN], turn + 2,
                          memory_order_release);
}

void recorder_announced(struct recorder *recorder, const struct commit *commit)
{
    struct point point = {.size = AT_NAMES};

    if (!recorder || !commit->count)
        return;
    point.words[AT_FIRST] = commit->entries[0].entry.lsn;
    point.words[AT_LAST] = commit->head;
    point.words[AT_TIME] = clock_wall_us();
    point.words[AT_MORE] = commit->committed_us;
    point.words[AT_KIND] = (uint64_t)RECORDED_ANNOUNCED << (8 * KIND);
    put(recorder, &point);
}

static void add_name(struct point *point, size_t *at, const char *name,
                     int size_at)
{
    size_t size = strlen(name), room = (size_t)NAMES_WORDS * 8 - *at;

    if (size > room)
        size = room;
    memcpy((char *)&point->words[AT_NAMES] + *at, name, size);
    point->words[AT_KIND] |= (uint64_t)size << (8 * size_at);
    *at += size;
}

void recorder_written(struct recorder *recorder, const struct carrier *carrier,
                      struct burst *burst)
{
    const struct person *who = &carrier->session->who;
    struct point point = {0};
    size_t names = 0;

    if (!recorder || !burst->last || burst->recorded == PER_BURST)
        return;
    burst->recorded++;
    point.words[AT_FIRST] = burst->first;
    point.words[AT_LAST] = burst->last;
    point.words[AT_TIME] = clock_wall_us();
    point.words[AT_MORE] = who->inbox;
    point.words[AT_CONV] = carrier->conv;
    point.words[AT_KIND] = (uint64_t)RECORDED_WRITTEN << (8 * KIND) |
                           (uint64_t)carrier->via->by << (8 * BY);
    add_name(&point, &names, who->app, APP_SIZE);
    add_name(&point, &names, who->user, USER_SIZE);
    add_name(&point, &names, carrier->device, DEVICE_SIZE);
    point.size = AT_NAMES + (names + 7) / 8;
    put(recorder, &point);
}

/* --- reading -------------------------------------------------------------- */

static uint64_t word(const struct slot *slot, size_t i)
{
    return atomic_load_explicit(&slot->words[i], memory_order_acquire);
}

/* Whole, and about that entry. */
static bool get(const struct slot *slot, lsn at, struct point *point)
{
    uint64_t turn = word(slot, AT_TURN);

    if (turn == 0 || turn % 2 || word(slot, AT_FIRST) > at ||
        word(slot, AT_LAST) < at)
        return false;
    for (size_t i = AT_FIRST; i < SLOT_WORDS; i++)
        point->words[i] = word(slot, i);
    return atomic_load_explicit(&slot->words[AT_TURN], memory_order_relaxed) ==
           turn;
}

static unsigned byte_of(const struct point *point, int which)
{
    return point->words[AT_KIND] >> (8 * which) & 0xff;
}

static struct span take_name(const struct point *point, size_t *at, int which)
{
    struct span name = {(const char *)&point->words[AT_NAMES] + *at,
                        byte_of(point, which)};

    *at += name.size;
    return name;
}

static struct recorded read_point(const struct point *point)
{
    struct recorded out = {
        .kind = (enum recorded_kind)byte_of(point, KIND),
        .first = point->words[AT_FIRST],
        .last = point->words[AT_LAST],
        .at_us = point->words[AT_TIME],
    };
    size_t at = 0;

    if (out.kind == RECORDED_ANNOUNCED) {
        out.committed_us = point->words[AT_MORE];
        return out;
    }
    out.inbox = point->words[AT_MORE];
    out.by = (enum carried_by)byte_of(point, BY);
    out.conv = point->words[AT_CONV];
    out.app = take_name(point, &at, APP_SIZE);
    out.user = take_name(point, &at, USER_SIZE);
    out.device = take_name(point, &at, DEVICE_SIZE);
    return out;
}

void recorder_visit(const struct recorder *recorder, lsn at,
                    recorder_visitor visit, void *arg)
{
    for (size_t i = 0; recorder && i < recorder->count; i++) {
        struct recorded out;
        struct point point;

        if (!get(&recorder->slots[i], at, &point))
            continue;
        out = read_point(&point);
        visit(&out, arg);
    }
}
