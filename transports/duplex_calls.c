/* The calls of a connection both ways: each line a method, answered in the
 * order in which they end, behind `auth`, which comes first and makes the peer
 * known. */
#include "server/base/clock.h"
#include "server/method.h"
#include "server/methods/params.h"
#include "transports/duplex_inside.h"
#include "transports/frame_lines.h"
#include "transports/route.h"

#include <string.h>

#define CALLS_MAX 64 /* in flight: beyond, the peer is not read */
#define REPLIES_MAX (1u << 20)
#define REFUSED_MAX 1000 /* requests in a row: whoever goes on means harm */
#define GATHER_BYTES (16u << 10) /* of replies; beyond, they leave at once */
#define METHOD_MAX_BYTES 256     /* of a name with escapes */

/* One method call in flight; outlives its connection if need be. */
struct duplex_call {
    struct call call;
    struct duplex *duplex; /* NULL: the peer is gone */
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

void duplex_forget_replies(struct duplex *duplex)
{
    buf_fini(&duplex->replies);
    buf_init(&duplex->replies, SIZE_MAX / 2); /* reply() bounds it */
}

void duplex_decide_reading(struct duplex *duplex)
{
    bool unread = duplex->peer->full && duplex->replies.size > GATHER_BYTES;
    bool enough = unread || duplex->call_count >= CALLS_MAX;

    peer_pause(duplex->peer, enough && !duplex->peer->close_code);
}

/* Behind the replies that wait for the end of this turn, or for the socket. */
static void reply(struct duplex *duplex, struct span id,
                  const struct call *call)
{
    static const char headroom[FRAME_HEAD_MAX];

    if (!id.size && !call->failure.err)
        return;
    if (duplex->replies.size > REPLIES_MAX) {
        duplex_forget_replies(duplex);
        peer_close(duplex->peer, 1008, "replies are not being read");
        return;
    }
    if (duplex->replies.size)
        buf_append_text(&duplex->replies, "\n");
    else
        buf_append(&duplex->replies, headroom, sizeof(headroom));
    write_reply(&duplex->replies, id, call);
    if (buf_status(&duplex->replies)) {
        duplex_forget_replies(duplex);
        peer_close(duplex->peer, 1013, "out of memory");
    } else if (duplex->replies.size > GATHER_BYTES) {
        duplex_flush(duplex->peer);
        duplex_decide_reading(duplex);
    } else {
        peer_flush_later(duplex->peer);
    }
}

static void refuse(struct duplex *duplex, struct span id,
                   const struct failure *failure)
{
    struct call none = {.failure = *failure};

    metrics_add(duplex->worker->metrics.errors[err_wire(failure->err)], 1);
    reply(duplex, id, &none);
    if (++duplex->refused > REFUSED_MAX)
        peer_close(duplex->peer, 1008, "too many requests were refused");
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
    return err;
}

static enum err take_handshake(const struct asked *asked, struct identity *who,
                               struct follow *follow, struct failure *why)
{
    follow_of(&asked->query, follow);
    return identity_choose_device(who, query_get(&asked->query, "device"), why);
}

/* What `auth` names beats what the handshake named. */
static enum err follow_as_asked(struct duplex *duplex, struct call *call)
{
    struct follow follow = {0}, asked;
    enum err err = take_asked(call, &asked);

