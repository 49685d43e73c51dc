/* A follower's position: what lies beyond it, and how it is kept in a file. */
#include "server/cli/position.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static bool take(struct position *position, const char *text)
{
    json_t *event = json_loads(text, 0, NULL);
    bool taken;

    assert_non_null(event);
    taken = position_take(position, event);
    json_decref(event);
    return taken;
}

#define MESSAGE(cursor, seq)                                                   \
    "{\"event\":\"message\",\"cursor\":\"" cursor "\",\"seq\":" seq "}"

static void what_is_not_beyond_is_dropped(void **state)
{
    struct position position = {0};

    (void)state;
    assert_true(position_set(&position, "5f3a1c22-7"));
    assert_false(take(&position, MESSAGE("5f3a1c22-6", "1")));
    assert_false(take(&position, MESSAGE("5f3a1c22-7", "1")));
    assert_string_equal(position.cursor, "5f3a1c22-7");
    assert_true(take(&position, MESSAGE("5f3a1c22-10", "2")));
    assert_string_equal(position.cursor, "5f3a1c22-10");
}

static void everything_is_beyond_the_beginning(void **state)
{
    struct position position = {0};

    (void)state;
    assert_true(position_set(&position, "0"));
    assert_true(take(&position, MESSAGE("5f3a1c22-1", "1")));
    assert_string_equal(position.cursor, "5f3a1c22-1");
}

static void a_hello_places_only_one_without_a_place(void **state)
{
    struct position position = {0};
    const char *hello = "{\"event\":\"hello\",\"cursor\":\"5f3a1c22-9\"}";

    (void)state;
    assert_true(take(&position, hello));
    assert_string_equal(position.cursor, "5f3a1c22-9");
    assert_true(position_set(&position, "5f3a1c22-3"));
    assert_true(take(&position, hello));
    assert_string_equal(position.cursor, "5f3a1c22-3");
}

static void a_heartbeat_moves_on(void **state)
{
    struct position position = {0};

    (void)state;
    assert_true(position_set(&position, "5f3a1c22-3"));
    assert_true(
        take(&position, "{\"event\":\"heartbeat\",\"cursor\":\"5f3a1c22-8\"}"));
    assert_string_equal(position.cursor, "5f3a1c22-8");
}

static void a_reset_takes_the_new_log(void **state)
{
    struct position position = {0};

    (void)state;
    assert_true(position_set(&position, "5f3a1c22-300"));
    assert_true(
        take(&position, "{\"event\":\"reset\",\"cursor\":\"deadbeef-2\"}"));
    assert_string_equal(position.cursor, "deadbeef-2");
    assert_true(take(&position, MESSAGE("deadbeef-3", "1")));
}

static void a_single_chain_goes_by_seq(void **state)
{
    struct position position = {.conversation = "0:2:g"};

    (void)state;
    assert_true(take(&position, MESSAGE("5f3a1c22-5", "4")));
    assert_false(take(&position, MESSAGE("5f3a1c22-9", "4")));
    assert_int_equal(position.after, 4);
    assert_true(take(&position, "{\"event\":\"gap\",\"from\":5,\"to\":8}"));
    assert_false(take(&position, MESSAGE("5f3a1c22-9", "8")));
    assert_true(take(&position, MESSAGE("5f3a1c22-9", "9")));
}

static void what_is_no_cursor_is_refused(void **state)
{
    struct position position = {0};

    (void)state;
    assert_false(position_set(&position, ""));
    assert_false(position_set(&position, "7"));
    assert_false(position_set(&position, "5f3a1c22"));
    assert_false(position_set(&position, "5f3a1c22-x"));
}

static void a_query_is_escaped(void **state)
{
    struct position position = {
        .conversation = "0:2:g&x=1 \xc3\xa9", .after = 7, .has_after = true};
    struct buf out;

    (void)state;
    buf_init(&out, 200);
    position_query(&out, &position);
    buf_append(&out, "", 1);
    assert_string_equal(out.data,
                        "conversation=0:2:g%26x%3D1%20%C3%A9&after=7");
    buf_fini(&out);
}

/* --- the file ------------------------------------------------------------- */

static char *fresh_path(void)
{
    char dir[] = "/tmp/rung-position-XXXXXX";
    char *path = malloc(sizeof(dir) + 8);

    assert_non_null(mkdtemp(dir));
    sprintf(path, "%s/cursor", dir);
    return path;
}

static void remove_path(char *path)
{
    (void)unlink(path);
    *strrchr(path, '/') = '\0';
    assert_int_equal(rmdir(path), 0); /* nothing else was left there */
    free(path);
}

static void a_position_is_kept_in_a_file(void **state)
{
    char *path = fresh_path();
    struct position mixed = {0}, single = {.conversation = "0:2:g"};

    (void)state;
    assert_int_equal(position_load(&mixed, path, NULL), ERR_NONE);
    assert_string_equal(mixed.cursor, "");
    assert_true(position_set(&mixed, "5f3a1c22-7"));
    assert_int_equal(position_save(&mixed, path, NULL), ERR_NONE);
    mixed = (struct position){0};
    assert_int_equal(position_load(&mixed, path, NULL), ERR_NONE);
    assert_string_equal(mixed.cursor, "5f3a1c22-7");

    single.after = 12, single.has_after = true;
    assert_int_equal(position_save(&single, path, NULL), ERR_NONE);
    single = (struct position){.conversation = "0:2:g"};
    assert_int_equal(position_load(&single, path, NULL), ERR_NONE);
    assert_true(single.has_after);
    assert_int_equal(single.after, 12);
    assert_int_equal(position_load(&mixed, path, NULL), ERR_BAD_REQUEST);
    remove_path(path);
}

static void a_file_that_cannot_be_written_is_named(void **state)
{
    struct position position = {.cursor = "5f3a1c22-7"};
    struct failure why;

    (void)state;
    assert_int_equal(position_save(&position, "/nowhere/at/all", &why), ERR_IO);
    assert_non_null(strstr(why.message, "/nowhere/at/all"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_beyond_is_dropped),
        cmocka_unit_test(everything_is_beyond_the_beginning),
        cmocka_unit_test(a_hello_places_only_one_without_a_place),
        cmocka_unit_test(a_heartbeat_moves_on),
        cmocka_unit_test(a_reset_takes_the_new_log),
        cmocka_unit_test(a_single_chain_goes_by_seq),
        cmocka_unit_test(what_is_no_cursor_is_refused),
        cmocka_unit_test(a_query_is_escaped),
        cmocka_unit_test(a_position_is_kept_in_a_file),
        cmocka_unit_test(a_file_that_cannot_be_written_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
