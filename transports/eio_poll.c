/* Polling: what a GET and a POST of a session do to it. */
#include "transports/eio_inside.h"

#include "server/base/clock.h"

#include <string.h>

#define LEAVING_MS 100 /* for a poll that another worker, or nobody, has read */

/* A handshake. */
static void begin(struct eio_host *host, struct eio_exchange *exchange)
{
    struct eio_ask *ask = &exchange->ask;
    struct eio_options options;
    struct eio_session *session;

    ask->server->options(host->worker->config, &options);
    if (!ask->get) {
        eio_refuse(exchange, EIO_BAD_HANDSHAKE_METHOD);
    } else if (ask->websocket) {
        eio_refuse(exchange, EIO_BAD_REQUEST);
    } else if (ask->protocol == EIO_PROTOCOL_3 && !options.protocol_3) {
        eio_refuse(exchange, EIO_UNSUPPORTED_VERSION);
    } else {
        session = host->draining ? NULL : eio_session_create(host, ask);
        if (session) {
            session->guest = exchange->guest;
            exchange->guest = NULL;
        }
        if (!session || !eio_session_open(session)) {
            eio_answer(exchange, 503, "application/json", SPAN("{}"));
            return;
        }
        session->poll = exchange;
        exchange->session = session;
        eio_flush(session);
    }
}

static void poll(struct eio_session *session, struct eio_exchange *exchange)
{
    if (session->poll) { /* the first learns that it is over */
        eio_session_end(session, EIO_CLOSE);
        eio_refuse(exchange, EIO_BAD_REQUEST);
        return;
    }
    session->poll = exchange;
    exchange->session = session;
    eio_flush(session);
}

/* --- posts --------------------------------------------------------------- */

/* Whether it was sound, and all of it was heard. */
static bool hear_payload(struct eio_session *session, struct span body,
                         bool octets)
{
    struct eio_payload payload;
    struct eio_packet packet;
    enum err err = ERR_NONE;

    eio_payload_begin(&payload, session->protocol, body, octets);
    while (session->state != EIO_CLOSED && !err) {
        err = eio_payload_next(&payload, &session->host->scratch, &packet);
        if (!err)
            eio_session_hear(session, &packet);
        if (!err && packet.type == EIO_CLOSE)
            return true;
    }
    return err == ERR_END;
}

static bool hear_body(struct eio_session *session,
                      const struct eio_exchange *exchange)
{
    const struct eio_ask *ask = &exchange->ask;
    struct buf payload;
    bool sound;

    if (ask->octets && session->protocol == EIO_PROTOCOL_4)
        return false;
    if (!ask->jsonp)
        return hear_payload(session, exchange->body, ask->octets);
    buf_init(&payload, session->options.max_payload);
    sound =
        !eio_form_read(exchange->body, &payload) &&
        hear_payload(session, (struct span){payload.data, payload.size}, false);
    buf_fini(&payload);
    return sound;
}

/* As the reference server says it. */
static void say_ok(struct eio_exchange *exchange)
{
    eio_answer(exchange, 200, "text/html", SPAN("ok"));
}

/* --- leaving --------------------------------------------------------------
 *
 * A client that closes its session has a poll out. It may be read behind the
 * POST that closes: then the POST is answered when the poll is released. */

static void stop_leaving(struct eio_exchange *exchange)
{
    list_remove(&exchange->leaving);
    wheel_disarm(&exchange->patience);
}

static void leave(struct eio_exchange *exchange)
{
    stop_leaving(exchange);
    say_ok(exchange);
}

static void no_poll_came(struct wheel_node *node)
{
    leave(container_of(node, struct eio_exchange, patience));
}

void eio_exchange_init(struct eio_exchange *exchange)
{
    list_init(&exchange->leaving);
    wheel_node_init(&exchange->patience, no_poll_came);
}

void eio_leave_all(struct eio_host *host)
{
    while (!list_empty(&host->leaving))
        leave(container_of(host->leaving.next, struct eio_exchange, leaving));
}

static void wait_for_poll(struct eio_host *host, struct eio_exchange *exchange)
{
    list_append(&host->leaving, &exchange->leaving);
    wheel_arm(&host->worker->wheel, &exchange->patience,
              clock_mono_ms() + LEAVING_MS);
}

/* Whether this is the poll that was waited for. */
static bool release_late(struct eio_host *host, struct eio_exchange *poll)
{
    list_each (link, &host->leaving) {
        struct eio_exchange *exchange =
            container_of(link, struct eio_exchange, leaving);

        if (strcmp(exchange->ask.sid, poll->ask.sid) != 0 ||
            exchange->ask.server != poll->ask.server ||
            exchange->ask.protocol != poll->ask.protocol)
            continue;
        (void)eio_poll_tell(host, poll, EIO_NOOP);
        leave(exchange);
        return true;
    }
    return false;
}

static void post(struct eio_session *session, struct eio_exchange *exchange)
{
    struct eio_host *host = session->host;
    bool polled = session->poll != NULL;

    if (session->post) {
        eio_session_end(session, EIO_CLOSE);
        eio_refuse(exchange, EIO_BAD_REQUEST);
        return;
    }
    if (!hear_body(session, exchange)) {
        eio_session_end(session, EIO_CLOSE);
        eio_refuse(exchange, EIO_BAD_REQUEST);
    } else if (session->state == EIO_CLOSED && !polled && !host->draining) {
        wait_for_poll(host, exchange);
    } else {
        say_ok(exchange);
    }
}

/* --- exchanges ----------------------------------------------------------- */

/* No longer one whose body is to come: whatever it is told now, it may go. */
static void unlink_post(struct eio_exchange *exchange)
{
    if (exchange->session && exchange->session->post == exchange)
        exchange->session->post = NULL;
    exchange->session = NULL;
}

void eio_take(struct eio_host *host, struct eio_exchange *exchange)
{
    const struct eio_ask *ask = &exchange->ask;
    struct eio_session *session;

    if (exchange->refused) {
        eio_refuse(exchange, EIO_BAD_REQUEST);
        return;
    }
    unlink_post(exchange);
    if (!ask->sid[0]) {
        begin(host, exchange);
        return;
    }
    session = eio_session_find(host, ask->sid);
    if (!session && ask->get && !ask->websocket && release_late(host, exchange))
        return;
    if (!session || session->server != ask->server)
        eio_refuse(exchange, EIO_UNKNOWN_SID);
    else if (session->over_ws != ask->websocket || ask->websocket ||
             session->protocol != ask->protocol || !(ask->get || ask->post))
        eio_refuse(exchange, EIO_BAD_REQUEST);
    else if (ask->get)
        poll(session, exchange);
    else
        post(session, exchange);
}

void eio_take_expected(struct eio_host *host, struct eio_exchange *exchange)
{
    struct eio_session *session = eio_session_find(host, exchange->ask.sid);

    if (!session || session->server != exchange->ask.server ||
        session->over_ws || session->protocol != exchange->ask.protocol)
        return; /* which it is told when its body is there */
    if (session->post) {
        eio_session_end(session, EIO_CLOSE);
        exchange->refused = true;
        return;
    }
    session->post = exchange;
    exchange->session = session;
}

/* Whose poll or post is aborted is gone, as the protocol has it. */
void eio_take_left(struct eio_exchange *exchange)
{
    struct eio_session *session = exchange->session;

    exchange->answered = true; /* there is nobody to be answered */
    exchange->session = NULL;
    stop_leaving(exchange);
    if (!session)
        return;
    if (session->poll == exchange)
        session->poll = NULL;
    if (session->post == exchange)
        session->post = NULL;
    eio_session_end(session, EIO_CLOSE);
}
