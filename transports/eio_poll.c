/* Polling: what a GET and a POST of a session do to it. */
#include "transports/eio_inside.h"

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

static void post(struct eio_session *session, struct eio_exchange *exchange)
{
    if (session->post) {
        eio_session_end(session, EIO_CLOSE);
        eio_refuse(exchange, EIO_BAD_REQUEST);
        return;
    }
    if (hear_body(session, exchange)) {
        /* As the reference server says it. */
        eio_answer(exchange, 200, "text/html", SPAN("ok"));
        return;
    }
    eio_session_end(session, EIO_CLOSE);
    eio_refuse(exchange, EIO_BAD_REQUEST);
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
    if (!session)
        return;
    if (session->poll == exchange)
        session->poll = NULL;
    if (session->post == exchange)
        session->post = NULL;
    eio_session_end(session, EIO_CLOSE);
}
