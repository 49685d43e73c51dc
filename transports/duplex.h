/* Both ways over one connection: method calls one way, their results and the
 * followed chain the other way; a text is one or more JSON objects, one a line.
 * The same over whatever carries the texts (peer.h): a transport makes the
 * connection, and its tables name what is here.
 *
 * A peer is known from what it connects with (duplex_follow) or from its first
 * method, `auth`; from then on it follows. Nothing is queued for it but
 * replies, and of those a bounded number of bytes: events wait in the log until
 * its socket takes more.
 *
 * Errors   a peer is told of what it did wrong in a reply, or its connection is
 *          closed with a code (docs/PROTOCOL.md).
 * Threads  the worker's loop.
 * Memory   embedded, zeroed, next to its peer, whose owner it becomes; a call
 *          in flight outlives both.
 */
#ifndef RUNG_DUPLEX_H
#define RUNG_DUPLEX_H

#include "server/limits.h"
#include "server/query.h"
#include "transports/peer.h"
#include "transports/transport.h"

struct duplex {
    struct peer *peer;
    const struct transport *via;
    struct carrier carrier;
    struct worker *worker;
    bool known;   /* then its carrier says who it is */
    bool leaving; /* bye is out; closes when no call is in flight any more */
    uint16_t leave_code;
    uint16_t refused; /* requests in a row */
    unsigned call_count;
    const char *leave_reason;
    struct bucket bucket;
    struct list calls;   /* in flight */
    struct burst *held;  /* put off; before the replies */
    struct buf replies;  /* put off; behind FRAME_HEAD_MAX bytes */
    struct asked *asked; /* until known: what it connected with, or NULL */
};

struct asked {
    struct query query;
    char text[]; /* the query's */
};

void duplex_init(struct duplex *duplex, struct worker *worker,
                 struct peer *peer, const struct transport *via);
/* In the peer's gone(). */
void duplex_fini(struct duplex *duplex);

/* What it asks for without `auth`: a query, copied. */
MUST_CHECK enum err duplex_ask(struct duplex *duplex, struct span text,
                               struct failure *why);
/* It is known: follow. */
MUST_CHECK enum err duplex_follow(struct duplex *duplex,
                                  const struct identity *who,
                                  const struct follow *follow,
                                  struct failure *why);

/* For its peer's table. */
void duplex_established(struct peer *peer);
void duplex_text(struct peer *peer, struct span text);
void duplex_writable(struct peer *peer);
void duplex_flush(struct peer *peer);
void duplex_late(struct peer *peer);
void duplex_closing(struct peer *peer, uint16_t code);
void duplex_drain(struct peer *peer);

/* For its transport's. */
void duplex_deliver(struct carrier *carrier, struct burst *burst);
void duplex_wake(struct carrier *carrier);
void duplex_beat(struct carrier *carrier);
void duplex_end(struct carrier *carrier, const struct farewell *why);

#endif
