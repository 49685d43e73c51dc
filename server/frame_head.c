/* See frame_head.h. */
#include "server/frame_head.h"

#include <stdint.h>

#define FINAL 0x80

size_t frame_head(char out[FRAME_HEAD_MAX], enum ws_opcode opcode, size_t size)
{
    size_t length_bytes = size < 126 ? 0 : size <= UINT16_MAX ? 2 : 8;

    out[0] = (char)(FINAL | opcode);
    out[1] = (char)(size < 126 ? size : length_bytes == 2 ? 126 : 127);
    for (size_t i = 0; i < length_bytes; i++)
        out[2 + i] = (char)((uint64_t)size >> (8 * (length_bytes - 1 - i)));
    return 2 + length_bytes;
}
