/* Strings: whether they are, and what they say, their escapes undone without a
 * copy where none is asked for. */
#include "server/jtext_inside.h"

#include "server/base/eight.h"
#include "server/utf8.h"

#include <assert.h>
#include <string.h>

/* --- escapes -------------------------------------------------------------- */

/* What four hexadecimal digits say; -1: they are not. */
static int hex4(const char *at, const char *end)
{
    int value = 0;

    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;

        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static bool is_high(int unit)
{
    return unit >= 0xd800 && unit <= 0xdbff;
}

static bool is_low(int unit)
{
    return unit >= 0xdc00 && unit <= 0xdfff;
}

/* Whether jansson writes this character so: only a control character without
 * a letter of its own, in capitals. */
static bool needs_hex(int unit, char last_digit)
{
    return unit < 0x20 && !strchr("\b\t\n\f\r", unit) &&
           (last_digit < 'a' || last_digit > 'f');
}

/* Behind "\u". */
static bool scan_hex(struct jtext_scan *scan)
{
    int unit = hex4(scan->at, scan->end);

    if (unit < 0 || (!scan->loose && (unit == 0 || is_low(unit))))
        return false;
    if (!needs_hex(unit, scan->at[3]))
        scan->canonical = false;
    scan->at += 4;
    if (!is_high(unit) || scan->loose)
        return true;
    if (!jtext_take(scan, '\\') || !jtext_take(scan, 'u') ||
        !is_low(hex4(scan->at, scan->end)))
        return false;
    scan->at += 4;
    return true;
}

/* Behind the backslash. */
static bool scan_escape(struct jtext_scan *scan)
{
    if (scan->at == scan->end)
        return false;
    switch (*scan->at++) {
    case '/':
        scan->canonical = false;
        return true;
    case '"':
    case '\\':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return true;
    case 'u':
        return scan_hex(scan);
    default:
        return false;
    }
}

/* --- scanning ------------------------------------------------------------- */

/* Of eight bytes, the top bit of the first that is not ASCII, or a control
 * character, a quote or a backslash, see borrow_note; 0: there is none. */
static uint64_t first_stop(const char *at)
{
    uint64_t eight = eight_load(at);

    return (eight | eight_below(eight, ' ') | eight_equal(eight, '"') |
            eight_equal(eight, '\\')) &
           EIGHT_TOPS;
}

static bool is_stop(char c)
{
    return (unsigned char)c < 0x20 || (unsigned char)c >= 0x80 || c == '"' ||
           c == '\\';
}

/* Past what only has to be passed, to what needs a look, or to the end. */
static void pass_plain(struct jtext_scan *scan)
{
    const char *at = scan->at, *end = scan->end;

    for (; end - at >= 8; at += 8) {
        uint64_t stop = first_stop(at);

        if (stop) {
            scan->at = at + __builtin_ctzll(stop) / 8;
            return;
        }
    }
    while (at < end && !is_stop(*at))
        at++;
    scan->at = at;
}

bool jtext_scan_string(struct jtext_scan *scan, struct jtext *out)
{
    for (;;) {
        size_t size;

        pass_plain(scan);
        if (scan->at == scan->end)
            return false;
        switch (*scan->at) {
        case '"':
            scan->at++;
            return true;
        case '\\':
            scan->at++;
            out->escaped = true;
            if (!scan_escape(scan))
                return false;
            break;
        default: /* not ASCII, or a control character */
            size = utf8_sequence(scan->at, (size_t)(scan->end - scan->at));
            if (size < 2)
                return false;
            scan->at += size;
        }
    }
}

/* --- what was accepted ---------------------------------------------------- */

static size_t encode_utf8(char out[4], int c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* What the letters behind \ b to t stand for; the others, for themselves. */
static char letter(char c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c;
    }
}

/* What the escape there says; -1: there is none of four digits. */
static int unit_at(const char *at, const char *end)
{
    return end - at >= 6 && at[0] == '\\' && at[1] == 'u' ? hex4(at + 2, end)
                                                          : -1;
}

/* One character of an accepted string, or one byte of it; moves *at on. */
static size_t next_piece(const char **at, const char *end, char out[4])
{
    int unit;

    if (**at != '\\') {
        out[0] = *(*at)++;
        return 1;
    }
    if ((*at)[1] != 'u') {
        out[0] = letter((*at)[1]);
        *at += 2;
        return 1;
    }
    unit = hex4(*at + 2, end);
    *at += 6;
    if (is_high(unit) && is_low(unit_at(*at, end))) {
        unit = 0x10000 + ((unit - 0xd800) << 10) + hex4(*at + 2, end) - 0xdc00;
        *at += 6;
    } else if (is_high(unit) || is_low(unit)) {
        unit = 0xfffd; /* alone */
    }
    return encode_utf8(out, unit);
}

struct span jtext_plain(const struct jtext *string)
{
    assert(string->kind == JTEXT_STRING && !string->escaped);
    return (struct span){string->text.data + 1, string->text.size - 2};
}

size_t jtext_unescape(char *out, const struct jtext *string)
{
    const char *at = string->text.data + 1;
    const char *end = string->text.data + string->text.size - 1;
    size_t size = 0;

    assert(string->kind == JTEXT_STRING);
    while (at < end) {
        char piece[4];
        size_t length = next_piece(&at, end, piece);

        memcpy(out + size, piece, length);
        size += length;
    }
    return size;
}

/* The unescaped bytes of a string, one by one. */
struct bytes {
    const char *at, *end;
    char piece[4];
    size_t size, used;
};

/* -1: no more. */
static int next_byte(struct bytes *bytes)
{
    if (bytes->used == bytes->size) {
        if (bytes->at == bytes->end)
            return -1;
        bytes->size = next_piece(&bytes->at, bytes->end, bytes->piece);
        bytes->used = 0;
    }
    return (unsigned char)bytes->piece[bytes->used++];
}

static struct bytes bytes_of(const struct jtext *string)
{
    return (struct bytes){.at = string->text.data + 1,
                          .end = string->text.data + string->text.size - 1};
}

static int compare_escaped(const struct jtext *a, const struct jtext *b)
{
    struct bytes x = bytes_of(a), y = bytes_of(b);

    for (;;) {
        int c = next_byte(&x), d = next_byte(&y);

        if (c != d)
            return c < d ? -1 : 1;
        if (c < 0)
            return 0;
    }
}

static int compare_spans(struct span a, struct span b)
{
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);

    return order ? order : (a.size > b.size) - (a.size < b.size);
}

int jtext_compare(const struct jtext *a, const struct jtext *b)
{
    if (a->escaped || b->escaped)
        return compare_escaped(a, b);
    return compare_spans(jtext_plain(a), jtext_plain(b));
}

bool jtext_says(const struct jtext *string, struct span text)
{
    struct bytes bytes = bytes_of(string);
    size_t i = 0;
    int c;

    while ((c = next_byte(&bytes)) >= 0)
        if (i == text.size || (unsigned char)text.data[i++] != c)
            return false;
    return i == text.size;
}
