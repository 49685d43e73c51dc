/* Socket.IO packets: what comes in is checked and stays the text that it is. */
#include "server/base/mem.h"
#include "transports/sio_packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static struct sio_packet packet_of(const char *text)
{
    struct sio_packet packet;
    enum err err = sio_read(SIO_PROTOCOL_5, span_of(text), &packet);

    if (err)
        print_error("refused: %s\n", text);
    assert_int_equal(err, ERR_NONE);
    return packet;
}

static void refused_by(enum sio_protocol protocol, const char *text)
{
    struct sio_packet packet;
    enum err err = sio_read(protocol, span_of(text), &packet);

    if (err != ERR_BAD_REQUEST)
        print_error("accepted: %s\n", text);
    assert_int_equal(err, ERR_BAD_REQUEST);
}

static void refused(const char *text)
{
    refused_by(SIO_PROTOCOL_5, text);
}

static void accepted(const char *text)
{
    (void)packet_of(text);
}

/* --- the head ------------------------------------------------------------- */

/* The examples of the published protocol. */
static void the_examples_are_understood(void **state)
{
    struct sio_packet p;

    (void)state;
    p = packet_of("0");
    assert_true(p.type == SIO_CONNECT && !p.data.data && !p.has_id);
    assert_true(span_is(p.space, "/"));

    p = packet_of("0/admin,{\"sid\":\"oSO0OpakMV_3jnilAAAA\"}");
    assert_true(p.type == SIO_CONNECT && span_is(p.space, "/admin"));
    assert_true(span_is(p.data, "{\"sid\":\"oSO0OpakMV_3jnilAAAA\"}"));

    p = packet_of("1/admin,");
    assert_true(p.type == SIO_DISCONNECT && span_is(p.space, "/admin"));

    p = packet_of("2[\"hello\",1]");
    assert_true(p.type == SIO_EVENT && sio_says(&p.name, "hello"));
    assert_true(span_is(p.args, "1") && !p.attachments);

    p = packet_of("2/admin,456[\"project:delete\",123]");
    assert_true(p.has_id && p.id == 456 && span_is(p.space, "/admin"));
    assert_true(sio_says(&p.name, "project:delete"));

    p = packet_of("3/admin,456[]");
    assert_true(p.type == SIO_ACK && p.id == 456 && !p.args.size);

    p = packet_of("4/admin,{\"message\":\"Not authorized\"}");
    assert_true(p.type == SIO_CONNECT_ERROR);

    p = packet_of("51-[\"hello\",{\"_placeholder\":true,\"num\":0}]");
    assert_true(p.type == SIO_BINARY_EVENT && p.attachments == 1);
    assert_true(span_is(p.args, "{\"_placeholder\":true,\"num\":0}"));

    p = packet_of("61-/admin,456[{\"_placeholder\":true,\"num\":0}]");
    assert_true(p.type == SIO_BINARY_ACK && p.id == 456);
}

static void a_namespace_ends_at_the_comma_or_the_end(void **state)
{
    char text[SIO_NAMESPACE_MAX + 8];

    (void)state;
    assert_true(span_is(packet_of("0/a").space, "/a"));
    assert_true(span_is(packet_of("0/a,").space, "/a"));
    assert_true(span_is(packet_of("0/a?b=c,").space, "/a?b=c"));
    assert_true(span_is(packet_of("2/1,[\"a\"]").space, "/1"));
    refused("2/a[\"a\"]");
    memset(text, 'n', sizeof(text));
    memcpy(text, "0/", 2);
    text[1 + SIO_NAMESPACE_MAX] = '\0';
    accepted(text);
    text[1 + SIO_NAMESPACE_MAX] = 'n';
    text[2 + SIO_NAMESPACE_MAX] = '\0';
    refused(text);
}

static void types_that_are_none_are_refused(void **state)
{
    (void)state;
    refused("");
    refused("7");
    refused("abc");
    refused("-1");
    refused("[\"a\"]");
}

static void an_ack_id_is_bounded(void **state)
{
    struct sio_packet p = packet_of("39007199254740991[]");

    (void)state;
    assert_true(p.has_id && p.id == SIO_ID_MAX);
    refused("39007199254740992[]");
    refused("399999999999999999999999[]");
    accepted("20[\"a\"]");
    accepted("3[]"); /* it names nothing: for the caller to overlook */
    refused("2-1[\"a\"]");
    refused("2abc[\"a\"]");
    refused("21.5[\"a\"]");
}

static void the_number_of_attachments_is_bounded(void **state)
{
    (void)state;
    accepted("510-[\"a\"]");
    refused("511-[\"a\"]");
    refused("50-[\"a\"]");
    refused("5-[\"a\"]");
    refused("5[\"a\"]");
    refused("51[\"a\"]");
    refused("5-1-[\"a\"]");
    refused("599999999999999999999999-[\"a\"]");
    refused("51e0-[\"a\"]");
    refused("61");
}

