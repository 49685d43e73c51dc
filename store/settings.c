/* The first line of a CREATE's body: what apply must know of a conversation's
 * settings without reading the JSON behind it. "rung1 h-o 86400000 0\n": flags
 * (history_all, joinable, open; '-' for no), max_age_ms, max_count.
 */
#include "store/reader.h"

#include <string.h>

#define MARK "rung1 "
#define MARK_BYTES 6

void conv_settings_write(struct buf *out, const struct conv_settings *settings)
{
    char flags[4] = {
        settings->history_all ? 'h' : '-',
        settings->joinable ? 'j' : '-',
        settings->open ? 'o' : '-',
        ' ',
    };

    buf_append(out, MARK, MARK_BYTES);
    buf_append(out, flags, sizeof(flags));
    buf_append_u64(out, settings->max_age_ms);
    buf_append(out, " ", 1);
    buf_append_u64(out, settings->max_count);
    buf_append(out, "\n", 1);
}

static bool take_flag(struct span *rest, char letter, bool *flag)
{
    if (rest->size < 1 || (rest->data[0] != letter && rest->data[0] != '-'))
        return false;
    *flag = rest->data[0] == letter;
    rest->data++;
    rest->size--;
    return true;
}

static bool take_byte(struct span *rest, char byte)
{
    if (rest->size < 1 || rest->data[0] != byte)
        return false;
    rest->data++;
    rest->size--;
    return true;
}

static bool take_number(struct span *rest, uint64_t *number)
{
    size_t digits = 0;

    *number = 0;
    while (digits < rest->size && digits < 18 && rest->data[digits] >= '0' &&
           rest->data[digits] <= '9')
        *number = *number * 10 + (uint64_t)(rest->data[digits++] - '0');
    rest->data += digits;
    rest->size -= digits;
    return digits > 0;
}

enum err conv_settings_read(struct conv_settings *out, struct span body,
                            struct span *rest)
{
    struct conv_settings s = {0};
    struct span at = body;

    if (at.size < MARK_BYTES || memcmp(at.data, MARK, MARK_BYTES) != 0)
        return ERR_BAD_REQUEST;
    at.data += MARK_BYTES;
    at.size -= MARK_BYTES;
    if (!take_flag(&at, 'h', &s.history_all) ||
        !take_flag(&at, 'j', &s.joinable) || !take_flag(&at, 'o', &s.open) ||
        !take_byte(&at, ' ') || !take_number(&at, &s.max_age_ms) ||
        !take_byte(&at, ' ') || !take_number(&at, &s.max_count) ||
        !take_byte(&at, '\n'))
        return ERR_BAD_REQUEST;
    *out = s;
    *rest = at;
    return ERR_NONE;
}
