/* /echo: every WebSocket message comes back. */
#include "server/base/mem.h"
#include "tests/conformance/conformance.h"
#include "transports/ws_host.h"

static struct ws_peer *echo_create(struct worker *worker,
                                   const struct head *head, struct failure *why)
{
    struct ws_peer *peer = mem_zalloc(sizeof(*peer));

    (void)worker;
    (void)head;
    if (!peer)
        fail_plain(why, ERR_NOMEM);
    return peer;
}

static void echo_established(struct peer *peer)
{
    wheel_disarm(&peer->deadline);
}

/* A peer that does not read is not read. */
static void echo(struct peer *peer, enum ws_opcode opcode, struct span whole)
{
    char head[FRAME_HEAD_MAX];
    struct span frame[] = {{head, frame_head(head, opcode, whole.size)}, whole};

    if (!peer_send(peer, frame, 2))
        peer_pause(peer, true);
}

static void echo_text(struct peer *peer, struct span text)
{
    echo(peer, WS_TEXT, text);
}

static void echo_binary(struct peer *peer, struct span data)
{
    echo(peer, WS_BINARY, data);
}

static void echo_writable(struct peer *peer)
{
    peer_pause(peer, peer->full);
}

static void echo_flush(struct peer *peer)
{
    (void)peer; /* nothing is put off */
}

static void echo_closing(struct peer *peer, uint16_t code)
{
    peer_close(peer, code, "");
}

static void echo_gone(struct peer *peer)
{
    mem_free(ws_of(peer));
}

static void echo_drain(struct peer *peer)
{
    peer_close(peer, 1001, "draining");
}

const struct ws_handler echo_handler = {
    .path = "/echo",
    .create = echo_create,
    .binary = echo_binary,
    .peer = {.established = echo_established,
             .text = echo_text,
             .writable = echo_writable,
             .flush = echo_flush,
             .late = peer_kill,
             .closing = echo_closing,
             .gone = echo_gone,
             .drain = echo_drain},
};
