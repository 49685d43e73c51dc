/* Opening a data directory, and refusing to. */
#include "store/inside.h"
#include "store/key.h"
#include "tests/lib/given_store.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void refuses(const char *dir, bool read_only, enum err err,
                    const char *words)
{
    struct store_options options = {.dir = dir, .read_only = read_only};
    struct store *store = NULL;
    struct failure why = {0};

    assert_int_equal(store_open(&store, &options, &why), err);
    assert_null(store);
    assert_int_equal(why.err, err);
    if (!strstr(why.message, words))
        fail_msg("says: %s", why.message);
}

static void what_was_written_is_there_again(void **state)
{
    struct given *g = given_store();
    char epoch[9];

    (void)state;
    memcpy(epoch, store_epoch(g->store), 9);
    assert_int_equal(strspn(epoch, "0123456789abcdef"), 8);
    append_ok(g, a_message("0:1:a:b", "a", "id", "x"));
    given_reopen(g);
    assert_string_equal(store_epoch(g->store), epoch);
    assert_int_equal(store_head(g->store), 1);
    assert_true(append_one(g, a_message("0:1:a:b", "a", "id", "x")).duplicate);
    assert_int_equal(append_ok(g, a_message("0:1:a:b", "a", "", "y")).lsn, 2);
    given_end(g);
}

static void a_second_server_is_refused(void **state)
{
    struct given *g = given_store();

    (void)state;
    refuses(g->dir, false, ERR_LOCKED, "another rung serve has it");
    refuses(g->dir, false, ERR_LOCKED, g->dir);
    given_end(g);
}

/* Two that append would damage the log: whoever deletes the file of the lock
 * has not let the second one in. */
static void a_deleted_lock_lets_nobody_in(void **state)
{
    struct given *g = given_store();

    (void)state;
    assert_int_equal(unlink(given_path(g, "lock")), 0);
    refuses(g->dir, false, ERR_LOCKED, "in use");
    given_reopen(g);
    given_end(g);
}

