/* The demo's secret in a file: written beside its name, then renamed, so that
 * a crash leaves either no key or a whole one. */
#include "server/demo_key.h"
#include "server/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err broken(struct failure *why, const char *path)
{
    return fail(why, ERR_IO, "%.150s: %s", path, strerror(errno));
}

static enum err read_key(char secret[DEMO_KEY_ROOM], int fd, const char *path,
                         struct failure *why)
{
    ssize_t size = read(fd, secret, DEMO_KEY_ROOM - 1);

    if (size < 0)
        return broken(why, path);
    secret[size] = '\0';
    if (strspn(secret, "0123456789abcdef") != DEMO_KEY_ROOM - 1)
        return fail(why, ERR_IO,
                    "%.120s: is not 64 hex digits; delete it to get a new one",
                    path);
    return ERR_NONE;
}

static void make_key(char secret[DEMO_KEY_ROOM])
{
    unsigned char bytes[(DEMO_KEY_ROOM - 1) / 2];

    random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++)
        (void)snprintf(secret + 2 * i, 3, "%02x", bytes[i]);
}

static enum err write_key(const char *secret, const char *path,
                          struct failure *why)
{
    char fresh[PATH_MAX + 8];
    bool good;

    (void)snprintf(fresh, sizeof(fresh), "%s.new", path);

    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        return broken(why, fresh);
    good = write(fd, secret, DEMO_KEY_ROOM - 1) == DEMO_KEY_ROOM - 1 &&
           write(fd, "\n", 1) == 1 && fsync(fd) == 0;
    good = close(fd) == 0 && good;
    if (!good || rename(fresh, path))
        return broken(why, fresh);
    return ERR_NONE;
}

enum err demo_key_get(char secret[DEMO_KEY_ROOM], const char *data,
                      struct failure *why)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s/demo.key", data) >= PATH_MAX)
        return fail(why, ERR_IO, "--data: the path is too long");

    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        enum err rc = read_key(secret, fd, path, why);

        (void)close(fd);
        return rc;
    }
    if (errno != ENOENT)
        return broken(why, path);
    if (mkdir(data, 0700) && errno != EEXIST)
        return broken(why, data);
    make_key(secret);
    return write_key(secret, path, why);
}
