/* The disk under the log. What is not synced yet is remembered: where it was
 * written, and what was there before. */
#define _GNU_SOURCE
#include "tests/simulate/disk.h"

#include "tests/simulate/fiber.h"
#include "tests/simulate/run.h"
#include "tests/simulate/story.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS_MAX 1024
#define SECTOR_BYTES 512
#define PAGE_BYTES 4096
#define LOG_FILE "rung.mdb"

enum kind { OTHER, DATA, DIRECT }; /* DIRECT: opened to sync each write */

struct unsynced { /* of one page */
    struct unsynced *older;
    off_t at;
    size_t size;
    bool doomed; /* its sync failed: no later one speaks for it */
    char before[PAGE_BYTES], after[PAGE_BYTES];
};

static enum kind kinds[FDS_MAX];
static struct unsynced *newest;
static struct disk_counts counts;
static enum disk_fault armed;
static unsigned armed_nth, armed_times;
static uint64_t slow_us;
static bool ended, elsewhere;

void disk_arm(enum disk_fault fault, unsigned nth, unsigned times)
{
    armed = fault;
    armed_nth = nth;
    armed_times = times;
}

void disk_slow(uint64_t most_us)
{
    slow_us = most_us;
}

void disk_heal(void)
{
    armed = DISK_FINE;
    slow_us = 0;
}

void disk_elsewhere(bool yes)
{
    elsewhere = yes;
}

bool disk_ended(void)
{
    return ended;
}

struct disk_counts disk_counts(void)
{
    return counts;
}

/* --- a step ------------------------------------------------------------- */

static enum disk_fault next_step(void)
{
    enum disk_fault fault = DISK_FINE;

    counts.steps++;
    if (slow_us)
        fiber_sleep_us(chance_below(run_chance(), slow_us));
    if (armed != DISK_FINE && --armed_nth == 0) {
        fault = armed;
        if (--armed_times)
            armed_nth = 1;
        else
            armed = DISK_FINE;
    }
    if (fault == DISK_EIO || fault == DISK_FULL)
        counts.failed++;
    return fault;
}

static void end_here(const char *where)
{
    story_tell("the machine ends %s", where);
    counts.ended++;
    ended = true;
    fiber_die();
}

static char *slice(const struct iovec *parts, int count, size_t size)
{
    char *bytes = malloc(size + 1);
    size_t at = 0;

    if (!bytes)
        abort();
    for (int i = 0; i < count; i++) {
        memcpy(bytes + at, parts[i].iov_base, parts[i].iov_len);
        at += parts[i].iov_len;
    }
    return bytes;
}

static void put(int fd, const char *bytes, size_t size, off_t at)
{
    if (size && syscall(SYS_pwrite64, fd, bytes, size, at) != (long)size) {
        fprintf(stderr, "simulate: the real disk failed: %s\n",
                strerror(errno));
        exit(2);
    }
}

static void remember(int fd, const char *bytes, size_t size, off_t at)
{
    struct unsynced *write;

    fibers_pause_memory();
    write = calloc(1, sizeof *write);
    if (!write)
        abort();
    fibers_resume_memory();
    write->older = newest;
    write->at = at;
    write->size = size;
    (void)!syscall(SYS_pread64, fd, write->before, size, at);
    memcpy(write->after, bytes, size);
    newest = write;
}

static void keep(int fd, const char *bytes, size_t size, off_t at)
{
    for (size_t done = 0; done < size;) {
        off_t place = at + (off_t)done;
        size_t room = PAGE_BYTES - (size_t)place % PAGE_BYTES;
        size_t part = size - done < room ? size - done : room;

        remember(fd, bytes + done, part, place);
        done += part;
    }
    put(fd, bytes, size, at);
}

static bool written_since(const struct unsynced *write)
{
    for (struct unsynced *later = newest; later != write; later = later->older)
        if (!later->doomed && later->at == write->at)
            return true;
    return false;
}

/* What was written before is on the disk, but for what a failed sync left. */
static void synced(void)
{
    struct unsynced *kept = NULL, **last = &kept;

    fibers_pause_memory();
    for (struct unsynced *write = newest; write; write = write->older)
        write->doomed = write->doomed && !written_since(write);
    while (newest) {
        struct unsynced *write = newest;

        newest = write->older;
        if (!write->doomed) {
            free(write);
            continue;
        }
        write->older = NULL;
        *last = write;
        last = &write->older;
    }
    newest = kept;
    fibers_resume_memory();
}

static void doom(void)
{
    for (struct unsynced *write = newest; write; write = write->older)
        write->doomed = true;
}

static void forget_newest(void)
{
    struct unsynced *write = newest;

    newest = write->older;
    fibers_pause_memory();
    free(write);
    fibers_resume_memory();
}

/* A sector is written whole or not at all, and the head page's used part is
 * smaller than one: so half of that is none of it. */
static size_t half(enum kind kind, size_t size)
{
    return kind == DIRECT ? 0 : size / 2 / SECTOR_BYTES * SECTOR_BYTES;
}

static ssize_t write_step(int fd, const char *bytes, size_t size, off_t at)
{
    enum kind kind = kinds[fd];
    enum disk_fault fault = next_step();

    switch (fault) {
    case DISK_EIO:
        errno = EIO;
        return -1;
    case DISK_FULL:
        keep(fd, bytes, half(kind, size), at);
        errno = ENOSPC;
        return half(kind, size) ? (ssize_t)half(kind, size) : -1;
    case DISK_BEFORE:
        end_here("before a write");
        break;
    case DISK_WITHIN:
        keep(fd, bytes, half(kind, size), at);
        end_here("within a write");
        break;
    case DISK_AFTER:
    case DISK_FINE:
        break;
    }
    keep(fd, bytes, size, at);
    if (kind == DIRECT)
        forget_newest();
    if (fault == DISK_AFTER)
        end_here("after a write");
    return (ssize_t)size;
}

