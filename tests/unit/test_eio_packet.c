/* Engine.IO packets: what comes in, and what goes out, in both protocols. The
 * bytes are those of the reference parser (engine.io-parser 5 and 2). */
#include "server/base/mem.h"
#include "transports/eio_packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
#define RS "\x1e"
#define SMILEY "\xf0\x9f\x98\x80" /* U+1F600: two UTF-16 code units */
#define EURO "\xe2\x82\xac"       /* U+20AC: one */

/* A packet in short: its digit, 'b' for bytes, its data. */
static void note(struct buf *out, const struct eio_packet *packet)
{
    buf_printf(out, "%d%s<", (int)packet->type, packet->binary ? "b" : "");
    buf_append_span(out, packet->data);
    buf_append_text(out, ">");
}

static enum err read_all(enum eio_protocol protocol, struct span body,
                         bool octets, struct buf *notes)
{
    struct eio_payload in;
    struct eio_packet packet;
    struct buf scratch;
    enum err err;

    buf_init(&scratch, 65536);
    eio_payload_begin(&in, protocol, body, octets);
    while (!(err = eio_payload_next(&in, &scratch, &packet)))
        note(notes, &packet);
    buf_fini(&scratch);
    return err;
}

static void assert_reads(enum eio_protocol protocol, bool octets,
                         struct span body, enum err end, const char *expected)
{
    struct buf notes;

    buf_init(&notes, 65536);
    assert_int_equal(read_all(protocol, body, octets, &notes), end);
    assert_int_equal(notes.size, strlen(expected));
    assert_memory_equal(notes.data, expected, notes.size);
    buf_fini(&notes);
}

static void assert_frame(enum eio_protocol protocol, bool binary,
                         struct span frame, const char *expected)
{
    struct eio_packet packet;
    struct buf scratch, notes;
    enum err err;

    buf_init(&scratch, 4096);
    buf_init(&notes, 4096);
    err = eio_read_frame(protocol, frame, binary, &scratch, &packet);
    if (!expected) {
        assert_int_equal(err, ERR_BAD_REQUEST);
    } else {
        assert_int_equal(err, ERR_NONE);
        note(&notes, &packet);
        assert_int_equal(notes.size, strlen(expected));
        assert_memory_equal(notes.data, expected, notes.size);
    }
    buf_fini(&notes);
    buf_fini(&scratch);
}

/* --- one packet ----------------------------------------------------------- */

static void a_frame_begins_with_its_type(void **state)
{
    (void)state;
    for (int v = EIO_PROTOCOL_3; v <= EIO_PROTOCOL_4; v++) {
        assert_frame(v, false, SPAN("2probe"), "2<probe>");
        assert_frame(v, false, SPAN("4"), "4<>");
        assert_frame(v, false, SPAN("4" RS EURO), "4<" RS EURO ">");
        assert_frame(v, false, SPAN("6"), "6<>");
        assert_frame(v, false, SPAN(""), NULL);
        assert_frame(v, false, SPAN("7"), NULL);
        assert_frame(v, false, SPAN("x"), NULL);
        assert_frame(v, false, SPAN("-1"), NULL);
    }
}

static void a_binary_frame_is_a_message(void **state)
{
    (void)state;
    assert_frame(EIO_PROTOCOL_4, true, SPAN("\x04hi"), "4b<\x04hi>");
    assert_frame(EIO_PROTOCOL_4, true, SPAN(""), "4b<>");
    /* protocol 3 has the type in front */
    assert_frame(EIO_PROTOCOL_3, true, SPAN("\x04hi"), "4b<hi>");
    assert_frame(EIO_PROTOCOL_3, true, SPAN("\x04"), "4b<>");
    assert_frame(EIO_PROTOCOL_3, true, SPAN("\x07hi"), NULL);
    assert_frame(EIO_PROTOCOL_3, true, SPAN("4hi"), NULL);
    assert_frame(EIO_PROTOCOL_3, true, SPAN(""), NULL);
}

