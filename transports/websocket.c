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
#include "server/method.h"
#include "server/methods/params.h"
#include "transports/frame_lines.h"
#include "transports/route.h"
#include "transports/websocket_inside.h"

#include <string.h>

#define CALLS_MAX 64 /* in flight: beyond, the peer is not read */
#define REPLIES_MAX (1u << 20)
#define REFUSED_MAX 1000 /* requests in a row: whoever goes on means harm */
#define GATHER_BYTES (16u << 10) /* of replies; beyond, they leave at once */
#define METHOD_MAX_BYTES 256     /* of a name with escapes */

/* One method call in flight; outlives its websocket if need be. */
struct ws_call {
    struct call call;
    struct websocket *ws; /* NULL: the peer is gone */
    struct list link;
    size_t id_size; /* 0: it wants no result */
    char id[];      /* JSON text, as it was sent */
};

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

/* The replies that wait, as one frame. */
static struct span replies_frame(struct buf *replies)
{
    char head[FRAME_HEAD_MAX];
    size_t size = frame_head(head, WS_TEXT, replies->size - FRAME_HEAD_MAX);
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
    struct span pieces[WS_PIECES_MAX];
    struct burst *held = ws->held;
    struct buf replies = ws->replies;
    size_t count = 0;

    if (held)
        pieces[count++] = span_of_shared(burst_bytes(held, FORMAT_FRAME));
    if (replies.size)
        pieces[count++] = replies_frame(&replies);
    for (size_t i = 0; i < more_count; i++)
        if (more[i].size)
            pieces[count++] = more[i];
    if (!count)
        return;
    ws->held = NULL;
    buf_init(&ws->replies, replies.max);
    if (!ws_send(&ws->peer, pieces, count))
        fell_behind(ws);
    burst_unref(held);
    buf_fini(&replies);
}

void websocket_flush(struct websocket *ws)
{
    if (!ws->peer.full)
        websocket_send(ws, NULL, 0);
}

