/* Socket.IO: the namespace "/" is a Rung session. Its methods are events with
 * an acknowledgement, and every event of the log is emitted under its kind, the
 * cursor as last argument. A stock client with connection state recovery hands
 * that back when it reconnects: so its recovery is a resume from the log.
 *
 * An event is encoded once per worker (struct event's `packet`), and every
 * socket is sent those bytes. What a transport does not take waits in the log:
 * a polling client without a poll is simply behind.
 */
#include "server/base/clock.h"
#include "server/method.h"
#include "server/methods/params.h"
#include "transports/socketio_inside.h"

#include <string.h>

#define BURST_BYTES (64u << 10)

extern const struct transport socketio_transport;
extern const struct eio_server socketio_server;

static struct socketio *of_carrier(struct carrier *carrier)
{
    return container_of(carrier, struct socketio, carrier);
}

/* --- sending -------------------------------------------------------------- */

/* With its quotes, as it stands behind the kind; data NULL: it has none. */
static struct span cursor_of(const struct event *event)
{
    size_t before = strlen("{\"event\":\"\"") + strlen(event->kind);
    struct span rest = {event->json + before, event->size - before};
    static const char name[] = ",\"cursor\":";
    const char *end;

    if (rest.size <= sizeof(name) ||
        memcmp(rest.data, name, sizeof(name) - 1) != 0)
        return (struct span){0};
    rest.data += sizeof(name) - 1;
    rest.size -= sizeof(name) - 1;
    end = memchr(rest.data + 1, '"', rest.size - 1);
    return end ? (struct span){rest.data, (size_t)(end + 1 - rest.data)}
               : (struct span){0};
}

/* ["kind",{event},"cursor"] */
static struct shared *encode(const struct event *event)
{
    struct span cursor = cursor_of(event);
    struct shared *packet = NULL;
    struct buf text;
    char *room;

    buf_init(&text, SIZE_MAX / 2); /* the event bounds it */
    sio_write_head(&text, SIO_EVENT, 0, SPAN("/"), NULL);
    buf_append_text(&text, "[\"");
    buf_append_text(&text, event->kind);
    buf_append_text(&text, "\",");
    buf_append(&text, event->json, event->size);
    if (cursor.size)
        buf_append_text(&text, ",");
    buf_append_span(&text, cursor);
    buf_append_text(&text, "]");
    if (!buf_status(&text))
        packet = eio_text_create(text.size, &room);
    if (packet)
        memcpy(room, text.data, text.size);
    buf_fini(&text);
    return packet;
}

static void send_event(struct socketio *socketio, struct event *event)
{
    struct eio_session *session = sio_session(socketio->socket);

    if (!event->packet)
        event->packet = encode(event);
    if (event->packet)
        eio_send_text(session, event->packet);
    else
        eio_break(session); /* it comes back with its cursor */
}

static void send_burst(struct socketio *socketio, const struct burst *burst)
{
    for (size_t i = 0; i < burst->count; i++)
        send_event(socketio, burst->events[i]);
}

/* One of no burst: heartbeat, bye. Takes the reference. */
static void send_given(struct socketio *socketio, struct event *given)
{
    if (given)
        send_event(socketio, given);
    event_unref(given);
}

/* --- the transport --------------------------------------------------------- */

static void fall_behind(struct socketio *socketio)
{
    carrier_behind(&socketio->carrier);
    eio_wants_room(sio_session(socketio->socket));
}

static void socketio_deliver(struct carrier *carrier, struct burst *burst)
{
    struct socketio *socketio = of_carrier(carrier);
    bool room = eio_has_room(sio_session(socketio->socket));

    /* It is beyond the cursor: once it was taken, and not before. */
    send_burst(socketio, burst);
    if (!room)
        fall_behind(socketio);
}

static void socketio_wake(struct carrier *carrier)
{
    eio_wants_room(sio_session(of_carrier(carrier)->socket));
}

static void socketio_beat(struct carrier *carrier)
{
    struct socketio *socketio = of_carrier(carrier);

    if (eio_has_room(sio_session(socketio->socket)))
        send_given(socketio,
                   event_heartbeat(store_epoch(worker_store(carrier->worker)),
                                   carrier_at(carrier), clock_wall_ms()));
}

