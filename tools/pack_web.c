/* pack_web ROOT FILE... > web_files.c: the files below ROOT as C arrays, for
 * server/assets.h. Runs at build time only. */
#include "server/assets.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Not ours to fill yet, but server/assets.c, linked for asset_mime(), asks. */
const struct asset asset_list[] = {{0}};

static void stop(const char *what, const char *path)
{
    (void)fprintf(stderr, "pack_web: %s: ", path);
    perror(what);
    exit(1);
}

#define FILES_MAX 1000

/* FNV-1a: an ETag tells versions apart, it guards nothing. */
static uint64_t hash_more(uint64_t hash, int byte)
{
    return (hash ^ (uint64_t)byte) * UINT64_C(1099511628211);
}

/* Print one file as an array; give its size and hash. */
static size_t print_array(const char *path, int number, uint64_t *hash)
{
    FILE *in = fopen(path, "rb");
    size_t size = 0;
    int byte;

    if (!in)
        stop("open", path);
    *hash = UINT64_C(14695981039346656037);
    printf("static const unsigned char file_%d[] = {", number);
    for (; (byte = getc(in)) != EOF; size++) {
        printf("%s%d,", size % 20 ? "" : "\n", byte);
        *hash = hash_more(*hash, byte);
    }
    if (ferror(in))
        stop("read", path);
    (void)fclose(in);
    printf("0};\n"); /* never empty, and terminated for a debugger's eyes */
    return size;
}

int main(int argc, char **argv)
{
    size_t root = argc > 1 ? strlen(argv[1]) : 0;
    static size_t sizes[FILES_MAX];
    static uint64_t hashes[FILES_MAX];

    if (argc < 2 || argc > FILES_MAX) {
        (void)fputs("usage: pack_web ROOT FILE...\n", stderr);
        return 2;
    }
    puts("/* Written by tools/pack_web.c. */\n#include \"server/assets.h\"\n");
    for (int i = 2; i < argc; i++)
        sizes[i] = print_array(argv[i], i, &hashes[i]);
    puts("const struct asset asset_list[] = {");
    for (int i = 2; i < argc; i++)
        printf("{\"%s\", \"%s\", \"\\\"%016" PRIx64 "\\\"\", file_%d, %zu},\n",
               argv[i] + root, asset_mime(argv[i]), hashes[i], i, sizes[i]);
    puts("{0}};");
    if (fflush(stdout) || ferror(stdout)) {
        perror("pack_web");
        return 1;
    }
    return 0;
}
