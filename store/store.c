/* Opening and closing a data directory. See store.h.
 *
 * short_file_note: LMDB leaves pages that nothing uses unwritten, so its file
 * may end before its last page number says. A truncated file looks alike, and
 * touching a page beyond its end would be SIGBUS. So when the file is short it
 * is first grown (never shrunk), and then each page that was missing must be in
 * LMDB's list of free pages; else the file is refused as truncated.
 */
#include "store/store.h"

#include "server/base/clock.h"
#include "server/base/mem.h"
#include "store/inside.h"
#include "store/rows.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- meta ---------------------------------------------------------------- */

static void meta_key(struct key *key, const char *name)
{
    key->size = 0;
    while (name[key->size]) {
        key->bytes[key->size] = (unsigned char)name[key->size];
        key->size++;
    }
}

static enum err meta_number(const struct tx *tx, const char *name,
                            uint64_t *number)
{
    struct key key;
    struct span value;
    enum err err;

    meta_key(&key, name);
    err = tx_get(tx, TABLE_META, &key, &value);
    if (err)
        return err;
    if (value.size != 8)
        return ERR_DAMAGED;
    *number = u64_get(value.data);
    return ERR_NONE;
}

static enum err meta_put(const struct tx *tx, const char *name,
                         const void *bytes, size_t size)
{
    struct key key;

    meta_key(&key, name);
    return tx_put(tx, TABLE_META, &key, (struct span){bytes, size});
}

enum err meta_write(const struct tx *tx, const char *epoch, uint64_t created_ms)
{
    unsigned char number[8];
    enum err err;

    u64_put(number, STORE_FORMAT);
    err = meta_put(tx, "format", number, sizeof(number));
    if (!err)
        err = meta_put(tx, "epoch", epoch, EPOCH_DIGITS);
    if (err || created_ms == 0)
        return err;
    u64_put(number, created_ms);
    return meta_put(tx, "created", number, sizeof(number));
}

void epoch_make(char epoch[EPOCH_DIGITS + 1])
{
    unsigned number = 0;

    while (number == 0)
        random_bytes(&number, sizeof(number));
    snprintf(epoch, EPOCH_DIGITS + 1, "%08x", number);
}

static bool epoch_ok(struct span epoch)
{
    if (epoch.size != EPOCH_DIGITS)
        return false;
    for (size_t i = 0; i < epoch.size; i++) {
        char c = epoch.data[i];

        if ((c < '0' || c > '9') && (c < 'a' || c > 'f'))
            return false;
    }
    return true;
}

/* Before anything else is asked of the file: a newer one may have other tables.
 * No format at all: a store whose making was interrupted. */
static enum err find_format(const struct store *store, uint64_t *format,
                            struct failure *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, &store->env, false);

    *format = 0;
    if (err)
        return err;
    err = meta_number(&tx, "format", format);
    tx_abort(&tx);
    if (*format > STORE_FORMAT)
        return fail(why, ERR_NEWER_FORMAT,
                    "%s has format %llu, written by a newer rung; this one "
                    "knows formats up to %d",
                    store->dir, (unsigned long long)*format, STORE_FORMAT);
    return err == ERR_NOT_FOUND ? ERR_NONE : err;
}

/* Format 1 has no table client_seqs, and no message in it has one. */
static enum err upgrade(struct store *store, struct failure *why)
{
    unsigned char number[8];
    struct tx tx;
    enum err err;

    if (store->read_only)
        return fail(why, ERR_FORBIDDEN,
                    "%s was written by an older rung: let rung serve or rung "
                    "check --rebuild open it once",
                    store->dir);
    err = env_open_tables(&store->env, true);
    if (!err)
        err = tx_begin(&tx, &store->env, true);
    if (err)
        return err;
    u64_put(number, STORE_FORMAT);
    err = meta_put(&tx, "format", number, sizeof(number));
    if (!err)
        return tx_commit(&tx);
    tx_abort(&tx);
    return err;
}

static enum err meta_read(struct store *store, const struct tx *tx,
                          struct failure *why)
{
    uint64_t format;
    struct key key;
    struct span epoch;
    enum err err = meta_number(tx, "format", &format);

    meta_key(&key, "epoch");
    if (!err)
        err = tx_get(tx, TABLE_META, &key, &epoch);
    if (err == ERR_NOT_FOUND || (!err && !epoch_ok(epoch)))
        err = ERR_DAMAGED;
    if (err)
        return fail(why, err, "%s: its table meta cannot be read: %s",
                    store->dir, err_text(err));
    memcpy(store->epoch, epoch.data, EPOCH_DIGITS);
    return ERR_NONE;
}

/* --- the directory ------------------------------------------------------- */

