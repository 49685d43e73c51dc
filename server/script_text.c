/* JSON inside a script. */
#include "server/script_text.h"

static bool is_plain(struct span name)
{
    if (!name.size || name.size > CALLBACK_MAX_BYTES)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];

        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
              (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '$'))
            return false;
    }
    return true;
}

enum err callback_check(struct span name, struct failure *why)
{
    if (is_plain(name))
        return ERR_NONE;
    return fail(why, ERR_BAD_REQUEST,
                "'callback' must be the name of a function, " CALLBACK_PATTERN);
}

/* The escape of what begins here and its size in bytes; NULL: it is harmless.
 */
static const char *escape_of(const char *at, const char *end, size_t *size)
{
    *size = 1;
    switch (*at) {
    case '<':
        return "\\u003c";
    case '>':
        return "\\u003e";
    case '&':
        return "\\u0026";
    case '\xe2':
        *size = 3;
        if (end - at < 3 || at[1] != '\x80')
            return NULL;
        return at[2] == '\xa8' ? "\\u2028" : at[2] == '\xa9' ? "\\u2029" : NULL;
    default:
        return NULL;
    }
}

void script_append(struct buf *out, struct span json)
{
    const char *from = json.data, *end = json.data + json.size;

    for (const char *at = from; at < end;) {
        size_t size;
        const char *escape = escape_of(at, end, &size);

        if (!escape) {
            at++;
            continue;
        }
        buf_append(out, from, (size_t)(at - from));
        buf_append_text(out, escape);
        from = at += size;
    }
    if (from < end)
        buf_append(out, from, (size_t)(end - from));
}
