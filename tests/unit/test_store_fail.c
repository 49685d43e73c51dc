/* Failures: of LMDB's calls, of memory, of the disk. Whatever fails, the answer
 * is honest, nothing half-written stays, and the store goes on.
 *
 * The disk's failures are made by standing in for pwrite(), writev() and
 * fdatasync(), which LMDB calls: this program's own come before the C
 * library's.
 */
#include "server/base/mem.h"
#include "tests/lib/given_store.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#define INJECTED EIO

/* --- a disk that fails -----------------------------------------------------
 */

static struct {
    int code;       /* 0: works */
    off_t from, to; /* only writes that begin here; to 0: anywhere */
    bool only_syncs;
} disk;

static bool disk_fails(off_t at)
{
    return disk.code && !disk.only_syncs &&
           (disk.to == 0 || (at >= disk.from && at < disk.to));
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t offset)
{
    if (disk_fails(offset)) {
        errno = disk.code;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, buf, n, offset);
}

ssize_t writev(int fd, const struct iovec *iovec, int count)
{
    if (disk.code && disk_fails(lseek(fd, 0, SEEK_CUR))) {
        errno = disk.code;
        return -1;
    }
    return syscall(SYS_writev, fd, iovec, count);
}

int fdatasync(int fildes)
{
    if (disk.code && disk.only_syncs) {
        errno = disk.code;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fildes);
}

/* --- LMDB's calls ----------------------------------------------------------
 */

static struct given *given_some_of_all(void)
{
    struct given *g = given_store();

    append_ok(g, a_create("0:2:team", "alice", "hj", "bob"));
    append_ok(g, a_numbered("0:2:team", "bob", "d", 1));
    for (int i = 0; i < 5; i++)
        append_ok(g, a_message("0:2:team", "alice", i == 1 ? "id1" : "", "x"));
    append_ok(g, a_mark(ENTRY_READ, "0:2:team", "bob", 3));
    append_ok(g, a_message("0:1:alice:bob", "bob", "id2", "hi"));
    return g;
}

static struct applied discard;

typedef enum err (*deed_fn)(struct given *g);

static enum err append_message(struct given *g)
{
    return try_append(g, a_message("0:2:team", "bob", "id9", "nine"), &discard);
}

static enum err append_numbered(struct given *g)
{
    return try_append(g, a_numbered("0:2:team", "bob", "d", 2), &discard);
}

static enum err begin_p2p(struct given *g)
{
    return try_append(g, a_message("0:1:bob:carol", "bob", "", "new"),
                      &discard);
}

static enum err create_group(struct given *g)
{
    return try_append(g, a_create("0:2:new", "dora", "", "bob carol"),
                      &discard);
}

static enum err join_group(struct given *g)
{
    return try_append(g, a_join("0:2:team", "carol", "carol"), &discard);
}

static enum err leave_group(struct given *g)
{
    return try_append(g, a_leave("0:2:team", "bob"), &discard);
}

static enum err mark_read(struct given *g)
{
    return try_append(g, a_mark(ENTRY_READ, "0:2:team", "bob", 5), &discard);
}

static enum err trim(struct given *g)
{
    return try_append(g, a_mark(ENTRY_TRIM, "0:2:team", "", 4), &discard);
}

static enum err rebuild(struct given *g)
{
    return store_rebuild(g->store, NULL, NULL);
}

static enum err verify(struct given *g)
{
    uint64_t found;

    return store_verify(g->store, NULL, &found, NULL);
}

struct take {
    struct stint stints[20];
    size_t count;
};

static bool take_stint(const struct stint *stint, void *arg)
{
    struct take *take = arg;

    take->stints[take->count++] = *stint;
    return true;
}

static bool see(const struct entry *entry, struct span bytes, void *arg)
{
    (void)entry;
    (void)bytes;
    (void)arg;
    return true;
}