/* --- data ----------------------------------------------------------------- */

static void each_type_has_its_data(void **state)
{
    static const char *const wrong[] = {
        "0[]",         "0\"a\"",    "0{",        "0null",
        "1{}",         "1\"a\"",    "2",         "2{}",
        "2[]",         "2\"a\"",    "2[",        "2[\"a\"",
        "2[\"a\"]x",   "2[null]",   "2[{}]",     "2[true]",
        "2[[\"a\"]]",  "3",         "31",        "3{}",
        "31{\"a\":1}", "4[]",       "51-",       "51-{}",
        "61-{}",       "2[\"a\",]", "2[,\"a\"]", "2[\"a\" \"b\"]",
        "2[\"\xff\"]",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++)
        refused(wrong[i]);
    accepted("0{}");
    accepted("4\"a\"");
    accepted("4{}");
    accepted("2[1]");
    accepted("2[0.5,\"a\"]");
    accepted("2[\"\"]");
    accepted("31[null]");
}

static void reserved_names_are_refused(void **state)
{
    static const char *const names[] = {
        "connect",     "connect_error",  "disconnect",    "disconnecting",
        "newListener", "removeListener", "\\u0063onnect", "disconnec\\u0074"};
    char text[64];

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        snprintf(text, sizeof(text), "2[\"%s\"]", names[i]);
        refused(text);
        snprintf(text, sizeof(text), "51-/a,1[\"%s\",1]", names[i]);
        refused(text);
        snprintf(text, sizeof(text), "31[\"%s\"]", names[i]);
        accepted(text); /* an ack's argument, no name */
        snprintf(text, sizeof(text), "2[\"a\",\"%s\"]", names[i]);
        accepted(text);
    }
    assert_true(sio_is_reserved(SPAN("disconnecting")));
    assert_false(sio_is_reserved(SPAN("Connect")));
    accepted("2[\"connected\"]");
    accepted("2[\"Connect\"]");
}