static void base64_is_bytes(void **state)
{
    static const struct {
        const char *text, *note; /* NULL: refused */
    } cases[] = {
        {"", "4b<>"},
        {"aGk=", "4b<hi>"},
        {"aA==", "4b<h>"},
        {"aGV5", "4b<hey>"},
        {"aGk", "4b<hi>"},
        {"aA", "4b<h>"},
        {"aGV5aGk=", "4b<heyhi>"},
        {"+/+/", "4b<\xfb\xff\xbf>"},
        {"a", NULL},
        {"aGV5a", NULL},
        {"aG=k", NULL},
        {"a===", NULL},
        {"====", NULL},
        {"aGk=aGk=", NULL},
        {" aGk=", NULL},
        {"aGk=\n", NULL},
        {"aG-_", NULL},
        {"aG\x80=", NULL},
    };
    char frame[32];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        snprintf(frame, sizeof(frame), "b%s", cases[i].text);
        assert_frame(EIO_PROTOCOL_4, false, span_of(frame), cases[i].note);
        snprintf(frame, sizeof(frame), "b4%s", cases[i].text);
        assert_frame(EIO_PROTOCOL_3, false, span_of(frame), cases[i].note);
    }
    assert_frame(EIO_PROTOCOL_3, false, SPAN("b"), NULL);
    assert_frame(EIO_PROTOCOL_3, false, SPAN("bx"), NULL);
}

/* --- payloads ------------------------------------------------------------- */

static void packets_stand_between_separators(void **state)
{
    (void)state;
    assert_reads(EIO_PROTOCOL_4, false, SPAN("4hello"), ERR_END, "4<hello>");
    assert_reads(EIO_PROTOCOL_4, false,
                 SPAN("4a" RS "3" RS "baGk=" RS "4" EURO), ERR_END,
                 "4<a>3<>4b<hi>4<" EURO ">");
    assert_reads(EIO_PROTOCOL_4, false, SPAN("4\n\\\"\t"), ERR_END,
                 "4<\n\\\"\t>");
}

/* What came before the malformed one was said. */
static void a_payload_is_good_up_to_where_it_is_malformed(void **state)
{
    static const char *const bodies[] = {
        "4a" RS,         "4a" RS RS "4b", "4a" RS "abc",
        "4a" RS "4\xff", "4a" RS "b*",    "4a" RS "4\xed\xa0\x80"};

    (void)state;
    for (size_t i = 0; i < COUNT(bodies); i++)
        assert_reads(EIO_PROTOCOL_4, false, span_of(bodies[i]), ERR_BAD_REQUEST,
                     "4<a>");
    assert_reads(EIO_PROTOCOL_4, false, SPAN(""), ERR_BAD_REQUEST, "");
    assert_reads(EIO_PROTOCOL_4, false, SPAN(RS), ERR_BAD_REQUEST, "");
    assert_reads(EIO_PROTOCOL_4, false, SPAN("\x00"), ERR_BAD_REQUEST, "");
}

static void lengths_count_utf16_units(void **state)
{
    (void)state;
    assert_reads(EIO_PROTOCOL_3, false, SPAN("6:4hello2:4" EURO), ERR_END,
                 "4<hello>4<" EURO ">");
    assert_reads(EIO_PROTOCOL_3, false, SPAN("3:4" SMILEY "1:2"), ERR_END,
                 "4<" SMILEY ">2<>");
    assert_reads(EIO_PROTOCOL_3, false, SPAN("6:b4aGk=4:4a:b"), ERR_END,
                 "4b<hi>4<a:b>");
    assert_reads(EIO_PROTOCOL_3, false, SPAN("0:"), ERR_END, "");
    assert_reads(EIO_PROTOCOL_3, false, SPAN("0:1:20:"), ERR_END, "2<>");
}

static void a_length_that_lies_is_malformed(void **state)
{
    static const char *const bodies[] = {
        "1:23:4a",  "1:2x",
        "1:22",     "1:2:",
        "1:2-1:2",  "1:21:",
        "1:21.0:2", "1:299999999999:4",
        "1:21:9",   "1:22:4\xf0\x9f\x98\x80", /* cut in two */
    };

    (void)state;
    for (size_t i = 0; i < COUNT(bodies); i++)
        assert_reads(EIO_PROTOCOL_3, false, span_of(bodies[i]), ERR_BAD_REQUEST,
                     "2<>");
    assert_reads(EIO_PROTOCOL_3, false, SPAN(""), ERR_BAD_REQUEST, "");
    assert_reads(EIO_PROTOCOL_3, false, SPAN("2:4\xff"), ERR_BAD_REQUEST, "");
}

