/* Any bytes as a request's head: what is accepted keeps the promises of head.h,
 * more bytes never change a verdict, and a handshake found in it can be judged.
 */
#include "server/handshake.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool promise)
{
    if (!promise)
        abort();
}

static void need_sound(struct span value)
{
    for (size_t i = 0; i < value.size; i++) {
        unsigned char c = (unsigned char)value.data[i];

        need((c >= ' ' || c == '\t') && c != 0x7f);
    }
}

/* No control character, no blank, and the mark and the fragment elsewhere. */
static void need_piece(struct span piece, char other)
{
    need_sound(piece);
    for (size_t i = 0; i < piece.size; i++)
        need(piece.data[i] != ' ' && piece.data[i] != '\t' &&
             piece.data[i] != '#' && piece.data[i] != other);
}

static void check_whole(const struct head *head, size_t size)
{
    need(head->size > 0 && head->size <= size);
    need(head->method.size > 0 && head->path.size > 0);
    need(!(head->has_length && head->transfer_encoding));
    need(head->minor == 0 || head->host.data);
    need_piece(head->path, '?');
    need_piece(head->query, ' ');
#define F(member, name) need_sound(head->member);
    HEAD_FIELDS(F)
#undef F
    need(!head->transfer_encoding || (head->chunked && head->minor == 1));
}

static void check_handshake(const struct head *head)
{
    static const struct config config = {.allowed_origins = ""};
    struct failure why = {0};

    if (!handshake_wanted(head))
        return;
    if (handshake_check(&config, head, &why)) {
        need(why.err != ERR_NONE && why.message[0]);
        return;
    }
    need(span_is(head->method, "GET") && head->minor == 1);
    need(head->ws_key.size == 24 && span_is(head->ws_version, "13"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = {(const char *)data, size};
    struct failure why = {0};
    struct head head, half;
    enum head_state whole = head_parse(&head, bytes, &why);
    enum head_state part = head_parse(
        &half, (struct span){bytes.data, size / 2}, &(struct failure){0});

    need((whole == HEAD_BAD) == (why.err != ERR_NONE));
    if (whole == HEAD_WHOLE) {
        check_whole(&head, size);
        check_handshake(&head);
    }
    if (whole == HEAD_PARTIAL)
        need(part == HEAD_PARTIAL);
    if (part == HEAD_WHOLE)
        need(whole == HEAD_WHOLE && half.size == head.size);
    if (part == HEAD_BAD)
        need(whole == HEAD_BAD);
    return 0;
}
