/* A private edge-triggered epoll in a libuv loop. */
#include "server/base/poller.h"

#include <unistd.h>

/* A full batch leaves the epoll readable, and the loop calls again: the other
 * handles of the loop get their turn in between. */
static void handle_batch(uv_poll_t *poll, int status, int events)
{
    struct poller *poller = poll->data;

    (void)events;
    if (status)
        return;
    poller->count = epoll_wait(poller->fd, poller->batch, POLLER_BATCH, 0);
    for (poller->next = 0; poller->next < poller->count;) {
        struct epoll_event *event = &poller->batch[poller->next++];
        struct watch *watch = event->data.ptr;

        if (watch)
            watch->ready(watch, event->events);
    }
    poller->count = 0;
}

enum err poller_init(struct poller *poller, uv_loop_t *loop)
{
    poller->next = poller->count = 0;
    poller->fd = epoll_create1(EPOLL_CLOEXEC);
    if (poller->fd < 0)
        return ERR_UNAVAILABLE;
    if (uv_poll_init(loop, &poller->poll, poller->fd))
        goto close_fd;
    poller->poll.data = poller;
    uv_poll_start(&poller->poll, UV_READABLE, handle_batch);
    return ERR_NONE;

close_fd:
    close(poller->fd);
    return ERR_UNAVAILABLE;
}

void poller_close(struct poller *poller)
{
    uv_close((uv_handle_t *)&poller->poll, NULL);
    close(poller->fd);
}

enum err poller_add(struct poller *poller, int fd, uint32_t events,
                    struct watch *watch)
{
    struct epoll_event event = {.events = events | EPOLLET, .data.ptr = watch};

    return epoll_ctl(poller->fd, EPOLL_CTL_ADD, fd, &event) ? ERR_UNAVAILABLE
                                                            : ERR_NONE;
}

void poller_remove(struct poller *poller, int fd, struct watch *watch)
{
    epoll_ctl(poller->fd, EPOLL_CTL_DEL, fd, NULL);
    for (int i = poller->next; i < poller->count; i++)
        if (poller->batch[i].data.ptr == watch)
            poller->batch[i].data.ptr = NULL; /* it is not there any more */
}
