/* Both ways over one connection: moving the cursor, and the connection's life.
 *
 * turn_note: what a peer gets in one turn of the loop leaves with one send. So
 * replies wait for the end of the turn; and the burst of a commit, whose answer
 * to this peer follows in the same turn, waits for that answer. */
#include "server/base/clock.h"
#include "server/demo_rungs.h"
#include "transports/duplex_inside.h"

#include <string.h>

static struct duplex *of_carrier(struct carrier *carrier)
{
    return container_of(carrier, struct duplex, carrier);
}

/* --- sending ------------------------------------------------------------ */

/* The socket is full: live delivery stops until it drains. */
static void fell_behind(struct duplex *duplex)
{
    if (duplex->carrier.open)
        carrier_behind(&duplex->carrier);
}

/* The replies that wait, as one text, without its tail. */
static struct span replies_text(const struct peer_wire *wire,
                                struct buf *replies)
{
    char head[FRAME_HEAD_MAX];
    size_t size = wire->head(head, replies->size - FRAME_HEAD_MAX);
    char *begin = replies->data + FRAME_HEAD_MAX - size;

    memcpy(begin, head, size);
    return (struct span){begin, replies->size - FRAME_HEAD_MAX + size};
}

static struct span span_of_shared(const struct shared *bytes)
{
    return (struct span){bytes->data, bytes->size};
}

void duplex_send(struct duplex *duplex, const struct span *more,
                 size_t more_count)
{
    const struct peer_wire *wire = duplex->peer->wire;
    struct span pieces[PEER_PIECES_MAX];
    struct burst *held = duplex->held;
    struct buf replies = duplex->replies;
    size_t count = 0;

    if (held)
        pieces[count++] = span_of_shared(burst_bytes(held, wire->format));
    if (replies.size) {
        pieces[count++] = replies_text(wire, &replies);
        if (wire->tail.size)
            pieces[count++] = wire->tail;
    }
    for (size_t i = 0; i < more_count; i++)
        if (more[i].size)
            pieces[count++] = more[i];
    if (!count)
        return;
    duplex->held = NULL;
    buf_init(&duplex->replies, replies.max);
    if (!peer_send(duplex->peer, pieces, count))
        fell_behind(duplex);
    burst_unref(held);
    buf_fini(&replies);
}

static void send_burst(struct duplex *duplex, struct burst *burst)
{
    struct shared *bytes = burst_bytes(burst, duplex->peer->wire->format);
    struct span frame;

    if (!bytes) {
        peer_kill(duplex->peer); /* it comes back with its cursor */
    } else {
        frame = span_of_shared(bytes);
        duplex_send(duplex, &frame, 1);
    }
}

/* An event of no burst, behind a frame of the host's (none: size 0). Takes the
 * reference; NULL: no memory. */
static void send_event(struct duplex *duplex, struct span before,
                       struct event *given)
{
    const struct peer_wire *wire = duplex->peer->wire;
    struct span pieces[4] = {before};
    char head[FRAME_HEAD_MAX];

    if (given) {
        pieces[1] = (struct span){head, wire->head(head, given->size)};
        pieces[2] = (struct span){given->json, given->size};
        pieces[3] = wire->tail;
    }
    duplex_send(duplex, pieces, 4);
    event_unref(given);
}

void duplex_pump(struct duplex *duplex)
{
    struct failure why;
    bool more = true;

    for (int i = 0; more && duplex->carrier.open && !duplex->peer->full; i++) {
        struct burst *burst;

        if (i == BURSTS_AT_ONCE) {
            peer_resume_later(duplex->peer);
            return;
        }
        if (carrier_next(&duplex->carrier, BURST_BYTES, &burst, &more, &why)) {
            carrier_close(&duplex->carrier);
            peer_close(duplex->peer, 4001, err_code(err_wire(why.err)));
            return;
        }
        if (!burst)
            break;
        send_burst(duplex, burst);
        burst_unref(burst);
    }
    duplex_flush(duplex->peer);
}

/* By a wall of the demo's, which shows only now that its device is known. */
static bool is_hindered(const struct duplex *duplex)
{
    struct identity who;

    carrier_identity(&duplex->carrier, &who);
    return demo_rungs_way(&who, duplex->via->by) != DEMO_OPEN;
}

void duplex_begin(struct duplex *duplex)
{
    if (is_hindered(duplex))
        peer_kill(duplex->peer);
    else
        duplex_pump(duplex);
}

/* --- life --------------------------------------------------------------- */

void duplex_init(struct duplex *duplex, struct worker *worker,
                 struct peer *peer, const struct transport *via)
{
    duplex->worker = worker;
    duplex->peer = peer;
    duplex->via = via;
    peer->owner = duplex;
    list_init(&duplex->calls);
    duplex_forget_replies(duplex);
}

