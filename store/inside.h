/* What an open store is made of; for store/'s own files. */
#ifndef RUNG_STORE_INSIDE_H
#define RUNG_STORE_INSIDE_H

#include "store/env.h"
#include "store/store.h"

#include <stdatomic.h>

#define STORE_FILE "rung.mdb"
#define PARTIAL_FILE STORE_FILE ".partial"
#define EPOCH_DIGITS 8
#define DEFAULT_MAP_BYTES (UINT64_C(64) << 30)

struct store {
    struct env env;
    _Atomic uint64_t head; /* written by the sequencer, read by any thread */
    char epoch[EPOCH_DIGITS + 1];
    char *dir;
    uint64_t map_size_bytes;
    bool read_only;
    int lock_fd, dir_fd;     /* -1: none taken */
    struct buf scratch;      /* the sequencer's: one entry being encoded */
    struct row_cache *cache; /* the sequencer's; NULL when read only */
};

/* Read and write meta's rows. */
MUST_CHECK enum err meta_write(const struct tx *tx, const char *epoch,
                               uint64_t created_ms);
/* fsync a file or a directory. */
MUST_CHECK enum err sync_path(const char *path, struct failure *why);
void epoch_make(char epoch[EPOCH_DIGITS + 1]);      /* random, never 00000000 */
char *path_join(const char *dir, const char *name); /* owned; NULL: no memory */

#endif