/* A stock client that was disconnected stays away, one whose transport closed
 * comes back with its cursor. */
static void socketio_end(struct carrier *carrier, const struct farewell *why)
{
    struct socketio *socketio = of_carrier(carrier);

    send_given(socketio,
               event_bye(why->reason, why->message, why->retry_after_ms));
    carrier_close(carrier);
    if (why->come_back)
        eio_close(sio_session(socketio->socket));
    else
        sio_disconnect(socketio->socket); /* frees it */
}

const struct transport socketio_transport = {
    .name = "socketio",
    .by = BY_SOCKETIO,
    .stream = true,
    .deliver = socketio_deliver,
    .wake = socketio_wake,
    .beat = socketio_beat,
    .end = socketio_end,
};

/* The log from the cursor on. */
static void on_room(struct sio_socket *socket)
{
    struct socketio *socketio = socket->user;
    struct failure why;
    struct burst *burst;
    bool more;

    if (!socketio->carrier.open)
        return;
    if (carrier_next(&socketio->carrier, BURST_BYTES, &burst, &more, &why)) {
        eio_break(sio_session(socket));
        return;
    }
    if (burst)
        send_burst(socketio, burst);
    burst_unref(burst);
    if (more)
        eio_wants_room(sio_session(socket));
}

/* --- coming in -------------------------------------------------------------- */

/* What a client asks for: a member of its auth, or, with protocol 3, of the
 * handshake's query. */
struct asked {
    struct span token, device, pid, offset;
    struct follow follow;
};

static struct span member(struct call *call, const struct sio_socket *socket,
                          const char *name)
{
    struct span text = {0};
    struct jtext value;

    if (!param_get(call, name, &value))
        return eio_param(sio_session(socket), name);
    if (value.kind == JTEXT_INTEGER)
        return value.text;
    if (value.kind != JTEXT_STRING || param_string(call, &value, &text))
        return SPAN("?");
    return text;
}

static void take_asked(struct call *call, const struct sio_socket *socket,
                       struct asked *out)
{
    out->token = member(call, socket, "token");
    if (!out->token.data)
        out->token = eio_param(sio_session(socket), "access_token");
    out->device = member(call, socket, "device");
    out->pid = member(call, socket, "pid");
    out->offset = member(call, socket, "offset");
    out->follow = (struct follow){
        .cursor = member(call, socket, "cursor"),
        .conversation = member(call, socket, "conversation"),
        .after = member(call, socket, "after"),
        .limit = member(call, socket, "limit"),
    };
}

static enum err identify(struct worker *worker, const struct asked *asked,
                         struct identity *who, struct failure *why)
{
    enum err err;

    if (!asked->token.data)
        return fail(why, ERR_UNAUTHORIZED,
                    "a token is required: io(url, {auth: {token}})");
    err = auth_verify(worker->auth, asked->token, who, why);
    return err ? err : identity_choose_device(who, asked->device, why);
}

/* Whether the log goes on from there. */
static bool is_ours(struct worker *worker, struct span offset)
{
    char epoch[9];
    lsn at;

    return offset.data && !cursor_parse(offset, epoch, &at) &&
           !strcmp(epoch, store_epoch(worker_store(worker))) &&
           at <= store_head(worker_store(worker));
}

/* Its pid, the one that it had if it recovers. A client may be back before its
 * old connection is known to have ended: it does not recover, but it goes on
 * from its offset, too, so that nothing is skipped. */
static enum err take_pid(struct socketio *socketio, struct asked *asked,
                         const struct identity *who, struct failure *why)
{
    struct worker *worker = sio_worker(socketio->socket);
    enum pid_found found = PID_WRONG;
    enum err err;

    if (asked->pid.data && is_ours(worker, asked->offset))
        found = pid_take(&socketio->pid, asked->pid, worker->config, who);
    if (found != PID_WRONG)
        asked->follow.cursor = asked->offset;
    if (found == PID_TAKEN)
        return ERR_NONE;
    err = pid_issue(&socketio->pid, worker->config, who);
    return err ? fail_plain(why, err) : ERR_NONE;
}

