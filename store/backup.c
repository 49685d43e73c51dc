/* A hot copy: LMDB writes a compacted snapshot beside the final name, the copy
 * gets its own epoch, is synced, and only then gets that name.
 */
#include "server/base/mem.h"
#include "store/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOOK_EVERY_MS 100

/* The copying thread; this one tells the progress meanwhile. */
struct copying {
    MDB_env *env;
    int fd;
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    bool over; /* under mutex, with rc */
    int rc;
};

static void *copy(void *arg)
{
    struct copying *c = arg;
    int rc = mdb_env_copyfd2(c->env, c->fd, MDB_CP_COMPACT);

    pthread_mutex_lock(&c->mutex);
    c->rc = rc;
    c->over = true;
    pthread_cond_signal(&c->ended);
    pthread_mutex_unlock(&c->mutex);
    return NULL;
}

static uint64_t size_of(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* Until the copy ends or it is time to look again; true when it has ended. */
static bool wait_a_little(struct copying *c)
{
    struct timespec until;
    bool over;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += LOOK_EVERY_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    pthread_mutex_lock(&c->mutex);
    if (!c->over)
        pthread_cond_timedwait(&c->ended, &c->mutex, &until);
    over = c->over;
    pthread_mutex_unlock(&c->mutex);
    return over;
}

static int copy_and_tell(struct store *store, int fd,
                         void (*progress)(uint64_t, uint64_t, void *),
                         void *arg)
{
    struct copying c = {.env = store->env.mdb,
                        .fd = fd,
                        .mutex = PTHREAD_MUTEX_INITIALIZER,
                        .ended = PTHREAD_COND_INITIALIZER};
    uint64_t used, size;
    pthread_t thread;
    int rc;

    if (!progress)
        return mdb_env_copyfd2(c.env, fd, MDB_CP_COMPACT);
    store_usage(store, &used, &size);
    progress(0, used, arg);
    rc = pthread_create(&thread, NULL, copy, &c);
    if (rc)
        return rc;
    while (!wait_a_little(&c)) {
        uint64_t there = size_of(fd);

        progress(there < used ? there : used, used, arg);
    }
    pthread_join(thread, NULL);
    if (c.rc == 0)
        progress(used, used, arg);
    return c.rc;
}

static enum err change_epoch(const char *file, uint64_t map_size_bytes,
                             struct failure *why)
{
    struct env_options options = {
        .file = file, .map_size_bytes = map_size_bytes, .no_lock = true};
    char epoch[EPOCH_DIGITS + 1];
    struct env env = {0};
    struct tx tx = {0};
    enum err err = env_open(&env, &options, why);

    if (err)
        return err;
    epoch_make(epoch);
    err = env_open_tables(&env, false);
    if (!err)
        err = tx_begin(&tx, &env, true);
    if (!err)
        err = meta_write(&tx, epoch, 0);
    if (!err)
        err = tx_commit(&tx);
    tx_abort(&tx);
    env_close(&env);
    if (err)
        return fail(why, err, "%s: no new epoch: %s", file, err_text(err));
    return ERR_NONE;
}

enum err sync_path(const char *path, struct failure *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool bad = fd < 0 || fsync(fd) != 0;
    int code = errno;

    if (fd >= 0)
        close(fd);
    if (bad)
        return fail(why, env_translate(code), "%s: %s", path, strerror(code));
    return ERR_NONE;
}

static enum err make_dir(const char *dir, const char *file, struct failure *why)
{
    struct stat st;

    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return fail(why, env_translate(errno), "%s: cannot be made: %s", dir,
                    strerror(errno));
    if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode))
        return fail(why, ERR_IO, "%s is not a directory", dir);
    if (stat(file, &st) == 0)
        return fail(why, ERR_CONFLICT, "%s holds a store already", dir);
    return ERR_NONE;
}

static enum err write_copy(struct store *store, const char *partial,
                           void (*progress)(uint64_t, uint64_t, void *),
                           void *arg, struct failure *why)
{
    int fd, rc;

    unlink(partial); /* what an interrupted backup left */
    fd = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(why, env_translate(errno), "%s: %s", partial,
                    strerror(errno));
    rc = copy_and_tell(store, fd, progress, arg);
    close(fd);
    if (rc)
        return fail(why, env_translate(rc), "%s: %s", partial,
                    mdb_strerror(rc));
    return ERR_NONE;
}

/* Into `partial`, then under its final name. */
static enum err make_copy(struct store *store, const char *partial,
                          const char *file, bool new_epoch,
                          void (*progress)(uint64_t, uint64_t, void *),
                          void *arg, struct failure *why)
{
    enum err err = write_copy(store, partial, progress, arg, why);

    if (!err && new_epoch)
        err = change_epoch(partial, store->map_size_bytes, why);
    if (!err)
        err = sync_path(partial, why);
    if (!err && rename(partial, file) != 0)
        err = fail(why, env_translate(errno), "%s: %s", file, strerror(errno));
    if (err)
        unlink(partial);
    return err;
}

enum err store_backup(struct store *store, const char *dir, bool new_epoch,
                      void (*progress)(uint64_t, uint64_t, void *), void *arg,
                      struct failure *why)
{
    char *file = path_join(dir, STORE_FILE);
    char *partial = path_join(dir, PARTIAL_FILE);
    enum err err;

    if (!file || !partial) {
        err = fail_plain(why, ERR_NOMEM);
    } else {
        err = make_dir(dir, file, why);
        if (!err)
            err =
                make_copy(store, partial, file, new_epoch, progress, arg, why);
        if (!err)
            err = sync_path(dir, why);
    }
    mem_free(file);
    mem_free(partial);
    return err;
}