static void arguments_are_the_text_that_came(void **state)
{
    static const struct {
        const char *text, *args;
    } cases[] = {
        {"2[\"a\"]", ""},
        {"2[ \"a\" ]", ""},
        {"2[\"a\" , 1 , 2 ]", "1 , 2"},
        {"2[\"a\",\"\\u0000\\ud800\",1e999]", "\"\\u0000\\ud800\",1e999"},
        {"2[\"a\",{\"b\":1,\"b\":2}]", "{\"b\":1,\"b\":2}"},
        {"2[7,123456789012345678901]", "123456789012345678901"},
        {"31[ ]", ""},
        {"31[ [1,2],null ]", "[1,2],null"},
        {"2\n[\"a\",1]\t", "1"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_true(span_is(packet_of(cases[i].text).args, cases[i].args));
}

static void arguments_come_one_by_one(void **state)
{
    struct sio_packet p = packet_of("2[\"to\",\"room\", \"x\" ,[1,2],3]");
    struct jtext value;

    (void)state;
    assert_true(sio_next(&p.args, &value) && sio_says(&value, "room"));
    assert_true(sio_next(&p.args, &value) && sio_says(&value, "x"));
    assert_true(sio_next(&p.args, &value));
    assert_true(value.kind == JTEXT_ARRAY && !sio_says(&value, "[1,2]"));
    assert_true(sio_next(&p.args, &value) && value.kind == JTEXT_INTEGER);
    assert_false(sio_next(&p.args, &value));
}

static void nesting_is_bounded(void **state)
{
    const size_t deep = 100000;
    char *text = malloc(2 * deep + 16);
    size_t size = 0;

    (void)state;
    assert_non_null(text);
    size += (size_t)snprintf(text, 16, "2[\"a\",");
    memset(text + size, '[', deep);
    memset(text + size + deep, ']', deep);
    strcpy(text + size + 2 * deep, "]");
    refused(text);
    free(text);
    accepted("2[\"a\",[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
             "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
}

/* --- placeholders --------------------------------------------------------- */

static void placeholders_name_attachments_that_there_are(void **state)
{
    (void)state;
    accepted("52-[\"a\",{\"_placeholder\":true,\"num\":1},"
             "[{\"x\":{\"num\":0,\"_placeholder\":true}}]]");
    refused("51-[\"a\",{\"_placeholder\":true,\"num\":1}]");
    refused("51-[\"a\",{\"_placeholder\":true,\"num\":-1}]");
    refused("51-[\"a\",{\"_placeholder\":true,\"num\":0.5}]");
    refused("51-[\"a\",{\"_placeholder\":true,\"num\":\"0\"}]");
    refused("51-[\"a\",{\"_placeholder\":true,\"num\":99999999999999999999}]");
    refused("51-[\"a\",{\"_placeholder\":true}]");
    refused("51-[\"a\",{\"x\":[{\"_\\u0070laceholder\":true,\"num\":1}]}]");
    refused("61-1[{\"_placeholder\":true,\"num\":1}]");
}

/* The reference server takes bytes that nothing names, and names twice. */
static void what_the_reference_server_lets_pass_passes(void **state)
{
    (void)state;
    accepted("51-[\"a\"]");
    accepted("51-[\"a\",{\"_placeholder\":true,\"num\":0},"
             "{\"_placeholder\":true,\"num\":0}]");
    accepted("51-[\"a\",{\"_placeholder\":\"true\",\"num\":7}]");
    accepted("51-[\"a\",{\"_placeholder\":false}]");
}

static void look_alikes_in_plain_packets_are_data(void **state)
{
    (void)state;
    assert_true(
        span_is(packet_of("2[\"a\",{\"_placeholder\":true,\"num\":7}]").args,
                "{\"_placeholder\":true,\"num\":7}"));
    accepted("31[{\"_placeholder\":true,\"num\":-7}]");
}

/* --- protocol 4 ----------------------------------------------------------- */

static void protocol_4_has_a_query_and_any_error(void **state)
{
    struct sio_packet p;

    (void)state;
    assert_int_equal(
        sio_read(SIO_PROTOCOL_4, SPAN("0/chat?token=a%20b&c=,"), &p), ERR_NONE);
    assert_true(span_is(p.space, "/chat") &&
                span_is(p.query, "token=a%20b&c="));
    assert_int_equal(sio_read(SIO_PROTOCOL_4, SPAN("0/chat"), &p), ERR_NONE);
    assert_true(span_is(p.space, "/chat") && !p.query.size);
    assert_int_equal(sio_read(SIO_PROTOCOL_4, SPAN("4[\"no\"]"), &p), ERR_NONE);
    assert_int_equal(sio_read(SIO_PROTOCOL_4, SPAN("4\"no\""), &p), ERR_NONE);
    assert_int_equal(sio_read(SIO_PROTOCOL_4, SPAN("2/a,1[\"b\"]"), &p),
                     ERR_NONE);
    refused_by(SIO_PROTOCOL_4, "2[\"connect\"]");
    refused_by(SIO_PROTOCOL_4, "2[{}]");
}

/* --- writing -------------------------------------------------------------- */

static void assert_written(struct buf *out, const char *expected)
{
    assert_int_equal(buf_status(out), ERR_NONE);
    assert_int_equal(out->size, strlen(expected));
    assert_memory_equal(out->data, expected, out->size);
    buf_fini(out);
}

static void what_is_written_is_what_is_read(void **state)
{
    const uint64_t id = 456;
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    sio_write_head(&out, SIO_CONNECT, 0, SPAN("/"), NULL);
    assert_written(&out, "0");
    sio_write_head(&out, SIO_CONNECT_ERROR, 0, SPAN("/admin"), NULL);
    assert_written(&out, "4/admin,");
    sio_write_event(&out, 0, SPAN("/"), NULL, SPAN("hello"), SPAN("1,\"a\""));
    assert_written(&out, "2[\"hello\",1,\"a\"]");
    sio_write_event(&out, 0, SPAN("/a"), &id, SPAN("\"\n"), SPAN(""));
    assert_written(&out, "2/a,456[\"\\\"\\n\"]");
    sio_write_event(&out, 2, SPAN("/a"), NULL, SPAN("b"), SPAN("1"));
    assert_written(&out, "52-/a,[\"b\",1]");
    sio_write_ack(&out, 0, SPAN("/"), 7, SPAN(""));
    assert_written(&out, "37[]");
    sio_write_ack(&out, 1, SPAN("/a"), 7,
                  SPAN("{\"_placeholder\":true,\"num\":0}"));
    assert_written(&out, "61-/a,7[{\"_placeholder\":true,\"num\":0}]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_are_understood),
        cmocka_unit_test(a_namespace_ends_at_the_comma_or_the_end),
        cmocka_unit_test(types_that_are_none_are_refused),
        cmocka_unit_test(an_ack_id_is_bounded),
        cmocka_unit_test(the_number_of_attachments_is_bounded),
        cmocka_unit_test(each_type_has_its_data),
        cmocka_unit_test(reserved_names_are_refused),
        cmocka_unit_test(arguments_are_the_text_that_came),
        cmocka_unit_test(arguments_come_one_by_one),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(placeholders_name_attachments_that_there_are),
        cmocka_unit_test(what_the_reference_server_lets_pass_passes),
        cmocka_unit_test(look_alikes_in_plain_packets_are_data),
        cmocka_unit_test(protocol_4_has_a_query_and_any_error),
        cmocka_unit_test(what_is_written_is_what_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
