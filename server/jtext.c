/* JSON as text: one recursive scan. See jtext.h.
 *
 * A text that was accepted is scanned again when a value in it is taken apart;
 * that costs less than it would to keep what is mostly not asked for. */
#include "server/jtext_inside.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static bool scan_value(struct jtext_scan *scan, struct jtext *out);

/* --- blanks and letters --------------------------------------------------- */

static void scan_blanks(struct jtext_scan *scan)
{
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\t' ||
                                    *scan->at == '\n' || *scan->at == '\r')) {
        scan->at++;
        scan->canonical = false;
    }
}

static bool take_word(struct jtext_scan *scan, const char *word, size_t size)
{
    if ((size_t)(scan->end - scan->at) < size ||
        memcmp(scan->at, word, size) != 0)
        return false;
    scan->at += size;
    return true;
}

/* --- keys ----------------------------------------------------------------- */

static bool same_key(const struct jtext *a, const struct jtext *b)
{
    if (a->escaped || b->escaped)
        return jtext_compare(a, b) == 0;
    return a->text.size == b->text.size && span_equal(a->text, b->text);
}

static bool is_named(const struct jtext *key, struct span name)
{
    if (key->escaped)
        return jtext_says(key, name);
    return key->text.size == name.size + 2 &&
           memcmp(key->text.data + 1, name.data, name.size) == 0;
}

/* --- arrays and objects --------------------------------------------------- */

static bool enter(struct jtext_scan *scan)
{
    scan->at++;
    scan->depth++;
    return scan->depth <=
           (scan->loose ? JTEXT_LOOSE_DEPTH_MAX : JTEXT_DEPTH_MAX);
}

static bool scan_array(struct jtext_scan *scan)
{
    struct jtext element;

    if (!enter(scan))
        return false;
    scan_blanks(scan);
    if (jtext_take(scan, ']'))
        return true;
    do {
        scan_blanks(scan);
        if (!scan_value(scan, &element))
            return false;
        scan_blanks(scan);
    } while (jtext_take(scan, ','));
    return jtext_take(scan, ']');
}

/* `"key" : value`, and the blanks behind it. */
static bool scan_member(struct jtext_scan *scan, struct jtext_member *out)
{
    scan_blanks(scan);
    if (scan->at == scan->end || *scan->at != '"' ||
        !scan_value(scan, &out->key))
        return false;
    scan_blanks(scan);
    if (!jtext_take(scan, ':'))
        return false;
    scan_blanks(scan);
    if (scan->inner && scan->depth == 1 &&
        is_named(&out->key, span_of(scan->inner_name)))
        scan->keep = scan->inner;
    if (!scan_value(scan, &out->value))
        return false;
    scan->keep = NULL; /* it was no object */
    scan_blanks(scan);
    return true;
}

static bool is_new(const struct jtext_object *object, const struct jtext *key)
{
    for (size_t i = 0; i < object->count; i++)
        if (same_key(&object->members[i].key, key))
            return false;
    return true;
}

static int by_key(const void *a, const void *b)
{
    return jtext_compare(a, b);
}

/* Sorted, so that repetitions meet. */
static bool all_differ(struct buf *keys)
{
    struct jtext *key = (struct jtext *)(void *)keys->data;
    size_t count = keys->size / sizeof(*key);

    qsort(key, count, sizeof(*key), by_key);
    for (size_t i = 1; i < count; i++)
        if (same_key(&key[i - 1], &key[i]))
            return false;
    return true;
}

/* The members behind the first ones: too many to compare each with each. */
static bool scan_rest(struct jtext_scan *scan, struct jtext_object *out)
{
    struct jtext_member member, before = out->members[JTEXT_MEMBERS - 1];
    struct buf keys;
    bool good;

    out->rest = (struct span){scan->at, (size_t)(scan->end - scan->at)};
    buf_init(&keys, SIZE_MAX / 2);
    for (size_t i = 0; i < JTEXT_MEMBERS && !scan->loose; i++)
        buf_append(&keys, &out->members[i].key, sizeof(struct jtext));
    do {
        good = scan_member(scan, &member);
        if (!good)
            break;
        out->count++;
        if (scan->canonical && jtext_compare(&before.key, &member.key) > 0)
            scan->canonical = false;
        before = member;
        if (!scan->loose)
            buf_append(&keys, &member.key, sizeof(struct jtext));
    } while (jtext_take(scan, ','));
    if (buf_status(&keys))
        scan->short_of_memory = true;
    if (good && !scan->loose)
        good = !scan->short_of_memory && all_differ(&keys);
    buf_fini(&keys);
    return good;
}

static bool scan_object(struct jtext_scan *scan, struct jtext_object *out)
{
    out->count = 0;
    if (!enter(scan))
        return false;
    scan_blanks(scan);
    if (jtext_take(scan, '}'))
        return true;
    do {
        struct jtext_member *member = &out->members[out->count];

        if (out->count == JTEXT_MEMBERS) {
            if (!scan_rest(scan, out))
                return false;
            break;
        }
        if (!scan_member(scan, member) ||
            !(scan->loose || is_new(out, &member->key)))
            return false;
        if (scan->canonical && out->count &&
            jtext_compare(&member[-1].key, &member->key) > 0)
            scan->canonical = false;
        out->count++;
    } while (jtext_take(scan, ','));
    return jtext_take(scan, '}');
}

/* --- values --------------------------------------------------------------- */