static int sync_step(int fd)
{
    (void)fd;
    switch (next_step()) {
    case DISK_EIO:
    case DISK_FULL:
        doom();
        errno = EIO;
        return -1;
    case DISK_BEFORE:
    case DISK_WITHIN:
        end_here("before a sync");
        break;
    case DISK_AFTER:
        synced();
        end_here("after a sync");
        break;
    case DISK_FINE:
        break;
    }
    synced();
    return 0;
}

/* --- what survives ---------------------------------------------------------
 */

static void survive_write(int fd, const struct unsynced *write,
                          struct chance *chance)
{
    bool whole = chance_percent(chance, 40), torn = chance_percent(chance, 30);

    if (whole) {
        put(fd, write->after, write->size, write->at);
        return;
    }
    counts.dropped++;
    for (size_t at = 0; torn && at < write->size; at += SECTOR_BYTES) {
        size_t left = write->size - at;

        if (chance_percent(chance, 50))
            put(fd, write->after + at,
                left < SECTOR_BYTES ? left : SECTOR_BYTES,
                write->at + (off_t)at);
    }
}

/* First as it was when it was synced last, then what got to the disk since. */
static void cut_power(int fd, struct chance *chance)
{
    struct unsynced *oldest = NULL;

    while (newest) {
        struct unsynced *write = newest;

        newest = write->older;
        put(fd, write->before, write->size, write->at);
        write->older = oldest;
        oldest = write;
    }
    while (oldest) {
        struct unsynced *write = oldest;

        oldest = write->older;
        survive_write(fd, write, chance);
        free(write);
    }
}

static void copy(const char *from, const char *to)
{
    char bytes[65536];
    int in = (int)syscall(SYS_openat, AT_FDCWD, from, O_RDONLY | O_CLOEXEC, 0);
    int out = (int)syscall(SYS_openat, AT_FDCWD, to,
                           O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t size;

    while (in >= 0 && (size = syscall(SYS_read, in, bytes, sizeof bytes)) > 0)
        if (syscall(SYS_write, out, bytes, size) != size)
            exit(2);
    if (in >= 0)
        syscall(SYS_close, in);
    syscall(SYS_close, out);
}

void disk_survive(const char *from, const char *to, bool power,
                  struct chance *chance)
{
    char source[256], file[256];
    int fd;

    (void)snprintf(source, sizeof source, "%s/" LOG_FILE, from);
    (void)snprintf(file, sizeof file, "%s/" LOG_FILE, to);
    if (access(source, F_OK) == 0) {
        copy(source, file);
        fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC, 0);
        if (power)
            cut_power(fd, chance);
        syscall(SYS_close, fd);
    }
    while (newest)
        forget_newest();
    memset(kinds, 0, sizeof kinds);
    ended = false;
}

/* --- in place of the C library's ------------------------------------------ */

/* Also while it is being made. */
static bool is_log(const char *path)
{
    const char *name = strstr(path, "/" LOG_FILE);

    name = name ? name + strlen("/" LOG_FILE) : "?";
    return !elsewhere && (!*name || strcmp(name, ".partial") == 0);
}

static int open_as(const char *path, int flags, unsigned mode)
{
    bool direct = (flags & O_DSYNC) != 0;
    int fd;

    if (is_log(path))
        flags &= ~(O_SYNC | O_DSYNC); /* this disk is not the real one */
    fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (fd >= 0 && fd < FDS_MAX)
        kinds[fd] = !is_log(path) ? OTHER : direct ? DIRECT : DATA;
    return fd;
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */
static unsigned mode_of(int flags, va_list args)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, unsigned) : 0;
}

int open(const char *path, int flags, ...)
{
    va_list args;
    unsigned mode;

    va_start(args, flags);
    mode = mode_of(flags, args);
    va_end(args);
    return open_as(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list args;
    unsigned mode;

    va_start(args, flags);
    mode = mode_of(flags, args);
    va_end(args);
    return open_as(path, flags, mode);
}

static bool is_ours(int fd)
{
    return fd >= 0 && fd < FDS_MAX && kinds[fd] != OTHER;
}

int close(int fd)
{
    if (is_ours(fd))
        kinds[fd] = OTHER;
    return (int)syscall(SYS_close, fd);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at)
{
    if (!is_ours(fd))
        return syscall(SYS_pwrite64, fd, bytes, size, at);
    return write_step(fd, bytes, size, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    off_t at;
    size_t size = 0;
    ssize_t written;
    char *bytes;

    if (!is_ours(fd))
        return syscall(SYS_writev, fd, parts, count);
    at = lseek(fd, 0, SEEK_CUR);
    for (int i = 0; i < count; i++)
        size += parts[i].iov_len;
    bytes = slice(parts, count, size);
    written = write_step(fd, bytes, size, at);
    if (written > 0)
        lseek(fd, at + written, SEEK_SET);
    free(bytes);
    return written;
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = size};

    if (is_ours(fd))
        return writev(fd, &part, 1);
    fiber_enter_kernel(run_chance()); /* a loop is woken, from another thread */
    return syscall(SYS_write, fd, bytes, size);
}

int fdatasync(int fd)
{
    return is_ours(fd) ? sync_step(fd) : 0;
}

int fsync(int fd)
{
    return is_ours(fd) ? sync_step(fd) : 0;
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
