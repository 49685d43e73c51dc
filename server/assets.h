/* The files of web/, built into the binary by tools/pack_web.c.
 *
 * Threads  any. Memory: everything is static and immutable.
 */
#ifndef RUNG_ASSETS_H
#define RUNG_ASSETS_H

#include <stddef.h>

struct asset {
    const char *path; /* as in a URL: "/rung.js", "/carry/sse.js" */
    const char *mime; /* "text/javascript; charset=utf-8" */
    const char *etag; /* with its quotes, ready for the header */
    const unsigned char *data;
    size_t size;
};

/* "/" is "/index.html". NULL when there is no such file. */
const struct asset *asset_find(const char *path);

/* Every file, in the order of their paths; ends with one whose path is NULL.
 * Written by tools/pack_web.c. */
extern const struct asset asset_list[];

/* By the ending of `path`; "application/octet-stream" when unknown. */
const char *asset_mime(const char *path);

#endif
