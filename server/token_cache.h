/* Tokens that were verified before, and whose they are.
 *
 * Only a token whose signature was good is ever added, and it is found by the
 * last characters of that signature, which nobody can choose. It is compared
 * whole, and as much of its signature as could be guessed at in constant time.
 *
 * Units    bytes. A token takes its text, its names and about 40 bytes; all
 *          together at most TOKEN_CACHE_MAX_BYTES (some 64,000 of the usual
 *          size). Beyond that those go that were not asked for lately.
 * Errors   what finds no memory is not remembered.
 * Threads  one at a time.
 * Memory   starts zeroed; token_cache_clear() leaves it so again. Everything
 *          is copied.
 */
#ifndef RUNG_TOKEN_CACHE_H
#define RUNG_TOKEN_CACHE_H

#include "server/auth.h"

#define TOKEN_CACHE_MAX_BYTES (16u << 20)

struct known_token; /* token_cache.c */

struct token_cache {
    struct known_token **slots;
    size_t slot_count; /* 0 or a power of two */
    size_t count;      /* of tokens */
    size_t bytes;      /* that they take */
    size_t hand;       /* the slot where the next to go is looked for */
};

/* Whose it is, if it was added; whether it has expired is not looked at. */
bool token_cache_find(struct token_cache *cache, struct span token,
                      struct identity *out);
/* Remember one that token_cache_find() did not find. */
void token_cache_add(struct token_cache *cache, struct span token,
                     const struct identity *who);
void token_cache_clear(struct token_cache *cache);

#endif
