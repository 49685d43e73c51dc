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

enum err frame_check(const json_t *request, struct failure *why)
{
    const json_t *id = json_object_get(request, "id");
    const json_t *params = json_object_get(request, "params");

    if (json_is_object(id) || json_is_array(id))
        return fail(why, ERR_BAD_REQUEST, "'id' must be a number or a string");
    if (!json_is_string(json_object_get(request, "method")))
        return fail(why, ERR_BAD_REQUEST, "'method' must name a method");
    if (params && !json_is_object(params))
        return fail(why, ERR_BAD_REQUEST, "'params' must be an object");
    return ERR_NONE;
}
