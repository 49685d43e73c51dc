/* One entry as bytes; the settings line; the digests behind both. */
#include "store/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct entry full_entry(void)
{
    return (struct entry){
        .kind = ENTRY_MESSAGE,
        .flags = ENTRY_NO_ECHO,
        .ts = 1763600000123,
        .app = SPAN("acme"),
        .conversation = SPAN("0:1:alice:bob"),
        .from = SPAN("alice"),
        .device = SPAN("phone"),
        .client_msg_id = SPAN("0192-1"),
        .type = SPAN("text"),
        .body = SPAN("{\"text\":\"hi\"}"),
        .users = {"bob\0carol\0", 10},
        .mark = 3,
        .lsn = UINT64_C(0x1122334455667788),
        .seq = 17,
        .conv = 5,
        .audience = TO_OTHERS,
        .mark_lsn = 4,
    };
}

static struct span encode(struct buf *out, const struct entry *entry)
{
    buf_init(out, 1 << 20);
    entry_encode(out, entry);
    assert_int_equal(buf_status(out), ERR_NONE);
    return (struct span){out->data, out->size};
}

static void an_entry_survives_the_round(void **state)
{
    struct entry entry = full_entry(), back;
    struct buf out;
    struct span bytes = encode(&out, &entry);

    (void)state;
    assert_true(entry_intact(bytes));
    assert_int_equal(entry_decode(&back, bytes), ERR_NONE);
    assert_int_equal(back.kind, entry.kind);
    assert_int_equal(back.flags, entry.flags);
    assert_int_equal(back.ts, entry.ts);
    assert_int_equal(back.lsn, entry.lsn);
    assert_int_equal(back.seq, entry.seq);
    assert_int_equal(back.conv, entry.conv);
    assert_int_equal(back.mark, entry.mark);
    assert_int_equal(back.mark_lsn, entry.mark_lsn);
    assert_int_equal(back.audience, entry.audience);
    assert_true(span_equal(back.app, entry.app));
    assert_true(span_equal(back.conversation, entry.conversation));
    assert_true(span_equal(back.from, entry.from));
    assert_true(span_equal(back.device, entry.device));
    assert_true(span_equal(back.client_msg_id, entry.client_msg_id));
    assert_true(span_equal(back.type, entry.type));
    assert_true(span_equal(back.body, entry.body));
    assert_true(span_equal(back.users, entry.users));
    buf_fini(&out);
}

/* The format is a promise: these bytes are docs/FORMAT.md's example. */
static void the_bytes_are_as_documented(void **state)
{
    static const unsigned char expect[] = {
        1,    1,    0,    0,                        /* MESSAGE, NO_ECHO */
        0,    0,    0,    0,    0,   0,   0,   7,   /* ts */
        0,    0,    0,    0,    0,   0,   0,   2,   /* lsn */
        0,    0,    0,    0,    0,   0,   0,   1,   /* seq */
        0,    0,    0,    0,    0,   0,   0,   2,   /* conv */
        0,    0,    0,    0,    0,   0,   0,   0,   /* mark */
        0,    0,    0,    0,    0,   0,   0,   0,   /* mark_lsn */
        1,    7,    1,    0,    1,   1,             /* sizes of the texts */
        0,    0,    0,    2,    0,   0,   0,   0,   /* of body and users */
        'x',  '0',  ':',  '1',  ':', 'a', ':', 'b', /* app, conversation */
        'a',  'i',  't',  'h',  'i',                /* from, id, type, body */
        0x52, 0x92, 0x81, 0xf4,                     /* CRC-32 of all that */
    };
    struct entry entry = {.kind = ENTRY_MESSAGE,
                          .flags = ENTRY_NO_ECHO,
                          .ts = 7,
                          .app = SPAN("x"),
                          .conversation = SPAN("0:1:a:b"),
                          .from = SPAN("a"),
                          .client_msg_id = SPAN("i"),
                          .type = SPAN("t"),
                          .body = SPAN("hi"),
                          .lsn = 2,
                          .seq = 1,
                          .conv = 2};
    struct buf out;
    struct span bytes = encode(&out, &entry);

    (void)state;
    assert_int_equal(bytes.size, sizeof(expect));
    assert_memory_equal(bytes.data, expect, sizeof(expect));
    buf_fini(&out);
}

/* Cut anywhere, or with a byte more, it is no entry. */
static void any_other_length_is_damage(void **state)
{
    struct entry entry = full_entry(), back;
    struct buf out;
    struct span bytes = encode(&out, &entry);

    (void)state;
    for (size_t size = 0; size < bytes.size; size++) {
        char *exact = malloc(size ? size : 1); /* so that a sanitizer looks */

        memcpy(exact, bytes.data, size);
        assert_int_equal(entry_decode(&back, (struct span){exact, size}),
                         ERR_DAMAGED);
        free(exact);
    }
    buf_append(&out, "", 1);
    assert_int_equal(entry_decode(&back, (struct span){out.data, out.size}),
                     ERR_DAMAGED);
    buf_fini(&out);
}