static bool see_gap(const struct gap *gap, void *arg)
{
    (void)gap;
    (void)arg;
    return true;
}

static bool see_member(const struct member *member, void *arg)
{
    (void)member;
    (void)arg;
    return true;
}

static bool see_trim(struct span app, struct span conversation, uint64_t mark,
                     void *arg)
{
    (void)app;
    (void)conversation;
    (void)mark;
    (void)arg;
    return true;
}

static enum err read_with(struct given *g, struct reader *r)
{
    struct span app = SPAN(GIVEN_APP), bob = SPAN("bob");
    struct conversation conv;
    struct take take = {0};
    struct marks marks;
    uint64_t number;
    lsn cursor = 0;
    conv_no start = 0;
    bool more;
    enum err err = reader_conversation(r, app, SPAN("0:2:team"), &conv);

    if (!err)
        err = reader_stints(r, app, bob, take_stint, &take);
    if (!err)
        err = mixed_read(r, bob, take.stints, take.count, &cursor,
                         store_head(g->store), see, see_gap, NULL, &more);
    if (!err)
        err = chain_read(r, conv.no, 1, 9, true, see, NULL);
    if (!err)
        err = reader_members(r, conv.no, see_member, NULL);
    if (!err)
        err = reader_marks(r, app, bob, conv.no, &marks);
    if (!err)
        err = reader_count_unread(r, app, bob, conv.no, 1, 9, &number);
    if (!err)
        err = reader_seq_at(r, conv.no, 3, &number);
    if (!err)
        err = retention_find(r, 9999, 1, 1, &start, 10, see_trim, NULL);
    return err;
}

static enum err read_all(struct given *g)
{
    struct reader *reader = NULL;
    enum err err = reader_create(&reader, g->store);

    if (!err)
        err = reader_begin(reader);
    if (!err) {
        err = read_with(g, reader);
        reader_end(reader);
    }
    reader_destroy(reader);
    return err;
}

static const struct {
    const char *name;
    deed_fn deed;
} deeds[] = {
    {"append_message", append_message},
    {"append_numbered", append_numbered},
    {"begin_p2p", begin_p2p},
    {"create_group", create_group},
    {"join_group", join_group},
    {"leave_group", leave_group},
    {"mark_read", mark_read},
    {"trim", trim},
    {"rebuild", rebuild},
    {"verify", verify},
    {"read_all", read_all},
};

#define DEEDS (sizeof(deeds) / sizeof(deeds[0]))

/* Nothing of a failed deed is left: the same tables, the same head. */
static void check_untouched(struct given *g, const struct buf *before, lsn head)
{
    struct buf after;

    buf_init(&after, 1 << 24);
    dump_tables(g->store, true, &after);
    assert_int_equal(store_head(g->store), head);
    assert_int_equal(before->size, after.size);
    assert_memory_equal(before->data, after.data, after.size);
    buf_fini(&after);
}

/* Fail the nth call, for every n until the deed succeeds. */
static void fail_each(deed_fn deed, enum err expect, bool memory)
{
    struct given *g = given_some_of_all();
    lsn head = store_head(g->store);
    struct buf before;
    enum err err = expect;
    uint64_t n;

    buf_init(&before, 1 << 24);
    dump_tables(g->store, true, &before);
    for (n = 1; err; n++) {
        if (memory)
            (void)mem_fail_nth(n);
        else
            (void)store_fail_nth(n, expect == ERR_IO ? EIO : ENOSPC);
        err = deed(g);
        (void)mem_fail_nth(0);
        (void)store_fail_nth(0, 0);
        if (!err)
            break;
        assert_int_equal(err, expect);
        check_untouched(g, &before, head);
        assert_true(n < 5000);
    }
    if (!memory)
        assert_true(n > 3);
    assert_int_equal(problems_of(g->store), 0);
    buf_fini(&before);
    given_end(g);
}

