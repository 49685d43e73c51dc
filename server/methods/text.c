/* Text that is shown. See text.h. */
#include "server/methods/text.h"

#include "server/utf8.h"

#include <string.h>

bool text_printable(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];

        if (c < 0x20 || c == 0x7f)
            return false;
        /* U+0080–U+009F are C2 80 to C2 9F; C2 is never a later byte. */
        if (c == 0xc2 && i + 1 < text.size &&
            (unsigned char)text.data[i + 1] < 0xa0)
            return false;
    }
    return true;
}

/* The length of the character at the start; 0 when there is none. */
static size_t character(struct span text)
{
    for (size_t length = 1; length <= 4 && length <= text.size; length++)
        if (utf8_valid(text.data, length))
            return length;
    return 0;
}

void text_clean(char *out, size_t room, struct span text)
{
    while (text.size) {
        size_t length = character(text);
        size_t step = length ? length : 1;

        if (step >= room)
            break;
        if (length)
            memcpy(out, text.data, length);
        else
            *out = '?';
        out += step;
        room -= step;
        text.data += step;
        text.size -= step;
    }
    *out = '\0';
}
