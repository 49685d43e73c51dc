/* Any bytes as WebSocket frames: however they are cut, the same messages come
 * out, and no control frame that the RFC forbids. The first byte is the seed of
 * where to cut. */
#include "transports/ws_frames.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX 70000
#define RECORD_MAX (INPUT_MAX * 2)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What came out, as bytes: two runs that agree have equal ones. */
struct record {
    char bytes[RECORD_MAX];
    size_t size;
    bool open; /* the last one is a message under way */
    enum ws_opcode kind;
};

static void must(bool it)
{
    if (!it)
        abort();
}

static void note(struct record *record, const void *bytes, size_t size)
{
    must(record->size + size <= sizeof(record->bytes));
    memcpy(record->bytes + record->size, bytes, size);
    record->size += size;
}

static void note_piece(struct record *record, const struct ws_piece *piece)
{
    char kind = (char)piece->kind, end = (char)0xff;

    if (piece->kind >= WS_CLOSE) {
        must(piece->kind <= WS_PONG && piece->size <= WS_CONTROL_MAX);
        must(piece->last && !piece->left);
        note(record, &kind, 1);
        note(record, piece->data, piece->size);
        note(record, &end, 1);
        return;
    }
    must(piece->kind == WS_TEXT || piece->kind == WS_BINARY);
    must(!record->open || record->kind == piece->kind);
    must(!(piece->last && piece->left));
    note(record, piece->data, piece->size);
    if (piece->last)
        note(record, &kind, 1);
    record->open = !piece->last;
    record->kind = piece->kind;
}

/* All of it; false: there was a fault. */
static bool feed(struct ws_frames *in, char *data, size_t size,
                 struct record *record)
{
    struct ws_piece piece;
    const char *end = data + size;

    for (;;) {
        enum ws_found found = ws_frames_next(in, &data, &size, &piece);

        must(data + size == end);
        if (found == WS_FAULT) {
            must(in->fault && in->fault[0]);
            must(ws_frames_next(in, &data, &size, &piece) == WS_FAULT);
            return false;
        }
        if (found == WS_MORE) {
            must(!size);
            return true;
        }
        note_piece(record, &piece);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char whole[INPUT_MAX], cut[INPUT_MAX];
    static struct record one, other;
    struct ws_frames at_once = {0}, in_parts = {0};
    unsigned seed = size ? data[0] : 0;
    size_t at = 0;
    bool sound, still = true;

    if (!size || size > INPUT_MAX)
        return 0;
    data++, size--;
    memcpy(whole, data, size);
    memcpy(cut, data, size);
    one.size = other.size = 0;
    one.open = other.open = false;
    sound = feed(&at_once, whole, size, &one);
    while (still && at < size) {
        size_t part;

        seed = seed * 1103515245u + 12345u;
        part = 1 + (seed >> 16) % 7;
        if (part > size - at)
            part = size - at;
        still = feed(&in_parts, cut + at, part, &other);
        at += part;
    }
    must(sound == still);
    must(one.size == other.size && !memcmp(one.bytes, other.bytes, one.size));
    return 0;
}
