/* A value for another thread, waking its loop.
 *
 * The only way by which threads of this program hand things to each other.
 * Any thread posts; the loop that owns the mailbox receives all that is waiting
 * in one call, in the order of posting (per poster, and over all posters in
 * the order in which their posts took place).
 *
 * It rings with an eventfd of its own, for uv_async_t lets its loop spin when the
 * poster is preempted in the midst of ringing: on a shared core, a twentieth of
 * the processor (libuv 1.44, uv__async_spin).
 *
 * Errors   mailbox_init() fails when the kernel or libuv does. Posting never fails: letters
 *          are intrusive, their memory is the poster's.
 * Threads  mailbox_post(): any. The rest: the loop's own thread.
 * Memory   a letter belongs to the mailbox from post until it is handed to
 *          `receive`, which then owns it.
 */
#ifndef RUNG_BASE_MAILBOX_H
#define RUNG_BASE_MAILBOX_H

#include "server/base/err.h"

#include <stdatomic.h>
#include <uv.h>

struct letter {
    struct letter *next; /* the mailbox's */
};

struct mailbox {
    uv_poll_t bell; /* bell.data is the mailbox's */
    int fd;
    _Atomic(struct letter *) waiting; /* newest first; reversed on receipt */
    void (*receive)(struct mailbox *box, struct letter *oldest); /* a list by
                     ->next, oldest first, NULL-terminated; never empty */
};

MUST_CHECK enum err mailbox_init(struct mailbox *box, uv_loop_t *loop,
                                 void (*receive)(struct mailbox *,
                                                 struct letter *));
void mailbox_post(struct mailbox *box, struct letter *letter);
/* What has come since, as `receive` would be given it; NULL: nothing. For a
 * receiver that goes on before it returns. */
struct letter *mailbox_take(struct mailbox *box);
/* Close the handle; letters posted afterwards are never received, so
 * stop the posters first. `closed` (may be NULL) runs on the loop. */
void mailbox_close(struct mailbox *box, uv_close_cb closed);

#endif
