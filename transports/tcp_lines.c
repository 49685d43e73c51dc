/* See tcp_lines.h. */
#include "transports/tcp_lines.h"

#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Drop what is blank before the first line. Whether nothing speaks against what
 * comes then, by its first byte. */
static bool is_ours(struct tcp_lines *in, const char **data, size_t *size)
{
    while (!in->spoken && *size && is_blank(**data)) {
        ++*data;
        --*size;
    }
    if (*size && !in->spoken)
        in->spoken = **data == '{';
    return in->spoken || !*size;
}

static struct span without_cr(const char *data, size_t size)
{
    if (size && data[size - 1] == '\r')
        size--;
    return (struct span){data, size};
}

/* Keep what has come of a line; the line so far. */
static enum lines_found gather(struct tcp_lines *in, const char *data,
                               size_t size, size_t max, struct span *line)
{
    if (!in->part.size)
        in->part.max = max + 1; /* and a CR, which may turn out not to count */
    buf_append(&in->part, data, size);
    if (buf_status(&in->part) == ERR_NOMEM)
        return LINES_NO_MEMORY;
    *line = without_cr(in->part.data, in->part.size);
    return buf_status(&in->part) || line->size > max ? LINES_TOO_LARGE
                                                     : LINES_LINE;
}

static void forget_handed(struct tcp_lines *in)
{
    if (in->handed)
        tcp_lines_fini(in);
    in->handed = false;
}

enum lines_found tcp_lines_next(struct tcp_lines *in, size_t max,
                                const char **data, size_t *size,
                                struct span *line)
{
    enum lines_found found = LINES_LINE;

    forget_handed(in);
    if (!is_ours(in, data, size))
        return LINES_FOREIGN;
    while (*size && found == LINES_LINE) {
        const char *begin = *data, *end = memchr(begin, '\n', *size);
        size_t some = end ? (size_t)(end - begin) : *size;

        *data += some + (end != NULL);
        *size -= some + (end != NULL);
        if (end && !in->part.size) {
            *line = without_cr(begin, some);
            found = line->size > max ? LINES_TOO_LARGE : LINES_LINE;
        } else {
            found = gather(in, begin, some, max, line);
            in->handed = end != NULL;
        }
        if (end && line->size)
            return found;
        forget_handed(in);
    }
    return found == LINES_LINE ? LINES_MORE : found;
}

bool tcp_lines_rest(struct tcp_lines *in, struct span *line)
{
    bool there = !in->handed;

    in->handed = true;
    if (there)
        *line = without_cr(in->part.data, in->part.size);
    return there && line->size;
}

void tcp_lines_fini(struct tcp_lines *in)
{
    buf_fini(&in->part);
}
