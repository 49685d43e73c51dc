/* What ws_host.c, which sends and knows the library, and ws_receive.c share.
 *
 * Threads  the worker's loop.
 */
#ifndef RUNG_WS_HOST_INSIDE_H
#define RUNG_WS_HOST_INSIDE_H

#include "transports/ws_host.h"

#define WS_RECEIVE_BYTES (16u << 10) /* of a read */

struct lws_context;
struct lws_vhost;

struct ws_host {
    struct worker *worker;
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct list peers;
    struct list later;        /* peers with something to read or to flush */
    struct ws_peer *adopting; /* not bound to its wsi yet */
    char received[WS_RECEIVE_BYTES];
    /* Of the pings in it, which are longer, but for one that began before. */
    char pongs[WS_RECEIVE_BYTES + FRAME_HEAD_MAX + WS_CONTROL_MAX];
    size_t pong_bytes;
};

/* --- ws_host.c ------------------------------------------------------------ */

/* Both close frames are through. The peer sees the end and leaves; until then,
 * or until the deadline, what it still sends is read, since bytes left unread
 * would turn our end into a reset that overtakes the close frame. */
void ws_linger(struct ws_peer *ws);

/* --- ws_receive.c --------------------------------------------------------- */

/* One read of a turn; what it leaves is for the next. */
void ws_read_some(struct ws_peer *ws);
/* What has begun may take its time from now on anew: it came to an end, or is
 * not being read. */
void ws_end_pace(struct ws_peer *ws);
/* ws->whole: it took too long. */
void ws_too_slow(struct wheel_node *node);
/* Forget a message that has come in part. */
void ws_drop_message(struct ws_peer *ws);

#endif
