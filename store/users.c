/* Lists of users. See users.h. */
#include "store/users.h"

#include "server/base/mem.h"

#include <string.h>

void *arena_alloc(struct arena *arena, size_t size)
{
    struct arena_block *block = mem_alloc(sizeof(*block) + size);

    if (!block)
        return NULL;
    block->next = arena->blocks;
    arena->blocks = block;
    return block->data;
}

void arena_free(struct arena *arena)
{
    while (arena->blocks) {
        struct arena_block *block = arena->blocks;

        arena->blocks = block->next;
        mem_free(block);
    }
}

/* Names seen so far: open addressing, never more than half full. */
struct seen {
    struct span *slots;
    size_t mask;
};

static size_t hash(struct span name)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < name.size; i++)
        h = (h ^ (unsigned char)name.data[i]) * UINT64_C(0x100000001b3);
    return (size_t)(h ^ h >> 32);
}

static bool seen_add(struct seen *seen, struct span name)
{
    size_t at = hash(name) & seen->mask;

    while (seen->slots[at].data) {
        if (span_equal(seen->slots[at], name))
            return false;
        at = (at + 1) & seen->mask;
    }
    seen->slots[at] = name;
    return true;
}

static bool seen_init(struct seen *seen, struct arena *arena, size_t names)
{
    size_t size = 16;

    while (size < 2 * names)
        size *= 2;
    seen->mask = size - 1;
    seen->slots = arena_alloc(arena, size * sizeof(seen->slots[0]));
    if (seen->slots)
        memset(seen->slots, 0, size * sizeof(seen->slots[0]));
    return seen->slots != NULL;
}

static bool is_member(const struct tx *tx, conv_no conv, struct span name,
                      enum err *err)
{
    struct member_row row;

    if (conv == 0)
        return false;
    *err = member_row_find(tx, conv, name, &row);
    if (*err == ERR_NONE)
        return true;
    if (*err == ERR_NOT_FOUND)
        *err = ERR_NONE;
    return false;
}

static void keep(struct users *out, char *room, struct span name)
{
    memcpy(room + out->list.size, name.data, name.size);
    room[out->list.size + name.size] = '\0';
    out->list.size += name.size + 1;
    out->count++;
}

static enum err count_names(struct span given, size_t max, size_t *count)
{
    const struct entry list = {.users = given};
    size_t bytes = 0;

    *count = 0;
    for (struct span name = {0}; entry_user(&list, &name); ++*count) {
        if (!name_ok(name))
            return ERR_BAD_REQUEST;
        if (*count == max)
            return ERR_TOO_LARGE;
        bytes += name.size + 1;
    }
    return bytes == given.size ? ERR_NONE : ERR_BAD_REQUEST;
}

enum err users_prune(struct arena *arena, const struct tx *tx, conv_no conv,
                     struct span first, struct span given, size_t max,
                     struct users *out)
{
    const struct entry list = {.users = given};
    struct seen seen;
    size_t names;
    char *room;
    enum err err = count_names(given, max, &names);

    if (err)
        return err;
    room = arena_alloc(arena, given.size + first.size + 1);
    if (!room || !seen_init(&seen, arena, names + 1))
        return ERR_NOMEM;
    *out = (struct users){.list = {room, 0}};
    if (first.size > 0 && seen_add(&seen, first))
        keep(out, room, first);
    for (struct span name = {0}; entry_user(&list, &name);) {
        if (!seen_add(&seen, name))
            continue;
        if (is_member(tx, conv, name, &err))
            continue;
        if (err)
            return err;
        keep(out, room, name);
    }
    return ERR_NONE;
}