static void send_burst(struct websocket *ws, struct burst *burst)
{
    struct shared *bytes = burst_bytes(burst, FORMAT_FRAME);
    struct span frame;

    if (!bytes) {
        ws_kill(&ws->peer); /* it comes back with its cursor */
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
    struct span pieces[3] = {before};
    char head[FRAME_HEAD_MAX];

    if (given) {
        pieces[1] = (struct span){head, frame_head(head, WS_TEXT, given->size)};
        pieces[2] = (struct span){given->json, given->size};
    }
    websocket_send(ws, pieces, 3);
    event_unref(given);
}

void websocket_pump(struct websocket *ws)
{
    struct failure why;
    bool more = true;

    for (int i = 0; more && ws->carrier.open && !ws->peer.full; i++) {
        struct burst *burst;

        if (i == BURSTS_AT_ONCE) {
            ws_resume_later(&ws->peer);
            return;
        }
        if (carrier_next(&ws->carrier, BURST_BYTES, &burst, &more, &why)) {
            carrier_close(&ws->carrier);
            ws_close(&ws->peer, 4001, err_code(err_wire(why.err)));
            return;
        }
        if (!burst)
            break;
        send_burst(ws, burst);
        burst_unref(burst);
    }
    websocket_flush(ws);
}

/* --- replies ------------------------------------------------------------ */

/* {"id":7,"result":{}} or {"id":7,"error":{}}; an error without id goes
 * without. */
static void write_reply(struct buf *out, struct span id,
                        const struct call *call)
{
    size_t at;

    buf_append_span(out, SPAN("{"));
    if (id.size) {
        buf_append_span(out, SPAN("\"id\":"));
        buf_append_span(out, id);
        buf_append_span(out, SPAN(","));
    }
    if (!call->failure.err) {
        buf_append_span(out, SPAN("\"result\":"));
        buf_append(out, call->result.data, call->result.size);
        buf_append_span(out, SPAN("}"));
        return;
    }
    at = out->size;
    failure_write(out, &call->failure); /* {"error":{…}}: without its brace */
    if (!buf_status(out)) {
        memmove(out->data + at, out->data + at + 1, out->size - at - 1);
        out->size--;
    }
}

void websocket_forget_replies(struct websocket *ws)
{
    buf_fini(&ws->replies);
    buf_init(&ws->replies, SIZE_MAX / 2); /* reply() bounds it */
}

void websocket_decide_reading(struct websocket *ws)
{
    bool unread = ws->peer.full && ws->replies.size > GATHER_BYTES;
    bool enough = unread || ws->call_count >= CALLS_MAX;

    ws_pause(&ws->peer, enough && !ws->peer.close_code);
}

/* Behind the replies that wait for the end of this turn, or for the socket. */
static void reply(struct websocket *ws, struct span id, const struct call *call)
{
    static const char headroom[FRAME_HEAD_MAX];

    if (!id.size && !call->failure.err)
        return;
    if (ws->replies.size > REPLIES_MAX) {
        websocket_forget_replies(ws);
        ws_close(&ws->peer, 1008, "replies are not being read");
        return;
    }
    if (ws->replies.size)
        buf_append_text(&ws->replies, "\n");
    else
        buf_append(&ws->replies, headroom, sizeof(headroom));
    write_reply(&ws->replies, id, call);
    if (buf_status(&ws->replies)) {
        websocket_forget_replies(ws);
        ws_close(&ws->peer, 1013, "out of memory");
    } else if (ws->replies.size > GATHER_BYTES) {
        websocket_flush(ws);
        websocket_decide_reading(ws);
    } else {
        ws_flush_later(&ws->peer);
    }
}

static void refuse(struct websocket *ws, struct span id,
                   const struct failure *failure)
{
    struct call none = {.failure = *failure};

    metrics_add(ws->worker->metrics.errors[err_wire(failure->err)], 1);
    reply(ws, id, &none);
    if (++ws->refused > REFUSED_MAX)
        ws_close(&ws->peer, 1008, "too many requests were refused");
}

/* --- becoming known ----------------------------------------------------- */

/* A parameter of `auth` as the text that a query would have. */
static enum err asked_text(struct call *call, const char *name,
                           struct span *out)
{
    struct jtext value;

    *out = (struct span){0};
    if (!param_get(call, name, &value))
        return ERR_NONE;
    if (value.kind == JTEXT_STRING)
        return param_string(call, &value, out);
    *out = value.kind == JTEXT_INTEGER ? value.text : SPAN("?");
    return ERR_NONE;
}

static enum err take_asked(struct call *call, struct follow *out)
{
    enum err err = asked_text(call, "cursor", &out->cursor);

    if (!err)
        err = asked_text(call, "conversation", &out->conversation);
    if (!err)
        err = asked_text(call, "after", &out->after);
    if (!err)
        err = asked_text(call, "limit", &out->limit);
    if (!err)
        err = asked_text(call, "device", &out->device);
    return err;
}

/* What `auth` names beats what the handshake named. */
static enum err follow_as_asked(struct websocket *ws, struct call *call)
{
    struct follow follow, asked;
    enum err err = take_asked(call, &asked);

    if (err)
        return err;
    follow_of(&ws->asked->query, &follow);
    if (asked.cursor.data || asked.conversation.data || asked.after.data) {
        follow.cursor = asked.cursor;
        follow.conversation = asked.conversation;
        follow.after = asked.after;
    }
    if (asked.limit.data)
        follow.limit = asked.limit;
    if (asked.device.data)
        follow.device = asked.device;
    return carrier_open(&ws->carrier, ws->worker, &websocket_transport,
                        &call->identity, &follow, &call->failure);
}

void websocket_known(struct websocket *ws)
{
    ws->known = true;
    mem_free(ws->asked);
    ws->asked = NULL;
}

/* Whether the peer has become known with this call. When `auth` has succeeded:
 * follow, or turn the answer into why that is impossible. It ends before
 * method_run() does, so its parameters are still there. (auth.refresh has
 * renewed the carrier by itself.) */
static bool authenticated(struct websocket *ws, struct call *call)
{
    if (!call->authenticated || ws->known || ws->peer.close_code)
        return false;
    memset(&ws->carrier, 0, sizeof(ws->carrier));
    if (follow_as_asked(ws, call))
        return false;
    websocket_known(ws);
    wheel_disarm(&ws->peer.deadline);
    return true;
}

/* --- method calls ------------------------------------------------------- */

static void call_free(struct ws_call *job)
{
    worker_call_ends(job->call.worker);
    buf_fini(&job->call.result);
    mem_free(job);
}

void websocket_forsake_calls(struct websocket *ws)
{
    list_each_safe (link, &ws->calls) {
        struct ws_call *job = container_of(link, struct ws_call, link);

        list_remove(link);
        job->ws = NULL;
    }
}

static void call_done(struct call *call)
{
    struct ws_call *job = container_of(call, struct ws_call, call);
    struct websocket *ws = job->ws;
    bool fresh;

    if (!ws) {
        call_free(job);
        return;
    }
    list_remove(&job->link);
    ws->call_count--;
    fresh = authenticated(ws, call);
    reply(ws, (struct span){job->id, job->id_size}, call);
    call_free(job);
    if (fresh)
        websocket_pump(ws);
    websocket_decide_reading(ws);
    websocket_maybe_leave(ws);
}

static void run(struct websocket *ws, struct span id, struct span method,
                const struct jtext_object *params)
{
    struct ws_call *job = mem_alloc(sizeof(*job) + id.size);
    struct identity who;

    if (!job) {
        ws_close(&ws->peer, 4001, "out of memory");
        return;
    }
    /* The device that it follows with is the one that it sends with. */
    if (ws->known)
        carrier_identity(&ws->carrier, &who);
    job->ws = ws;
    job->id_size = id.size;
    if (id.size)
        memcpy(job->id, id.data, id.size);
    job->call = (struct call){
        .worker = ws->worker,
        .method = method,
        .params = params,
        .who = ws->known ? &who : NULL,
        .carrier = ws->carrier.open ? &ws->carrier : NULL,
        .done = call_done,
    };
    list_append(&ws->calls, &job->link);
    ws->refused = 0;
    ws->call_count++;
    websocket_decide_reading(ws);
    worker_call_begins(ws->worker);
    method_run(&job->call); /* may free job */
}

/* What is wrong with a request, before its method is even looked at. */
static enum err check(struct websocket *ws, const struct jtext_object *object,
                      struct frame_call *request, struct failure *why)
{
    enum err err = frame_call_of(object, request, why);
    uint32_t wait_ms = bucket_spend(
        &ws->bucket, ws->worker->config->connection_rate, clock_mono_us());

    if (wait_ms) {
        fail(why, ERR_RATE_LIMITED, "this connection asks too often");
        why->retry_after_ms = wait_ms;
        return why->err;
    }
    return err;
}

/* The name of the method; one that no method is so long as, as it was sent. */
static struct span method_of(const struct frame_call *request,
                             char room[METHOD_MAX_BYTES])
{
    const struct jtext *name = &request->method;

    if (!name->escaped)
        return jtext_plain(name);
    if (name->text.size > METHOD_MAX_BYTES)
        return name->text;
    return (struct span){room, jtext_unescape(room, name)};
}

/* `auth` comes first, and once. */
static enum err check_order(const struct websocket *ws, struct span method,
                            struct failure *why)
{
    bool is_auth = span_is(method, "auth");

    if (!ws->known && !is_auth)
        return fail(why, ERR_UNAUTHORIZED,
                    "the first method must be 'auth', with a token");
    if (ws->known && is_auth)
        return fail(why, ERR_CONFLICT,
                    "this connection is authenticated: use 'auth.refresh'");
    return ERR_NONE;
}

static void line(struct websocket *ws, struct span text)
{
    char room[METHOD_MAX_BYTES];
    struct jtext_object object, params;
    struct frame_call request;
    struct span method;
    struct failure why;

    metrics_add(ws->worker->metrics.requests, 1);
    if (request_read(&object, &params, text,
                     ws->worker->config->max_message_bytes, &why)) {
        refuse(ws, (struct span){0}, &why);
        return;
    }
    if (check(ws, &object, &request, &why)) {
        refuse(ws, request.id, &why);
        return;
    }
    method = method_of(&request, room);
    if (check_order(ws, method, &why))
        refuse(ws, request.id, &why);
    else
        run(ws, request.id, method, &params);
}

void websocket_text(struct ws_peer *peer, struct span text)
{
    struct websocket *ws = websocket_of(peer);
    struct span one;

    while (!peer->close_code && !ws->leaving && frame_line(&text, &one))
        line(ws, one);
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
    list_init(&ws->calls);
    websocket_forget_replies(ws);
    rc = worker->draining
             ? fail(why, ERR_UNAVAILABLE, "the server is going away")
             : take_query(ws, head, why);
    if (!rc)
        rc = know_from_handshake(ws, head, why);
    if (!rc)
        return &ws->peer;
    websocket_free(ws);
    return NULL;
}

static void websocket_established(struct ws_peer *peer)
{
    struct websocket *ws = websocket_of(peer);

    if (ws->known) {
        wheel_disarm(&peer->deadline);
        websocket_pump(ws);
    }
}

static void websocket_settle(struct ws_peer *peer)
{
    websocket_flush(websocket_of(peer));
}

static void websocket_writable(struct ws_peer *peer)
{
    websocket_pump(websocket_of(peer));
    websocket_decide_reading(websocket_of(peer));
}

static void websocket_late(struct ws_peer *peer)
{
    if (peer->established)
        ws_close(peer, 4100, "auth did not come in time");
    else
        ws_kill(peer);
}

static void websocket_gone(struct ws_peer *peer)
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
    ws_close(&ws->peer, ws->leave_code, ws->leave_reason);
}