    if (err)
        return err;
    if (duplex->asked)
        err = take_handshake(duplex->asked, &call->identity, &follow,
                             &call->failure);
    if (err)
        return err;
    if (asked.cursor.data || asked.conversation.data || asked.after.data) {
        follow.cursor = asked.cursor;
        follow.conversation = asked.conversation;
        follow.after = asked.after;
    }
    if (asked.limit.data)
        follow.limit = asked.limit;
    return duplex_follow(duplex, &call->identity, &follow, &call->failure);
}

/* Whether the peer has become known with this call. When `auth` has succeeded:
 * follow, or turn the answer into why that is impossible. It ends before
 * method_run() does, so its parameters are still there. (auth.refresh has
 * renewed the carrier by itself.) */
static bool authenticated(struct duplex *duplex, struct call *call)
{
    if (!call->authenticated || duplex->known || duplex->peer->close_code)
        return false;
    memset(&duplex->carrier, 0, sizeof(duplex->carrier));
    if (follow_as_asked(duplex, call))
        return false;
    wheel_disarm(&duplex->peer->deadline);
    return true;
}

/* --- method calls ------------------------------------------------------- */

static void call_free(struct duplex_call *job)
{
    worker_call_ends(job->call.worker);
    buf_fini(&job->call.result);
    mem_free(job);
}

void duplex_forsake_calls(struct duplex *duplex)
{
    list_each_safe (link, &duplex->calls) {
        struct duplex_call *job = container_of(link, struct duplex_call, link);

        list_remove(link);
        job->duplex = NULL;
    }
}

static void call_done(struct call *call)
{
    struct duplex_call *job = container_of(call, struct duplex_call, call);
    struct duplex *duplex = job->duplex;
    bool fresh;

    if (!duplex) {
        call_free(job);
        return;
    }
    list_remove(&job->link);
    duplex->call_count--;
    fresh = authenticated(duplex, call);
    reply(duplex, (struct span){job->id, job->id_size}, call);
    call_free(job);
    if (fresh)
        duplex_begin(duplex);
    duplex_decide_reading(duplex);
    duplex_maybe_leave(duplex);
}

static bool call_left(const struct call *call)
{
    const struct duplex *duplex =
        container_of(call, struct duplex_call, call)->duplex;

    return !duplex || duplex->peer->close_code;
}

static void run(struct duplex *duplex, struct span id, struct span method,
                const struct jtext_object *params)
{
    struct duplex_call *job = mem_alloc(sizeof(*job) + id.size);
    struct identity who;

    if (!job) {
        peer_close(duplex->peer, 4001, "out of memory");
        return;
    }
    /* The device that it follows with is the one that it sends with. */
    if (duplex->known)
        carrier_identity(&duplex->carrier, &who);
    job->duplex = duplex;
    job->id_size = id.size;
    if (id.size)
        memcpy(job->id, id.data, id.size);
    job->call = (struct call){
        .worker = duplex->worker,
        .method = method,
        .params = params,
        .who = duplex->known ? &who : NULL,
        .carrier = duplex->carrier.open ? &duplex->carrier : NULL,
        .done = call_done,
        .left = call_left,
    };
    list_append(&duplex->calls, &job->link);
    duplex->refused = 0;
    duplex->call_count++;
    duplex_decide_reading(duplex);
    worker_call_begins(duplex->worker);
    method_run(&job->call); /* may free job */
}

/* What is wrong with a request, before its method is even looked at. */
static enum err check(struct duplex *duplex, const struct jtext_object *object,
                      struct frame_call *request, struct failure *why)
{
    enum err err = frame_call_of(object, request, why);
    uint32_t wait_ms =
        bucket_spend(&duplex->bucket, duplex->worker->config->connection_rate,
                     clock_mono_us());

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
static enum err check_order(const struct duplex *duplex, struct span method,
                            struct failure *why)
{
    bool is_auth = span_is(method, "auth");

    if (!duplex->known && !is_auth)
        return fail(why, ERR_UNAUTHORIZED,
                    "the first method must be 'auth', with a token");
    if (duplex->known && is_auth)
        return fail(why, ERR_CONFLICT,
                    "this connection is authenticated: use 'auth.refresh'");
    return ERR_NONE;
}

static void line(struct duplex *duplex, struct span text)
{
    char room[METHOD_MAX_BYTES];
    struct jtext_object object, params;
    struct frame_call request;
    struct span method;
    struct failure why;

    metrics_add(duplex->worker->metrics.requests, 1);
    if (request_read(&object, &params, text,
                     duplex->worker->config->max_message_bytes, &why)) {
        refuse(duplex, (struct span){0}, &why);
        return;
    }
    if (check(duplex, &object, &request, &why)) {
        refuse(duplex, request.id, &why);
        return;
    }
    method = method_of(&request, room);
    if (check_order(duplex, method, &why))
        refuse(duplex, request.id, &why);
    else
        run(duplex, request.id, method, &params);
}

void duplex_text(struct peer *peer, struct span text)
{
    struct duplex *duplex = duplex_of(peer);
    struct span one;

    while (!peer->close_code && !duplex->leaving && frame_line(&text, &one))
        line(duplex, one);
}