void duplex_fini(struct duplex *duplex)
{
    carrier_close(&duplex->carrier);
    duplex_forsake_calls(duplex);
    mem_free(duplex->asked);
    burst_unref(duplex->held);
    buf_fini(&duplex->replies);
}

enum err duplex_ask(struct duplex *duplex, struct span text,
                    struct failure *why)
{
    struct asked *asked = mem_zalloc(sizeof(*asked) + text.size + 1);

    if (!asked)
        return fail_plain(why, ERR_NOMEM);
    duplex->asked = asked;
    if (text.size)
        memcpy(asked->text, text.data, text.size);
    return query_parse(&asked->query, asked->text, text.size, why);
}

enum err duplex_follow(struct duplex *duplex, const struct identity *who,
                       const struct follow *follow, struct failure *why)
{
    enum err rc = carrier_open(&duplex->carrier, duplex->worker, duplex->via,
                               who, follow, why);

    if (rc)
        return rc;
    duplex->known = true;
    mem_free(duplex->asked);
    duplex->asked = NULL;
    return ERR_NONE;
}

void duplex_established(struct peer *peer)
{
    struct duplex *duplex = duplex_of(peer);

    if (duplex->known) {
        wheel_disarm(&peer->deadline);
        duplex_begin(duplex);
    }
}

void duplex_flush(struct peer *peer)
{
    if (!peer->full)
        duplex_send(duplex_of(peer), NULL, 0);
}

void duplex_writable(struct peer *peer)
{
    duplex_pump(duplex_of(peer));
    duplex_decide_reading(duplex_of(peer));
}

void duplex_late(struct peer *peer)
{
    if (peer->established)
        peer_close(peer, 4100, "auth did not come in time");
    else
        peer_kill(peer);
}

void duplex_maybe_leave(struct duplex *duplex)
{
    if (!duplex->leaving || duplex->call_count)
        return;
    /* Also to a full socket: the close comes behind it. */
    duplex_send(duplex, NULL, 0);
    peer_close(duplex->peer, duplex->leave_code, duplex->leave_reason);
}

static void leave(struct duplex *duplex, uint16_t code, const char *reason)
{
    duplex->leaving = true;
    duplex->leave_code = code;
    duplex->leave_reason = reason;
    duplex_maybe_leave(duplex);
}

void duplex_closing(struct peer *peer, uint16_t code)
{
    struct duplex *duplex = duplex_of(peer);

    if (!duplex->leaving)
        leave(duplex, code, "");
}

void duplex_drain(struct peer *peer)
{
    struct duplex *duplex = duplex_of(peer);

    if (!duplex->leaving)
        leave(duplex, 1001, "draining");
}

/* --- the transport ------------------------------------------------------ */

/* See turn_note. */
void duplex_deliver(struct carrier *carrier, struct burst *burst)
{
    struct duplex *duplex = of_carrier(carrier);

    if (!duplex->call_count || duplex->held || duplex->replies.size ||
        !burst_bytes(burst, duplex->peer->wire->format)) {
        send_burst(duplex, burst);
        return;
    }
    duplex->held = burst_ref(burst);
    peer_flush_later(duplex->peer);
}

void duplex_wake(struct carrier *carrier)
{
    struct duplex *duplex = of_carrier(carrier);

    if (duplex->peer->established && !duplex->peer->full)
        duplex_pump(duplex);
}

void duplex_beat(struct carrier *carrier)
{
    struct duplex *duplex = of_carrier(carrier);
    const char *epoch = store_epoch(worker_store(duplex->worker));
    char ping[FRAME_HEAD_MAX];
    size_t size = peer_ping(duplex->peer, ping);

    send_event(duplex, (struct span){ping, size},
               event_heartbeat(epoch, carrier_at(carrier), clock_wall_ms()));
}

/* Which close code tells a client what to do next. */
static uint16_t code_of(const struct farewell *why)
{
    if (strcmp(why->reason, "draining") == 0)
        return 1001;
    if (strcmp(why->reason, "not_member") == 0)
        return 4103;
    return why->come_back ? 4001 : 4100;
}

void duplex_end(struct carrier *carrier, const struct farewell *why)
{
    struct duplex *duplex = of_carrier(carrier);

    duplex_flush(duplex->peer);
    carrier_close(carrier);
    if (!duplex->peer->full && duplex->peer->established) {
        send_event(duplex, (struct span){0},
                   event_bye(why->reason, why->message, why->retry_after_ms));
        duplex->peer->told = true;
    }
    leave(duplex, code_of(why), why->reason);
}
