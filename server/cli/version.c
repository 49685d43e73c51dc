/* rung version: what to put into a report of a fault. */
#include "server/version.h"
#include "server/cli/cli.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

int cli_version(int argc, char **argv)
{
    if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        (void)puts("usage: rung version\n\n"
                   "Print the versions of rung and of its main libraries.");
        return CLI_OK;
    }
    if (argc > 1)
        return cli_misuse("version", "'%s' is not expected here", argv[1]);
    printf("rung %s\n", RUNG_VERSION);
    printf("libuv %s\njansson %s\n", uv_version_string(), JANSSON_VERSION);
    printf("%s\n", OpenSSL_version(OPENSSL_VERSION));
    return CLI_OK;
}
