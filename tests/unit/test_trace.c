/* Diagnostics, as an operator reads them. */
#include "server/base/clock.h"
#include "server/base/trace.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char line[20000]; /* what the last trace() wrote */
static int stderr_kept, pipe_out;

static uint64_t a_time(void)
{
    return 1763600000123;
}

static void begin(enum trace_level level, bool json)
{
    int ends[2];

    trace_setup(level, json);
    clock_substitute(a_time, NULL);
    assert_int_equal(pipe(ends), 0);
    stderr_kept = dup(STDERR_FILENO);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    close(ends[1]);
    pipe_out = ends[0];
}

/* Give stderr back; leave in `line` what one read(2) finds. */
static void end(void)
{
    ssize_t size;

    assert_true(dup2(stderr_kept, STDERR_FILENO) >= 0);
    close(stderr_kept);
    size = read(pipe_out, line, sizeof(line) - 1);
    close(pipe_out);
    assert_true(size >= 0);
    line[size] = '\0';
    clock_substitute(NULL, NULL);
    trace_setup(TRACE_INFO, false);
}

static void a_line_has_time_level_what_and_pairs(void **state)
{
    (void)state;
    begin(TRACE_INFO, false);
    trace(TRACE_INFO, "listening", "url=%s workers=%d", "http://x", 2);
    end();
    assert_string_equal(line, "2025-11-20T00:53:20.123Z info listening "
                              "url=http://x workers=2\n");
}

static void what_is_beyond_the_level_stays_unsaid(void **state)
{
    (void)state;
    begin(TRACE_WARN, false);
    trace(TRACE_INFO, "chatter", "n=%d", 1);
    end();
    assert_string_equal(line, "");
}

static void nothing_a_peer_chose_can_end_the_line(void **state)
{
    (void)state;
    begin(TRACE_INFO, false);
    trace(TRACE_WARN, "odd", "path=%s", "a\nb\033[2Jc\x80");
    end();
    assert_non_null(strstr(line, "path=a\\u000ab\\u001b[2Jc?\n"));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void assert_member(json_t *object, const char *key, const char *value)
{
    assert_string_equal(json_string_value(json_object_get(object, key)), value);
}

static void pairs_become_members_in_json(void **state)
{
    json_t *object;

    (void)state;
    begin(TRACE_INFO, true);
    trace(TRACE_ERROR, "refused", "peer=%s why=\"%s\" n=%d", "[::1]:5",
          "a \"b\" \\ \t\xff\u6df7", 7);
    end();
    object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(object);
    assert_member(object, "time", "2025-11-20T00:53:20.123Z");
    assert_member(object, "level", "error");
    assert_member(object, "what", "refused");
    assert_member(object, "peer", "[::1]:5");
    assert_member(object, "why", "a \"b\" \\ \t\ufffd\u6df7");
    assert_member(object, "n", "7");
    json_decref(object);
}

static void the_longest_line_is_still_json(void **state)
{
    char big[5000];
    json_t *object;

    (void)state;
    memset(big, 1, sizeof(big) - 1); /* six bytes each, once escaped */
    big[sizeof(big) - 1] = '\0';
    begin(TRACE_INFO, true);
    trace(TRACE_INFO, "long", "value=\"%s\"", big);
    end();
    object = json_loads(line, 0, NULL);
    assert_non_null(object);
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_time_level_what_and_pairs),
        cmocka_unit_test(what_is_beyond_the_level_stays_unsaid),
        cmocka_unit_test(nothing_a_peer_chose_can_end_the_line),
        cmocka_unit_test(pairs_become_members_in_json),
        cmocka_unit_test(the_longest_line_is_still_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
