/* A query string, taken apart: "a=1&b=%20" as names and values, percent-decoded
 * (application/x-www-form-urlencoded: + is a space).
 *
 * Errors   ERR_BAD_REQUEST with words: a bad escape, a NUL, bytes that are not
 *          UTF-8.
 * Threads  pure functions.
 * Memory   decoding happens in place, for it only shrinks; values are borrowed
 *          from that text.
 */
#ifndef RUNG_QUERY_H
#define RUNG_QUERY_H

#include "server/base/buf.h"
#include "server/base/err.h"

struct query {
    const char *pairs; /* name NUL value NUL, and so on */
    size_t size;
};

/* text[size] must be writable: the last value's NUL may go there. */
MUST_CHECK enum err query_parse(struct query *out, char *text, size_t size,
                                struct failure *why);
/* The first value of `name`; data NULL when it is not there. The value is
 * followed by a NUL. */
struct span query_get(const struct query *query, const char *name);

#endif
