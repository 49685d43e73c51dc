/* UTF-8, checked one sequence at a time (The Unicode Standard, table 3-7). */
#include "server/utf8.h"

#include "server/base/eight.h"

static bool is_tail(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

size_t utf8_sequence(const char *text, size_t left)
{
    const unsigned char *at = (const unsigned char *)text;
    unsigned char c = at[0];

    if (c < 0x80)
        return 1;
    if (c < 0xc2 || left < 2 || !is_tail(at[1]))
        return 0;
    if (c < 0xe0)
        return 2;
    if (left < 3 || !is_tail(at[2]))
        return 0;
    if (c < 0xf0)
        return (c == 0xe0 && at[1] < 0xa0) || (c == 0xed && at[1] > 0x9f) ? 0
                                                                          : 3;
    if (c > 0xf4 || left < 4 || !is_tail(at[3]))
        return 0;
    return (c == 0xf0 && at[1] < 0x90) || (c == 0xf4 && at[1] > 0x8f) ? 0 : 4;
}

/* So many bytes from here on are ASCII, counted by eights. */
static size_t ascii_bytes(const char *text, size_t size)
{
    size_t i = 0;

    while (i + 8 <= size && !(eight_load(text + i) & EIGHT_TOPS))
        i += 8;
    return i;
}

bool utf8_valid(const char *text, size_t size)
{
    while (size) {
        size_t length = ascii_bytes(text, size);

        if (!length)
            length = utf8_sequence(text, size);
        if (!length)
            return false;
        text += length;
        size -= length;
    }
    return true;
}