char *path_join(const char *dir, const char *name)
{
    size_t size = strlen(dir) + strlen(name) + 2;
    char *path = mem_alloc(size);

    if (path)
        snprintf(path, size, "%s/%s", dir, name);
    return path;
}

static enum err prepare_dir(const struct store *store, struct failure *why)
{
    const char *dir = store->dir;
    struct stat st;

    if (!store->read_only && mkdir(dir, 0700) != 0 && errno != EEXIST)
        return fail(why, env_translate(errno),
                    "%s: the data directory cannot be made: %s", dir,
                    strerror(errno));
    if (stat(dir, &st) != 0)
        return fail(why, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: %s",
                    dir, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return fail(why, ERR_IO, "%s is not a directory", dir);
    return ERR_NONE;
}

static enum err lock_fd(int fd, const char *what, struct failure *why)
{
    if (fd < 0)
        return fail(why, env_translate(errno), "%s: %s", what, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return ERR_NONE;
    if (errno != EWOULDBLOCK)
        return fail(why, ERR_IO, "%s: %s", what, strerror(errno));
    return fail(why, ERR_LOCKED, "%s is in use: another rung serve has it",
                what);
}

static void drop_lock(struct store *store)
{
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    if (store->dir_fd >= 0)
        close(store->dir_fd);
    store->lock_fd = store->dir_fd = -1;
}

/* The file says whose it is, and works on file systems that lock nothing but
 * files; the directory's own lock is still there when somebody has deleted the
 * file. */
static enum err take_lock(struct store *store, struct failure *why)
{
    char *path = path_join(store->dir, "lock");
    enum err err;

    if (!path)
        return fail_plain(why, ERR_NOMEM);
    store->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    store->dir_fd = open(store->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    err = lock_fd(store->lock_fd, path, why);
    mem_free(path);
    if (!err && lock_fd(store->dir_fd, store->dir, why) == ERR_LOCKED)
        err = ERR_LOCKED;
    if (err)
        drop_lock(store);
    return err;
}

/* --- the file ------------------------------------------------------------ */

/* fresh: there is none yet and one may be made. */
static enum err look_at_file(const struct store *store, const char *file,
                             bool *fresh, struct failure *why)
{
    struct stat st;

    *fresh = false;
    if (stat(file, &st) != 0) {
        if (errno != ENOENT)
            return fail(why, ERR_IO, "%s: %s", file, strerror(errno));
        if (store->read_only)
            return fail(why, ERR_NOT_FOUND, "%s: there is no store in it",
                        store->dir);
        *fresh = true;
        return ERR_NONE;
    }
    if (!S_ISREG(st.st_mode))
        return fail(why, ERR_IO, "%s is not a file", file);
    if (st.st_size == 0)
        return fail(why, ERR_DAMAGED,
                    "%s is empty: truncated, or never begun. Restore a backup, "
                    "or remove it to begin anew",
                    file);
    return ERR_NONE;
}

/* Are all pages first..last in LMDB's own list of free pages (table 0: a
 * transaction's number → count and page numbers)? See short_file_note. */
static enum err all_free(const struct env *env, size_t first, size_t last,
                         bool *yes)
{
    size_t missing = last - first + 1, found = 0, next = 0;
    MDB_cursor *cursor = NULL;
    MDB_txn *txn;
    int rc = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn);

    if (rc)
        return env_translate(rc);
    rc = mdb_cursor_open(txn, 0, &cursor);
    while (!rc) {
        MDB_val key = {sizeof(next), &next}, value;
        const size_t *pages;

        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
        if (rc)
            break;
        pages = value.mv_data;
        for (size_t i = 1; i <= pages[0]; i++)
            found += pages[i] >= first && pages[i] <= last;
        memcpy(&next, key.mv_data, sizeof(next));
        next++;
    }
    if (cursor)
        mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    *yes = found == missing;
    return rc == MDB_NOTFOUND ? ERR_NONE : env_translate(rc);
}

/* Make the file long enough to be looked at, look, and when it was truncated
 * cut it again to what it was. Only while nobody else can write to it. */
static enum err look_behind_end(const struct store *store, const char *file,
                                size_t there, size_t pages, size_t page_bytes,
                                struct failure *why)
{
    int fd = open(file, O_RDWR | O_CLOEXEC);
    off_t last = (off_t)((pages - 1) * page_bytes);
    bool free_pages = false;
    enum err err = ERR_NONE;

