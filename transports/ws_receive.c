/* What a WebSocket peer sends: messages put together, pings answered, its close
 * heard; and the close code for whatever RFC 6455 forbids. */
#include "server/base/clock.h"
#include "server/utf8.h"
#include "transports/ws_host_inside.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* To a full socket the newest will do (RFC 6455 section 5.5.3). */
static void owe_pong(struct ws_peer *ws, const char *frame, size_t size)
{
    struct shared *pong = shared_create(size);

    if (!pong)
        return;
    memcpy(pong->data, frame, size);
    shared_unref(ws->pong);
    ws->pong = pong;
}

/* Pongs to pings in a row leave together. */
static void send_pongs(struct ws_peer *ws)
{
    struct ws_host *host = ws->host;
    struct span pongs = {host->pongs, host->pong_bytes};

    host->pong_bytes = 0;
    if (pongs.size)
        (void)peer_send(&ws->peer, &pongs, 1);
}

static void answer_ping(struct ws_peer *ws, const struct ws_piece *ping)
{
    struct ws_host *host = ws->host;
    char *pong = host->pongs + host->pong_bytes;
    size_t size = frame_head(pong, WS_PONG, ping->size);

    memcpy(pong + size, ping->data, ping->size);
    size += ping->size;
    if (ws->peer.full)
        owe_pong(ws, pong, size);
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
static void fail_peer(struct ws_peer *ws, uint16_t code, const char *words)
{
    ws->close_heard = true;
    if (ws->close_said)
        ws_linger(ws);
    peer_close(&ws->peer, code, words);
}

static void hear_close(struct ws_peer *ws, const struct ws_piece *piece)
{
    const unsigned char *data = (const unsigned char *)piece->data;
    unsigned code = PEER_NO_CODE;

    ws->close_heard = true;
    if (ws->close_said)
        ws_linger(ws);
    if (ws->peer.close_code)
        return;
    if (piece->size >= 2)
        code = (unsigned)(data[0] << 8 | data[1]);
    if (piece->size == 1 || (piece->size && !close_code_ok(code)))
        peer_close(&ws->peer, 1002, "a close code that nobody may send");
    else if (piece->size && !utf8_valid(piece->data + 2, piece->size - 2))
        peer_close(&ws->peer, 1007, "a close reason must be UTF-8");
    else
        ws->peer.handler->closing(&ws->peer, (uint16_t)code);
}

/* A message is whole. */
static void message(struct ws_peer *ws, enum ws_opcode kind, struct span whole)
{
    if (kind == WS_BINARY)
        ws->handler->binary(&ws->peer, whole);
    else if (utf8_valid(whole.data, whole.size))
        ws->peer.handler->text(&ws->peer, whole);
    else
        fail_peer(ws, 1007, "text must be UTF-8");
}

void ws_drop_message(struct ws_peer *ws)
{
    if (ws->message)
        buf_fini(ws->message);
    mem_free(ws->message);
    ws->message = NULL;
}

/* Whether it may go on; if not, the bytes are dropped. */
static bool gather(struct ws_peer *ws, const struct ws_piece *piece)
{
    enum err rc = ERR_NOMEM;

    if (!ws->message)
        ws->message = mem_zalloc(sizeof(*ws->message));
    if (ws->message) {
        ws->message->max = SIZE_MAX / 2; /* hear_data() bounds it */
        buf_append(ws->message, piece->data, piece->size);
        rc = buf_status(ws->message);
    }
    if (rc) {
        ws_drop_message(ws);
        fail_peer(ws, 1013, "out of memory");
    }
    return !rc;
}

static void hear_data(struct ws_peer *ws, const struct ws_piece *piece)
{
    size_t most = ws->max_bytes ? ws->max_bytes
                                : ws->peer.worker->config->max_message_bytes;
    size_t before = ws->message ? ws->message->size : 0;

    metrics_add(ws->peer.worker->metrics.received_bytes, piece->size);
    if (piece->kind == WS_BINARY && !ws->handler->binary) {
        fail_peer(ws, 1003, "only text is spoken here");
    } else if (before + piece->size > most ||
               piece->left > most - before - piece->size) {
        ws_drop_message(ws);
        fail_peer(ws, 1009, "the message is too large");
    } else if (piece->last && !ws->message) {
        message(ws, piece->kind, (struct span){piece->data, piece->size});
    } else if (gather(ws, piece) && piece->last) {
        message(ws, piece->kind,
                (struct span){ws->message->data, ws->message->size});
        ws_drop_message(ws);
    }
}

/* --- its pace ------------------------------------------------------------- */

void ws_end_pace(struct ws_peer *ws)
{
    wheel_disarm(&ws->whole);
    ws->begun = false;
}

/* However many bytes drip in, a message has as long as a request's body. */
static void begin_pace(struct ws_peer *ws)
{
    struct worker *worker = ws->peer.worker;

    if (ws->begun || ws->paused || ws->peer.close_code ||
        !ws_frames_under_way(&ws->frames))
        return;
    ws->begun = true;
    wheel_arm(&worker->wheel, &ws->whole,
              clock_mono_ms() + worker->config->body_timeout_ms);
}

void ws_too_slow(struct wheel_node *node)
{
    struct ws_peer *ws = container_of(node, struct ws_peer, whole);

    ws->begun = false;
    peer_close(&ws->peer, 1008, "a message must come within body_timeout_ms");
}

/* --- what has come -------------------------------------------------------- */

static void hear(struct ws_peer *ws, const struct ws_piece *piece)
{
    if (piece->kind != WS_PING)
        send_pongs(ws);
    if (piece->kind == WS_CLOSE)
        hear_close(ws, piece);
    else if (ws->peer.close_code)
        return; /* on its way out: nothing else counts any more */
    else if (piece->kind == WS_PING)
        answer_ping(ws, piece);
    else if (piece->kind != WS_PONG)
        hear_data(ws, piece);
}

static void take(struct ws_peer *ws, char *data, size_t size)
{
    enum ws_found found = WS_PIECE;
    struct ws_piece piece;

    while (!ws->close_heard && found == WS_PIECE) {
        found = ws_frames_next(&ws->frames, &data, &size, &piece);
        if (found == WS_PIECE)
            hear(ws, &piece);
        if (!ws_frames_under_way(&ws->frames))
            ws_end_pace(ws);
    }
    send_pongs(ws);
    if (found == WS_FAULT)
        fail_peer(ws, 1002, ws->frames.fault);
    else
        begin_pace(ws);
}

void ws_read_some(struct ws_peer *ws)
{
    struct ws_host *host = ws->host;
    ssize_t size;

    do {
        size =
            recv(ws->fd, host->received, sizeof(host->received), MSG_DONTWAIT);
    } while (size < 0 && errno == EINTR);
    if (size < 0 && errno == EAGAIN) {
        ws->unread = false;
        return;
    }
    if (size == 0 && ws->close_heard && !ws->close_said) {
        ws->unread = false; /* it closed in order, and still listens */
        return;
    }
    if (size <= 0) {
        peer_kill(&ws->peer);
        return;
    }
    /* A short read has emptied the socket: what comes next is a new edge. */
    ws->unread = ws->ended || size == (ssize_t)sizeof(host->received);
    ws->heard = true;
    take(ws, host->received, (size_t)size);
    if (ws->unread)
        peer_flush_later(&ws->peer);
}
