/* Letters between threads. */
#include "server/base/list.h"
#include "server/base/mailbox.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define POSTERS 4
#define LETTERS 5000

struct numbered {
    struct letter letter;
    int poster, number;
};

struct reader {
    struct mailbox box;
    int batches, received, expected;
    int next[POSTERS]; /* the number to come from each poster */
};

struct poster {
    struct mailbox *box;
    struct numbered *letters;
};

static void receive(struct mailbox *box, struct letter *oldest)
{
    struct reader *reader = container_of(box, struct reader, box);

    reader->batches++;
    for (; oldest; oldest = oldest->next) {
        struct numbered *it = container_of(oldest, struct numbered, letter);

        assert_int_equal(it->number, reader->next[it->poster]);
        reader->next[it->poster]++;
        reader->received++;
    }
}

static void given_reader(struct reader *reader, uv_loop_t *loop, int expected)
{
    memset(reader, 0, sizeof(*reader));
    reader->expected = expected;
    assert_int_equal(uv_loop_init(loop), 0);
    assert_int_equal(mailbox_init(&reader->box, loop, receive), ERR_NONE);
}

/* Only after every poster has stopped: see mailbox_close(). */
static void end_reader(struct reader *reader, uv_loop_t *loop)
{
    mailbox_close(&reader->box, NULL);
    assert_int_equal(uv_run(loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(loop), 0);
}

static void letters_arrive_together_in_the_order_of_posting(void **state)
{
    struct numbered letters[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    struct reader reader;
    uv_loop_t loop;

    (void)state;
    given_reader(&reader, &loop, 3);
    for (int i = 0; i < 3; i++)
        mailbox_post(&reader.box, &letters[i].letter);
    uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(reader.received, 3);
    assert_int_equal(reader.batches, 1);
    end_reader(&reader, &loop);
}

static void letters_can_be_taken_before_the_loop_looks(void **state)
{
    struct numbered letters[3] = {{.number = 0}, {.number = 1}, {.number = 0}};
    struct reader reader;
    uv_loop_t loop;

    (void)state;
    given_reader(&reader, &loop, 1);
    assert_null(mailbox_take(&reader.box));
    mailbox_post(&reader.box, &letters[0].letter);
    mailbox_post(&reader.box, &letters[1].letter);
    assert_ptr_equal(mailbox_take(&reader.box), &letters[0].letter);
    assert_ptr_equal(letters[0].letter.next, &letters[1].letter);
    assert_null(letters[1].letter.next);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(reader.batches, 0);
    mailbox_post(&reader.box, &letters[2].letter);
    uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(reader.received, 1);
    end_reader(&reader, &loop);
}

static void *post_all(void *arg)
{
    const struct poster *poster = arg;

    for (int i = 0; i < LETTERS; i++)
        mailbox_post(poster->box, &poster->letters[i].letter);
    return NULL;
}

static void many_posters_lose_and_reorder_nothing(void **state)
{
    struct poster posters[POSTERS];
    pthread_t threads[POSTERS];
    struct reader reader;
    uv_loop_t loop;

    (void)state;
    given_reader(&reader, &loop, POSTERS * LETTERS);
    for (int p = 0; p < POSTERS; p++) {
        posters[p].box = &reader.box;
        posters[p].letters = calloc(LETTERS, sizeof(struct numbered));
        assert_non_null(posters[p].letters);
        for (int i = 0; i < LETTERS; i++) {
            posters[p].letters[i].poster = p;
            posters[p].letters[i].number = i;
        }
    }
    for (int p = 0; p < POSTERS; p++)
        assert_int_equal(
            pthread_create(&threads[p], NULL, post_all, &posters[p]), 0);
    while (reader.received < reader.expected)
        uv_run(&loop, UV_RUN_ONCE);
    for (int p = 0; p < POSTERS; p++)
        pthread_join(threads[p], NULL);
    end_reader(&reader, &loop);
    assert_int_equal(reader.received, POSTERS * LETTERS);
    for (int p = 0; p < POSTERS; p++)
        free(posters[p].letters);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_arrive_together_in_the_order_of_posting),
        cmocka_unit_test(letters_can_be_taken_before_the_loop_looks),
        cmocka_unit_test(many_posters_lose_and_reorder_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
