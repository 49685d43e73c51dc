/* A text as parameters. What is wrong with one that is refused is found by
 * jansson, which knows the line and the column; the others never meet it. */
#include "server/method.h"

#include "server/methods/text.h"

#include <jansson.h>
#include <string.h>

/* The deepest nesting of brackets outside strings. The parser would recurse as
 * deep as the text says, so this looks first. */
static unsigned depth_of(struct span text)
{
    unsigned depth = 0, deepest = 0;
    bool quoted = false;

    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];

        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            if (++depth > deepest)
                deepest = depth;
        } else if ((c == '}' || c == ']') && depth) {
            depth--;
        }
    }
    return deepest;
}

static bool is_blank(struct span text)
{
    for (size_t i = 0; i < text.size; i++)
        switch (text.data[i]) {
        case ' ':
        case '\t':
        case '\r':
        case '\n':
            break;
        default:
            return false;
        }
    return true;
}

static void refuse_text(struct failure *why, const json_error_t *error)
{
    char reason[sizeof(error->text)];

    text_clean(reason, sizeof(reason), span_of(error->text));
    switch (json_error_code(error)) {
    case json_error_out_of_memory:
        fail_plain(why, ERR_NOMEM);
        break;
    case json_error_numeric_overflow:
        fail(why, ERR_BAD_REQUEST,
             "the parameters hold a number that is too big (line %d)",
             error->line);
        break;
    default:
        fail(why, ERR_BAD_REQUEST,
             "the parameters are not valid JSON: %s (line %d, column %d)",
             reason, error->line, error->column);
    }
}

/* What is wrong with a text that was refused. */
static void refuse(struct span text, struct failure *why)
{
    json_error_t error;
    json_t *params;

    if (depth_of(text) > JTEXT_DEPTH_MAX) {
        fail(why, ERR_BAD_REQUEST,
             "the parameters are nested more than %d deep", JTEXT_DEPTH_MAX);
        return;
    }
    params = json_loadb(text.data, text.size,
                        JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!params)
        refuse_text(why, &error);
    else if (memchr(text.data, '\0', text.size)) /* jansson overlooks some */
        fail(why, ERR_BAD_REQUEST,
             "the parameters are not valid JSON: they hold a NUL byte");
    else if (!json_is_object(params))
        fail(why, ERR_BAD_REQUEST, "the parameters must be a JSON object");
    else
        fail(why, ERR_BAD_REQUEST,
             "the parameters hold a whole number of 2^53 or more; write it as "
             "a string");
    json_decref(params);
}

enum err params_read(struct jtext_object *out, struct span text,
                     size_t max_bytes, struct failure *why)
{
    return request_read(out, NULL, text, max_bytes, why);
}

enum err request_read(struct jtext_object *out, struct jtext_object *params,
                      struct span text, size_t max_bytes, struct failure *why)
{
    enum err err;

    out->count = 0;
    if (params)
        params->count = 0;
    if (!text.size)
        return ERR_NONE;
    if (text.size > max_bytes)
        return fail(
            why, ERR_TOO_LARGE,
            "the parameters are %zu bytes long; at most %zu are accepted",
            text.size, max_bytes);
    err = jtext_read_object(text, out, "params", params);
    if (!err || is_blank(text))
        return ERR_NONE;
    if (err == ERR_NOMEM)
        return fail_plain(why, err);
    refuse(text, why);
    return why->err;
}
