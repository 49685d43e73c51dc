/* Frames taken apart: pieces of messages as they come, control frames whole,
 * and a fault for whatever RFC 6455 forbids. tests/contract/rfc6455.test.mjs
 * has the long list, tests/fuzz/fuzz_ws_frames.c the rest. */
#include "transports/ws_frames.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MASK "\x01\x02\x03\x04"
static const char mask[] = {1, 2, 3, 4};

static struct ws_frames frames;
static char bytes[512];
static size_t size;

static int nothing_yet(void **state)
{
    (void)state;
    memset(&frames, 0, sizeof(frames));
    size = 0;
    return 0;
}

/* A masked frame behind what is there already. */
static void given(unsigned first, const char *payload)
{
    size_t length = strlen(payload);

    bytes[size++] = (char)first;
    bytes[size++] = (char)(0x80 | length);
    memcpy(bytes + size, mask, sizeof(mask));
    size += sizeof(mask);
    for (size_t i = 0; i < length; i++)
        bytes[size++] = (char)(payload[i] ^ mask[i % 4]);
}

/* All that comes of the bytes when they come in parts of `part`:
 * "text(he…)text(llo)ping(x)", and the fault, if there is one. */
static const char *taken(size_t part)
{
    static char out[1024];
    static const char *const names[] = {[WS_TEXT] = "text",
                                        [WS_BINARY] = "binary",
                                        [WS_CLOSE] = "close",
                                        [WS_PING] = "ping",
                                        [WS_PONG] = "pong"};
    enum ws_found found = WS_MORE;
    size_t used = 0;

    out[0] = 0;
    for (size_t at = 0; at < size && found != WS_FAULT; at += part) {
        char *data = bytes + at;
        size_t left = size - at < part ? size - at : part;
        struct ws_piece piece;

        while ((found = ws_frames_next(&frames, &data, &left, &piece)) ==
               WS_PIECE)
            used += (size_t)snprintf(
                out + used, sizeof(out) - used, "%s(%.*s%s)", names[piece.kind],
                (int)piece.size, piece.data, piece.last ? "" : "…");
    }
    if (found == WS_FAULT)
        snprintf(out + used, sizeof(out) - used, "%s", frames.fault);
    return out;
}

static void pieces_come_as_they_are_and_control_frames_whole(void **state)
{
    (void)state;
    given(0x01, "he");
    given(0x89, "ask");
    given(0x80, "llo");
    given(0x88, "");
    assert_string_equal(taken(size), "text(he…)ping(ask)text(llo)close()");
    nothing_yet(NULL);
    given(0x82, "abc");
    given(0x8a, "xyz");
    assert_string_equal(taken(1),
                        "binary(…)binary(a…)binary(b…)binary(c)pong(xyz)");
}

static void a_length_is_known_before_its_bytes(void **state)
{
    char head[] = "\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00" MASK;
    char *data = head;
    size_t left = sizeof(head) - 1;
    struct ws_piece piece;

    (void)state;
    assert_int_equal(ws_frames_next(&frames, &data, &left, &piece), WS_PIECE);
    assert_int_equal(piece.size, 0);
    assert_int_equal(piece.left, 65536);
    assert_false(piece.last);
    assert_int_equal(ws_frames_next(&frames, &data, &left, &piece), WS_MORE);
}

/* What must be a fault, in any pieces, and for good. */
static void a_fault(const char *raw, size_t length, const char *words)
{
    nothing_yet(NULL);
    memcpy(bytes, raw, length);
    size = length;
    assert_string_equal(taken(1), words);
    assert_string_equal(taken(size), words);
}
#define A_FAULT(raw, words) a_fault(raw, sizeof(raw) - 1, words)

static void what_the_rfc_forbids_is_a_fault(void **state)
{
    (void)state;
    A_FAULT("\xc1\x80" MASK, "a reserved bit is set");
    A_FAULT("\x83\x80" MASK, "an opcode that means nothing");
    A_FAULT("\x8b\x80" MASK, "an opcode that means nothing");
    A_FAULT("\x81\x00", "a client's frame must be masked");
    A_FAULT("\x09\x80" MASK, "a control frame must not be in fragments");
    A_FAULT("\x89\xfe", "a control frame has at most 125 bytes");
    A_FAULT("\x80\x80" MASK, "nothing to continue");
    A_FAULT("\x81\xfe\x00\x7d" MASK, "a length must take the fewest bytes");
    A_FAULT("\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff" MASK,
            "a length must take the fewest bytes");
    A_FAULT("\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00" MASK,
            "a length has its top bit set");
}

static void a_message_ends_before_the_next_begins(void **state)
{
    (void)state;
    given(0x01, "a");
    given(0x81, "b");
    assert_string_equal(taken(size),
                        "text(a…)the message before is not finished");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(pieces_come_as_they_are_and_control_frames_whole,
                               nothing_yet),
        cmocka_unit_test_setup(a_length_is_known_before_its_bytes, nothing_yet),
        cmocka_unit_test_setup(what_the_rfc_forbids_is_a_fault, nothing_yet),
        cmocka_unit_test_setup(a_message_ends_before_the_next_begins,
                               nothing_yet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