static bool scan_nested(struct jtext_scan *scan, enum jtext_kind *kind)
{
    struct jtext_object unasked, *keep = scan->keep;
    bool good;

    scan->keep = NULL;
    *kind = *scan->at == '{' ? JTEXT_OBJECT : JTEXT_ARRAY;
    if (!keep)
        keep = &unasked;
    good = *kind == JTEXT_OBJECT ? scan_object(scan, keep) : scan_array(scan);
    if (good && scan->visit && *kind == JTEXT_OBJECT)
        good = scan->visit(keep, scan->arg);
    scan->depth--;
    return good;
}

static bool scan_kind(struct jtext_scan *scan, struct jtext *out)
{
    switch (*scan->at) {
    case '"':
        out->kind = JTEXT_STRING;
        scan->at++;
        return jtext_scan_string(scan, out);
    case '{':
    case '[':
        return scan_nested(scan, &out->kind);
    case 'n':
        out->kind = JTEXT_NULL;
        return take_word(scan, "null", 4);
    case 't':
        out->kind = JTEXT_TRUE;
        return take_word(scan, "true", 4);
    case 'f':
        out->kind = JTEXT_FALSE;
        return take_word(scan, "false", 5);
    default:
        return jtext_scan_number(scan, &out->kind);
    }
}

static bool scan_value(struct jtext_scan *scan, struct jtext *out)
{
    bool outer = scan->canonical;
    const char *from = scan->at;

    if (scan->at == scan->end)
        return false;
    scan->canonical = true;
    out->escaped = false;
    if (!scan_kind(scan, out))
        return false;
    out->text = (struct span){from, (size_t)(scan->at - from)};
    out->canonical = scan->canonical;
    scan->canonical = outer && out->canonical;
    return true;
}

/* --- outside -------------------------------------------------------------- */

static struct jtext_scan scan_of(struct span text, bool loose)
{
    return (struct jtext_scan){
        .at = text.data, .end = text.data + text.size, .loose = loose};
}

static enum err verdict(const struct jtext_scan *scan, bool good)
{
    if (good)
        return ERR_NONE;
    return scan->short_of_memory ? ERR_NOMEM : ERR_BAD_REQUEST;
}

static bool at_end(struct jtext_scan *scan)
{
    scan_blanks(scan);
    return scan->at == scan->end;
}

enum err jtext_read(struct span text, struct jtext *out)
{
    struct jtext_scan scan = scan_of(text, false);

    scan_blanks(&scan);
    return verdict(&scan, scan_value(&scan, out) && at_end(&scan));
}

enum err jtext_read_loose(struct span text, struct jtext *out,
                          jtext_visit *visit, void *arg)
{
    struct jtext_scan scan = scan_of(text, true);

    scan.visit = visit;
    scan.arg = arg;
    scan_blanks(&scan);
    return verdict(&scan, scan_value(&scan, out) && at_end(&scan));
}

enum err jtext_read_object(struct span text, struct jtext_object *out,
                           const char *inner_name, struct jtext_object *inner)
{
    struct jtext_scan scan = scan_of(text, false);
    bool good;

    scan.inner_name = inner_name;
    scan.inner = inner;
    out->count = 0;
    if (inner)
        inner->count = 0;
    scan_blanks(&scan);
    good = scan.at < scan.end && *scan.at == '{' && scan_object(&scan, out) &&
           at_end(&scan);
    if (!good)
        out->count = 0;
    if (!good && inner)
        inner->count = 0;
    return verdict(&scan, good);
}

void jtext_open(const struct jtext *object, struct jtext_object *out)
{
    struct jtext_scan scan = scan_of(object->text, true);
    bool good = scan_object(&scan, out);

    assert(object->kind == JTEXT_OBJECT);
    assert(good); /* it was accepted before */
    (void)good;
}

/* Among the members that were not kept. */
static bool find_in_rest(struct span rest, struct span name, struct jtext *out)
{
    struct jtext_scan scan = scan_of(rest, true);
    struct jtext_member member;

    do {
        if (!scan_member(&scan, &member))
            break;
        if (is_named(&member.key, name)) {
            *out = member.value;
            return true;
        }
    } while (jtext_take(&scan, ','));
    return false;
}

bool jtext_get(const struct jtext_object *object, const char *name,
               struct jtext *out)
{
    struct span wanted = span_of(name);

    for (size_t i = 0; i < object->count && i < JTEXT_MEMBERS; i++)
        if (is_named(&object->members[i].key, wanted)) {
            *out = object->members[i].value;
            return true;
        }
    return object->count > JTEXT_MEMBERS &&
           find_in_rest(object->rest, wanted, out);
}

bool jtext_next(struct span *rest, struct jtext *out)
{
    struct jtext_scan scan = scan_of(*rest, true);

    scan.at++; /* "[" or "," */
    scan_blanks(&scan);
    if (!scan_value(&scan, out))
        return false; /* "]" */
    scan_blanks(&scan);
    *rest = (struct span){scan.at, (size_t)(scan.end - scan.at)};
    return true;
}

bool jtext_next_inside(struct span *rest, struct jtext *out)
{
    struct jtext_scan scan = scan_of(*rest, true);

    scan_blanks(&scan);
    if (!scan_value(&scan, out))
        return false; /* nothing left */
    scan_blanks(&scan);
    (void)jtext_take(&scan, ',');
    *rest = (struct span){scan.at, (size_t)(scan.end - scan.at)};
    return true;
}
