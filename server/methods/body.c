/* A message's body as the text that is stored. See body.h. */
#include "server/methods/body.h"

#include <stdio.h>
#include <stdlib.h>

#define DIGITS_MIN 15 /* every decimal so long survives being a double … */
#define DIGITS_MAX                                                             \
    17 /* … and every double survives being so long a decimal                \
        */

static int digits_of_real(double value)
{
    char text[40];
    int digits = DIGITS_MIN;

    for (; digits < DIGITS_MAX; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    return digits;
}

static int longer(int a, int b)
{
    return a > b ? a : b;
}

/* How many digits the decimals of this value need. */
static int digits_of(const json_t *value)
{
    json_t *inside = (json_t *)value;
    int digits = DIGITS_MIN;

    if (json_is_real(value))
        return digits_of_real(json_real_value(value));
    for (void *at = json_object_iter(inside); at;
         at = json_object_iter_next(inside, at))
        digits = longer(digits, digits_of(json_object_iter_value(at)));
    for (size_t i = 0; i < json_array_size(value); i++)
        digits = longer(digits, digits_of(json_array_get(value, i)));
    return digits;
}

static int append_piece(const char *piece, size_t size, void *arg)
{
    buf_append(arg, piece, size);
    return 0;
}

enum err body_write(struct buf *out, const json_t *body)
{
    size_t flags = JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY |
                   JSON_REAL_PRECISION(digits_of(body));

    if (json_dump_callback(body, append_piece, out, flags))
        return ERR_NOMEM;
    return buf_status(out);
}

enum err body_text(struct buf *out, const struct jtext *body, struct span *text)
{
    *text = body->text;
    if (body->canonical)
        return body->text.size > out->max ? ERR_TOO_LARGE : ERR_NONE;

    json_t *tree = json_loadb(body->text.data, body->text.size, JSON_DECODE_ANY,
                              NULL); /* accepted before */
    enum err err = tree ? body_write(out, tree) : ERR_NOMEM;

    json_decref(tree);
    *text = (struct span){out->data, out->size};
    return err;
}
