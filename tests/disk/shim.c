/* The disk of a real server, for tests: loaded before the C library
 * (LD_PRELOAD), it counts the writes and syncs of the log's file, and makes the
 * ones that it is told to fail, wait, or be the last.
 *
 * The file named by DISK_PLAN holds one line, looked at before each step:
 *
 *     NUMBER FAULT WHERE NTH TIMES
 *
 * A new NUMBER is a new plan. FAULT is none, eio, enospc, short, stall,
 * kill-before, kill-within or kill-after; WHERE is any, data (writes of pages),
 * sync, or head (writes of the head pages); NTH counts such steps from 1; so
 * many TIMES in a row (a stall: until there is a new plan). How many steps
 * there have been is kept in DISK_PLAN.steps.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FDS_MAX 65536
#define LOG_FILE "/rung.mdb"

enum kind { OTHER, DATA, HEAD }; /* HEAD: opened to sync each write */

struct plan {
    long number;
    char fault[16], where[8];
    unsigned long nth, times;
};

/* One thread writes the log; `kinds` is set before it does. */
static unsigned char kinds[FDS_MAX];
static struct plan plan;
static unsigned long steps;

static bool parse(char *line, struct plan *out)
{
    char *rest = NULL, *words[5], *next = line;

    for (int i = 0; i < 5; i++, next = NULL) {
        words[i] = strtok_r(next, " \n", &rest);
        if (!words[i])
            return false;
    }
    out->number = strtol(words[0], NULL, 10);
    (void)snprintf(out->fault, sizeof out->fault, "%s", words[1]);
    (void)snprintf(out->where, sizeof out->where, "%s", words[2]);
    out->nth = strtoul(words[3], NULL, 10);
    out->times = strtoul(words[4], NULL, 10);
    return true;
}

static bool read_plan(struct plan *out)
{
    const char *path = getenv("DISK_PLAN");
    char line[128] = "";
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY) : -1;

    if (fd < 0)
        return false;
    (void)!syscall(SYS_read, fd, line, sizeof line - 1);
    syscall(SYS_close, fd);
    return parse(line, out);
}

static void keep_count(void)
{
    const char *path = getenv("DISK_PLAN");
    char file[512], text[32];
    int size = snprintf(text, sizeof text, "%lu\n", ++steps), fd;

    if (!path)
        return;
    (void)snprintf(file, sizeof file, "%s.steps", path);
    fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_CREAT | O_WRONLY, 0600);
    (void)!syscall(SYS_pwrite64, fd, text, size, 0);
    syscall(SYS_close, fd);
}

/* What this step shall suffer: a fault, or "none". */
static const char *next_step(const char *where)
{
    struct plan now;

    keep_count();
    if (read_plan(&now) && now.number != plan.number)
        plan = now;
    if (!plan.times ||
        (strcmp(plan.where, "any") != 0 && strcmp(plan.where, where) != 0))
        return "none";
    if (plan.nth > 1) {
        plan.nth--;
        return "none";
    }
    plan.times--;
    return plan.fault;
}

static void stall(void)
{
    struct timespec moment = {.tv_nsec = 5000000};
    struct plan now = plan;

    while (!read_plan(&now) || now.number == plan.number)
        nanosleep(&moment, NULL);
}

static void end_here(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* What goes wrong before anything is done; 0, or an errno. */
static int suffer(const char *fault)
{
    if (strcmp(fault, "stall") == 0)
        stall();
    if (strcmp(fault, "kill-before") == 0)
        end_here();
    if (strcmp(fault, "eio") == 0)
        return EIO;
    return strcmp(fault, "enospc") == 0 ? ENOSPC : 0;
}

static ssize_t write_parts(int fd, const struct iovec *parts, int count,
                           off_t at, bool half)
{
    off_t begin = at;

    for (int i = 0; i < count; i++) {
        size_t size = parts[i].iov_len;

        if (half && i >= count / 2)
            size = count == 1 ? size / 2 : 0;
        if (syscall(SYS_pwrite64, fd, parts[i].iov_base, size, at) !=
            (long)size)
            return -1;
        at += (off_t)size;
    }
    return at - begin;
}

static ssize_t write_step(int fd, const struct iovec *parts, int count,
                          off_t at)
{
    const char *fault = next_step(kinds[fd] == HEAD ? "head" : "data");
    int error = suffer(fault);
    bool within = strcmp(fault, "kill-within") == 0;
    ssize_t written;

    if (error) {
        errno = error;
        return -1;
    }
    written = write_parts(fd, parts, count, at,
                          within || strcmp(fault, "short") == 0);
    if (within || strcmp(fault, "kill-after") == 0)
        end_here();
    return written;
}

static int sync_step(int fd)
{
    const char *fault = next_step("sync");
    int error = suffer(fault);

    if (error) {
        errno = error;
        return -1;
    }
    if (strcmp(fault, "kill-within") == 0)
        end_here();
    if (syscall(SYS_fdatasync, fd))
        return -1;
    if (strcmp(fault, "kill-after") == 0)
        end_here();
    return 0;
}

/* --- in place of the C library's ------------------------------------------ */

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */
static bool is_ours(int fd)
{
    return fd >= 0 && fd < FDS_MAX && kinds[fd] != OTHER;
}

/* Also while it is being made. */
static bool is_log(const char *path)
{
    const char *name = strstr(path, LOG_FILE);

    name = name ? name + strlen(LOG_FILE) : "?";
    return !*name || strcmp(name, ".partial") == 0;
}

int open(const char *path, int flags, ...)
{
    unsigned mode = 0;
    va_list args;
    int fd;

    va_start(args, flags);
    if (flags & (O_CREAT | O_TMPFILE))
        mode = va_arg(args, unsigned);
    va_end(args);
    fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (fd >= 0 && fd < FDS_MAX && is_log(path))
        kinds[fd] = flags & O_DSYNC ? HEAD : DATA;
    return fd;
}

int close(int fd)
{
    if (is_ours(fd))
        kinds[fd] = OTHER;
    return (int)syscall(SYS_close, fd);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at)
{
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = size};

    return is_ours(fd) ? write_step(fd, &part, 1, at)
                       : syscall(SYS_pwrite64, fd, bytes, size, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    off_t at;
    ssize_t written;

    if (!is_ours(fd))
        return syscall(SYS_writev, fd, parts, count);
    at = lseek(fd, 0, SEEK_CUR);
    written = write_step(fd, parts, count, at);
    if (written > 0)
        lseek(fd, at + written, SEEK_SET);
    return written;
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = size};

    return is_ours(fd) ? writev(fd, &part, 1)
                       : syscall(SYS_write, fd, bytes, size);
}

int fdatasync(int fd)
{
    return is_ours(fd) ? sync_step(fd) : (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    return is_ours(fd) ? sync_step(fd) : (int)syscall(SYS_fsync, fd);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
