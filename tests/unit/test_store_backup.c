/* A hot copy: complete, compacted, with an epoch of its own. */
#include "tests/lib/given_store.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

struct told {
    uint64_t done, total;
};

static void on_progress(uint64_t done, uint64_t total, void *arg)
{
    struct told *told = arg;

    assert_true(done >= told->done && done <= total);
    *told = (struct told){done, total};
}

static struct given *given_filled(void)
{
    struct given *g = given_store();

    append_ok(g, a_create("0:2:team", "alice", "", "bob"));
    for (int i = 0; i < 200; i++)
        append_ok(g, a_message("0:2:team", "alice", "", "some text"));
    append_ok(g, a_message("0:2:team", "bob", "id", "last"));
    append_ok(g, a_mark(ENTRY_TRIM, "0:2:team", "", 100));
    return g;
}

static struct store *open_copy(const char *dir)
{
    struct store_options options = {.dir = dir};
    struct store *store;
    struct failure why;

    assert_int_equal(store_open(&store, &options, &why), ERR_NONE);
    return store;
}

static void a_copy_has_all_and_its_own_epoch(void **state)
{
    struct given *g = given_filled();
    struct told told = {0};
    struct buf ours, theirs;
    struct store *copy;
    struct failure why;
    char dir[300], file[400];
    struct stat st;

    (void)state;
    (void)snprintf(dir, sizeof(dir), "%s-copy", g->dir);
    for (int fresh = 0; fresh < 2; fresh++) {
        assert_int_equal(
            store_backup(g->store, dir, fresh, on_progress, &told, &why),
            ERR_NONE);
        assert_int_equal(told.done, told.total);
        told = (struct told){0};
        (void)snprintf(file, sizeof(file), "%s/rung.mdb", dir);
        assert_int_equal(stat(file, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        copy = open_copy(dir);
        assert_int_equal(strcmp(store_epoch(copy), store_epoch(g->store)) == 0,
                         !fresh);
        assert_int_equal(store_head(copy), store_head(g->store));
        assert_int_equal(problems_of(copy), 0);
        buf_init(&ours, 1 << 24);
        buf_init(&theirs, 1 << 24);
        dump_tables(g->store, true, &ours);
        dump_tables(copy, true, &theirs);
        assert_int_equal(ours.size, theirs.size);
        assert_memory_equal(ours.data, theirs.data, ours.size);
        buf_fini(&ours);
        buf_fini(&theirs);
        store_close(copy);
        remove_dir(dir);
    }
    append_ok(g, a_message("0:2:team", "bob", "", "goes on"));
    given_end(g);
}

static void a_copy_does_not_overwrite_a_store(void **state)
{
    struct given *g = given_filled();
    struct failure why;

    (void)state;
    assert_int_equal(store_backup(g->store, g->dir, true, NULL, NULL, &why),
                     ERR_CONFLICT);
    assert_non_null(strstr(why.message, "holds a store already"));
    assert_int_equal(store_backup(g->store, given_path(g, "rung.mdb"), true,
                                  NULL, NULL, &why),
                     ERR_IO);
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

/* What an interrupted backup left is replaced, and never taken for a store. */
static void an_interrupted_copy_is_begun_again(void **state)
{
    struct given *g = given_filled();
    struct failure why;
    char dir[300], path[400];
    FILE *file;

    (void)state;
    (void)snprintf(dir, sizeof(dir), "%s-copy", g->dir);
    (void)snprintf(path, sizeof(path), "%s/rung.mdb.partial", dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs("half", file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(store_backup(g->store, dir, true, NULL, NULL, &why),
                     ERR_NONE);
    store_close(open_copy(dir));
    remove_dir(dir);
    given_end(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_has_all_and_its_own_epoch),
        cmocka_unit_test(a_copy_does_not_overwrite_a_store),
        cmocka_unit_test(an_interrupted_copy_is_begun_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