static void every_failing_lmdb_call_is_honest(void **state)
{
    (void)state;
    for (size_t i = 0; i < DEEDS; i++) {
        fail_each(deeds[i].deed, ERR_IO, false);
        fail_each(deeds[i].deed, ERR_STORAGE_FULL, false);
    }
}

static void every_failing_allocation_is_honest(void **state)
{
    (void)state;
    for (size_t i = 0; i < DEEDS; i++)
        fail_each(deeds[i].deed, ERR_NOMEM, true);
}

/* Opening too: nothing stays open or locked behind a failure. */
static void every_failing_step_of_opening_is_honest(void **state)
{
    struct given *g = given_some_of_all();
    struct store_options options = {.dir = g->dir};
    struct failure why;
    lsn head = store_head(g->store);

    (void)state;
    for (int memory = 0; memory < 2; memory++) {
        enum err err = ERR_IO;

        for (uint64_t n = 1; err; n++) {
            given_close(g);
            if (memory)
                (void)mem_fail_nth(n);
            else
                (void)store_fail_nth(n, EIO);
            err = store_open(&g->store, &options, &why);
            (void)mem_fail_nth(0);
            (void)store_fail_nth(0, 0);
            if (err) {
                assert_int_equal(err, memory ? ERR_NOMEM : ERR_IO);
                assert_int_equal(why.err, err);
                assert_true(why.message[0] != '\0');
            }
            assert_true(n < 500);
        }
        assert_int_equal(store_head(g->store), head);
    }
    given_end(g);
}

/* --- a full disk, a broken one ---------------------------------------------
 */

static uint64_t fill(struct given *g, enum err expect)
{
    static char body[3000];
    struct applied applied;
    uint64_t written = 0;
    enum err err;

    memset(body, 'x', sizeof(body) - 1);
    do {
        err = try_append(g, a_message("0:1:a:b", "a", "", body), &applied);
        written += !err;
    } while (!err && written < 5000);
    assert_int_equal(err, expect);
    return written;
}