/* Whichever bit turns, the checksum notices, and decoding does not crash. */
static void every_flipped_bit_is_noticed(void **state)
{
    struct entry entry = full_entry(), back;
    struct buf out;
    struct span bytes = encode(&out, &entry);

    (void)state;
    for (size_t bit = 0; bit < 8 * bytes.size; bit++) {
        out.data[bit / 8] ^= (char)(1 << bit % 8);
        assert_false(entry_intact(bytes));
        if (entry_decode(&back, bytes) == ERR_NONE)
            for (struct span u = {0}; entry_user(&back, &u);)
                assert_true(u.data >= back.users.data);
        out.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    assert_true(entry_intact(bytes));
    buf_fini(&out);
}

static void users_are_stepped_through(void **state)
{
    struct entry entry = full_entry();
    struct span user = {0};

    (void)state;
    assert_true(entry_user(&entry, &user));
    assert_true(span_is(user, "bob"));
    assert_true(entry_user(&entry, &user));
    assert_true(span_is(user, "carol"));
    assert_false(entry_user(&entry, &user));
    entry.users = (struct span){0};
    user = (struct span){0};
    assert_false(entry_user(&entry, &user));
}

/* Conversation, type and body make the content, and where one ends counts. */
static void the_content_hash_knows_its_parts(void **state)
{
    unsigned char first[ENTRY_HASH_BYTES], other[ENTRY_HASH_BYTES];
    struct entry entry = full_entry();

    (void)state;
    entry_content_hash(first, &entry);
    entry.ts++;
    entry.device = SPAN("laptop");
    entry_content_hash(other, &entry);
    assert_memory_equal(first, other, sizeof(first));
    entry.type = SPAN("text{");
    entry.body = SPAN("\"text\":\"hi\"}");
    entry_content_hash(other, &entry);
    assert_memory_not_equal(first, other, sizeof(first));
}

/* A stub keeps the hash of what it was. */
static void a_stub_keeps_the_hash(void **state)
{
    unsigned char first[ENTRY_HASH_BYTES], again[ENTRY_HASH_BYTES];
    struct entry entry = full_entry(), back;
    struct buf out;
    struct span bytes;

    (void)state;
    entry_content_hash(first, &entry);
    entry.flags |= ENTRY_TRIMMED;
    entry.type = (struct span){0};
    entry.body = (struct span){(const char *)first, sizeof(first)};
    bytes = encode(&out, &entry);
    assert_int_equal(entry_decode(&back, bytes), ERR_NONE);
    entry_content_hash(again, &back);
    assert_memory_equal(first, again, sizeof(first));
    buf_fini(&out);
    entry.body.size--;
    bytes = encode(&out, &entry);
    assert_int_equal(entry_decode(&back, bytes), ERR_DAMAGED);
    buf_fini(&out);
}

static void fields_have_bounds(void **state)
{
    static char big[ENTRY_BODY_MAX + 1];
    struct entry entry = full_entry();

    (void)state;
    assert_int_equal(entry_bounds(&entry), ERR_NONE);
    entry.body = (struct span){big, sizeof(big)};
    assert_int_equal(entry_bounds(&entry), ERR_TOO_LARGE);
    entry = full_entry();
    entry.from = (struct span){big, 65};
    assert_int_equal(entry_bounds(&entry), ERR_TOO_LARGE);
    entry = full_entry();
    entry.users = (struct span){big, ENTRY_USERS_MAX + 1};
    assert_int_equal(entry_bounds(&entry), ERR_TOO_LARGE);
}

static void settings_survive_the_round(void **state)
{
    struct conv_settings some = {true, false, true, 86400000, 1000}, back;
    struct span rest;
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    conv_settings_write(&out, &some);
    buf_append_text(&out, "{}");
    buf_append(&out, "", 1);
    assert_string_equal(out.data, "rung1 h-o 86400000 1000\n{}");
    assert_int_equal(
        conv_settings_read(&back, (struct span){out.data, out.size - 1}, &rest),
        ERR_NONE);
    assert_true(back.history_all && !back.joinable && back.open);
    assert_int_equal(back.max_age_ms, 86400000);
    assert_int_equal(back.max_count, 1000);
    assert_true(span_is(rest, "{}"));
    for (size_t size = 0; size < out.size - 3; size++)
        assert_int_equal(
            conv_settings_read(&back, (struct span){out.data, size}, &rest),
            ERR_BAD_REQUEST);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_survives_the_round),
        cmocka_unit_test(the_bytes_are_as_documented),
        cmocka_unit_test(any_other_length_is_damage),
        cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(users_are_stepped_through),
        cmocka_unit_test(the_content_hash_knows_its_parts),
        cmocka_unit_test(a_stub_keeps_the_hash),
        cmocka_unit_test(fields_have_bounds),
        cmocka_unit_test(settings_survive_the_round),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
