/* A value for another thread: a Treiber stack that its only reader takes whole,
 * so that no ABA can happen, and turns round, so that the oldest comes first.
 */
#include "server/base/mailbox.h"

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

static void take_all(uv_async_t *async)
{
    struct mailbox *box = async->data;
    struct letter *oldest = mailbox_take(box);

    if (oldest)
        box->receive(box, oldest); /* last: may end the box */
}

enum err mailbox_init(struct mailbox *box, uv_loop_t *loop,
                      void (*receive)(struct mailbox *, struct letter *))
{
    atomic_init(&box->waiting, NULL);
    box->receive = receive;
    if (uv_async_init(loop, &box->async, take_all))
        return ERR_UNAVAILABLE;
    box->async.data = box;
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
        uv_async_send(&box->async);
}

void mailbox_close(struct mailbox *box, uv_close_cb closed)
{
    uv_close((uv_handle_t *)&box->async, closed);
}
