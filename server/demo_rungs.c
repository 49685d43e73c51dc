/* The demo's walls: a hash table of a few slots a hash, read without a lock. */
#include "server/demo_rungs.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define SLOTS 4096
#define NEAR 16 /* slots that one hash may use */

struct slot {
    atomic_uint_fast64_t device; /* hash; written under `lock` */
    atomic_uint_fast64_t ways;   /* blocked | buffered << 32; 0: free */
};

static struct slot slots[SLOTS];
static atomic_bool any;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* FNV-1a; a name ends with a NUL, which no name contains. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
    do
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    while (*text++);
    return hash;
}

static uint64_t hash_of(const struct identity *who)
{
    uint64_t hash = hash_text(UINT64_C(0xcbf29ce484222325), who->app);

    hash = hash_text(hash, who->user);
    hash = hash_text(hash, who->device[0] ? who->device : "default");
    return (hash ^ who->inbox) * UINT64_C(0x100000001b3);
}

static struct slot *slot_at(uint64_t hash, unsigned i)
{
    return &slots[(hash + i) % SLOTS];
}

static struct slot *slot_of(uint64_t hash)
{
    for (unsigned i = 0; i < NEAR; i++)
        if (slot_at(hash, i)->device == hash)
            return slot_at(hash, i);
    return NULL;
}

static struct slot *free_slot(uint64_t hash)
{
    for (unsigned i = 0; i < NEAR; i++)
        if (!slot_at(hash, i)->ways)
            return slot_at(hash, i);
    return NULL;
}

enum err demo_rungs_set(const struct identity *who, uint32_t blocked,
                        uint32_t buffered)
{
    uint64_t hash = hash_of(who);
    struct slot *slot;

    pthread_mutex_lock(&lock);
    slot = slot_of(hash);
    if (!slot)
        slot = free_slot(hash);
    if (slot) {
        slot->device = hash;
        slot->ways = blocked | (uint64_t)buffered << 32;
        any = true;
    }
    pthread_mutex_unlock(&lock);
    return slot ? ERR_NONE : ERR_OVERLOADED;
}

enum demo_way demo_rungs_way(const struct identity *who, enum carried_by by)
{
    const struct slot *slot = any ? slot_of(hash_of(who)) : NULL;
    uint64_t ways = slot ? slot->ways : 0;

    if (ways >> by & 1)
        return DEMO_BLOCKED;
    return ways >> (32 + by) & 1 ? DEMO_BUFFERED : DEMO_OPEN;
}
