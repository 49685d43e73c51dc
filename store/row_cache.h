/* The rows that appending reads again and again, kept out of the B-trees: names
 * and settings of conversations, users, members, and where each chain ends.
 *
 * It is exact, not a guess: every write of the appending transaction passes
 * env.c, which tells it, and nobody else writes. What it holds is what the
 * transaction would read, so what is decided does not depend on it.
 *
 *     row_cache_begin → get, put, forget … → row_cache_commit, if it committed
 *
 * After a transaction that did not commit, the next one begins with nothing.
 *
 * Errors   none: what does not fit is not kept, and is read from the tables.
 * Threads  that of the transaction.
 * Memory   8192 rows of up to 180 bytes for each of four tables and 8192 ends
 *          of chains, about 6.5 MB, taken at once and touched as it fills. A
 *          row got is borrowed until the next call for its table.
 */
#ifndef RUNG_STORE_ROW_CACHE_H
#define RUNG_STORE_ROW_CACHE_H

#include "store/key.h"
#include "store/tables.h"

struct row_cache;

struct row_cache *row_cache_create(void); /* NULL: no memory */
void row_cache_destroy(struct row_cache *cache);

/* Holding the writer's lock. */
void row_cache_begin(struct row_cache *cache);
void row_cache_commit(struct row_cache *cache);

/* Tables that it does not keep are never found. */
bool row_cache_get(struct row_cache *cache, enum table table,
                   const struct key *key, struct span *value);
void row_cache_put(struct row_cache *cache, enum table table,
                   const struct key *key, struct span value);
void row_cache_forget(struct row_cache *cache, enum table table,
                      const struct key *key);

/* A chain's last row. */
struct chain_end {
    uint64_t conv, seq, lsn;
};
bool row_cache_end_get(const struct row_cache *cache, uint64_t conv,
                       struct chain_end *end);
void row_cache_end_put(struct row_cache *cache, const struct chain_end *end);
void row_cache_end_forget(struct row_cache *cache, uint64_t conv);

#endif
