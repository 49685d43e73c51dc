/* See frame_lines.h. */
#include "transports/frame_lines.h"

#include <string.h>

bool frame_line(struct span *rest, struct span *line)
{
    while (rest->size) {
        const char *end = memchr(rest->data, '\n', rest->size);
        size_t size = end ? (size_t)(end - rest->data) : rest->size;

        *line = (struct span){rest->data, size};
        rest->data += size + (end != NULL);
        rest->size -= size + (end != NULL);
        if (line->size && line->data[line->size - 1] == '\r')
            line->size--;
        if (line->size)
            return true;
    }
    return false;
}

enum err frame_call_of(const struct jtext_object *request,
                       struct frame_call *out, struct failure *why)
{
    struct jtext id, params;

    out->id = (struct span){0};
    if (jtext_get(request, "id", &id)) {
        out->id = id.text;
        if (id.kind == JTEXT_OBJECT || id.kind == JTEXT_ARRAY)
            return fail(why, ERR_BAD_REQUEST,
                        "'id' must be a number or a string");
    }
    if (!jtext_get(request, "method", &out->method) ||
        out->method.kind != JTEXT_STRING)
        return fail(why, ERR_BAD_REQUEST, "'method' must name a method");
    if (jtext_get(request, "params", &params) && params.kind != JTEXT_OBJECT)
        return fail(why, ERR_BAD_REQUEST, "'params' must be an object");
    return ERR_NONE;
}