/* The map is full: reads go on; after a trim there is room again. */
static void a_full_map_is_told_and_survived(void **state)
{
    struct given *g = given_store_of(1 << 20);
    uint64_t written = fill(g, ERR_STORAGE_FULL);

    (void)state;
    assert_true(written > 50);
    assert_int_equal(store_head(g->store), written);
    assert_int_equal(fill(g, ERR_STORAGE_FULL), 0);
    assert_true(strlen(mixed_of(g, "a", 0)) > 3000 * written);
    assert_int_equal(problems_of(g->store), 0);
    given_close(g); /* a larger map, and it goes on */
    g->map_size_bytes = 4 << 20;
    given_reopen(g);
    assert_int_equal(append_ok(g, a_message("0:1:a:b", "a", "", "more")).lsn,
                     written + 1);
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

static void trimming_makes_room_again(void **state)
{
    struct given *g = given_store_of(1 << 20);
    uint64_t written = 0;
    struct applied applied;

    (void)state;
    for (int i = 0; i < 100; i++)
        written += !try_append(
            g, a_message("0:1:a:b", "a", "", "a body of some length"),
            &applied);
    for (int round = 0; round < 40; round++) {
        static char body[3000];

        memset(body, 'y', sizeof(body) - 1);
        for (int i = 0; i < 30; i++)
            append_ok(g, a_message("0:1:a:b", "a", "", body));
        append_ok(g, a_mark(ENTRY_TRIM, "0:1:a:b", "", UINT64_MAX));
    }
    assert_int_equal(written, 100);
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

/* RLIMIT_FSIZE: the kernel itself says EFBIG. */
static void a_file_size_limit_is_told_and_survived(void **state)
{
    struct given *g = given_store();
    struct rlimit old, small;
    uint64_t written;

    (void)state;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = UINT64_C(400) * 1024;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    written = fill(g, ERR_STORAGE_FULL);
    assert_true(written > 5);
    assert_true(strlen(mixed_of(g, "a", 0)) > 2999 * written);
    assert_int_equal(store_head(g->store), written);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(append_ok(g, a_message("0:1:a:b", "a", "", "more")).lsn,
                     written + 1);
    assert_int_equal(problems_of(g->store), 0);
    given_reopen(g);
    assert_int_equal(store_head(g->store), written + 1);
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

/* The disk refuses data pages, or to sync: undone, and served again after. */
static void a_failing_disk_is_told_and_survived(void **state)
{
    static const int codes[] = {EIO, ENOSPC, EDQUOT};
    struct given *g = given_some_of_all();
    struct applied applied;

    (void)state;
    for (int i = 0; i < 3; i++)
        for (int syncs = 0; syncs < 2; syncs++) {
            lsn head = store_head(g->store);
            enum err err;

            disk.code = codes[i];
            disk.only_syncs = syncs;
            disk.from = 8192; /* behind the two meta pages */
            disk.to = (off_t)1 << 40;
            err =
                try_append(g, a_message("0:2:team", "bob", "", "x"), &applied);
            disk.code = 0;
            assert_int_equal(err, codes[i] == EIO ? ERR_IO : ERR_STORAGE_FULL);
            assert_int_equal(store_head(g->store), head);
            assert_string_equal(mixed_of(g, "bob", head), "");
            assert_int_equal(problems_of(g->store), 0);
            append_ok(g, a_message("0:2:team", "bob", "", "again"));
            assert_int_equal(store_head(g->store), head + 1);
            assert_int_equal(problems_of(g->store), 0);
        }
    given_reopen(g);
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

/* The meta page cannot be written: LMDB gives up the environment (panic_note in
 * store/env.c). All use says so until the store is opened again; nothing is
 * lost. */
static void a_failing_meta_page_ends_it_until_reopened(void **state)
{
    struct given *g = given_some_of_all();
    lsn head = store_head(g->store);
    struct applied applied;
    struct reader *reader = NULL;

    (void)state;
    disk.code = EIO;
    disk.only_syncs = false;
    disk.from = 0;
    disk.to = 8192;
    assert_int_equal(
        try_append(g, a_message("0:2:team", "bob", "", "x"), &applied), ERR_IO);
    disk.code = 0;
    assert_int_equal(store_head(g->store), head);
    assert_int_equal(
        try_append(g, a_message("0:2:team", "bob", "", "x"), &applied), ERR_IO);
    assert_int_equal(reader_create(&reader, g->store), ERR_IO);
    given_reopen(g);
    assert_int_equal(store_head(g->store), head);
    append_ok(g, a_message("0:2:team", "bob", "", "x"));
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

/* More readers than there are slots: overloaded, and fine again after. */
static void too_many_readers_are_told(void **state)
{
    struct given *g = given_some_of_all();
    struct reader *readers[600];
    enum err err = ERR_NONE;
    int count = 0;

    (void)state;
    while (count < 600 && !(err = reader_create(&readers[count], g->store)))
        count++;
    assert_int_equal(err, ERR_OVERLOADED);
    assert_int_equal(count, 512);
    append_ok(g, a_message("0:2:team", "bob", "", "writes go on"));
    while (count > 0)
        reader_destroy(readers[--count]);
    assert_int_equal(problems_of(g->store), 0);
    given_end(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failing_lmdb_call_is_honest),
        cmocka_unit_test(every_failing_allocation_is_honest),
        cmocka_unit_test(every_failing_step_of_opening_is_honest),
        cmocka_unit_test(a_full_map_is_told_and_survived),
        cmocka_unit_test(trimming_makes_room_again),
        cmocka_unit_test(a_file_size_limit_is_told_and_survived),
        cmocka_unit_test(a_failing_disk_is_told_and_survived),
        cmocka_unit_test(a_failing_meta_page_ends_it_until_reopened),
        cmocka_unit_test(too_many_readers_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
