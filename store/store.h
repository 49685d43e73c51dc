/* The store: opens a data directory and owns its LMDB environment.
 *
 * One process writes (it holds an flock on <dir>/lock, and one on <dir>, which
 * nobody can delete from under it); others may read while it runs (`rung
 * check`, `rung backup`). The tables and their invariants are in
 * docs/FORMAT.md.
 *
 * Units    sizes are bytes, times milliseconds since the Unix epoch UTC.
 * Errors   enum err, with words in *why. LMDB's codes are translated here and
 *          nowhere else: MAP_FULL, ENOSPC, EDQUOT, EFBIG → ERR_STORAGE_FULL;
 *          EIO and the like → ERR_IO; CORRUPTED, INVALID, PAGE_NOTFOUND →
 *          ERR_DAMAGED; VERSION_MISMATCH and a newer `format` →
 *          ERR_NEWER_FORMAT; lock held → ERR_LOCKED; READERS_FULL →
 *          ERR_OVERLOADED.
 * Threads  open/close: one. store_head(), store_epoch(): any.
 * Memory   open/close pair; close(NULL) does nothing.
 *
 * LMDB's sharp edges, dealt with here: one environment per process and file;
 * a read transaction left open pins old pages (readers begin, visit, end; never
 * park with one); the fd is inherited by fork (opened O_CLOEXEC); a dead
 * reader's slot is cleared at start (mdb_reader_check); SIGXFSZ must be ignored
 * by the program so that EFBIG comes back as an error. After a failed commit
 * reads and later commits work; only a failed write of LMDB's own head pages
 * ends all use, reads too, with ERR_IO until the store is opened again
 * (panic_note in env.c).
 */
#ifndef RUNG_STORE_STORE_H
#define RUNG_STORE_STORE_H

#include "server/base/err.h"
#include "store/entry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_FORMAT 2

struct store;

struct store_options {
    const char *dir;         /* created (0700) when missing, unless read_only */
    uint64_t map_size_bytes; /* 0: 64 GiB */
    bool read_only;          /* no lock taken, nothing written */
    bool relaxed; /* commits do not fsync; store_sync() does. A killed
                     process loses nothing; a power cut may lose the
                     commits since the last sync, or damage the file */
};

MUST_CHECK enum err store_open(struct store **out,
                               const struct store_options *options,
                               struct failure *why);
void store_close(struct store *store);

const char *store_epoch(const struct store *store); /* 8 hex digits */
lsn store_head(const struct store *store); /* the last committed lsn; atomic */
/* used: the file's high-water mark, which trimming does not lower (freed pages
 * are used again first). */
void store_usage(const struct store *store, uint64_t *used_bytes,
                 uint64_t *size_bytes);
MUST_CHECK enum err store_count(const struct store *store, uint64_t *entries,
                                uint64_t *conversations);
/* ERR_NONE while transactions can be begun. ERR_IO after LMDB could not write
 * its head pages: for good, until the store is opened again. Any thread. */
MUST_CHECK enum err store_usable(struct store *store);
/* fsync what relaxed commits left. Any thread. */
MUST_CHECK enum err store_sync(struct store *store);

/* A hot copy into `dir` (made, must not hold a store), with a NEW epoch iff
 * `new_epoch` (a restored copy must not be taken for the original; `rung
 * backup` passes true), compacted. progress(done, total, arg) every so often,
 * bytes. */
MUST_CHECK enum err store_backup(struct store *store, const char *dir,
                                 bool new_epoch,
                                 void (*progress)(uint64_t, uint64_t, void *),
                                 void *arg, struct failure *why);

/* Verify every invariant (docs/FORMAT.md lists them) on one snapshot; each
 * violation is reported in words through `finding`. *found counts them.
 * An error return means the check could not be carried out. Uses a scratch file
 * in $TMPDIR (/tmp) about as large as the derived tables. The callbacks may be
 * NULL. */
struct store_check {
    void (*finding)(const char *text, void *arg);
    void (*progress)(uint64_t done, uint64_t total, void *arg);
    void *arg;
};
MUST_CHECK enum err store_verify(struct store *store,
                                 const struct store_check *check,
                                 uint64_t *found, struct failure *why);
/* Drop every derived table and apply the log again, in one transaction. */
MUST_CHECK enum err store_rebuild(struct store *store,
                                  const struct store_check *check,
                                  struct failure *why);

/* Tests only: the nth LMDB call that can fail (get, put, del, cursor step,
 * begin, commit) from now on returns `code` (an errno or MDB_ value) once; 0 is
 * off. Returns the calls counted since the last setting. */
uint64_t store_fail_nth(uint64_t nth, int code);

#endif
