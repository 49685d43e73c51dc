/* Counters as Prometheus text. */
#include "server/base/clock.h"
#include "server/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t now_us(void)
{
    return 10500000;
}

static uint64_t now_ms(void)
{
    return 1;
}

static const struct metrics_extra extra = {.head_lsn = 42,
                                           .map_used_bytes = 4096,
                                           .map_size_bytes = 8192,
                                           .queue_length = 3,
                                           .version = "1.2"};

static char *render(struct metrics *const *all, size_t count)
{
    struct buf out;

    buf_init(&out, 65536);
    metrics_render(&out, all, count, &extra);
    buf_append(&out, "", 1);
    assert_int_equal(buf_status(&out), ERR_NONE);
    return out.data;
}

static void assert_says(const char *page, const char *line)
{
    if (!strstr(page, line))
        fail_msg("no '%s' in:\n%s", line, page);
}

static void the_threads_counters_are_summed(void **state)
{
    static struct metrics one, two;
    struct metrics *const all[] = {&one, &two};
    char *page;

    (void)state;
    metrics_add(one.appends, 2);
    metrics_add(two.appends, 3);
    metrics_add(one.connections, 1);
    metrics_sub(two.connections, 1); /* opened there, closed here */
    metrics_add(one.commit_us, 1500000);
    metrics_add(two.carriers[BY_SSE], 7);
    page = render(all, 2);
    assert_says(page, "\nrung_appends_total 5\n");
    assert_says(page, "\nrung_connections 0\n");
    assert_says(page, "\nrung_commit_seconds_total 1.500000\n");
    assert_says(page, "\nrung_carriers{transport=\"sse\"} 7\n");
    assert_says(page, "\nrung_head_lsn 42\n");
    assert_says(page, "\nrung_build_info{version=\"1.2\"} 1\n");
    free(page);
}

static void errors_are_counted_under_the_code_a_client_hears(void **state)
{
    static struct metrics one;
    struct metrics *const all[] = {&one};
    char *page;

    (void)state;
    metrics_add(one.errors[ERR_NOMEM], 1);
    metrics_add(one.errors[ERR_UNAVAILABLE], 2);
    page = render(all, 1);
    assert_says(page, "\nrung_errors_total{code=\"unavailable\"} 3\n");
    assert_says(page, "\nrung_errors_total{code=\"conflict\"} 0\n");
    assert_null(strstr(page, "nomem"));
    free(page);
}

static void a_silent_thread_shows(void **state)
{
    static struct metrics one;
    struct metrics *const all[] = {&one};
    char *page;

    (void)state;
    clock_substitute(now_ms, now_us);
    atomic_store(&one.heartbeat_ms, 8250);
    page = render(all, 1);
    clock_substitute(NULL, NULL);
    assert_says(page, "\nrung_thread_silence_seconds{thread=\"0\"} 2.250\n");
    free(page);
}

static void every_series_has_help_and_a_type_once(void **state)
{
    static struct metrics one;
    struct metrics *const all[] = {&one};
    char *page = render(all, 1), *rest = NULL;
    char last[100] = "";

    (void)state;
    for (char *line = strtok_r(page, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, "# TYPE ", 7) == 0) {
            strncpy(last, line + 7, strcspn(line + 7, " "));
            last[strcspn(line + 7, " ")] = '\0';
        } else if (*line != '#') {
            assert_int_equal(strcspn(line, " {"), strlen(last));
            assert_memory_equal(line, last, strlen(last));
        }
    }
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_threads_counters_are_summed),
        cmocka_unit_test(errors_are_counted_under_the_code_a_client_hears),
        cmocka_unit_test(a_silent_thread_shows),
        cmocka_unit_test(every_series_has_help_and_a_type_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
