/* See ws_frames.h. */
#include "transports/ws_frames.h"

#include <string.h>

#define FINAL 0x80
#define RESERVED 0x70
#define OPCODE 0x0f
#define MASKED 0x80
#define LENGTH 0x7f
#define MASK_BYTES 4

static bool is_control(enum ws_opcode opcode)
{
    return opcode >= WS_CLOSE;
}

/* --- the head ----------------------------------------------------------- */

static size_t length_bytes(const unsigned char *head)
{
    unsigned length = head[1] & LENGTH;

    return length == 127 ? 8 : length == 126 ? 2 : 0;
}

/* What the first two bytes alone show to be wrong; NULL: nothing. */
static const char *fault_in_start(const struct ws_frames *in)
{
    unsigned opcode = in->head[0] & OPCODE;
    bool final = in->head[0] & FINAL;

    if (in->head[0] & RESERVED)
        return "a reserved bit is set";
    if ((opcode > WS_BINARY && opcode < WS_CLOSE) || opcode > WS_PONG)
        return "an opcode that means nothing";
    if (!(in->head[1] & MASKED))
        return "a client's frame must be masked";
    if (is_control(opcode) && !final)
        return "a control frame must not be in fragments";
    if (is_control(opcode) && (in->head[1] & LENGTH) > WS_CONTROL_MAX)
        return "a control frame has at most 125 bytes";
    if (opcode == WS_CONTINUATION && !in->message)
        return "nothing to continue";
    if ((opcode == WS_TEXT || opcode == WS_BINARY) && in->message)
        return "the message before is not finished";
    return NULL;
}

static const char *read_length(struct ws_frames *in)
{
    size_t bytes = length_bytes(in->head);

    in->left = in->head[1] & LENGTH;
    if (!bytes)
        return NULL;
    in->left = 0;
    for (size_t i = 0; i < bytes; i++)
        in->left = in->left << 8 | in->head[2 + i];
    if (in->left >> 63)
        return "a length has its top bit set";
    if (in->left < (bytes == 2 ? 126 : 65536))
        return "a length must take the fewest bytes";
    return NULL;
}

static void take_until(struct ws_frames *in, size_t want, char **data,
                       size_t *size)
{
    size_t more = want - in->head_size;

    if (more > *size)
        more = *size;
    memcpy(in->head + in->head_size, *data, more);
    in->head_size += (uint8_t)more;
    *data += more;
    *size -= more;
}

static void begin_body(struct ws_frames *in)
{
    enum ws_opcode opcode = in->head[0] & OPCODE;

    in->body = true;
    in->opcode = opcode;
    in->final = in->head[0] & FINAL;
    in->turn = 0;
    in->control_size = 0;
    if (opcode == WS_TEXT || opcode == WS_BINARY)
        in->message = opcode;
}

/* False: there is not all of it yet, or a fault. */
static bool take_head(struct ws_frames *in, char **data, size_t *size)
{
    size_t whole;

    if (in->head_size < 2) {
        take_until(in, 2, data, size);
        if (in->head_size < 2)
            return false;
        in->fault = fault_in_start(in);
        if (in->fault)
            return false;
    }
    whole = 2 + length_bytes(in->head) + MASK_BYTES;
    take_until(in, whole, data, size);
    if (in->head_size < whole)
        return false;
    in->fault = read_length(in);
    if (in->fault)
        return false;
    begin_body(in);
    return true;
}

/* --- the payload -------------------------------------------------------- */

static void unmask(struct ws_frames *in, char *data, size_t size)
{
    const unsigned char *mask = in->head + in->head_size - MASK_BYTES;
    unsigned char turned[8];
    uint64_t eight, mask_eight;
    size_t i = 0;

    for (size_t k = 0; k < sizeof(turned); k++)
        turned[k] = mask[(in->turn + k) % MASK_BYTES];
    memcpy(&mask_eight, turned, sizeof(turned));
    for (; i + 8 <= size; i += 8) {
        memcpy(&eight, data + i, 8);
        eight ^= mask_eight;
        memcpy(data + i, &eight, 8);
    }
    for (; i < size; i++)
        data[i] = (char)((unsigned char)data[i] ^ turned[i % 8]);
    in->turn = (uint8_t)((in->turn + size) % MASK_BYTES);
}

static void end_frame(struct ws_frames *in)
{
    in->body = false;
    in->head_size = 0;
    if (!is_control(in->opcode) && in->final)
        in->message = WS_CONTINUATION;
}

/* A control frame is handed out whole. */
static bool take_control(struct ws_frames *in, struct ws_piece *piece)
{
    if (!in->control_size && !in->left)
        return true;
    memcpy(in->control + in->control_size, piece->data, piece->size);
    in->control_size += (uint8_t)piece->size;
    piece->data = in->control;
    piece->size = in->control_size;
    return !in->left;
}

enum ws_found ws_frames_next(struct ws_frames *in, char **data, size_t *size,
                             struct ws_piece *piece)
{
    bool fresh = !in->body, whole;

    if (in->fault)
        return WS_FAULT;
    if (!in->body && !take_head(in, data, size))
        return in->fault ? WS_FAULT : WS_MORE;
    if (!fresh && !*size)
        return WS_MORE;
    piece->data = *data;
    piece->size = in->left < *size ? (size_t)in->left : *size;
    unmask(in, piece->data, piece->size);
    *data += piece->size;
    *size -= piece->size;
    in->left -= piece->size;
    piece->left = in->left;
    piece->kind = is_control(in->opcode) ? in->opcode : in->message;
    piece->last = in->final && !in->left;
    whole = !is_control(in->opcode) || take_control(in, piece);
    if (!in->left)
        end_frame(in);
    return whole ? WS_PIECE : WS_MORE;
}
