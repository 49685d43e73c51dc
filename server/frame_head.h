/* The head of a WebSocket frame that a server sends (RFC 6455 section 5.2):
 * whole, not masked.
 *
 * Units    bytes.
 * Errors   none.
 * Threads  pure.
 */
#ifndef RUNG_FRAME_HEAD_H
#define RUNG_FRAME_HEAD_H

#include <stddef.h>

#define FRAME_HEAD_MAX 10

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10,
};

/* Write the head of a frame of `size` bytes of payload; returns its length. */
size_t frame_head(char out[FRAME_HEAD_MAX], enum ws_opcode opcode, size_t size);

#endif