static void octets_count_bytes(void **state)
{
    (void)state;
    assert_reads(EIO_PROTOCOL_3, true,
                 SPAN("\x00\x04\xff"
                      "4" EURO "\x01\x03\xff\x04"
                      "hi"),
                 ERR_END, "4<" EURO ">4b<hi>");
    assert_reads(EIO_PROTOCOL_3, true,
                 SPAN("\x00\x01\x01\xff"
                      "40123456789"),
                 ERR_END, "4<0123456789>");
    assert_reads(EIO_PROTOCOL_3, true,
                 SPAN("\x02\x01\xff"
                      "2"),
                 ERR_BAD_REQUEST, "");
    assert_reads(EIO_PROTOCOL_3, true,
                 SPAN("\x00\x02\xff"
                      "2"),
                 ERR_BAD_REQUEST, "");
    assert_reads(EIO_PROTOCOL_3, true,
                 SPAN("\x00\xff"
                      "2"),
                 ERR_BAD_REQUEST, "");
    assert_reads(EIO_PROTOCOL_3, true, SPAN("\x00\x01"), ERR_BAD_REQUEST, "");
    assert_reads(EIO_PROTOCOL_3, true,
                 SPAN("\x00\x02\xff"
                      "4\xff"),
                 ERR_BAD_REQUEST, "");
    assert_reads(EIO_PROTOCOL_3, true, SPAN("\x01\x00\xff"), ERR_BAD_REQUEST,
                 "");
}

static void a_payload_that_memory_does_not_hold_is_not_malformed(void **state)
{
    struct buf notes;

    (void)state;
    buf_init(&notes, 4096);
    mem_fail_nth(1);
    assert_int_equal(read_all(EIO_PROTOCOL_4, SPAN("baGk="), false, &notes),
                     ERR_NOMEM);
    mem_fail_nth(0);
    buf_fini(&notes);
}

/* --- JSONP's form --------------------------------------------------------- */

static void assert_form(const char *body, enum err err, const char *expected)
{
    struct buf payload;

    buf_init(&payload, 4096);
    assert_int_equal(eio_form_read(span_of(body), &payload), err);
    if (!err) {
        assert_int_equal(payload.size, strlen(expected));
        assert_memory_equal(payload.data, expected, payload.size);
    }
    buf_fini(&payload);
}

static void a_form_holds_the_payload(void **state)
{
    (void)state;
    assert_form("d=4%3A4abc", ERR_NONE, "4:4abc");
    assert_form("d=a+b%2Bc", ERR_NONE, "a b+c");
    assert_form("x=1&d=%E2%82%AC&d=2", ERR_NONE, EURO);
    assert_form("d=", ERR_NONE, "");
    assert_form("e=1", ERR_BAD_REQUEST, NULL);
    assert_form("", ERR_BAD_REQUEST, NULL);
    assert_form("d=%zz", ERR_BAD_REQUEST, NULL);
    assert_form("d=%ff", ERR_BAD_REQUEST, NULL);
}

/* The client wrote "\n" for a line feed, and "\\n" where "\n" stood, since a
 * browser's form makes line feeds its own. */
static void a_form_escapes_line_feeds(void **state)
{
    (void)state;
    assert_form("d=a\\nb", ERR_NONE, "a\nb");
    assert_form("d=a\\\\nb", ERR_NONE, "a\\nb");
    assert_form("d=a\\\\\\nb", ERR_NONE, "a\\\\nb");
    assert_form("d=\\\\n\\n\\", ERR_NONE, "\\n\n\\");
    assert_form("d=\\t\\\\", ERR_NONE, "\\t\\\\");
}

/* --- writing -------------------------------------------------------------- */

static const struct eio_packet hello = {EIO_MESSAGE, false, {"hello", 5}};
static const struct eio_packet bytes = {
    EIO_MESSAGE, true, {"\x01\x02\x03\x04", 4}};