    if (fd < 0 || posix_fallocate(fd, last, (off_t)page_bytes) != 0)
        err = fail(why, ERR_IO,
                   "%s is shorter than it should be, and cannot be made longer "
                   "to look at it",
                   file);
    if (!err) {
        err = all_free(&store->env, there, pages - 1, &free_pages);
        if (err || !free_pages)
            err = fail(why, ERR_DAMAGED,
                       "%s is truncated: only %zu of its %zu pages are there. "
                       "Restore a backup",
                       file, there, pages);
        if (err && ftruncate(fd, (off_t)(there * page_bytes)) != 0)
            err = fail(why, ERR_DAMAGED, "%s is truncated", file);
    }
    if (fd >= 0)
        close(fd);
    return err;
}

static enum err check_length(struct store *store, const char *file,
                             struct failure *why)
{
    MDB_envinfo info;
    MDB_stat stat_;
    struct stat st;
    size_t there;
    mdb_filehandle_t fd;
    enum err err;

    mdb_env_info(store->env.mdb, &info);
    mdb_env_stat(store->env.mdb, &stat_);
    if (mdb_env_get_fd(store->env.mdb, &fd) || fstat(fd, &st) != 0)
        return fail(why, ERR_IO, "%s: %s", file, strerror(errno));
    there = (size_t)st.st_size / stat_.ms_psize;
    if (there > info.me_last_pgno)
        return ERR_NONE;
    if (!store->read_only)
        return look_behind_end(store, file, there, info.me_last_pgno + 1,
                               stat_.ms_psize, why);
    err = take_lock(store, why);
    if (err == ERR_LOCKED)
        return ERR_NONE; /* who has it looked when opening it */
    if (!err)
        err = look_behind_end(store, file, there, info.me_last_pgno + 1,
                              stat_.ms_psize, why);
    drop_lock(store);
    return err;
}

static bool nothing_inside(const struct env *env)
{
    MDB_stat st = {0};
    MDB_txn *txn;
    MDB_dbi dbi;

    if (mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn))
        return false;
    if (mdb_dbi_open(txn, NULL, 0, &dbi) || mdb_stat(txn, dbi, &st))
        st.ms_entries = 1;
    mdb_txn_abort(txn);
    return st.ms_entries == 0;
}

/* Tables and meta of a new store, in two commits: what is between them is a
 * store without meta, and is begun again. */
static enum err begin_store(struct store *store)
{
    struct tx tx;
    char epoch[EPOCH_DIGITS + 1];
    enum err err = env_open_tables(&store->env, true);

    if (err)
        return err;
    err = tx_begin(&tx, &store->env, true);
    if (err)
        return err;
    epoch_make(epoch);
    err = meta_write(&tx, epoch, clock_wall_ms());
    if (!err)
        return tx_commit(&tx);
    tx_abort(&tx);
    return err;
}

static enum err open_tables(struct store *store, struct failure *why)
{
    uint64_t metas = 0, entries = 0, format;
    struct tx tx;
    enum err err;

    if (!store->read_only && nothing_inside(&store->env))
        return begin_store(store);
    err = env_open_table(&store->env, TABLE_META);
    if (!err)
        err = find_format(store, &format, why);
    if (!err && format && format < STORE_FORMAT)
        err = upgrade(store, why);
    if (!err)
        err = env_open_tables(&store->env, false);
    if (err == ERR_NOT_FOUND)
        return fail(why, ERR_DAMAGED,
                    "%s/" STORE_FILE " is not a rung store: a table is missing",
                    store->dir);
    if (err || store->read_only)
        return err;
    err = tx_begin(&tx, &store->env, false);
    if (err)
        return err;
    err = tx_count(&tx, TABLE_META, &metas);
    if (!err)
        err = tx_count(&tx, TABLE_LOG, &entries);
    tx_abort(&tx);
    if (!err && metas == 0 && entries == 0)
        return begin_store(store);
    return err;
}

static enum err read_head(struct store *store, struct failure *why)
{
    struct entry entry;
    struct tx tx;
    lsn last;
    enum err err = tx_begin(&tx, &store->env, false);

    if (err)
        return fail_plain(why, err);
    err = meta_read(store, &tx, why);
    if (err)
        goto end;
    err = log_last(&tx, &last);
    if (!err && last > 0)
        err = log_find(&tx, last, &entry, NULL);
    if (!err && last > 0 && entry.lsn != last)
        err = ERR_DAMAGED;
    if (err)
        fail(why, err, "%s: the end of its log cannot be read: %s", store->dir,
             err_text(err));
    else
        atomic_store(&store->head, last);
end:
    tx_abort(&tx);
    return err;
}

/* LMDB makes a new file's head pages with one write, of which a kill may leave
 * a part, and takes that for damage ever after: so they get their name when
 * they are whole and on the disk. */
static enum err make_file(const struct store *store, const char *file,
                          struct failure *why)
{
    char *partial = path_join(store->dir, PARTIAL_FILE);
    struct env_options options = {.file = partial,
                                  .map_size_bytes = store->map_size_bytes,
                                  .no_lock = true};
    struct env env = {0};
    enum err err;

