/* Methods as Socket.IO events: `emit(method, params, ack)`; the acknowledgement
 * has one argument, the result or {"error":{…}}. */
#include "server/method.h"
#include "transports/socketio_inside.h"

#include <string.h>

#define CALLS_EASY 64   /* in flight: beyond, a WebSocket is not read */
#define CALLS_MAX 20000 /* … and beyond these, of a large POST, none are run */
#define METHOD_MAX_BYTES 256

struct socketio_call {
    struct call call;
    struct socketio *socketio; /* NULL: the peer is gone */
    struct list link;
    bool wants_ack;
    uint64_t id;
};

static void decide_reading(struct socketio *socketio)
{
    eio_hold(sio_session(socketio->socket), socketio->call_count >= CALLS_EASY);
}

/* --- answers -------------------------------------------------------------- */

void socketio_write_error(struct buf *out, const struct failure *why)
{
    static const char before[] = "{\"error\":";
    struct buf text;

    buf_init(&text, 4096);
    failure_write(&text, why); /* {"error":{…}} */
    if (buf_status(&text) || text.size < sizeof(before))
        out->failed = true;
    else
        buf_append(out, text.data + sizeof(before) - 1,
                   text.size - sizeof(before));
    buf_fini(&text);
}

static void refuse(struct sio_socket *socket, const struct sio_event *event,
                   const struct failure *why)
{
    struct metrics *metrics = &sio_worker(socket)->metrics;
    struct buf text;

    metrics_add(metrics->errors[err_wire(why->err)], 1);
    if (!event->wants_ack)
        return;
    buf_init(&text, 4096);
    failure_write(&text, why);
    sio_ack(socket, event->id, (struct span){text.data, text.size}, NULL, 0);
    buf_fini(&text);
}

static void answer(struct socketio_call *job)
{
    const struct call *call = &job->call;
    struct sio_socket *socket = job->socketio->socket;
    struct buf text;

    if (!job->wants_ack)
        return;
    if (!call->failure.err) {
        sio_ack(socket, job->id,
                (struct span){call->result.data, call->result.size}, NULL, 0);
        return;
    }
    buf_init(&text, 4096);
    failure_write(&text, &call->failure);
    sio_ack(socket, job->id, (struct span){text.data, text.size}, NULL, 0);
    buf_fini(&text);
}

/* --- calls ---------------------------------------------------------------- */

static void call_done(struct call *call)
{
    struct socketio_call *job = container_of(call, struct socketio_call, call);
    struct socketio *socketio = job->socketio;

    if (socketio) {
        list_remove(&job->link);
        socketio->call_count--;
        answer(job);
        decide_reading(socketio);
    }
    worker_call_ends(call->worker);
    buf_fini(&call->result);
    mem_free(job);
}

static bool call_left(const struct call *call)
{
    return !container_of(call, struct socketio_call, call)->socketio;
}

void socketio_forsake_calls(struct socketio *socketio)
{
    list_each_safe (link, &socketio->calls) {
        list_remove(link);
        container_of(link, struct socketio_call, link)->socketio = NULL;
    }
}

static void run(struct socketio *socketio, const struct sio_event *event,
                struct span method, const struct jtext_object *params)
{
    struct socketio_call *job = mem_zalloc(sizeof(*job));
    struct worker *worker = sio_worker(socketio->socket);
    struct identity who;

    if (!job) {
        eio_break(sio_session(socketio->socket));
        return;
    }
    carrier_identity(&socketio->carrier, &who);
    job->socketio = socketio;
    job->wants_ack = event->wants_ack;
    job->id = event->id;
    job->call = (struct call){
        .worker = worker,
        .method = method,
        .params = params,
        .who = &who,
        .carrier = &socketio->carrier,
        .done = call_done,
        .left = call_left,
    };
    list_append(&socketio->calls, &job->link);
    socketio->call_count++;
    decide_reading(socketio);
    worker_call_begins(worker);
    method_run(&job->call); /* may free job */
}

/* --- what an event asks for ------------------------------------------------ */

/* The name of the method; one that no method is so long as, as it was sent. */
static struct span method_of(const struct jtext *name,
                             char room[METHOD_MAX_BYTES])
{
    if (name->kind != JTEXT_STRING || name->text.size > METHOD_MAX_BYTES)
        return name->text;
    if (!name->escaped)
        return jtext_plain(name);
    return (struct span){room, jtext_unescape(room, name)};
}

/* One object, or nothing. */
static enum err params_of(const struct sio_event *event, size_t max,
                          struct jtext_object *out, struct failure *why)
{
    struct span rest = event->args;
    struct jtext value;

    if (event->attachment_count)
        return fail(why, ERR_BAD_REQUEST,
                    "a method's parameters are JSON, without binary data");
    if (!sio_next(&rest, &value) || value.kind == JTEXT_NULL)
        return params_read(out, SPAN("{}"), max, why);
    if (rest.size)
        return fail(why, ERR_BAD_REQUEST,
                    "a method takes one object: emit(method, params, ack)");
    return params_read(out, value.text, max, why);
}

static enum err may_run(struct socketio *socketio, struct span method,
                        struct failure *why)
{
    uint32_t wait_ms = sio_spend(socketio->socket);

    if (wait_ms || socketio->call_count >= CALLS_MAX) {
        fail(why, ERR_RATE_LIMITED, "this connection asks too often");
        why->retry_after_ms = wait_ms ? wait_ms : 1000;
        return why->err;
    }
    if (span_is(method, "auth"))
        return fail(why, ERR_CONFLICT,
                    "this connection is authenticated: use 'auth.refresh'");
    return ERR_NONE;
}

void socketio_call(struct sio_socket *socket, const struct sio_event *event)
{
    struct socketio *socketio = socket->user;
    struct worker *worker = sio_worker(socket);
    char room[METHOD_MAX_BYTES];
    struct span method = method_of(&event->name, room);
    struct jtext_object params;
    struct failure why;

    metrics_add(worker->metrics.requests, 1);
    if (!socketio->carrier.open)
        return; /* on its way out */
    if (may_run(socketio, method, &why) ||
        params_of(event, worker->config->max_message_bytes, &params, &why))
        refuse(socket, event, &why);
    else
        run(socketio, event, method, &params);
}