static const struct eio_packet smiley = {EIO_MESSAGE, false, {SMILEY EURO, 7}};
static const struct eio_packet ping = {EIO_PING, false, {NULL, 0}};

static void assert_written(struct buf *out, struct span expected)
{
    assert_int_equal(buf_status(out), ERR_NONE);
    assert_int_equal(out->size, expected.size);
    assert_memory_equal(out->data, expected.data, out->size);
    buf_fini(out);
}

static void a_frame_is_written_as_it_is_read(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    eio_write_frame(&out, EIO_PROTOCOL_4, &hello);
    assert_written(&out, SPAN("4hello"));
    eio_write_frame(&out, EIO_PROTOCOL_4, &bytes);
    assert_written(&out, SPAN("\x01\x02\x03\x04"));
    eio_write_frame(&out, EIO_PROTOCOL_3, &bytes);
    assert_written(&out, SPAN("\x04\x01\x02\x03\x04"));
    eio_write_frame(&out, EIO_PROTOCOL_3, &ping);
    assert_written(&out, SPAN("2"));
}

static void assert_answer(enum eio_protocol protocol, enum eio_form form,
                          struct span expected)
{
    struct eio_answer answer;
    struct buf out;

    buf_init(&out, 4096);
    eio_answer_begin(&answer, &out, protocol, form, SPAN("1a2]"), 1000);
    assert_true(eio_answer_add(&answer, &hello));
    assert_true(eio_answer_add(&answer, &bytes));
    assert_true(eio_answer_add(&answer, &smiley));
    assert_true(eio_answer_add(&answer, &ping));
    eio_answer_end(&answer);
    assert_written(&out, expected);
}

static void an_answer_holds_packets_in_every_form(void **state)
{
    (void)state;
    assert_answer(EIO_PROTOCOL_4, EIO_FORM_TEXT,
                  SPAN("4hello" RS "bAQIDBA==" RS "4" SMILEY EURO RS "2"));
    assert_answer(EIO_PROTOCOL_3, EIO_FORM_TEXT,
                  SPAN("6:4hello10:b4AQIDBA==4:4" SMILEY EURO "1:2"));
    assert_answer(EIO_PROTOCOL_3, EIO_FORM_OCTETS,
                  SPAN("\x00\x06\xff"
                       "4hello\x01\x05\xff\x04\x01\x02\x03\x04\x00\x08\xff"
                       "4" SMILEY EURO "\x00\x01\xff"
                       "2"));
    assert_answer(
        EIO_PROTOCOL_3, EIO_FORM_JSONP,
        SPAN("___eio[12](\"6:4hello10:b4AQIDBA==4:4" SMILEY EURO "1:2\");"));
    assert_answer(EIO_PROTOCOL_4, EIO_FORM_JSONP,
                  SPAN("___eio[12](\"4hello\\u001EbAQIDBA==\\u001E4" SMILEY EURO
                       "\\u001E2\");"));
}

static void a_script_has_no_line_ends_of_its_own(void **state)
{
    static const struct eio_packet packet = {
        EIO_MESSAGE, false, {"\"\\\n\xe2\x80\xa8</script>", 15}};
    struct eio_answer answer;
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    buf_append_text(&out, "/**/"); /* what stood before stays */
    eio_answer_begin(&answer, &out, EIO_PROTOCOL_3, EIO_FORM_JSONP, SPAN("0"),
                     1000);
    assert_true(eio_answer_add(&answer, &packet));
    eio_answer_end(&answer);
    assert_written(&out, SPAN("/**/___eio[0](\"14:4\\\"\\\\\\n\\u2028"
                              "\\u003c/script\\u003e\");"));
}

static void an_answer_is_full_at_some_point(void **state)
{
    struct eio_answer answer;
    struct buf out;

    (void)state;
    buf_init(&out, 65536);
    eio_answer_begin(&answer, &out, EIO_PROTOCOL_4, EIO_FORM_TEXT, SPAN(""),
                     1000);
    for (int i = 0; i < EIO_POLL_PACKETS; i++)
        assert_true(eio_answer_add(&answer, &ping));
    assert_false(eio_answer_add(&answer, &ping));
    assert_written(&out,
                   SPAN("2" RS "2" RS "2" RS "2" RS "2" RS "2" RS "2" RS "2" RS
                        "2" RS "2" RS "2" RS "2" RS "2" RS "2" RS "2" RS "2"));
}

