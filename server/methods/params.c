/* Parameters: read one by one with errors that say what would have been right.
 */
#include "server/methods/params.h"

#include "server/base/mem.h"
#include "server/methods/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A string without its escapes. */
struct scrap {
    struct scrap *next;
    char text[];
};

/* --- reading -------------------------------------------------------------- */

bool param_get(const struct call *call, const char *name, struct jtext *out)
{
    return call->params && jtext_get(call->params, name, out) &&
           out->kind != JTEXT_NULL;
}

bool param_given(const struct call *call, const char *name)
{
    struct jtext value;

    return param_get(call, name, &value);
}

enum err param_string(struct call *call, const struct jtext *string,
                      struct span *out)
{
    struct scrap *scrap;

    if (!string->escaped) {
        *out = jtext_plain(string);
        return ERR_NONE;
    }
    scrap = mem_alloc(sizeof(*scrap) + string->text.size);
    if (!scrap)
        return fail_plain(&call->failure, ERR_NOMEM);
    scrap->next = *call->scraps;
    *call->scraps = scrap;
    *out = (struct span){scrap->text, jtext_unescape(scrap->text, string)};
    return ERR_NONE;
}

void params_forget(struct scrap *scraps)
{
    while (scraps) {
        struct scrap *next = scraps->next;

        mem_free(scraps);
        scraps = next;
    }
}

static double real_of(struct span text)
{
    json_t *real = json_loadb(text.data, text.size, JSON_DECODE_ANY, NULL);
    double value = json_real_value(real);

    json_decref(real);
    return value;
}

static void describe_string(char *out, size_t room, struct span text)
{
    if (text.size <= 40 && text_printable(text))
        (void)snprintf(out, room, "\"%.*s\"", (int)text.size, text.data);
    else
        (void)snprintf(out, room, "a string of %zu bytes", text.size);
}

/* What was given, in a few words; a string is in `text`. */
static void describe(char *out, size_t room, const struct jtext *got,
                     struct span text)
{
    static const char *const words[] = {[JTEXT_NULL] = "nothing",
                                        [JTEXT_FALSE] = "false",
                                        [JTEXT_TRUE] = "true",
                                        [JTEXT_ARRAY] = "an array",
                                        [JTEXT_OBJECT] = "an object"};

    switch (got->kind) {
    case JTEXT_INTEGER:
        (void)snprintf(out, room, "%" PRId64, jtext_integer(got));
        break;
    case JTEXT_REAL:
        (void)snprintf(out, room, "%g", real_of(got->text));
        break;
    case JTEXT_STRING:
        describe_string(out, room, text);
        break;
    default:
        (void)snprintf(out, room, "%s", words[got->kind]);
    }
}

enum err param_refuse(struct call *call, const char *name, const char *accepted,
                      const struct jtext *got)
{
    static const struct jtext nothing = {.kind = JTEXT_NULL};
    struct span string = {0};
    char text[64];

    if (!got)
        got = &nothing;
    if (got->kind == JTEXT_STRING) {
        enum err err = param_string(call, got, &string);

        if (err)
            return err;
    }
    describe(text, sizeof(text), got, string);
    return fail(&call->failure, ERR_BAD_REQUEST, "'%s' must be %s, got %s",
                name, accepted, text);
}

enum err param_number(struct call *call, const char *name, uint64_t min,
                      uint64_t max, uint64_t *out)
{
    struct jtext value;
    int64_t number;
    char accepted[80];

    if (!param_get(call, name, &value))
        return ERR_NONE;
    number = value.kind == JTEXT_INTEGER ? jtext_integer(&value) : -1;
    if (number >= 0 && (uint64_t)number >= min && (uint64_t)number <= max) {
        *out = (uint64_t)number;
        return ERR_NONE;
    }
    (void)snprintf(accepted, sizeof(accepted),
                   "a whole number from %" PRIu64 " to %" PRIu64, min, max);
    return param_refuse(call, name, accepted, &value);
}

enum err param_flag(struct call *call, const char *name, bool *out)
{
    struct jtext value;

    if (!param_get(call, name, &value))
        return ERR_NONE;
    if (value.kind != JTEXT_TRUE && value.kind != JTEXT_FALSE)
        return param_refuse(call, name, "true or false", &value);
    *out = value.kind == JTEXT_TRUE;
    return ERR_NONE;
}

enum err param_text(struct call *call, const char *name, size_t max,
                    struct span *out)
{
    struct jtext value;
    struct span text = {0};
    char accepted[80];
    enum err err = ERR_NONE;

