/* A value for another thread: a Treiber stack that its only reader takes whole,
 * so that no ABA can happen, and turns round, so that the oldest comes first.
 *
 * bell_note: who rings is often about to post more, and on a core that the two
 * share the one who is woken has taken its place. So the woken one lets the
 * other go on first: the sequencer then finds a group instead of one message,
 * and the worker finds the disk at work on the next group.
 */
#include "server/base/mailbox.h"

#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct letter *reversed(struct letter *newest)
{
    struct letter *oldest = NULL;

    while (newest) {
        struct letter *next = newest->next;

        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

struct letter *mailbox_take(struct mailbox *box)
{
    return reversed(
        atomic_exchange_explicit(&box->waiting, NULL, memory_order_acquire));
}

static void take_all(uv_poll_t *bell, int status, int events)
{
    struct mailbox *box = bell->data;
    struct letter *oldest;
    eventfd_t rung;

    (void)status;
    (void)events;
    (void)!eventfd_read(box->fd, &rung); /* first: who posts next rings again */
    sched_yield();                       /* see bell_note */
    oldest = mailbox_take(box);
    if (oldest)
        box->receive(box, oldest); /* last: may end the box */
}

enum err mailbox_init(struct mailbox *box, uv_loop_t *loop,
                      void (*receive)(struct mailbox *, struct letter *))
{
    atomic_init(&box->waiting, NULL);
    box->receive = receive;
    box->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (box->fd < 0)
        return ERR_UNAVAILABLE;
    if (uv_poll_init(loop, &box->bell, box->fd)) {
        close(box->fd);
        return ERR_UNAVAILABLE;
    }
    box->bell.data = box;
    uv_poll_start(&box->bell, UV_READABLE, take_all);
    return ERR_NONE;
}

void mailbox_post(struct mailbox *box, struct letter *letter)
{
    struct letter *newest =
        atomic_load_explicit(&box->waiting, memory_order_relaxed);

    do
        letter->next = newest;
    while (!atomic_compare_exchange_weak_explicit(&box->waiting, &newest,
                                                  letter, memory_order_release,
                                                  memory_order_relaxed));

    /* Who finds the box empty rings; who finds letters knows that somebody
     * rings for them. */
    if (!newest)
        (void)!eventfd_write(box->fd, 1);
}

void mailbox_close(struct mailbox *box, uv_close_cb closed)
{
    uv_close((uv_handle_t *)&box->bell, closed);
    close(box->fd);
}
