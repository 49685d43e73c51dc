/* Event-stream text, however it is cut into pieces. */
#include "server/cli/sse_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct told {
    char text[400];
    int stop_after;
};

static bool tell(void *arg, const char *id, const char *data, size_t size)
{
    struct told *told = arg;

    assert_true(!data || strlen(data) == size);
    strcat(told->text, "<");
    strcat(told->text, id);
    strcat(told->text, "|");
    strcat(told->text, data ? data : "-");
    strcat(told->text, ">");
    return --told->stop_after != 0;
}

/* Read `text` in pieces of `piece` bytes. */
static void read_as(const char *text, size_t piece, const char *expected)
{
    struct told told = {.text = ""};
    struct sse_reader reader;
    size_t size = strlen(text);

    sse_reader_init(&reader, tell, &told);
    for (size_t at = 0; at < size; at += piece)
        assert_true(sse_reader_push(&reader, text + at,
                                    size - at < piece ? size - at : piece));
    assert_string_equal(told.text, expected);
    sse_reader_fini(&reader);
}

static void read_in_all_pieces(const char *text, const char *expected)
{
    for (size_t piece = 1; piece <= strlen(text); piece++)
        read_as(text, piece, expected);
}

static void blocks_are_told_apart(void **state)
{
    (void)state;
    read_in_all_pieces("id: 5f3a1c22-1\nevent: message\ndata: {}\n\n"
                       "data:x\ndata: y\n\n",
                       "<5f3a1c22-1|{}><|x\ny>");
}

static void any_line_end_will_do(void **state)
{
    (void)state;
    read_in_all_pieces("id:1\r\ndata: a\r\n\r\nid:2\rdata: b\r\r",
                       "<1|a><2|b>");
}

static void a_comment_with_an_id_is_a_heartbeat(void **state)
{
    (void)state;
    read_in_all_pieces(": beat\nid: 5f3a1c22-9\n\n: nothing\n\n",
                       "<5f3a1c22-9|->");
}

static void an_unfinished_block_is_not_told(void **state)
{
    (void)state;
    read_in_all_pieces("data: a\n\ndata: lost\n", "<|a>");
}

static void it_stops_when_told_to(void **state)
{
    struct told told = {.text = "", .stop_after = 1};
    struct sse_reader reader;

    (void)state;
    sse_reader_init(&reader, tell, &told);
    assert_false(sse_reader_push(&reader, "data:a\n\ndata:b\n\n", 16));
    assert_string_equal(told.text, "<|a>");
    sse_reader_fini(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_told_apart),
        cmocka_unit_test(any_line_end_will_do),
        cmocka_unit_test(a_comment_with_an_id_is_a_heartbeat),
        cmocka_unit_test(an_unfinished_block_is_not_told),
        cmocka_unit_test(it_stops_when_told_to),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
