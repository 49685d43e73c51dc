/* The clients' side of the network: connections to the server's workers, whose
 * bytes go out late, in pieces, or never, and are taken when it pleases.
 *
 * AF_UNIX sockets: what one side writes is there for the other at once, so that
 * chance alone decides what happens when. They have small buffers, so that they
 * are full often.
 *
 * Units    microseconds of virtual time.
 * Errors   a connection that could not be made is `over` from the start.
 * Threads  one.
 * Memory   a line is its owner's, who closes it.
 */
#ifndef RUNG_SIMULATE_NET_H
#define RUNG_SIMULATE_NET_H

#include "server/base/buf.h"
#include "server/base/list.h"
#include "tests/simulate/chance.h"

struct line {
    struct list link; /* net.c's */
    int fd;           /* -1: over, and nothing is left to be read */
    bool stalled;     /* the peer takes nothing */
    struct buf out, in;
    size_t sent;
    uint64_t send_at_us, read_at_us;
    void (*heard)(struct line *line); /* more in `in`, or it is over; it may
                                         be closed and opened there */
};

/* `place`: a worker's number, see also HOUSE_LINES. */
void net_open(struct line *line, unsigned place, void (*heard)(struct line *));
void net_close(struct line *line); /* zeroed or closed: nothing */
void net_send(struct line *line, const void *bytes, size_t size);
bool net_is_open(const struct line *line);

/* Let some bytes move; false when none can. */
bool net_turn(struct chance *chance);
uint64_t net_due_us(void);
/* 0: none of what follows. Else in percent: how often bytes wait, come in
 * pieces, or buffers are small. */
void net_weather(unsigned percent);

/* The address of a place in this life of the server. */
struct sockaddr_un;
unsigned net_address(struct sockaddr_un *out, unsigned place);
void net_new_life(void);
/* Of the simulator itself: stays open when the server's end with it. */
void net_mark(int fd, bool own);
bool net_is_marked(int fd);
uint64_t net_digest(void); /* of all that clients have received */

#endif
