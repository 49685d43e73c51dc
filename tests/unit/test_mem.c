/* Allocation that can be made to fail, and shared bytes. */
#include "server/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void only_the_chosen_allocation_fails(void **state)
{
    void *first, *second, *third;

    (void)state;
    mem_fail_nth(2);
    first = mem_alloc(10);
    second = mem_zalloc(10);
    third = mem_strndup("abc", 2);
    assert_int_equal(mem_fail_nth(0), 3);
    assert_non_null(first);
    assert_null(second);
    assert_string_equal(third, "ab");
    mem_free(first);
    mem_free(third);
}

static void a_failed_realloc_leaves_the_block(void **state)
{
    char *text = mem_strndup("kept", 4);

    (void)state;
    mem_fail_nth(1);
    assert_null(mem_realloc(text, 4096));
    mem_fail_nth(0);
    assert_string_equal(text, "kept");
    mem_free(text);
    mem_free(NULL);
}

static void nothing_is_something(void **state)
{
    void *empty = mem_alloc(0), *zeroed = mem_zalloc(0);

    (void)state;
    assert_non_null(empty);
    assert_non_null(zeroed);
    mem_free(empty);
    mem_free(zeroed);
}

static void zalloc_gives_zeroes(void **state)
{
    const char zeroes[100] = {0};
    char *bytes = mem_zalloc(sizeof(zeroes));

    (void)state;
    assert_memory_equal(bytes, zeroes, sizeof(zeroes));
    mem_free(bytes);
}

static void shared_bytes_live_until_the_last_owner_lets_go(void **state)
{
    struct shared *shared = shared_copy("bytes", 5);

    (void)state;
    assert_int_equal(shared->size, 5);
    assert_ptr_equal(shared_ref(shared), shared);
    shared_unref(shared);
    assert_memory_equal(shared->data, "bytes", 5);
    shared_unref(shared);
    shared_unref(NULL);
}

static void an_absurd_size_is_out_of_memory(void **state)
{
    (void)state;
    assert_null(shared_create(SIZE_MAX));
    assert_null(mem_strndup("x", SIZE_MAX));
    mem_fail_nth(1);
    assert_null(shared_create(1));
    mem_fail_nth(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_chosen_allocation_fails),
        cmocka_unit_test(a_failed_realloc_leaves_the_block),
        cmocka_unit_test(nothing_is_something),
        cmocka_unit_test(zalloc_gives_zeroes),
        cmocka_unit_test(shared_bytes_live_until_the_last_owner_lets_go),
        cmocka_unit_test(an_absurd_size_is_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
