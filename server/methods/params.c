/* Parameters: parsed within bounds, then read one by one with errors that say
 * what would have been right. */
#include "server/methods/params.h"

#include "server/base/mem.h"
#include "server/methods/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 32

/* --- parsing -------------------------------------------------------------- */

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

static bool numbers_fit(const json_t *value);

static bool members_fit(const json_t *object)
{
    void *at = json_object_iter((json_t *)object);

    for (; at; at = json_object_iter_next((json_t *)object, at))
        if (!numbers_fit(json_object_iter_value(at)))
            return false;
    return true;
}

/* Whether every whole number is one that every JSON reader keeps exactly. */
static bool numbers_fit(const json_t *value)
{
    if (json_is_integer(value)) {
        json_int_t n = json_integer_value(value);

        return n <= (json_int_t)NUMBER_MAX && n >= -(json_int_t)NUMBER_MAX;
    }
    if (json_is_object(value))
        return members_fit(value);
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!numbers_fit(json_array_get(value, i)))
            return false;
    return true;
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

json_t *params_parse(struct span text, size_t max_bytes, struct failure *why)
{
    json_error_t error;

    if (text.size > max_bytes) {
        fail(why, ERR_TOO_LARGE,
             "the parameters are %zu bytes long; at most %zu are accepted",
             text.size, max_bytes);
        return NULL;
    }
    if (is_blank(text)) {
        json_t *empty = json_object();

        if (!empty)
            fail_plain(why, ERR_NOMEM);
        return empty;
    }
    if (depth_of(text) > DEPTH_MAX) {
        fail(why, ERR_BAD_REQUEST,
             "the parameters are nested more than %d deep", DEPTH_MAX);
        return NULL;
    }

    json_t *params = json_loadb(
        text.data, text.size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

    if (!params) {
        refuse_text(why, &error);
        return NULL;
    }
    if (json_is_object(params) && numbers_fit(params))
        return params;
    if (!json_is_object(params))
        fail(why, ERR_BAD_REQUEST, "the parameters must be a JSON object");
    else
        fail(why, ERR_BAD_REQUEST,
             "the parameters hold a whole number of 2^53 or more; write it as "
             "a string");
    json_decref(params);
    return NULL;
}

/* --- reading -------------------------------------------------------------- */

json_t *param_get(const struct call *call, const char *name)
{
    json_t *value = json_object_get(call->params, name);

    return json_is_null(value) ? NULL : value;
}

/* What was given, in a few words. */
static void describe(char *out, size_t room, const json_t *got)
{
    if (json_is_integer(got))
        (void)snprintf(out, room, "%" JSON_INTEGER_FORMAT,
                       json_integer_value(got));
    else if (json_is_real(got))
        (void)snprintf(out, room, "%g", json_real_value(got));
    else if (json_is_boolean(got))
        (void)snprintf(out, room, "%s", json_is_true(got) ? "true" : "false");
    else if (json_is_string(got) && json_string_length(got) <= 40 &&
             text_printable((struct span){json_string_value(got),
                                          json_string_length(got)}))
        (void)snprintf(out, room, "\"%s\"", json_string_value(got));
    else if (json_is_string(got))
        (void)snprintf(out, room, "a string of %zu bytes",
                       json_string_length(got));
    else
        (void)snprintf(out, room, "%s",
                       json_is_array(got)    ? "an array"
                       : json_is_object(got) ? "an object"
                                             : "nothing");
}

enum err param_refuse(struct call *call, const char *name, const char *accepted,
                      const json_t *got)
{
    char text[64];

    describe(text, sizeof(text), got);
    return fail(&call->failure, ERR_BAD_REQUEST, "'%s' must be %s, got %s",
                name, accepted, text);
}

enum err param_number(struct call *call, const char *name, uint64_t min,
                      uint64_t max, uint64_t *out)
{
    const json_t *value = param_get(call, name);
    json_int_t number = json_integer_value(value);
    char accepted[80];

    if (!value)
        return ERR_NONE;
    if (json_is_integer(value) && number >= 0 && (uint64_t)number >= min &&
        (uint64_t)number <= max) {
        *out = (uint64_t)number;
        return ERR_NONE;
    }
    (void)snprintf(accepted, sizeof(accepted),
                   "a whole number from %" PRIu64 " to %" PRIu64, min, max);
    return param_refuse(call, name, accepted, value);
}

enum err param_flag(struct call *call, const char *name, bool *out)
{
    const json_t *value = param_get(call, name);

    if (!value)
        return ERR_NONE;
    if (!json_is_boolean(value))
        return param_refuse(call, name, "true or false", value);
    *out = json_is_true(value);
    return ERR_NONE;
}

enum err param_text(struct call *call, const char *name, size_t max,
                    struct span *out)
{
    const json_t *value = param_get(call, name);
    struct span text = {json_string_value(value), json_string_length(value)};
    char accepted[80];

    *out = (struct span){0};
    if (!value)
        return ERR_NONE;
    if (text.size && text.size <= max && text_printable(text)) {
        *out = text;
        return ERR_NONE;
    }
    (void)snprintf(accepted, sizeof(accepted),
                   "a string of 1 to %zu bytes without control characters",
                   max);
    return param_refuse(call, name, accepted, value);
}

enum err param_needed_text(struct call *call, const char *name, size_t max,
                           struct span *out)
{
    enum err err = param_text(call, name, max, out);

    if (!err && !out->data)
        return param_refuse(call, name, "given as a string", NULL);
    return err;
}

#define NAME_ACCEPTED "1 to 64 characters of A-Z a-z 0-9 _ . @ -"

static bool is_name(const json_t *value)
{
    return json_is_string(value) &&
           name_ok((struct span){json_string_value(value),
                                 json_string_length(value)});
}

enum err param_name(struct call *call, const char *name, struct span *out)
{
    const json_t *value = param_get(call, name);

    *out = (struct span){0};
    if (!value)
        return ERR_NONE;
    if (!is_name(value))
        return param_refuse(call, name, NAME_ACCEPTED, value);
    *out = (struct span){json_string_value(value), json_string_length(value)};
    return ERR_NONE;
}

enum err param_choice(struct call *call, const char *name,
                      const char *const *words, int *out)
{
    const json_t *value = param_get(call, name);
    char accepted[120] = "";
    size_t used = 0;

    if (!value)
        return ERR_NONE;
    for (int i = 0; words[i]; i++)
        if (json_is_string(value) &&
            strcmp(words[i], json_string_value(value)) == 0) {
            *out = i;
            return ERR_NONE;
        }
    for (int i = 0; words[i] && used < sizeof(accepted); i++)
        used += (size_t)snprintf(accepted + used, sizeof(accepted) - used,
                                 "%s\"%s\"", i ? " or " : "", words[i]);
    return param_refuse(call, name, accepted, value);
}

/* --- lists of names ------------------------------------------------------- */

static enum err refuse_names(struct call *call, const char *name, size_t max,
                             const json_t *list, const json_t *got)
{
    char accepted[112];

    (void)snprintf(accepted, sizeof(accepted),
                   "a list of at most %zu names, each " NAME_ACCEPTED, max);
    if (got)
        return param_refuse(call, name, accepted, got);
    return fail(&call->failure, ERR_BAD_REQUEST,
                "'%s' must be %s, got %zu names", name, accepted,
                json_array_size(list));
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, so that repetitions meet. */
static void append_names(struct buf *out, const char **names, size_t count,
                         struct span but)
{
    qsort(names, count, sizeof(*names), by_bytes);
    for (size_t i = 0; i < count; i++) {
        if ((i && strcmp(names[i], names[i - 1]) == 0) ||
            span_is(but, names[i]))
            continue;
        buf_append(out, names[i], strlen(names[i]) + 1);
    }
}

enum err param_names(struct call *call, const char *name, size_t max,
                     struct span but, struct buf *out)
{
    const json_t *list = param_get(call, name);
    size_t count = json_array_size(list);

    if (!list)
        return ERR_NONE;
    if (!json_is_array(list))
        return refuse_names(call, name, max, list, list);
    if (count > max)
        return refuse_names(call, name, max, list, NULL);
    for (size_t i = 0; i < count; i++)
        if (!is_name(json_array_get(list, i)))
            return refuse_names(call, name, max, list, json_array_get(list, i));

    const char **names = mem_alloc(count * sizeof(*names));

    if (!names)
        return fail_plain(&call->failure, ERR_NOMEM);
    for (size_t i = 0; i < count; i++)
        names[i] = json_string_value(json_array_get(list, i));
    append_names(out, names, count, but);
    mem_free(names);
    return buf_status(out) ? fail_plain(&call->failure, buf_status(out))
                           : ERR_NONE;
}
