/* Any bytes as a query string: what is accepted is UTF-8 without NUL, stays in
 * its memory, and is found again by its names. */
#include "server/query.h"
#include "server/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool promise)
{
    if (!promise)
        abort();
}

static void check_pairs(const struct query *query)
{
    const char *at = query->pairs, *end = at + query->size;

    while (at < end) {
        size_t size = strlen(at);
        struct span first = query_get(query, at);

        need(utf8_valid(at, size));
        need(first.data && utf8_valid(first.data, first.size));
        at += size + 1;
        need(at < end); /* each name has its value */
        at += strlen(at) + 1;
    }
    need(at == end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1); /* exactly: the sanitizer watches its ends */
    struct failure why = {0};
    struct query query;

    need(text != NULL);
    if (size)
        memcpy(text, data, size);
    if (query_parse(&query, text, size, &why)) {
        need(why.err == ERR_BAD_REQUEST);
    } else {
        need(query.size <= size + 1);
        check_pairs(&query);
    }
    free(text);
    return 0;
}
