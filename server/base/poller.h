/* Very many sockets in one loop, each costing one epoll_ctl in its life: a
 * private edge-triggered epoll, nested in the loop by one uv_poll.
 *
 * Edge-triggered means: ready() comes once for each thing that happens, so it
 * must read or write until EAGAIN, or not care.
 *
 * Errors   poller_init() and poller_add() fail when the kernel does.
 * Threads  the loop's.
 * Memory   a watch lives in its owner, who removes it before freeing it; that
 *          is allowed for any watch inside any ready(). The fd stays the owner's.
 */
#ifndef RUNG_BASE_POLLER_H
#define RUNG_BASE_POLLER_H

#include "server/base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <uv.h>

#define POLLER_BATCH 64
#define POLLER_BOTH (EPOLLIN | EPOLLOUT | EPOLLRDHUP)
#define POLLER_GONE (EPOLLRDHUP | EPOLLHUP | EPOLLERR) /* the peer left */

struct watch {
    void (*ready)(struct watch *watch, uint32_t events); /* EPOLLIN, … */
};

struct poller {
    int fd;
    uv_poll_t poll;
    struct epoll_event batch[POLLER_BATCH];
    int next, count; /* of the batch being handled */
};

MUST_CHECK enum err poller_init(struct poller *poller, uv_loop_t *loop);
/* No watch may be left. The memory is free again after the next loop turn. */
void poller_close(struct poller *poller);

/* `events` without EPOLLET, which is added. */
MUST_CHECK enum err poller_add(struct poller *poller, int fd, uint32_t events,
                               struct watch *watch);
/* Before the fd is closed: a duplicate would keep it watched. */
void poller_remove(struct poller *poller, int fd, struct watch *watch);

#endif
