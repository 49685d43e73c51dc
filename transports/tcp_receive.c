/* What comes in lines over TCP: read, taken apart, and handed on as texts. */
#include "transports/tcp_host_inside.h"

#include "server/utf8.h"

#include <errno.h>
#include <sys/socket.h>

static void hear(struct tcp_peer *tcp, struct span line)
{
    struct peer *peer = &tcp->peer;

    if (utf8_valid(line.data, line.size))
        peer->handler->text(peer, line);
    else
        peer_close(peer, 1007, "text must be UTF-8");
}

static void take(struct tcp_peer *tcp, const char *data, size_t size)
{
    struct peer *peer = &tcp->peer;
    size_t most = peer->worker->config->max_message_bytes;
    enum lines_found found = LINES_LINE;
    struct span line;

    metrics_add(peer->worker->metrics.received_bytes, size);
    while (!peer->close_code && found == LINES_LINE) {
        found = tcp_lines_next(&tcp->lines, most, &data, &size, &line);
        if (found == LINES_LINE)
            hear(tcp, line);
    }
    if (found == LINES_FOREIGN)
        peer_close(peer, 1002,
                   "JSON is spoken here, an object a line; HTTP has another "
                   "port");
    else if (found == LINES_TOO_LARGE)
        peer_close(peer, 1009, "the line is too large");
    else if (found == LINES_NO_MEMORY)
        peer_close(peer, 1013, "out of memory");
}

/* The peer says no more. What it has asked for is answered. */
static void hear_end(struct tcp_peer *tcp)
{
    struct peer *peer = &tcp->peer;
    struct span line;

    tcp->unread = false;
    if (tcp->told) {
        peer_kill(peer);
        return;
    }
    if (!peer->close_code && tcp_lines_rest(&tcp->lines, &line))
        hear(tcp, line);
    if (!peer->close_code)
        peer->handler->closing(peer, PEER_NO_CODE);
}

void tcp_read_some(struct tcp_peer *tcp)
{
    struct tcp_host *host = tcp->host;
    ssize_t size;

    do {
        size =
            recv(tcp->fd, host->received, sizeof(host->received), MSG_DONTWAIT);
    } while (size < 0 && errno == EINTR);
    if (size < 0 && errno == EAGAIN) {
        tcp->unread = false;
    } else if (size < 0) {
        peer_kill(&tcp->peer);
    } else if (size == 0) {
        hear_end(tcp);
    } else {
        /* A short read has emptied the socket: more comes with a new edge. */
        tcp->unread = tcp->ended || size == (ssize_t)sizeof(host->received);
        take(tcp, host->received, (size_t)size);
        if (tcp->unread)
            peer_flush_later(&tcp->peer);
    }
}
