/* Names of conversations. See name.h. */
#include "store/name.h"

#include <assert.h>
#include <string.h>

#define INBOX_END (UINT64_C(1) << 53)

static bool letter_ok(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '@' ||
           c == '-';
}

bool name_ok(struct span name)
{
    if (name.size < 1 || name.size > 64)
        return false;
    for (size_t i = 0; i < name.size; i++)
        if (!letter_ok(name.data[i]))
            return false;
    return true;
}

static bool all_digits(struct span s)
{
    for (size_t i = 0; i < s.size; i++)
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
    return s.size > 0;
}

static struct span without_zeros(struct span s)
{
    while (s.size > 1 && s.data[0] == '0') {
        s.data++;
        s.size--;
    }
    return s;
}

static int byte_order(struct span a, struct span b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common > 0 ? memcmp(a.data, b.data, common) : 0;

    if (order != 0)
        return order;
    return (a.size > b.size) - (a.size < b.size);
}

int name_compare(struct span a, struct span b)
{
    if (all_digits(a) && all_digits(b)) {
        struct span x = without_zeros(a), y = without_zeros(b);
        int order;

        if (x.size != y.size)
            return x.size < y.size ? -1 : 1;
        order = memcmp(x.data, y.data, x.size);
        if (order != 0)
            return order;
    }
    return byte_order(a, b);
}

/* The text up to the next ':' (or the end), taken from *rest. */
static struct span take_part(struct span *rest)
{
    const char *colon =
        rest->size > 0 ? memchr(rest->data, ':', rest->size) : NULL;
    struct span part = *rest;

    if (!colon) {
        *rest = (struct span){NULL, 0};
        return part;
    }
    part.size = (size_t)(colon - rest->data);
    rest->data += part.size + 1;
    rest->size -= part.size + 1;
    return part;
}

static bool parse_inbox(struct span text, uint64_t *out)
{
    return u64_read(text, out) && without_zeros(text).size == text.size &&
           *out < INBOX_END;
}

enum err name_parse(struct conv_name *out, struct span text)
{
    struct conv_name name = {0};
    struct span rest = text, type;

    if (!parse_inbox(take_part(&rest), &name.inbox))
        return ERR_BAD_REQUEST;
    type = take_part(&rest);
    if (type.size != 1 || type.data[0] < '1' || type.data[0] > '3')
        return ERR_BAD_REQUEST;
    name.type = (enum conv_type)(type.data[0] - '0');
    name.a = rest;
    if (name.type == CONV_P2P) {
        name.a = take_part(&rest);
        name.b = rest;
        if (!name_ok(name.b) || !name_ok(name.a) ||
            name_compare(name.a, name.b) > 0)
            return ERR_BAD_REQUEST;
    }
    if (!name_ok(name.a))
        return ERR_BAD_REQUEST;
    *out = name;
    return ERR_NONE;
}

size_t name_write(char out[CONVERSATION_MAX_BYTES],
                  const struct conv_name *name)
{
    size_t at = u64_write(out, name->inbox);

    assert(name->inbox < INBOX_END && name_ok(name->a));
    out[at++] = ':';
    out[at++] = (char)('0' + name->type);
    out[at++] = ':';
    memcpy(out + at, name->a.data, name->a.size);
    at += name->a.size;
    if (name->type == CONV_P2P) {
        assert(name_ok(name->b));
        out[at++] = ':';
        memcpy(out + at, name->b.data, name->b.size);
        at += name->b.size;
    }
    out[at] = '\0';
    return at;
}

size_t name_p2p(char out[CONVERSATION_MAX_BYTES], uint64_t inbox,
                struct span one, struct span other)
{
    bool ordered = name_compare(one, other) <= 0;
    struct conv_name name = {
        .inbox = inbox,
        .type = CONV_P2P,
        .a = ordered ? one : other,
        .b = ordered ? other : one,
    };

    return name_write(out, &name);
}
