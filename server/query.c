/* A query string, decoded in place: each '&' and '=' becomes the NUL that ends
 * a name or a value, so the pairs need no memory of their own. */
#include "server/query.h"

#include "server/utf8.h"

#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decode from[0..size) to `to`, which may be the same place or lie before it.
 * Returns the end of what was written, or NULL. */
static char *decode(char *to, const char *from, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char c = from[i];

        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            int high = i + 2 < size ? hex_digit(from[i + 1]) : -1;
            int low = i + 2 < size ? hex_digit(from[i + 2]) : -1;

            if (high < 0 || low < 0)
                return NULL;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == '\0')
            return NULL;
        *to++ = c;
    }
    return to;
}

/* One "name=value" to `to`, each part with its NUL. The source has room for
 * both: the '=' and the '&' (or the byte behind the text). */
static char *decode_pair(char *to, const char *name, const char *equals,
                         const char *end)
{
    char *start = to;

    to = decode(to, name, (size_t)(equals - name));
    if (!to)
        return NULL;
    *to++ = '\0';
    to = decode(to, equals + 1, (size_t)(end - equals) - 1);
    if (!to || !utf8_valid(start, (size_t)(to - start)))
        return NULL;
    *to++ = '\0';
    return to;
}

enum err query_parse(struct query *out, char *text, size_t size,
                     struct failure *why)
{
    const char *from = text, *end = text + size;
    char *to = text;

    while (from < end) {
        const char *next = memchr(from, '&', (size_t)(end - from));
        const char *stop = next ? next : end;
        const char *equals = memchr(from, '=', (size_t)(stop - from));

        /* A name without '=' says nothing that we would ask for. */
        if (equals)
            to = decode_pair(to, from, equals, stop);
        if (!to)
            return fail(why, ERR_BAD_REQUEST,
                        "the query must be percent-encoded UTF-8 without NUL");
        from = stop + 1;
    }
    *out = (struct query){text, (size_t)(to - text)};
    return ERR_NONE;
}

struct span query_get(const struct query *query, const char *name)
{
    const char *at = query->pairs, *end = at + query->size;

    while (at < end) {
        size_t size = strlen(at);
        struct span value = span_of(at + size + 1);

        if (strcmp(at, name) == 0)
            return value;
        at = value.data + value.size + 1;
    }
    return (struct span){0};
}