/* The maximum is inclusive; one packet too large for any answer goes alone. */
static void an_answer_keeps_to_its_bytes(void **state)
{
    struct eio_answer answer;
    struct buf out;

    (void)state;
    for (size_t max = 4; max <= 13; max++) {
        buf_init(&out, 65536);
        eio_answer_begin(&answer, &out, EIO_PROTOCOL_4, EIO_FORM_TEXT, SPAN(""),
                         max);
        assert_true(eio_answer_add(&answer, &hello));
        assert_int_equal(eio_answer_add(&answer, &hello), max == 13);
        assert_int_equal(out.size, max == 13 ? 13 : 6);
        buf_fini(&out);
    }
    buf_init(&out, 65536); /* in base64 it is larger */
    eio_answer_begin(&answer, &out, EIO_PROTOCOL_4, EIO_FORM_TEXT, SPAN(""),
                     6 + 1 + 8);
    assert_true(eio_answer_add(&answer, &hello));
    assert_false(eio_answer_add(&answer, &bytes));
    assert_true(eio_answer_add(&answer, &ping));
    assert_written(&out, SPAN("4hello" RS "2"));
}

static void an_answer_without_memory_says_so(void **state)
{
    struct buf out = {0};
    enum err err;

    (void)state;
    for (size_t nth = 1;; nth++) {
        struct eio_answer answer;

        buf_init(&out, 4096);
        mem_fail_nth(nth);
        eio_answer_begin(&answer, &out, EIO_PROTOCOL_3, EIO_FORM_JSONP,
                         SPAN("0"), 1000);
        (void)eio_answer_add(&answer, &bytes);
        eio_answer_end(&answer);
        err = buf_status(&out);
        buf_fini(&out);
        mem_fail_nth(0);
        if (!err)
            break;
        assert_int_equal(err, ERR_NOMEM);
        assert_true(nth < 100);
    }
}

static void the_handshake_says_what_the_client_needs(void **state)
{
    struct eio_open open = {SPAN("abc"), true, 25000, 20000, 1000000};
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    eio_open_write(&out, &open);
    assert_written(&out, SPAN("{\"sid\":\"abc\",\"upgrades\":[\"websocket\"],"
                              "\"pingInterval\":25000,\"pingTimeout\":20000,"
                              "\"maxPayload\":1000000}"));
    open.may_upgrade = false;
    eio_open_write(&out, &open);
    assert_written(&out, SPAN("{\"sid\":\"abc\",\"upgrades\":[],"
                              "\"pingInterval\":25000,\"pingTimeout\":20000,"
                              "\"maxPayload\":1000000}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_begins_with_its_type),
        cmocka_unit_test(a_binary_frame_is_a_message),
        cmocka_unit_test(base64_is_bytes),
        cmocka_unit_test(packets_stand_between_separators),
        cmocka_unit_test(a_payload_is_good_up_to_where_it_is_malformed),
        cmocka_unit_test(lengths_count_utf16_units),
        cmocka_unit_test(a_length_that_lies_is_malformed),
        cmocka_unit_test(octets_count_bytes),
        cmocka_unit_test(a_payload_that_memory_does_not_hold_is_not_malformed),
        cmocka_unit_test(a_form_holds_the_payload),
        cmocka_unit_test(a_form_escapes_line_feeds),
        cmocka_unit_test(a_frame_is_written_as_it_is_read),
        cmocka_unit_test(an_answer_holds_packets_in_every_form),
        cmocka_unit_test(a_script_has_no_line_ends_of_its_own),
        cmocka_unit_test(an_answer_is_full_at_some_point),
        cmocka_unit_test(an_answer_keeps_to_its_bytes),
        cmocka_unit_test(an_answer_without_memory_says_so),
        cmocka_unit_test(the_handshake_says_what_the_client_needs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
