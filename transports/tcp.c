/* Raw TCP: both ways (duplex.h) in lines. The first must say who it is, by
 * `auth`. */
#include "transports/duplex.h"
#include "transports/tcp_host.h"

extern const struct transport tcp_transport;

struct tcp {
    struct tcp_peer socket;
    struct duplex duplex;
};

static void tcp_gone(struct peer *peer)
{
    struct tcp_peer *socket = tcp_of(peer);
    struct tcp *tcp = container_of(socket, struct tcp, socket);

    duplex_fini(&tcp->duplex);
    mem_free(tcp);
}

static struct tcp_peer *tcp_create(struct worker *worker)
{
    struct tcp *tcp = mem_zalloc(sizeof(*tcp));

    if (!tcp)
        return NULL;
    duplex_init(&tcp->duplex, worker, &tcp->socket.peer, &tcp_transport);
    return &tcp->socket;
}

const struct transport tcp_transport = {
    .name = "tcp",
    .by = BY_TCP,
    .stream = true,
    .own_port = true,
    .deliver = duplex_deliver,
    .wake = duplex_wake,
    .beat = duplex_beat,
    .end = duplex_end,
};

const struct tcp_handler tcp_handler = {
    .create = tcp_create,
    .peer = {.established = duplex_established,
             .text = duplex_text,
             .writable = duplex_writable,
             .flush = duplex_flush,
             .late = duplex_late,
             .closing = duplex_closing,
             .gone = tcp_gone,
             .drain = duplex_drain},
};