    *out = (struct span){0};
    if (!param_get(call, name, &value))
        return ERR_NONE;
    if (value.kind == JTEXT_STRING)
        err = param_string(call, &value, &text);
    if (err)
        return err;
    if (text.size && text.size <= max && text_printable(text)) {
        *out = text;
        return ERR_NONE;
    }
    (void)snprintf(accepted, sizeof(accepted),
                   "a string of 1 to %zu bytes without control characters",
                   max);
    return param_refuse(call, name, accepted, &value);
}

enum err param_needed_text(struct call *call, const char *name, size_t max,
                           struct span *out)
{
    enum err err = param_text(call, name, max, out);

    if (!err && !out->data)
        return param_refuse(call, name, "given as a string", NULL);
    return err;
}

/* The name that a value is; data NULL: it is none. */
static enum err take_name(struct call *call, const struct jtext *value,
                          struct span *out)
{
    enum err err = ERR_NONE;

    *out = (struct span){0};
    if (value->kind == JTEXT_STRING)
        err = param_string(call, value, out);
    if (!err && !name_ok(*out))
        *out = (struct span){0};
    return err;
}

enum err param_name(struct call *call, const char *name, struct span *out)
{
    struct jtext value;
    enum err err;

    *out = (struct span){0};
    if (!param_get(call, name, &value))
        return ERR_NONE;
    err = take_name(call, &value, out);
    if (!err && !out->data)
        err = param_refuse(call, name, NAME_ACCEPTED, &value);
    return err;
}

enum err param_choice(struct call *call, const char *name,
                      const char *const *words, int *out)
{
    struct jtext value;
    struct span text = {0};
    char accepted[120] = "";
    size_t used = 0;
    enum err err = ERR_NONE;

    if (!param_get(call, name, &value))
        return ERR_NONE;
    if (value.kind == JTEXT_STRING)
        err = param_string(call, &value, &text);
    if (err)
        return err;
    for (int i = 0; words[i]; i++)
        if (span_is(text, words[i])) {
            *out = i;
            return ERR_NONE;
        }
    for (int i = 0; words[i] && used < sizeof(accepted); i++)
        used += (size_t)snprintf(accepted + used, sizeof(accepted) - used,
                                 "%s\"%s\"", i ? " or " : "", words[i]);
    return param_refuse(call, name, accepted, &value);
}

/* --- lists of names ------------------------------------------------------- */

static enum err refuse_names(struct call *call, const char *name, size_t max,
                             const struct jtext *got, size_t count)
{
    char accepted[112];

    (void)snprintf(accepted, sizeof(accepted),
                   "a list of at most %zu names, each " NAME_ACCEPTED, max);
    if (got)
        return param_refuse(call, name, accepted, got);
    return fail(&call->failure, ERR_BAD_REQUEST,
                "'%s' must be %s, got %zu names", name, accepted, count);
}

static size_t count_of(const struct jtext *list)
{
    struct span rest = list->text;
    struct jtext element;
    size_t count = 0;

    while (jtext_next(&rest, &element))
        count++;
    return count;
}

static int by_bytes(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    int order = memcmp(x->data, y->data, x->size < y->size ? x->size : y->size);

    return order ? order : (x->size > y->size) - (x->size < y->size);
}

/* Sorted, so that repetitions meet. */
static void append_names(struct buf *out, struct span *names, size_t count,
                         struct span but)
{
    qsort(names, count, sizeof(*names), by_bytes);
    for (size_t i = 0; i < count; i++) {
        if ((i && span_equal(names[i], names[i - 1])) ||
            span_equal(but, names[i]))
            continue;
        buf_append_span(out, names[i]);
        buf_append(out, "", 1);
    }
}

static enum err take_names(struct call *call, const char *name, size_t max,
                           const struct jtext *list, struct span *names)
{
    struct span rest = list->text;
    struct jtext element;

    for (size_t i = 0; jtext_next(&rest, &element); i++) {
        enum err err = take_name(call, &element, &names[i]);

        if (err)
            return err;
        if (!names[i].data)
            return refuse_names(call, name, max, &element, 0);
    }
    return ERR_NONE;
}

enum err param_names(struct call *call, const char *name, size_t max,
                     struct span but, struct buf *out)
{
    struct jtext list;
    struct span *names;
    size_t count;
    enum err err;

    if (!param_get(call, name, &list))
        return ERR_NONE;
    if (list.kind != JTEXT_ARRAY)
        return refuse_names(call, name, max, &list, 0);
    count = count_of(&list);
    if (count > max)
        return refuse_names(call, name, max, NULL, count);
    names = mem_alloc(count * sizeof(*names));
    if (!names)
        return fail_plain(&call->failure, ERR_NOMEM);
    err = take_names(call, name, max, &list, names);
    if (!err) {
        append_names(out, names, count, but);
        err = buf_status(out);
        if (err)
            fail_plain(&call->failure, err);
    }
    mem_free(names);
    return err;
}
