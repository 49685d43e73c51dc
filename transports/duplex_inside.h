/* What duplex.c, which moves the cursor, and duplex_calls.c, which runs the
 * calls, share.
 *
 * Threads  the worker's loop.
 */
#ifndef RUNG_DUPLEX_INSIDE_H
#define RUNG_DUPLEX_INSIDE_H

#include "transports/duplex.h"

static inline struct duplex *duplex_of(struct peer *peer)
{
    return peer->owner;
}

/* --- duplex.c ------------------------------------------------------------- */

/* What was put off, in order, and behind it more pieces of texts (those that
 * are empty count for nothing), with one call. */
void duplex_send(struct duplex *duplex, const struct span *more,
                 size_t more_count);
/* Replies, and the log from the cursor on, as long as the socket takes it. */
void duplex_pump(struct duplex *duplex);
/* It is known, and can be written to: begin to follow. */
void duplex_begin(struct duplex *duplex);
/* Close, when it is leaving and no call is in flight any more. */
void duplex_maybe_leave(struct duplex *duplex);

/* --- duplex_calls.c ------------------------------------------------------- */

/* Who has too much in flight, or takes no replies, is not read. */
void duplex_decide_reading(struct duplex *duplex);
/* Drop the replies that wait; also makes an empty buffer for them. */
void duplex_forget_replies(struct duplex *duplex);
/* The peer has gone: calls in flight end without it. */
void duplex_forsake_calls(struct duplex *duplex);

#endif
