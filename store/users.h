/* Lists of users: each once, and those that are in already left out.
 *
 * Memory   the pruned list lies in the arena, which is freed as a whole.
 */
#ifndef RUNG_STORE_USERS_H
#define RUNG_STORE_USERS_H

#include "store/rows.h"

struct arena_block {
    struct arena_block *next;
    _Alignas(16) char data[];
};

struct arena {
    struct arena_block *blocks;
};

void *arena_alloc(struct arena *arena, size_t size); /* NULL: no memory */
void arena_free(struct arena *arena);

struct users {
    struct span list; /* names, each followed by one NUL */
    size_t count;
};

/* `first` (empty: nobody), then the names of `given`, without repetition and
 * without the members of `conv` (0: nobody is a member yet).
 * ERR_BAD_REQUEST: not such a list; ERR_TOO_LARGE: more than `max` names. */
MUST_CHECK enum err users_prune(struct arena *arena, const struct tx *tx,
                                conv_no conv, struct span first,
                                struct span given, size_t max,
                                struct users *out);

#endif
