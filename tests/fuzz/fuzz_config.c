#define _GNU_SOURCE /* memfd_create() */

/* Any bytes as a config file: a config within its ranges, or an error. */
#include "server/config.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    char path[64];
    struct config *config = NULL;
    struct failure why;

    if (fd < 0)
        fd = memfd_create("config", 0);
    if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, data, size, 0) < 0)
        abort();
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    /* --demo=no: an input that says "demo" must not write a key anywhere */
    if (config_load(&config, 4,
                    (char *[]){"serve", "--config", path, "--demo=no", NULL},
                    &why))
        return why.message[0] ? 0 : (abort(), 0);
    if (config->user_rate < 1 || config->user_rate > 10000000 ||
        !config->data[0] || config->durability > DURABILITY_RELAXED)
        abort();
    config_unref(config);
    return 0;
}