static void a_place_that_is_no_directory_is_refused(void **state)
{
    struct given *g = given_store();
    char path[300];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/rung.mdb", g->dir);
    refuses(path, false, ERR_IO, "is not a directory");
    (void)snprintf(path, sizeof(path), "%s/no/such", g->dir);
    refuses(path, false, ERR_IO, "cannot be made");
    refuses(path, true, ERR_NOT_FOUND, path);
    (void)snprintf(path, sizeof(path), "%s/new", g->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    refuses(path, true, ERR_NOT_FOUND, "no store");
    assert_int_equal(rmdir(path), 0);
    given_end(g);
}

/* Root may open anything, so look as somebody else. */
static void no_permission_is_told(void **state)
{
    struct given *g = given_store();
    int status;
    pid_t child;

    (void)state;
    given_close(g);
    assert_int_equal(chmod(g->dir, 0755), 0);
    assert_int_equal(chmod(given_path(g, "rung.mdb"), 0400), 0);
    assert_int_equal(chmod(given_path(g, "lock"), 0400), 0);
    child = fork();
    if (child == 0) {
        struct store_options options = {.dir = g->dir};
        struct store *store;
        struct failure why;

        if (geteuid() == 0 && setuid(65534) != 0)
            _exit(2);
        _exit(store_open(&store, &options, &why) == ERR_IO &&
                      strstr(why.message, "ermission")
                  ? 0
                  : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    given_end(g);
}

static void set_format(struct given *g, uint64_t format)
{
    unsigned char number[8];
    struct key key = {.size = 6};
    struct tx tx;

    memcpy(key.bytes, "format", 6);
    u64_put(number, format);
    assert_int_equal(tx_begin(&tx, &g->store->env, true), ERR_NONE);
    assert_int_equal(
        tx_put(&tx, TABLE_META, &key, (struct span){(const char *)number, 8}),
        ERR_NONE);
    assert_int_equal(tx_commit(&tx), ERR_NONE);
}

static void a_newer_format_is_refused(void **state)
{
    struct given *g = given_store();

    (void)state;
    set_format(g, STORE_FORMAT + 1);
    given_close(g);
    refuses(g->dir, false, ERR_NEWER_FORMAT, "newer rung");
    refuses(g->dir, true, ERR_NEWER_FORMAT, "newer rung");
    given_end(g);
}

/* A store of format 1 lacks a table: it is made when somebody may write. */
static void an_older_format_is_brought_up(void **state)
{
    struct given *g = given_store();
    MDB_txn *txn;

    (void)state;
    append_ok(g, a_message("0:1:a:b", "a", "", "x"));
    set_format(g, 1);
    assert_int_equal(mdb_txn_begin(g->store->env.mdb, NULL, 0, &txn), 0);
    assert_int_equal(mdb_drop(txn, g->store->env.dbi[TABLE_CLIENT_SEQS], 1), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    given_close(g);
    refuses(g->dir, true, ERR_FORBIDDEN, "older rung");
    given_reopen(g);
    assert_int_equal(problems_of(g->store), 0);
    assert_string_equal(mixed_of(g, "b", 0), "m1:a:x ");
    given_close(g);
    given_reopen(g);
    set_format(g, STORE_FORMAT + 1);
    given_close(g);
    refuses(g->dir, false, ERR_NEWER_FORMAT, "newer rung");
    given_end(g);
}

static void overwrite(const char *path, off_t at, const char *bytes,
                      size_t size)
{
    int fd = open(path, O_RDWR);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, size, at), size);
    close(fd);
}

static void a_damaged_head_is_refused(void **state)
{
    static const char zeros[8192];
    struct given *g = given_store();

    (void)state;
    append_ok(g, a_message("0:1:a:b", "a", "id", "x"));
    given_close(g);
    overwrite(given_path(g, "rung.mdb"), 0, zeros, sizeof(zeros));
    refuses(g->dir, false, ERR_DAMAGED, "damaged");
    refuses(g->dir, true, ERR_DAMAGED, "damaged");
    given_end(g);
}

static char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    struct stat st;
    char *bytes;

    assert_non_null(file);
    assert_int_equal(fstat(fileno(file), &st), 0);
    *size = (size_t)st.st_size;
    bytes = malloc(*size);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    assert_int_equal(fclose(file), 0);
    return bytes;
}

static void write_file(const char *path, const char *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* Opens, and is whole; or is refused as damaged, and left as it was. */
static bool opens_whole(struct given *g, bool read_only, size_t size)
{
    struct store_options options = {.dir = g->dir, .read_only = read_only};
    struct failure why = {0};
    struct stat st;
    enum err err = store_open(&g->store, &options, &why);

    if (!err) {
        assert_int_equal(problems_of(g->store), 0);
        given_close(g);
        return true;
    }
    assert_int_equal(err, ERR_DAMAGED);
    assert_int_equal(stat(given_path(g, "rung.mdb"), &st), 0);
    assert_int_equal(st.st_size, size);
    return false;
}

/* Cut at any page, it is refused in words, not by a crash; unless what was cut
 * off was free pages only. */
static void a_truncated_file_is_refused(void **state)
{
    struct given *g = given_store();
    int refused = 0;
    size_t size;
    char *bytes;

    (void)state;
    for (int i = 0; i < 50; i++)
        append_ok(g, a_message("0:1:a:b", "a", "", "some text to fill pages"));
    given_close(g);
    bytes = read_file(given_path(g, "rung.mdb"), &size);
    for (size_t cut = 0; cut < size; cut += 4096)
        for (int read_only = 0; read_only < 2; read_only++) {
            write_file(given_path(g, "rung.mdb"), bytes, cut);
            refused += !opens_whole(g, read_only, cut);
        }
    assert_true(refused > (int)(size / 4096));
    free(bytes);
    given_end(g);
}

/* A file that is short only by pages that nothing uses is whole. */
static void a_file_short_of_free_pages_is_whole(void **state)
{
    struct given *g = given_store();
    struct stat st;
    MDB_envinfo info;

    (void)state;
    for (int i = 0; i < 200; i++)
        append_ok(g, a_message("0:1:a:b", "a", "", "some text to fill pages"));
    mdb_env_info(g->store->env.mdb, &info);
    given_close(g);
    assert_int_equal(stat(given_path(g, "rung.mdb"), &st), 0);
    assert_true((uint64_t)st.st_size <= (info.me_last_pgno + 1) * 4096);
    given_reopen(g);
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

static void a_foreign_file_is_refused(void **state)
{
    struct given *g = given_store();
    struct env env = {0};
    struct env_options options = {.map_size_bytes = 1 << 20};
    struct failure why;
    MDB_txn *txn;
    MDB_dbi dbi;

    (void)state;
    given_close(g);
    assert_int_equal(unlink(given_path(g, "rung.mdb")), 0);
    options.file = given_path(g, "rung.mdb");
    assert_int_equal(env_open(&env, &options, &why), ERR_NONE);
    assert_int_equal(mdb_txn_begin(env.mdb, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "other", MDB_CREATE, &dbi), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    env_close(&env);
    refuses(g->dir, false, ERR_DAMAGED, "not a rung store");
    given_end(g);
}

/* A making that was interrupted is begun again. */
static void an_unfinished_store_is_begun_again(void **state)
{
    struct given *g = given_store();
    struct env env = {0};
    struct env_options options = {.map_size_bytes = 1 << 24};
    struct failure why;

    (void)state;
    for (int tables = 0; tables < 2; tables++) {
        given_close(g);
        assert_int_equal(unlink(given_path(g, "rung.mdb")), 0);
        options.file = given_path(g, "rung.mdb");
        assert_int_equal(env_open(&env, &options, &why), ERR_NONE);
        if (tables)
            assert_int_equal(env_open_tables(&env, true), ERR_NONE);
        env_close(&env);
        given_reopen(g);
        append_ok(g, a_message("0:1:a:b", "a", "", "x"));
    }
    given_end(g);
}

/* Another process may read while one writes; it sees what was committed. */
static void another_process_reads_along(void **state)
{
    struct given *g = given_store();
    int status;
    pid_t child;

    (void)state;
    append_ok(g, a_message("0:1:a:b", "a", "id", "x"));
    child = fork();
    if (child == 0) {
        char *const args[] = {(char *)"test_store_open", (char *)"--read",
                              g->dir, NULL};

        execv("/proc/self/exe", args);
        _exit(9);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    append_ok(g, a_message("0:1:a:b", "a", "id2", "x"));
    given_end(g);
}

static int read_along(const char *dir)
{
    struct store_options options = {.dir = dir, .read_only = true};
    struct store *store;
    struct failure why;
    uint64_t found = 1;

    if (store_open(&store, &options, &why) || store_head(store) != 1 ||
        store_verify(store, NULL, &found, &why) || found > 0)
        return 1;
    store_close(store);
    return 0;
}

static void relaxed_stores_sync_when_asked(void **state)
{
    struct given *g = given_store();
    struct store_options options = {.dir = g->dir, .relaxed = true};
    struct failure why;
    uint64_t used, size;

    (void)state;
    given_close(g);
    assert_int_equal(store_open(&g->store, &options, &why), ERR_NONE);
    for (int i = 0; i < 100; i++)
        append_ok(g, a_message("0:1:a:b", "a", "", "x"));
    assert_int_equal(store_sync(g->store), ERR_NONE);
    store_usage(g->store, &used, &size);
    assert_true(used > 0 && used < size);
    given_reopen(g);
    assert_int_equal(store_head(g->store), 100);
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_there_again),
        cmocka_unit_test(a_second_server_is_refused),
        cmocka_unit_test(a_deleted_lock_lets_nobody_in),
        cmocka_unit_test(a_place_that_is_no_directory_is_refused),
        cmocka_unit_test(no_permission_is_told),
        cmocka_unit_test(a_newer_format_is_refused),
        cmocka_unit_test(an_older_format_is_brought_up),
        cmocka_unit_test(a_damaged_head_is_refused),
        cmocka_unit_test(a_truncated_file_is_refused),
        cmocka_unit_test(a_file_short_of_free_pages_is_whole),
        cmocka_unit_test(a_foreign_file_is_refused),
        cmocka_unit_test(an_unfinished_store_is_begun_again),
        cmocka_unit_test(another_process_reads_along),
        cmocka_unit_test(relaxed_stores_sync_when_asked),
    };

    if (argc == 3 && strcmp(argv[1], "--read") == 0)
        return read_along(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
