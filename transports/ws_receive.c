/* What a WebSocket peer sends: messages put together, pings answered, its close
 * heard; and the close code for whatever RFC 6455 forbids. */
#include "server/utf8.h"
#include "transports/ws_host_inside.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* To a full socket the newest will do (RFC 6455 section 5.5.3). */
static void owe_pong(struct ws_peer *peer, const char *frame, size_t size)
{
    struct shared *pong = shared_create(size);

    if (!pong)
        return;
    memcpy(pong->data, frame, size);
    shared_unref(peer->pong);
    peer->pong = pong;
}

/* Pongs to pings in a row leave together. */
static void send_pongs(struct ws_peer *peer)
{
    struct ws_host *host = peer->host;
    struct span pongs = {host->pongs, host->pong_bytes};

    host->pong_bytes = 0;
    if (pongs.size)
        (void)ws_send(peer, &pongs, 1);
}

static void answer_ping(struct ws_peer *peer, const struct ws_piece *ping)
{
    struct ws_host *host = peer->host;
    char *pong = host->pongs + host->pong_bytes;
    size_t size = frame_head(pong, WS_PONG, ping->size);

    memcpy(pong + size, ping->data, ping->size);
    size += ping->size;
    if (peer->full)
        owe_pong(peer, pong, size);
    else
        host->pong_bytes += size;
}

/* RFC 6455 section 7.4. */
static bool close_code_ok(unsigned code)
{
    if (code >= 3000 && code <= 4999)
        return true;
    return code >= 1000 && code <= 1014 && code != 1004 && code != 1005 &&
           code != 1006;
}

/* It broke the protocol: what follows is not even looked at (RFC 6455 section
 * 7.1.7). */
static void fail_peer(struct ws_peer *peer, uint16_t code, const char *words)
{
    peer->close_heard = true;
    if (peer->close_said)
        ws_linger(peer);
    ws_close(peer, code, words);
}

static void hear_close(struct ws_peer *peer, const struct ws_piece *piece)
{
    const unsigned char *data = (const unsigned char *)piece->data;
    unsigned code = WS_NO_CODE;

    peer->close_heard = true;
    if (peer->close_said)
        ws_linger(peer);
    if (peer->close_code)
        return;
    if (piece->size >= 2)
        code = (unsigned)(data[0] << 8 | data[1]);
    if (piece->size == 1 || (piece->size && !close_code_ok(code)))
        ws_close(peer, 1002, "a close code that nobody may send");
    else if (piece->size && !utf8_valid(piece->data + 2, piece->size - 2))
        ws_close(peer, 1007, "a close reason must be UTF-8");
    else
        peer->handler->closing(peer, (uint16_t)code);
}

/* A message is whole. */
static void message(struct ws_peer *peer, enum ws_opcode kind,
                    struct span whole)
{
    if (kind == WS_BINARY)
        peer->handler->binary(peer, whole);
    else if (utf8_valid(whole.data, whole.size))
        peer->handler->text(peer, whole);
    else
        fail_peer(peer, 1007, "text must be UTF-8");
}

void ws_drop_message(struct ws_peer *peer)
{
    if (peer->message)
        buf_fini(peer->message);
    mem_free(peer->message);
    peer->message = NULL;
}

/* Whether it may go on; if not, the bytes are dropped. */
static bool gather(struct ws_peer *peer, const struct ws_piece *piece)
{
    enum err rc = ERR_NOMEM;

    if (!peer->message)
        peer->message = mem_zalloc(sizeof(*peer->message));
    if (peer->message) {
        peer->message->max = SIZE_MAX / 2; /* hear_data() bounds it */
        buf_append(peer->message, piece->data, piece->size);
        rc = buf_status(peer->message);
    }
    if (rc) {
        ws_drop_message(peer);
        fail_peer(peer, 1013, "out of memory");
    }
    return !rc;
}

static void hear_data(struct ws_peer *peer, const struct ws_piece *piece)
{
    size_t most = peer->host->worker->config->max_message_bytes;
    size_t before = peer->message ? peer->message->size : 0;

    metrics_add(peer->host->worker->metrics.received_bytes, piece->size);
    if (piece->kind == WS_BINARY && !peer->handler->binary) {
        fail_peer(peer, 1003, "only text is spoken here");
    } else if (before + piece->size > most ||
               piece->left > most - before - piece->size) {
        ws_drop_message(peer);
        fail_peer(peer, 1009, "the message is too large");
    } else if (piece->last && !peer->message) {
        message(peer, piece->kind, (struct span){piece->data, piece->size});
    } else if (gather(peer, piece) && piece->last) {
        message(peer, piece->kind,
                (struct span){peer->message->data, peer->message->size});
        ws_drop_message(peer);
    }
}

static void hear(struct ws_peer *peer, const struct ws_piece *piece)
{
    if (piece->kind != WS_PING)
        send_pongs(peer);
    if (piece->kind == WS_CLOSE)
        hear_close(peer, piece);
    else if (peer->close_code)
        return; /* on its way out: nothing else counts any more */
    else if (piece->kind == WS_PING)
        answer_ping(peer, piece);
    else if (piece->kind != WS_PONG)
        hear_data(peer, piece);
}

static void take(struct ws_peer *peer, char *data, size_t size)
{
    enum ws_found found = WS_PIECE;
    struct ws_piece piece;

    while (!peer->close_heard && found == WS_PIECE) {
        found = ws_frames_next(&peer->frames, &data, &size, &piece);
        if (found == WS_PIECE)
            hear(peer, &piece);
    }
    send_pongs(peer);
    if (found == WS_FAULT)
        fail_peer(peer, 1002, peer->frames.fault);
}

void ws_read_some(struct ws_peer *peer)
{
    struct ws_host *host = peer->host;
    ssize_t size;

    do {
        size = recv(peer->fd, host->received, sizeof(host->received),
                    MSG_DONTWAIT);
    } while (size < 0 && errno == EINTR);
    if (size < 0 && errno == EAGAIN) {
        peer->unread = false;
        return;
    }
    if (size == 0 && peer->close_heard && !peer->close_said) {
        peer->unread = false; /* it closed in order, and still listens */
        return;
    }
    if (size <= 0) {
        ws_kill(peer);
        return;
    }
    /* A short read has emptied the socket: what comes next is a new edge. */
    peer->unread = peer->ended || size == (ssize_t)sizeof(host->received);
    peer->heard = true;
    take(peer, host->received, (size_t)size);
    if (peer->unread)
        ws_flush_later(peer);
}
