/* A session's WebSocket: one that it began on, or one that probes whether it
 * can be upgraded to. */
#include "transports/eio_inside.h"

#include "server/base/clock.h"
#include "transports/eio_door.h"

#define UPGRADE_MS 10000

static struct eio_peer *of(struct peer *peer)
{
    return peer->owner;
}

/* --- its beginning ------------------------------------------------------- */

bool eio_ws_may(struct eio_host *host, const struct eio_ask *ask,
                enum eio_error *why)
{
    struct eio_options options;
    struct eio_session *session;

    ask->server->options(host->worker->config, &options);
    *why = EIO_BAD_REQUEST;
    if (!ask->websocket)
        return false;
    if (!ask->sid[0]) {
        *why = EIO_UNSUPPORTED_VERSION;
        return ask->protocol == EIO_PROTOCOL_4 || options.protocol_3;
    }
    session = eio_session_find(host, ask->sid);
    if (session && session->server == ask->server)
        return session->protocol == ask->protocol;
    *why = EIO_UNKNOWN_SID;
    return false;
}

static struct ws_peer *create(struct worker *worker, const struct head *head,
                              struct failure *why)
{
    struct eio_peer *peer = mem_zalloc(sizeof(*peer));
    struct eio_options options;

    if (!peer || worker->draining ||
        !eio_ask_of_head(&peer->ask, worker->config, head)) {
        mem_free(peer);
        fail(why, ERR_UNAVAILABLE,
             "the server is going away, or short of "
             "memory");
        return NULL;
    }
    peer->ask.server->options(worker->config, &options);
    peer->ws.max_bytes = (size_t)options.max_payload;
    peer->ws.peer.owner = peer;
    return &peer->ws;
}

static void begin(struct eio_peer *peer)
{
    struct eio_host *host = peer->ws.peer.worker->eio;
    struct eio_session *session =
        host->draining ? NULL : eio_session_create(host, &peer->ask);

    if (!session) {
        peer_close(&peer->ws.peer, 1013, "too many sessions");
        return;
    }
    wheel_disarm(&peer->ws.peer.deadline);
    session->peer = peer;
    peer->session = session;
    (void)eio_session_open(session); /* or it has ended, and the peer with it */
}

/* A session upgrades once, and tries one socket at a time. */
static void begin_probing(struct eio_peer *peer)
{
    struct eio_host *host = peer->ws.peer.worker->eio;
    struct eio_session *session = eio_session_find(host, peer->ask.sid);

    if (!session || session->over_ws || session->probe ||
        session->state != EIO_LIVE) {
        peer_close(&peer->ws.peer, PEER_NO_CODE, "");
        return;
    }
    peer->probing = true;
    peer->session = session;
    session->probe = peer;
    wheel_arm(&host->worker->wheel, &peer->ws.peer.deadline,
              clock_mono_ms() + UPGRADE_MS);
}

static void established(struct peer *ws)
{
    struct eio_peer *peer = of(ws);

    if (peer->ask.sid[0])
        begin_probing(peer);
    else
        begin(peer);
}

/* --- upgrading ----------------------------------------------------------- */

/* The session goes on as it was. */
static void stop_probing(struct eio_peer *peer)
{
    struct eio_session *session = peer->session;

    peer->session = NULL;
    peer->probing = false;
    if (!session)
        return;
    session->probe = NULL;
    session->upgrading = false;
    eio_session_dirty(session);
}

static void answer_probe(struct eio_peer *peer)
{
    struct eio_session *session = peer->session;
    static const char text[] = "3probe";
    char head[FRAME_HEAD_MAX];
    struct span frame[] = {{head, frame_head(head, WS_TEXT, sizeof(text) - 1)},
                           {text, sizeof(text) - 1}};

    (void)peer_send(&peer->ws.peer, frame, 2);
    session->upgrading = true;
    eio_session_dirty(session); /* a poll that waits is let go */
}

/* From here on everything goes over this socket, in order. */
static void upgrade(struct eio_peer *peer)
{
    struct eio_session *session = peer->session;

    wheel_disarm(&peer->ws.peer.deadline);
    peer->probing = false;
    session->probe = NULL;
    session->peer = peer;
    session->upgrading = false;
    session->over_ws = session->upgraded = true;
    if (session->poll)
        eio_poll_release(session, EIO_NOOP);
    eio_session_dirty(session);
}

static void hear_probing(struct eio_peer *peer, const struct eio_packet *packet)
{
    if (packet->type == EIO_PING && span_is(packet->data, "probe")) {
        answer_probe(peer);
    } else if (packet->type == EIO_UPGRADE && peer->session->upgrading) {
        upgrade(peer);
    } else {
        stop_probing(peer);
        peer_close(&peer->ws.peer, PEER_NO_CODE, "");
    }
}

/* --- what it says -------------------------------------------------------- */

static void hear(struct peer *ws, struct span data, bool binary)
{
    struct eio_peer *peer = of(ws);
    struct eio_session *session = peer->session;
    struct eio_packet packet;
    enum err err;

    if (!session)
        return;
    err = eio_read_frame(session->protocol, data, binary,
                         &session->host->scratch, &packet);
    if (err && peer->probing) {
        stop_probing(peer);
        peer_close(ws, PEER_NO_CODE, "");
    } else if (err) {
        eio_session_end(session, EIO_CLOSE);
    } else if (peer->probing) {
        hear_probing(peer, &packet);
    } else {
        eio_session_hear(session, &packet);
    }
}

static void hear_text(struct peer *ws, struct span text)
{
    hear(ws, text, false);
}

static void hear_binary(struct peer *ws, struct span data)
{
    hear(ws, data, true);
}

static void writable(struct peer *ws)
{
    struct eio_session *session = of(ws)->session;

    if (session && !of(ws)->probing)
        eio_session_dirty(session);
}

static void flush(struct peer *ws)
{
    (void)ws; /* packets leave with the session's turn */
}

/* --- its end ------------------------------------------------------------- */

void eio_ws_leave(struct eio_peer *peer, uint16_t code)
{
    peer->session = NULL;
    peer_close(&peer->ws.peer, code, "");
}

static void late(struct peer *ws)
{
    struct eio_peer *peer = of(ws);

    if (!ws->established) {
        peer_kill(ws);
        return;
    }
    stop_probing(peer);
    peer_close(ws, PEER_NO_CODE, "");
}

static void closing(struct peer *ws, uint16_t code)
{
    peer_close(ws, code, "");
}

static void gone(struct peer *ws)
{
    struct eio_peer *peer = of(ws);
    struct eio_session *session = peer->session;

    if (peer->probing) {
        stop_probing(peer);
    } else if (session) {
        session->peer = NULL;
        eio_session_end(session, EIO_CLOSE);
    }
    eio_ask_fini(&peer->ask);
    mem_free(peer);
}

/* What a session was sent leaves before its socket does: eio_host_drain(). */
static void drain(struct peer *ws)
{
    if (!of(ws)->session || of(ws)->probing)
        peer_close(ws, 1001, "draining");
}

const struct ws_handler eio_ws_handler = {
    .speaks = eio_speaks,
    .receive = eio_receive,
    .create = create,
    .binary = hear_binary,
    .peer =
        {
            .established = established,
            .text = hear_text,
            .writable = writable,
            .flush = flush,
            .late = late,
            .closing = closing,
            .gone = gone,
            .drain = drain,
        },
};
