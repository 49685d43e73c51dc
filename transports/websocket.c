/* WebSocket, subprotocol rung.v1: both ways (duplex.h) in text frames. Who it
 * is may be said in the handshake. */
#include "server/handshake.h"
#include "transports/duplex.h"
#include "transports/route.h"
#include "transports/ws_host.h"

extern const struct transport websocket_transport;
extern const struct ws_handler websocket_handler;

struct websocket {
    struct ws_peer socket;
    struct duplex duplex;
};

/* With a token in the handshake it follows from the beginning. */
static enum err know_from_handshake(struct duplex *duplex,
                                    const struct head *head,
                                    struct failure *why)
{
    const struct query *query = &duplex->asked->query;
    struct follow follow;
    struct identity who;
    bool given;
    enum err rc = identity_of(duplex->worker, head, query, &who, &given, why);

    if (!given)
        return ERR_NONE;
    if (rc)
        return rc;
    follow_of(query, &follow);
    return duplex_follow(duplex, &who, &follow, why);
}

static void websocket_gone(struct peer *peer)
{
    struct ws_peer *socket = ws_of(peer);
    struct websocket *ws = container_of(socket, struct websocket, socket);

    duplex_fini(&ws->duplex);
    mem_free(ws);
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
    duplex_init(&ws->duplex, worker, &ws->socket.peer, &websocket_transport);
    rc = worker->draining
             ? fail(why, ERR_UNAVAILABLE, "the server is going away")
             : duplex_ask(&ws->duplex, head->query, why);
    if (!rc)
        rc = know_from_handshake(&ws->duplex, head, why);
    if (!rc)
        return &ws->socket;
    websocket_gone(&ws->socket.peer);
    return NULL;
}

const struct transport websocket_transport = {
    .name = "ws",
    .by = BY_WS,
    .stream = true,
    .deliver = duplex_deliver,
    .wake = duplex_wake,
    .beat = duplex_beat,
    .end = duplex_end,
};

const struct ws_handler websocket_handler = {
    .path = WS_PATH,
    .create = websocket_create,
    .peer = {.established = duplex_established,
             .text = duplex_text,
             .writable = duplex_writable,
             .flush = duplex_flush,
             .late = duplex_late,
             .closing = duplex_closing,
             .gone = websocket_gone,
             .drain = duplex_drain},
};