static void leave(struct websocket *ws, uint16_t code, const char *reason)
{
    ws->leaving = true;
    ws->leave_code = code;
    ws->leave_reason = reason;
    websocket_maybe_leave(ws);
}

static void websocket_closing(struct ws_peer *peer, uint16_t code)
{
    struct websocket *ws = websocket_of(peer);

    if (!ws->leaving)
        leave(ws, code, "");
}

static void websocket_drain(struct ws_peer *peer)
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
        !burst_bytes(burst, FORMAT_FRAME)) {
        send_burst(ws, burst);
        return;
    }
    ws->held = burst_ref(burst);
    ws_flush_later(&ws->peer);
}

static void websocket_wake(struct carrier *carrier)
{
    struct websocket *ws = of_carrier(carrier);

    if (ws->peer.established && !ws->peer.full)
        websocket_pump(ws);
}

static void websocket_beat(struct carrier *carrier)
{
    struct websocket *ws = of_carrier(carrier);
    const char *epoch = store_epoch(worker_store(ws->worker));
    char ping[FRAME_HEAD_MAX];
    size_t size = ws_ping(&ws->peer, ping);

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
    if (!ws->peer.full && ws->peer.established)
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
    .established = websocket_established,
    .text = websocket_text,
    .writable = websocket_writable,
    .flush = websocket_settle,
    .late = websocket_late,
    .closing = websocket_closing,
    .gone = websocket_gone,
    .drain = websocket_drain,
};
