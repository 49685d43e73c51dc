/* A response that never ends, on a socket of its own: what is left of an HTTP
 * connection once its request was read and only bytes go out.
 *
 * A delivery is one send() of bytes that all readers share. What the socket
 * does not take is kept as a reference and an offset, and one thing at a time:
 * the owner reads on from its cursor when told that it has drained.
 *
 * Threads  the worker's loop.
 * Memory   embedded in its owner, who is told `gone` exactly once, and frees it
 *          there. After stream_finish() nothing else happens but `gone`.
 */
#ifndef RUNG_STREAM_CONN_H
#define RUNG_STREAM_CONN_H

#include "server/base/mem.h"
#include "server/worker.h"

struct stream_conn;

struct stream_owner {
    void (*drained)(struct stream_conn *conn); /* there is room again */
    void (*gone)(struct stream_conn *conn);    /* closed; never inside a call of
                                                  the owner's but finish */
};

struct stream_conn {
    const struct stream_owner *owner;
    struct worker *worker;
    int fd;
    bool finishing, broken, again;
    struct shared *rest; /* what the socket did not take, or NULL */
    size_t offset;       /* of what is missing in it */
    uint64_t sent_bytes;
    struct shared *last; /* finishing: goes out behind the rest */
    struct watch watch;
    struct list link;           /* worker->streams */
    struct wheel_node deadline; /* of finishing */
};

/* Takes fd when it succeeds; counts it as connected. */
MUST_CHECK enum err stream_init(struct stream_conn *conn, struct worker *worker,
                                int fd, const struct stream_owner *owner);

/* Send, or keep what does not fit; only while nothing is kept. False: some was
 * kept (or the peer has gone, which `gone` will tell): wait. Borrows. */
bool stream_send(struct stream_conn *conn, struct shared *bytes);
bool stream_full(const struct stream_conn *conn);

/* There is more to send, but others first: `drained` comes a turn later. */
void stream_again(struct stream_conn *conn);

/* Give up: `gone` comes soon, not before the caller has returned. */
void stream_break(struct stream_conn *conn);

/* Say `last` (given; may be NULL) and close, soon: at the latest after a few
 * seconds. May call `gone` before it returns. */
void stream_finish(struct stream_conn *conn, struct shared *last);

/* Close every stream of a worker, at its end. */
void stream_close_all(struct worker *worker);

#endif
