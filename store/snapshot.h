/* What a reader is made of; for store/'s own files. */
#ifndef RUNG_STORE_SNAPSHOT_H
#define RUNG_STORE_SNAPSHOT_H

#include "store/inside.h"
#include "store/reader.h"
#include "store/rows.h"

struct source; /* mixed.c */

struct reader {
    struct store *store;
    struct tx tx;
    bool begun;
    struct source *heap; /* mixed_read()'s, kept between calls */
    size_t heap_size, heap_capacity;
};

/* The first seq in from..to whose lsn is beyond `pos`; to + 1 when none is. All
 * of from..to must be in the chain. Gallops back from `to`: O(log missed). */
MUST_CHECK enum err chain_find_beyond(const struct tx *tx, conv_no conv,
                                      uint64_t from, uint64_t to, lsn pos,
                                      uint64_t *seq);

#endif
