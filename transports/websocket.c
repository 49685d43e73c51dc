/* WebSocket, subprotocol rung.v1: method calls one way, their results and the
 * followed chain the other way; a frame is one or more JSON objects, one a
 * line.
 *
 * A peer is known from its handshake (a token in the request) or from its first
 * method, `auth`; from then on it follows. Nothing is queued for it but
 * replies, and of those a bounded number of bytes: events wait in the log until
 * its socket takes more.
 *
 * turn_note: what a peer gets in one turn of the loop leaves with one send. So
 * replies wait for the end of the turn; and the burst of a commit, whose answer
 * to this peer follows in the same turn, waits for that answer. */
#include "server/base/clock.h"
#include "server/handshake.h"
#include "transports/route.h"
#include "transports/websocket_inside.h"

#include <string.h>


static struct websocket *of_carrier(struct carrier *carrier)
{
    return container_of(carrier, struct websocket, carrier);
}

/* --- sending ------------------------------------------------------------ */

/* The socket is full: live delivery stops until it drains. */
static void fell_behind(struct websocket *ws)
{
    if (ws->carrier.open)
        carrier_behind(&ws->carrier);
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

void websocket_send(struct websocket *ws, const struct span *more,
                    size_t more_count)
{
    const struct peer_wire *wire = ws->peer->wire;
    struct span pieces[PEER_PIECES_MAX];
    struct burst *held = ws->held;
    struct buf replies = ws->replies;
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
    ws->held = NULL;
    buf_init(&ws->replies, replies.max);
    if (!peer_send(ws->peer, pieces, count))
        fell_behind(ws);
    burst_unref(held);
    buf_fini(&replies);
}

void websocket_flush(struct websocket *ws)
{
    if (!ws->peer->full)
        websocket_send(ws, NULL, 0);
}

static void send_burst(struct websocket *ws, struct burst *burst)
{
    struct shared *bytes = burst_bytes(burst, ws->peer->wire->format);
    struct span frame;

    if (!bytes) {
        peer_kill(ws->peer); /* it comes back with its cursor */
    } else {
        frame = span_of_shared(bytes);
        websocket_send(ws, &frame, 1);
    }
}

/* An event of no burst, behind a frame of the host's (none: size 0). Takes the
 * reference; NULL: no memory. */
static void send_event(struct websocket *ws, struct span before,
                       struct event *given)
{
    const struct peer_wire *wire = ws->peer->wire;
    struct span pieces[4] = {before};
    char head[FRAME_HEAD_MAX];

    if (given) {
        pieces[1] = (struct span){head, wire->head(head, given->size)};
        pieces[2] = (struct span){given->json, given->size};
        pieces[3] = wire->tail;
    }
    websocket_send(ws, pieces, 4);
    event_unref(given);
}

void websocket_pump(struct websocket *ws)
{
    struct failure why;
    bool more = true;

    for (int i = 0; more && ws->carrier.open && !ws->peer->full; i++) {
        struct burst *burst;

        if (i == BURSTS_AT_ONCE) {
            peer_resume_later(ws->peer);
            return;
        }
        if (carrier_next(&ws->carrier, BURST_BYTES, &burst, &more, &why)) {
            carrier_close(&ws->carrier);
            peer_close(ws->peer, 4001, err_code(err_wire(why.err)));
            return;
        }
        if (!burst)
            break;
        send_burst(ws, burst);
        burst_unref(burst);
    }
    websocket_flush(ws);
}

/* --- life --------------------------------------------------------------- */

static void websocket_free(struct websocket *ws)
{
    mem_free(ws->asked);
    burst_unref(ws->held);
    buf_fini(&ws->replies);
    mem_free(ws);
}

/* The query of the handshake, which must be kept until the peer is known. */
static enum err take_query(struct websocket *ws, const struct head *head,
                           struct failure *why)
{
    struct span text = head->query;

    ws->asked = mem_zalloc(sizeof(*ws->asked) + text.size + 1);
    if (!ws->asked)
        return fail_plain(why, ERR_NOMEM);
    if (text.size)
        memcpy(ws->asked->text, text.data, text.size);
    return query_parse(&ws->asked->query, ws->asked->text, text.size, why);
}

/* With a token in the handshake it follows from the beginning. */
static enum err know_from_handshake(struct websocket *ws,
                                    const struct head *head,
                                    struct failure *why)
{
    struct follow follow;
    struct identity who;
    bool given;
    enum err rc =
        identity_of(ws->worker, head, &ws->asked->query, &who, &given, why);

    if (!given)
        return ERR_NONE;
    if (rc)
        return rc;
    follow_of(&ws->asked->query, &follow);
    rc = carrier_open(&ws->carrier, ws->worker, &websocket_transport, &who,
                      &follow, why);
    if (!rc)
        websocket_known(ws);
    return rc;
}

static struct ws_peer *websocket_create(struct worker *worker,
                                        const struct head *head,
                                        struct failure *why)
{
    struct websocket *ws = mem_zalloc(sizeof(*ws));
    enum err rc;

    if (!ws) {
        fail_plain(why, ERR_NOMEM);
        return NULL;
    }
    ws->worker = worker;
    ws->peer = &ws->socket.peer;
    ws->peer->owner = ws;
    list_init(&ws->calls);
    websocket_forget_replies(ws);
    rc = worker->draining
             ? fail(why, ERR_UNAVAILABLE, "the server is going away")
             : take_query(ws, head, why);
    if (!rc)
        rc = know_from_handshake(ws, head, why);
    if (!rc)
        return &ws->socket;
    websocket_free(ws);
    return NULL;
}

static void websocket_established(struct peer *peer)
{
    struct websocket *ws = websocket_of(peer);

    if (ws->known) {
        wheel_disarm(&peer->deadline);
        websocket_pump(ws);
    }
}

static void websocket_settle(struct peer *peer)
{
    websocket_flush(websocket_of(peer));
}

static void websocket_writable(struct peer *peer)
{
    websocket_pump(websocket_of(peer));
    websocket_decide_reading(websocket_of(peer));
}

static void websocket_late(struct peer *peer)
{
    if (peer->established)
        peer_close(peer, 4100, "auth did not come in time");
    else
        peer_kill(peer);
}

static void websocket_gone(struct peer *peer)
{
    struct websocket *ws = websocket_of(peer);

    carrier_close(&ws->carrier);
    websocket_forsake_calls(ws);
    websocket_free(ws);
}

void websocket_maybe_leave(struct websocket *ws)
{
    if (!ws->leaving || ws->call_count)
        return;
    /* Also to a full socket: the close comes behind it. */
    websocket_send(ws, NULL, 0);
    peer_close(ws->peer, ws->leave_code, ws->leave_reason);
}

static void leave(struct websocket *ws, uint16_t code, const char *reason)
{
    ws->leaving = true;
    ws->leave_code = code;
    ws->leave_reason = reason;
    websocket_maybe_leave(ws);
}

static void websocket_closing(struct peer *peer, uint16_t code)
{
    struct websocket *ws = websocket_of(peer);

    if (!ws->leaving)
        leave(ws, code, "");
}

static void websocket_drain(struct peer *peer)
{
    struct websocket *ws = websocket_of(peer);

    if (!ws->leaving)
        leave(ws, 1001, "draining");
}

/* --- the transport ------------------------------------------------------ */

/* See turn_note. */
static void websocket_deliver(struct carrier *carrier, struct burst *burst)
{
    struct websocket *ws = of_carrier(carrier);

    if (!ws->call_count || ws->held || ws->replies.size ||
        !burst_bytes(burst, ws->peer->wire->format)) {
        send_burst(ws, burst);
        return;
    }
    ws->held = burst_ref(burst);
    peer_flush_later(ws->peer);
}

static void websocket_wake(struct carrier *carrier)
{
    struct websocket *ws = of_carrier(carrier);

    if (ws->peer->established && !ws->peer->full)
        websocket_pump(ws);
}

static void websocket_beat(struct carrier *carrier)
{
    struct websocket *ws = of_carrier(carrier);
    const char *epoch = store_epoch(worker_store(ws->worker));
    char ping[FRAME_HEAD_MAX];
    size_t size = peer_ping(ws->peer, ping);

    send_event(ws, (struct span){ping, size},
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

static void websocket_end(struct carrier *carrier, const struct farewell *why)
{
    struct websocket *ws = of_carrier(carrier);

    websocket_flush(ws);
    carrier_close(carrier);
    if (!ws->peer->full && ws->peer->established)
        send_event(ws, (struct span){0},
                   event_bye(why->reason, why->message, why->retry_after_ms));
    leave(ws, code_of(why), why->reason);
}

const struct transport websocket_transport = {
    .name = "ws",
    .by = BY_WS,
    .stream = true,
    .deliver = websocket_deliver,
    .wake = websocket_wake,
    .beat = websocket_beat,
    .end = websocket_end,
};

extern const struct ws_handler websocket_handler;

const struct ws_handler websocket_handler = {
    .path = WS_PATH,
    .create = websocket_create,
    .peer = {.established = websocket_established,
             .text = websocket_text,
             .writable = websocket_writable,
             .flush = websocket_settle,
             .late = websocket_late,
             .closing = websocket_closing,
             .gone = websocket_gone,
             .drain = websocket_drain},
};
