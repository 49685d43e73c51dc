/* Events as text, cursors, and bursts that share their bytes. */
#include "server/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#define EPOCH "5f3a1c22"

static struct entry a_message(void)
{
    return (struct entry){
        .kind = ENTRY_MESSAGE,
        .ts = 1763600000123,
        .app = SPAN("demo"),
        .conversation = SPAN("0:1:alice:bob"),
        .from = SPAN("alice"),
        .client_msg_id = SPAN("id \"1\""),
        .type = SPAN("text"),
        .body = SPAN("{\"text\":\"hi\"}"),
        .lsn = 1042,
        .seq = 17,
        .conv = 7,
    };
}

static json_t *parsed(const struct event *event)
{
    json_t *json =
        json_loadb(event->json, event->size, JSON_REJECT_DUPLICATES, NULL);

    assert_non_null(json);
    return json;
}

static const char *text_of(json_t *json, const char *key)
{
    return json_string_value(json_object_get(json, key));
}

static void a_message_reads_as_the_contract_says(void **state)
{
    struct entry entry = a_message();
    struct event *event = event_of_entry(EPOCH, &entry);
    json_t *json = parsed(event);

    (void)state;
    assert_string_equal(text_of(json, "event"), "message");
    assert_string_equal(text_of(json, "cursor"), EPOCH "-1042");
    assert_string_equal(text_of(json, "conversation"), "0:1:alice:bob");
    assert_int_equal(json_integer_value(json_object_get(json, "seq")), 17);
    assert_string_equal(text_of(json, "from"), "alice");
    assert_string_equal(text_of(json, "client_msg_id"), "id \"1\"");
    assert_string_equal(text_of(json_object_get(json, "body"), "text"), "hi");
    json_decref(json);
    event_unref(event);
}

static void a_receipt_names_who_and_how_far(void **state)
{
    struct entry entry = a_message();
    struct event *event;
    json_t *json;

    (void)state;
    entry.kind = ENTRY_READ;
    entry.mark = 9;
    entry.seq = 0;
    event = event_of_entry(EPOCH, &entry);
    json = parsed(event);
    assert_string_equal(text_of(json, "event"), "receipt");
    assert_string_equal(text_of(json, "kind"), "read");
    assert_string_equal(text_of(json, "user"), "alice");
    assert_int_equal(json_integer_value(json_object_get(json, "seq")), 9);
    json_decref(json);
    event_unref(event);
}

static void a_trimmed_message_shows_nothing(void **state)
{
    struct entry entry = a_message();

    (void)state;
    entry.flags = ENTRY_TRIMMED;
    assert_null(event_of_entry(EPOCH, &entry));
}

static void a_group_shows_its_name_and_members(void **state)
{
    struct entry entry = a_message();
    struct conv_settings settings = {.joinable = true};
    struct buf body;
    struct event *event;
    json_t *json;

    (void)state;
    buf_init(&body, 1024);
    conv_settings_write(&body, &settings);
    buf_append_text(&body, "{\"name\":\"Team \\u4e00\"}");
    entry.kind = ENTRY_CREATE;
    entry.body = (struct span){body.data, body.size};
    entry.users = SPAN("bob\0carol\0");
    event = event_of_entry(EPOCH, &entry);
    json = parsed(event);
    assert_string_equal(text_of(json, "change"), "created");
    assert_string_equal(text_of(json, "name"), "Team \xe4\xb8\x80");
    assert_int_equal(json_array_size(json_object_get(json, "users")), 2);
    json_decref(json);
    event_unref(event);
    buf_fini(&body);
}

static void text_is_quoted_as_json_wants_it(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 1024);
    json_quote(&out, SPAN("a\"b\\c\n\xe4\xb8\x80"));
    assert_int_equal(buf_status(&out), ERR_NONE);
    assert_memory_equal(out.data, "\"a\\\"b\\\\c\\n\xe4\xb8\x80\"", out.size);
    buf_fini(&out);
}