    if (!partial)
        return fail_plain(why, ERR_NOMEM);
    unlink(partial); /* what an interrupted start or backup left */
    err = env_open(&env, &options, why);
    env_close(&env);
    if (!err)
        err = sync_path(partial, why);
    if (!err && rename(partial, file) != 0)
        err = fail(why, env_translate(errno), "%s: %s", file, strerror(errno));
    mem_free(partial);
    return err ? err : sync_path(store->dir, why);
}

static enum err open_file(struct store *store, const char *file, bool relaxed,
                          struct failure *why)
{
    struct env_options options = {
        .file = file,
        .map_size_bytes = store->map_size_bytes,
        .read_only = store->read_only,
        .no_sync = relaxed,
    };
    bool fresh;
    int dead;
    enum err err = look_at_file(store, file, &fresh, why);

    if (!err && fresh)
        err = make_file(store, file, why);
    if (!err)
        err = env_open(&store->env, &options, why);
    if (err)
        return err;
    if (!store->read_only)
        mdb_reader_check(store->env.mdb, &dead);
    if (!fresh)
        err = check_length(store, file, why);
    if (err)
        return err;
    if (why)
        why->err = ERR_NONE;
    err = open_tables(store, why);
    if (err && why && why->err == ERR_NONE)
        fail(why, err, "%s: %s", file, err_text(err));
    return err ? err : read_head(store, why);
}

static enum err open_dir(struct store *store, const char *file,
                         const struct store_options *options,
                         struct failure *why)
{
    enum err err = prepare_dir(store, why);

    if (!err && !store->read_only)
        err = take_lock(store, why);
    if (!err)
        err = open_file(store, file, options->relaxed, why);
    return err;
}

enum err store_open(struct store **out, const struct store_options *options,
                    struct failure *why)
{
    struct store *store = mem_zalloc(sizeof(*store));
    char *file = path_join(options->dir, STORE_FILE);
    enum err err;

    if (store)
        store->lock_fd = store->dir_fd = -1;
    if (!store || !file)
        goto no_memory;
    store->read_only = options->read_only;
    store->map_size_bytes =
        options->map_size_bytes ? options->map_size_bytes : DEFAULT_MAP_BYTES;
    buf_init(&store->scratch, ENTRY_BODY_MAX + ENTRY_USERS_MAX + 1024);
    store->dir = mem_strndup(options->dir, strlen(options->dir));
    if (!options->read_only)
        store->cache = row_cache_create();
    if (!store->dir || (!options->read_only && !store->cache))
        goto no_memory;
    err = open_dir(store, file, options, why);
    mem_free(file);
    if (err) {
        store_close(store);
        return err;
    }
    *out = store;
    return ERR_NONE;

no_memory:
    mem_free(file);
    store_close(store);
    return fail_plain(why, ERR_NOMEM);
}

void store_close(struct store *store)
{
    if (!store)
        return;
    if (store->env.mdb && !store->read_only)
        mdb_env_sync(store->env.mdb, 1);
    env_close(&store->env);
    drop_lock(store);
    buf_fini(&store->scratch);
    row_cache_destroy(store->cache);
    mem_free(store->dir);
    mem_free(store);
}

const char *store_epoch(const struct store *store)
{
    return store->epoch;
}

lsn store_head(const struct store *store)
{
    return atomic_load_explicit(&store->head, memory_order_acquire);
}

void store_usage(const struct store *store, uint64_t *used_bytes,
                 uint64_t *size_bytes)
{
    MDB_envinfo info;
    MDB_stat stat_;

    mdb_env_info(store->env.mdb, &info);
    mdb_env_stat(store->env.mdb, &stat_);
    *used_bytes = (uint64_t)(info.me_last_pgno + 1) * stat_.ms_psize;
    *size_bytes = info.me_mapsize;
}

enum err store_sync(struct store *store)
{
    return env_translate(mdb_env_sync(store->env.mdb, 1));
}

enum err store_usable(struct store *store)
{
    struct tx tx;
    enum err err = tx_begin(&tx, &store->env, false);

    tx_abort(&tx);
    return err;
}

enum err store_count(const struct store *store, uint64_t *entries,
                     uint64_t *conversations)
{
    struct tx tx;
    enum err err = tx_begin(&tx, &store->env, false);

    if (err)
        return err;
    err = tx_count(&tx, TABLE_LOG, entries);
    if (!err)
        err = tx_count(&tx, TABLE_CONVERSATIONS, conversations);
    tx_abort(&tx);
    return err;
}
