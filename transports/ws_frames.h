/* WebSocket frames as a client sends them (RFC 6455 section 5), taken apart
 * from bytes that come in any pieces; whatever the RFC forbids is a fault.
 *
 * Units    bytes.
 * Errors   a fault is for good: the connection must be failed with 1002.
 * Threads  pure.
 * Memory   payload is unmasked where it lies; a piece points there, or (a
 *          control frame that came in parts) into the struct. It is valid until
 *          the next call.
 */
#ifndef RUNG_WS_FRAMES_H
#define RUNG_WS_FRAMES_H

#include "server/frame_head.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WS_HEAD_MAX 14
#define WS_CONTROL_MAX 125

/* All zero: nothing has come yet. */
struct ws_frames {
    const char *fault;      /* words, once there was one */
    uint64_t left;          /* of the frame's payload */
    enum ws_opcode opcode;  /* the frame's */
    enum ws_opcode message; /* the one under way; 0: none */
    bool body;              /* the head is whole */
    bool final;
    uint8_t head_size, control_size;
    uint8_t turn; /* of the mask */
    unsigned char head[WS_HEAD_MAX];
    char control[WS_CONTROL_MAX];
};

/* A part of a message, or a whole control frame. */
struct ws_piece {
    enum ws_opcode kind; /* never WS_CONTINUATION */
    bool last;           /* the message is whole with it */
    char *data;
    size_t size;
    uint64_t left; /* of its frame, announced and still to come */
};

enum ws_found { WS_MORE, WS_PIECE, WS_FAULT };

/* A frame or a message has begun and is not whole. */
static inline bool ws_frames_under_way(const struct ws_frames *in)
{
    return in->head_size || in->message;
}

/* Take the next piece from the *size bytes at *data, and move both on. WS_MORE:
 * everything is taken. */
enum ws_found ws_frames_next(struct ws_frames *in, char **data, size_t *size,
                             struct ws_piece *piece);

#endif
