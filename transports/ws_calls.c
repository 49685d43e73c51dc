/* The calls of a WebSocket: each line a method, answered in the order in which
 * they end, behind `auth`, which comes first and makes the peer known. */
#include "server/base/clock.h"
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
    bool unread = ws->peer->full && ws->replies.size > GATHER_BYTES;
    bool enough = unread || ws->call_count >= CALLS_MAX;

    peer_pause(ws->peer, enough && !ws->peer->close_code);
}

/* Behind the replies that wait for the end of this turn, or for the socket. */
static void reply(struct websocket *ws, struct span id, const struct call *call)
{
    static const char headroom[FRAME_HEAD_MAX];

    if (!id.size && !call->failure.err)
        return;
    if (ws->replies.size > REPLIES_MAX) {
        websocket_forget_replies(ws);
        peer_close(ws->peer, 1008, "replies are not being read");
        return;
    }
    if (ws->replies.size)
        buf_append_text(&ws->replies, "\n");
    else
        buf_append(&ws->replies, headroom, sizeof(headroom));
    write_reply(&ws->replies, id, call);
    if (buf_status(&ws->replies)) {
        websocket_forget_replies(ws);
        peer_close(ws->peer, 1013, "out of memory");
    } else if (ws->replies.size > GATHER_BYTES) {
        websocket_flush(ws);
        websocket_decide_reading(ws);
    } else {
        peer_flush_later(ws->peer);
    }
}

static void refuse(struct websocket *ws, struct span id,
                   const struct failure *failure)
{
    struct call none = {.failure = *failure};

    metrics_add(ws->worker->metrics.errors[err_wire(failure->err)], 1);
    reply(ws, id, &none);
    if (++ws->refused > REFUSED_MAX)
        peer_close(ws->peer, 1008, "too many requests were refused");
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
    if (!call->authenticated || ws->known || ws->peer->close_code)
        return false;
    memset(&ws->carrier, 0, sizeof(ws->carrier));
    if (follow_as_asked(ws, call))
        return false;
    websocket_known(ws);
    wheel_disarm(&ws->peer->deadline);
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
        peer_close(ws->peer, 4001, "out of memory");
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

void websocket_text(struct peer *peer, struct span text)
{
    struct websocket *ws = websocket_of(peer);
    struct span one;

    while (!peer->close_code && !ws->leaving && frame_line(&text, &one))
        line(ws, one);
}
