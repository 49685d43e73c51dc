/* The row cache: per table, sets of two slots; a new row takes the place of the
 * older of its set. See row_cache.h.
 */
#include "store/row_cache.h"

#include "server/base/mem.h"

#include <string.h>

#define SETS 4096 /* a power of two */
#define WAYS 2
#define ROW_BYTES 180 /* key and value */
#define ENDS 8192     /* a power of two */

/* What a slot holds; apart from the rows, so that looking for one touches few
 * lines of memory. */
struct label {
    uint32_t generation; /* not the cache's: empty */
    uint32_t tag;        /* of the key's hash */
};

struct row {
    uint16_t key_size, value_size;
    unsigned char bytes[ROW_BYTES];
};

/* Where a key's row is, if it is anywhere. */
struct set {
    uint32_t tag;
    struct label *labels;
    struct row *rows;
};

struct end_slot {
    uint64_t generation;
    struct chain_end end;
};

enum { NAMES, CONVERSATIONS, USERS, MEMBERS, SHELVES };

struct row_cache {
    uint32_t generation;
    bool open; /* the last transaction has not committed */
    struct label labels[SHELVES][SETS][WAYS];
    struct row rows[SHELVES][SETS][WAYS];
    struct end_slot ends[ENDS];
};

struct row_cache *row_cache_create(void)
{
    struct row_cache *cache = mem_zalloc(sizeof(*cache));

    if (cache)
        cache->generation = 1;
    return cache;
}

void row_cache_destroy(struct row_cache *cache)
{
    mem_free(cache);
}

void row_cache_begin(struct row_cache *cache)
{
    if (cache->open && ++cache->generation == 0) {
        memset(cache, 0, sizeof(*cache));
        cache->generation = 1;
    }
    cache->open = true;
}

void row_cache_commit(struct row_cache *cache)
{
    cache->open = false;
}

/* --- rows ---------------------------------------------------------------- */

static int shelf_of(enum table table)
{
    switch (table) {
    case TABLE_CONVERSATION_NAMES:
        return NAMES;
    case TABLE_CONVERSATIONS:
        return CONVERSATIONS;
    case TABLE_USERS:
        return USERS;
    case TABLE_MEMBERS:
        return MEMBERS;
    default:
        return SHELVES;
    }
}

static uint64_t mixed(uint64_t h)
{
    h *= UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 32;
}

static uint64_t hash(const struct key *key)
{
    uint64_t h = key->size, word = 0;
    size_t at = 0;

    for (; at + 8 <= key->size; at += 8) {
        memcpy(&word, key->bytes + at, 8);
        h = mixed(h ^ word);
    }
    word = 0;
    memcpy(&word, key->bytes + at, key->size - at);
    return mixed(h ^ word);
}

/* False: a table that is not kept. */
static bool find_set(struct row_cache *cache, enum table table,
                     const struct key *key, struct set *set)
{
    int shelf = shelf_of(table);
    uint64_t h;

    if (shelf == SHELVES)
        return false;
    h = hash(key);
    set->tag = (uint32_t)(h >> 32);
    set->labels = cache->labels[shelf][h & (SETS - 1)];
    set->rows = cache->rows[shelf][h & (SETS - 1)];
    return true;
}

/* The way that holds the key; WAYS: none. */
static int find_way(const struct row_cache *cache, const struct set *set,
                    const struct key *key)
{
    for (int way = 0; way < WAYS; way++) {
        const struct label *label = &set->labels[way];
        const struct row *row = &set->rows[way];

        if (label->generation == cache->generation && label->tag == set->tag &&
            row->key_size == key->size &&
            memcmp(row->bytes, key->bytes, key->size) == 0)
            return way;
    }
    return WAYS;
}

bool row_cache_get(struct row_cache *cache, enum table table,
                   const struct key *key, struct span *value)
{
    const struct row *row;
    struct set set;
    int way;

    if (!find_set(cache, table, key, &set))
        return false;
    way = find_way(cache, &set, key);
    if (way == WAYS)
        return false;
    row = &set.rows[way];
    *value = (struct span){(const char *)row->bytes + row->key_size,
                           row->value_size};
    return true;
}

static void fill(struct row *row, const struct key *key, struct span value)
{
    row->key_size = (uint16_t)key->size;
    row->value_size = (uint16_t)value.size;
    memcpy(row->bytes, key->bytes, key->size);
    memcpy(row->bytes + key->size, value.data, value.size);
}

void row_cache_put(struct row_cache *cache, enum table table,
                   const struct key *key, struct span value)
{
    struct set set;
    int way;

    if (!find_set(cache, table, key, &set))
        return;
    way = find_way(cache, &set, key);
    if (key->size + value.size > ROW_BYTES) {
        if (way < WAYS)
            set.labels[way].generation = 0;
        return;
    }
    if (way == WAYS) {
        way = 0;
        set.rows[1] = set.rows[0];
        set.labels[1] = set.labels[0];
        set.labels[0] = (struct label){cache->generation, set.tag};
    }
    fill(&set.rows[way], key, value);
}

void row_cache_forget(struct row_cache *cache, enum table table,
                      const struct key *key)
{
    struct set set;
    int way;

    if (!find_set(cache, table, key, &set))
        return;
    way = find_way(cache, &set, key);
    if (way < WAYS)
        set.labels[way].generation = 0;
}

/* --- ends of chains ------------------------------------------------------ */

static size_t end_index(uint64_t conv)
{
    return mixed(conv) & (ENDS - 1);
}

bool row_cache_end_get(const struct row_cache *cache, uint64_t conv,
                       struct chain_end *end)
{
    const struct end_slot *slot = &cache->ends[end_index(conv)];

    if (slot->generation != cache->generation || slot->end.conv != conv)
        return false;
    *end = slot->end;
    return true;
}

void row_cache_end_put(struct row_cache *cache, const struct chain_end *end)
{
    cache->ends[end_index(end->conv)] =
        (struct end_slot){.generation = cache->generation, .end = *end};
}

void row_cache_end_forget(struct row_cache *cache, uint64_t conv)
{
    struct end_slot *slot = &cache->ends[end_index(conv)];

    if (slot->end.conv == conv)
        slot->generation = 0;
}
