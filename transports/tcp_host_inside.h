/* What tcp_host.c, which sends, and tcp_receive.c share.
 *
 * Threads  the worker's loop.
 */
#ifndef RUNG_TCP_HOST_INSIDE_H
#define RUNG_TCP_HOST_INSIDE_H

#include "transports/tcp_host.h"

#define TCP_RECEIVE_BYTES (16u << 10) /* of a read */

struct tcp_host {
    struct worker *worker;
    struct list peers;
    struct list later; /* peers with something to read or to flush */
    char received[TCP_RECEIVE_BYTES];
};

/* --- tcp_receive.c -------------------------------------------------------- */

/* One read of a turn; what it leaves is for the next. */
void tcp_read_some(struct tcp_peer *tcp);

#endif