static enum err let_in(struct socketio *socketio, struct asked *asked,
                       struct failure *why)
{
    struct worker *worker = sio_worker(socketio->socket);
    struct identity who;
    enum err err = ERR_NONE;

    if (worker->draining)
        err = fail(why, ERR_UNAVAILABLE, "the server is going away");
    if (!err)
        err = identify(worker, asked, &who, why);
    if (!err)
        err = take_pid(socketio, asked, &who, why);
    if (!err)
        err = carrier_open(&socketio->carrier, worker, &socketio_transport,
                           &who, &asked->follow, why);
    return err;
}

static void socketio_free(struct socketio *socketio)
{
    socketio_forsake_calls(socketio);
    eio_hold(sio_session(socketio->socket), false); /* which outlives it */
    carrier_close(&socketio->carrier);
    pid_release(&socketio->pid);
    mem_free(socketio);
}

static void refuse(struct sio_socket *socket, const struct failure *why)
{
    struct metrics *metrics = &sio_worker(socket)->metrics;
    struct buf text;

    metrics_add(metrics->errors[err_wire(why->err)], 1);
    buf_init(&text, 4096);
    socketio_write_error(&text, why);
    sio_refuse(socket, span_of(why->message),
               (struct span){text.data, text.size});
    buf_fini(&text);
}

static enum err connect_as(struct sio_socket *socket, struct socketio *socketio,
                           struct span auth, struct failure *why)
{
    struct jtext_object members;
    struct scrap *scraps = NULL;
    struct call call = {
        .worker = sio_worker(socket), .params = &members, .scraps = &scraps};
    struct asked asked;
    enum err err = params_read(&members, auth, auth.size, why);

    if (err)
        return err;
    take_asked(&call, socket, &asked);
    err = let_in(socketio, &asked, why);
    params_forget(scraps);
    return err;
}

static void on_connect(struct sio_socket *socket, struct span auth)
{
    struct socketio *socketio = mem_zalloc(sizeof(*socketio));
    struct failure why;

    if (!socketio) {
        fail_plain(&why, ERR_NOMEM);
        refuse(socket, &why);
        return;
    }
    list_init(&socketio->calls);
    socketio->socket = socket;
    if (connect_as(socket, socketio, auth, &why)) {
        socketio_free(socketio);
        refuse(socket, &why);
        return;
    }
    socket->user = socketio;
    sio_accept(socket, socketio->pid.text);
    eio_wants_room(sio_session(socket));
}

static void on_disconnect(struct sio_socket *socket, enum sio_end how)
{
    (void)how;
    if (socket->user)
        socketio_free(socket->user);
}

static bool has(struct span space)
{
    return span_is(space, "/");
}

static uint32_t connect_timeout_ms(const struct config *config)
{
    return (uint32_t)config->header_timeout_ms;
}

static const struct sio_handler handler = {
    .connect_timeout_ms = connect_timeout_ms,
    .has = has,
    .on_connect = on_connect,
    .on_event = socketio_call,
    .on_disconnect = on_disconnect,
    .on_room = on_room,
};

/* --- on Engine.IO ----------------------------------------------------------- */

static const char *path(const struct config *config)
{
    return config->socketio_path;
}

static void options(const struct config *config, struct eio_options *out)
{
    *out = (struct eio_options){
        .protocol_3 = config->socketio_v3,
        .ping_interval_ms = (uint32_t)config->socketio_ping_interval_ms,
        .ping_timeout_ms = (uint32_t)config->socketio_ping_timeout_ms,
        .max_payload = config->socketio_max_payload_bytes,
        .max_waiting = config->socketio_max_waiting_bytes,
        .max_sessions = config->socketio_max_sessions,
    };
}

static void *open_client(struct eio_session *session)
{
    return sio_open(session, &handler);
}

const struct eio_server socketio_server = {
    .path = path,
    .options = options,
    .open = open_client,
    .message = sio_hear,
    .room = sio_room,
    .closed = sio_closed,
};
