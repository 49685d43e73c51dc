/* Any bytes as parameters. Our reader and jansson must agree: on what is
 * accepted, on every value in it, and a body that our reader calls canonical
 * must be what body_write() writes. What is refused is refused in words that
 * are JSON. */
#include "server/method.h"
#include "server/methods/body.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BYTES 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool it)
{
    if (!it)
        abort();
}

static void check_refusal(const struct failure *why)
{
    struct buf out;
    json_t *told;

    buf_init(&out, 4096);
    failure_write(&out, why);
    must(!buf_status(&out));
    told = json_loadb(out.data, out.size, 0, NULL);
    must(told && why->err == ERR_BAD_REQUEST);
    json_decref(told);
    buf_fini(&out);
}

/* --- what jansson has read ------------------------------------------------ */

static bool fits(const json_t *value, unsigned depth);

static bool members_fit(json_t *object, unsigned depth)
{
    for (void *at = json_object_iter(object); at;
         at = json_object_iter_next(object, at))
        if (!fits(json_object_iter_value(at), depth))
            return false;
    return true;
}

/* Whether it nests within bounds, and holds only whole numbers that every
 * reader keeps. */
static bool fits(const json_t *value, unsigned depth)
{
    json_int_t number = json_integer_value(value);

    if (json_is_object(value) || json_is_array(value))
        depth++;
    if (depth > 32 || number >= INT64_C(1) << 53 ||
        number <= -(INT64_C(1) << 53))
        return false;
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!fits(json_array_get(value, i), depth))
            return false;
    return members_fit((json_t *)value, depth);
}

/* NULL: refused. jansson overlooks a NUL behind a number or a word; no one
 * else does. */
static json_t *read_by_jansson(struct span text)
{
    if (memchr(text.data, '\0', text.size))
        return NULL;
    return json_loadb(text.data, text.size,
                      JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
}

static bool is_blank(struct span text)
{
    size_t i = 0;

    while (i < text.size && text.data[i] && strchr(" \t\r\n", text.data[i]))
        i++;
    return i == text.size;
}

/* --- the same values ------------------------------------------------------ */

static void same(const struct jtext *ours, json_t *theirs);

static void same_text(const struct jtext *ours, const char *text, size_t size)
{
    char *unescaped = malloc(ours->text.size);

    must(ours->kind == JTEXT_STRING);
    must(jtext_unescape(unescaped, ours) == size &&
         memcmp(unescaped, text, size) == 0);
    if (!ours->escaped)
        must(span_equal(jtext_plain(ours), (struct span){text, size}));
    free(unescaped);
}

static void same_members(const struct jtext_object *ours, json_t *theirs)
{
    must(ours->count == json_object_size(theirs));
    for (void *at = json_object_iter(theirs); at;
         at = json_object_iter_next(theirs, at)) {
        struct jtext value;

        must(jtext_get(ours, json_object_iter_key(at), &value));
        same(&value, json_object_iter_value(at));
    }
}

static void same_elements(const struct jtext *ours, const json_t *theirs)
{
    struct span rest = ours->text;
    struct jtext element;
    size_t count = 0;

    for (; jtext_next(&rest, &element); count++)
        same(&element, json_array_get(theirs, count));
    must(count == json_array_size(theirs));
}

static void same_real(const struct jtext *ours, const json_t *theirs)
{
    json_t *again =
        json_loadb(ours->text.data, ours->text.size, JSON_DECODE_ANY, NULL);

    must(json_is_real(again) && json_equal(again, theirs));
    json_decref(again);
}

static void same_spelling(const struct jtext *ours, const json_t *theirs)
{
    struct buf written;

    buf_init(&written, SIZE_MAX / 2);
    must(!body_write(&written, theirs));
    must(span_equal(ours->text, (struct span){written.data, written.size}));
    buf_fini(&written);
}

static void same(const struct jtext *ours, json_t *theirs)
{
    struct jtext_object members;

    switch (ours->kind) {
    case JTEXT_NULL:
        must(json_is_null(theirs));
        break;
    case JTEXT_FALSE:
        must(json_is_false(theirs));
        break;
    case JTEXT_TRUE:
        must(json_is_true(theirs));
        break;
    case JTEXT_INTEGER:
        must(json_is_integer(theirs) &&
             jtext_integer(ours) == json_integer_value(theirs));
        break;
    case JTEXT_REAL:
        same_real(ours, theirs);
        break;
    case JTEXT_STRING:
        must(json_is_string(theirs));
        same_text(ours, json_string_value(theirs), json_string_length(theirs));
        break;
    case JTEXT_ARRAY:
        must(json_is_array(theirs));
        same_elements(ours, theirs);
        break;
    case JTEXT_OBJECT:
        must(json_is_object(theirs));
        jtext_open(ours, &members);
        same_members(&members, theirs);
        break;
    }
    if (ours->canonical)
        same_spelling(ours, theirs);
}

/* Taken apart in the same pass, an object in it is the same. */
static void with_inner(struct span text, const struct jtext_object *outer)
{
    struct jtext_object again, inner;
    struct failure why;
    struct jtext value;
    bool there;

    must(!request_read(&again, &inner, text, MAX_BYTES, &why));
    must(again.count == outer->count);
    there = jtext_get(outer, "params", &value) && value.kind == JTEXT_OBJECT;
    must(there || !inner.count);
    if (there) {
        json_t *theirs = json_loadb(value.text.data, value.text.size, 0, NULL);

        same_members(&inner, theirs);
        json_decref(theirs);
    }
}

/* A text that is one value, of any kind. */
static void as_value(struct span text, json_t *theirs)
{
    struct jtext value;
    bool good = jtext_read(text, &value) == ERR_NONE;

    must(good == (theirs && fits(theirs, 0)));
    if (good)
        same(&value, theirs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy of its own, at no round address and with nothing behind it. */
    char *copy = malloc(size + 1);
    struct span text = {memcpy(copy + 1, data, size), size};
    struct jtext_object params;
    struct failure why = {0};
    json_t *theirs = read_by_jansson(text);

    if (!params_read(&params, text, MAX_BYTES, &why)) {
        must(is_blank(text) || (json_is_object(theirs) && fits(theirs, 0)));
        same_members(&params, theirs);
        with_inner(text, &params);
    } else {
        check_refusal(&why);
        must(!json_is_object(theirs) || !fits(theirs, 0));
    }
    as_value(text, theirs);
    json_decref(theirs);
    free(copy);
    return 0;
}