static void any_character_at_any_place_is_quoted_right(void **state)
{
    char text[20];
    struct buf out;
    json_t *back;

    (void)state;
    buf_init(&out, 1000);
    for (size_t place = 0; place < sizeof text; place++)
        for (int c = 1; c < 128; c++) {
            memset(text, 'a', sizeof text);
            text[place] = (char)c;
            buf_reset(&out);
            json_quote(&out, (struct span){text, sizeof text});
            back = json_loadb(out.data, out.size, JSON_DECODE_ANY, NULL);
            assert_int_equal(json_string_length(back), sizeof text);
            assert_memory_equal(json_string_value(back), text, sizeof text);
            json_decref(back);
        }
    buf_fini(&out);
}

static void a_cursor_survives_the_way_out_and_back(void **state)
{
    char text[CURSOR_MAX_BYTES], epoch[9];
    lsn at;

    (void)state;
    cursor_write(text, EPOCH, 9007199254740991);
    assert_int_equal(cursor_parse(span_of(text), epoch, &at), ERR_NONE);
    assert_string_equal(epoch, EPOCH);
    assert_true(at == 9007199254740991);
    assert_int_equal(cursor_parse(SPAN("0"), epoch, &at), ERR_NONE);
    assert_int_equal(at, 0);
    assert_string_equal(epoch, "");
}

static void what_is_no_cursor_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "1",
                                      "00",
                                      EPOCH,
                                      EPOCH "-",
                                      EPOCH "-x",
                                      EPOCH "-01",
                                      "5F3A1C22-1",
                                      "5f3a1c2-12",
                                      EPOCH "--1",
                                      EPOCH "-1 ",
                                      " " EPOCH "-1",
                                      EPOCH "-99999999999999999",
                                      "5f3a1c22_1042"};
    char epoch[9];
    lsn at;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(cursor_parse(span_of(bad[i]), epoch, &at),
                         ERR_BAD_REQUEST);
}

static void all_readers_of_a_burst_share_its_bytes(void **state)
{
    struct entry entry = a_message();
    struct burst *burst = burst_create(EPOCH);
    struct shared *bytes;

    (void)state;
    assert_true(burst_add(burst, event_of_entry(EPOCH, &entry)));
    entry.lsn = 1050;
    assert_true(burst_add(burst, event_of_entry(EPOCH, &entry)));
    assert_int_equal(burst->first, 1042);
    assert_int_equal(burst->last, 1050);
    bytes = burst_bytes(burst, FORMAT_ARRAY);
    assert_non_null(bytes);
    assert_ptr_equal(bytes, burst_bytes(burst, FORMAT_ARRAY));
    assert_int_equal(bytes->size, burst->json_bytes + 1);
    burst_unref(burst);
}

static void a_burst_is_one_frame(void **state)
{
    struct burst *burst = burst_create(EPOCH);
    struct shared *array, *frame;

    (void)state;
    assert_true(burst_add(burst, event_heartbeat(EPOCH, 5, 1)));
    assert_true(burst_add(burst, event_bye("draining", "going", 7)));
    array = burst_bytes(burst, FORMAT_ARRAY);
    frame = burst_bytes(burst, FORMAT_FRAME);
    assert_int_equal(frame->size, array->size + 4);
    assert_memory_equal(frame->data, "\x81\x7e", 2);
    /* The same but for what stands between the objects. */
    *strchr(frame->data + 4, '\n') = ',';
    assert_memory_equal(frame->data + 4, array->data, array->size);
    burst_unref(burst);
}

/* What it cannot hold it lets go of. */
static void a_burst_of_one_event_takes_it(void **state)
{
    struct event *event = event_heartbeat(EPOCH, 5, 1);
    struct burst *burst = burst_of(EPOCH, event_ref(event));

    (void)state;
    assert_int_equal(burst->count, 1);
    assert_int_equal(burst->last, 5);
    burst_unref(burst);
    assert_null(burst_of(EPOCH, NULL));
    mem_fail_nth(1);
    assert_null(burst_of(EPOCH, event_ref(event)));
    mem_fail_nth(0);
    assert_int_equal(event->refs, 1);
    event_unref(event);
}

static void sse_carries_cursor_kind_and_data(void **state)
{
    struct burst *burst = burst_of(EPOCH, event_bye("draining", "going", 7));
    struct shared *bytes;
    const char *expected = "event: bye\ndata: ";

    (void)state;
    bytes = burst_bytes(burst, FORMAT_SSE);
    assert_memory_equal(bytes->data, expected, strlen(expected));
    assert_memory_equal(bytes->data + bytes->size - 2, "\n\n", 2);
    burst_unref(burst);

    burst = burst_of(EPOCH, event_heartbeat(EPOCH, 5, 1));
    bytes = burst_bytes(burst, FORMAT_SSE);
    expected = "id: " EPOCH "-5\nevent: heartbeat\ndata: {";
    assert_memory_equal(bytes->data, expected, strlen(expected));
    burst_unref(burst);
}

static void each_line_ends(void **state)
{
    struct burst *burst = burst_create(EPOCH);
    struct event *one = event_heartbeat(EPOCH, 5, 1);
    struct event *two = event_heartbeat(EPOCH, 66, 1);
    struct shared *bytes;

    (void)state;
    assert_true(burst_add(burst, one));
    assert_true(burst_add(burst, two));
    bytes = burst_bytes(burst, FORMAT_LINES);
    assert_int_equal(bytes->size, one->size + two->size + 2);
    assert_memory_equal(bytes->data, one->json, one->size);
    assert_int_equal(bytes->data[one->size], '\n');
    assert_memory_equal(bytes->data + one->size + 1, two->json, two->size);
    assert_int_equal(bytes->data[bytes->size - 1], '\n');
    burst_unref(burst);
}

static void a_part_is_an_array_of_the_length_it_says(void **state)
{
    struct burst *burst = burst_create(EPOCH);
    struct event *one = event_heartbeat(EPOCH, 5, 1);
    struct event *two = event_heartbeat(EPOCH, 66, 1);
    struct shared *bytes;
    char expected[512];

    (void)state;
    assert_true(burst_add(burst, one));
    assert_true(burst_add(burst, two));
    snprintf(expected, sizeof(expected),
             "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n"
             "[%.*s,%.*s]\r\n--rung\r\n",
             one->size + two->size + 3, (int)one->size, one->json,
             (int)two->size, two->json);
    bytes = burst_bytes(burst, FORMAT_PART);
    assert_int_equal(bytes->size, strlen(expected));
    assert_memory_equal(bytes->data, expected, bytes->size);
    burst_unref(burst);
}

static void a_bye_carries_an_error_of_the_contract(void **state)
{
    static const char *const expected[][2] = {
        {"draining", "unavailable"},
        {"recycled", "unavailable"},
        {"token_expired", "token_expired"},
        {"not_member", "not_member"}};

    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        struct event *event = event_bye(expected[i][0], "words", 7);
        json_t *json = parsed(event);

        assert_string_equal(text_of(json, "reason"), expected[i][0]);
        assert_string_equal(text_of(json_object_get(json, "error"), "code"),
                            expected[i][1]);
        json_decref(json);
        event_unref(event);
    }
}

static void short_memory_yields_no_event_and_no_leak(void **state)
{
    struct entry entry = a_message();

    (void)state;
    for (size_t nth = 1;; nth++) {
        struct event *event;

        mem_fail_nth(nth);
        event = event_of_entry(EPOCH, &entry);
        mem_fail_nth(0);
        if (event) {
            event_unref(event);
            assert_true(nth > 1);
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_reads_as_the_contract_says),
        cmocka_unit_test(a_receipt_names_who_and_how_far),
        cmocka_unit_test(a_trimmed_message_shows_nothing),
        cmocka_unit_test(a_group_shows_its_name_and_members),
        cmocka_unit_test(text_is_quoted_as_json_wants_it),
        cmocka_unit_test(any_character_at_any_place_is_quoted_right),
        cmocka_unit_test(a_cursor_survives_the_way_out_and_back),
        cmocka_unit_test(what_is_no_cursor_is_refused),
        cmocka_unit_test(all_readers_of_a_burst_share_its_bytes),
        cmocka_unit_test(a_burst_is_one_frame),
        cmocka_unit_test(a_burst_of_one_event_takes_it),
        cmocka_unit_test(sse_carries_cursor_kind_and_data),
        cmocka_unit_test(each_line_ends),
        cmocka_unit_test(a_part_is_an_array_of_the_length_it_says),
        cmocka_unit_test(a_bye_carries_an_error_of_the_contract),
        cmocka_unit_test(short_memory_yields_no_event_and_no_leak),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
