/* WebSocket on a worker's loop, carried by libwebsockets on a foreign loop. */
#include "transports/ws_host_inside.h"

#include "server/base/clock.h"
#include "server/base/trace.h"
#include "server/guests.h"
#include "server/handshake.h"
#include "server/refusal.h"

#include <assert.h>
#include <errno.h>
#include <libwebsockets.h>
#include <string.h>
#include <sys/socket.h>

#define RX_BYTES 1 /* the library keeps so many per connection, for nothing */
#define TX_BYTES (1u << 20)
#define CLOSING_MS 3000

/* --- sending ------------------------------------------------------------ */

static void ws_kill(struct peer *peer)
{
    struct ws_peer *ws = ws_of(peer);

    if (!ws->wsi || ws->killed)
        return;
    ws->killed = true;
    if (!peer->close_code)
        peer->close_code = 1006;
    ws->close_said = true; /* there is nobody to say it to */
    /* The library's own way, LWS_TO_KILL_ASYNC, waits for a timer that only
     * other traffic starts on a foreign loop; the end of the socket, which it
     * is now let to read, does not. */
    shutdown(ws->fd, SHUT_RDWR);
    lws_rx_flow_control(ws->wsi, 1);
}

/* The library keeps what the socket does not take, and nothing may overtake
 * that. */
static void lib_write(struct ws_peer *ws, const char *data, size_t size)
{
    if (lws_write(ws->wsi, (unsigned char *)data, size, LWS_WRITE_RAW) < 0) {
        ws_kill(&ws->peer);
    } else if (lws_partial_buffered(ws->wsi)) {
        ws->peer.full = true;
        lws_callback_on_writable(ws->wsi);
    }
}

static ssize_t send_pieces(int fd, const struct span *pieces, size_t count)
{
    struct iovec vector[PEER_PIECES_MAX];
    struct msghdr message = {.msg_iov = vector, .msg_iovlen = count};

    if (count == 1) /* mostly; and the kernel does less for it */
        return send(fd, pieces->data, pieces->size,
                    MSG_NOSIGNAL | MSG_DONTWAIT);
    assert(count <= PEER_PIECES_MAX);
    for (size_t i = 0; i < count; i++)
        vector[i] = (struct iovec){(char *)pieces[i].data, pieces[i].size};
    return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* How much of it the socket took; negative: the peer has gone. */
static ssize_t send_past_library(struct ws_peer *ws, const struct span *pieces,
                                 size_t count)
{
    ssize_t sent;

    /* Not to be known from `full`: it may be in the middle of a pong. */
    if (lws_partial_buffered(ws->wsi))
        return 0;
    do {
        sent = send_pieces(ws->fd, pieces, count);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 && errno == EAGAIN ? 0 : sent;
}

static bool ws_send(struct peer *peer, const struct span *pieces, size_t count)
{
    struct metrics *metrics = &peer->worker->metrics;
    struct ws_peer *ws = ws_of(peer);
    size_t skip, total = 0;
    ssize_t sent;

    if (!ws->wsi || peer->close_code)
        return true;
    for (size_t i = 0; i < count; i++)
        total += pieces[i].size;
    metrics_add(metrics->writes[BY_WS], 1);
    metrics_add(metrics->sent_bytes, total);
    sent = send_past_library(ws, pieces, count);
    if (sent < 0) {
        ws_kill(peer);
        return true;
    }
    skip = (size_t)sent;
    if (skip == total)
        return !peer->full;
    for (size_t i = 0; i < count && !peer->close_code; i++) {
        if (skip < pieces[i].size)
            lib_write(ws, pieces[i].data + skip, pieces[i].size - skip);
        skip -= skip < pieces[i].size ? skip : pieces[i].size;
    }
    return !peer->full;
}

static void ws_flush_later(struct peer *peer)
{
    struct ws_peer *ws = ws_of(peer);

    if (ws->wsi && list_empty(&ws->later))
        list_append(&ws->host->later, &ws->later);
}

static void ws_resume_later(struct peer *peer)
{
    struct ws_peer *ws = ws_of(peer);

    if (ws->wsi)
        lws_callback_on_writable(ws->wsi);
}

static size_t ws_ping(struct peer *peer, char out[FRAME_HEAD_MAX])
{
    struct ws_peer *ws = ws_of(peer);

    if (!ws->wsi || peer->close_code || peer->full)
        return 0;
    if (!ws->heard) {
        ws_kill(peer); /* not even the last ping was answered */
        return 0;
    }
    ws->heard = false;
    return frame_head(out, WS_PING, 0);
}

void ws_linger(struct ws_peer *ws)
{
    shutdown(ws->fd, SHUT_WR);
    ws->unread = true; /* its end may have been there before */
    ws_flush_later(&ws->peer);
}

/* The close frame is written past the library, which has no call for it and
 * forgets a close reason that comes from a writable callback. The connection
 * ends when the peer's own close frame comes, or with the deadline. */
static void say_close(struct ws_peer *ws)
{
    bool bare = ws->peer.close_code == PEER_NO_CODE;
    size_t size = bare ? 0 : 2 + strlen(ws->close_reason), at;
    char frame[FRAME_HEAD_MAX + WS_CONTROL_MAX];
    ssize_t sent;

    if (size > WS_CONTROL_MAX)
        size = WS_CONTROL_MAX;
    at = frame_head(frame, WS_CLOSE, size);
    if (!bare) { /* RFC 6455 section 5.5.1 */
        frame[at] = (char)(ws->peer.close_code >> 8);
        frame[at + 1] = (char)(ws->peer.close_code & 0xff);
        memcpy(frame + at + 2, ws->close_reason, size - 2);
    }
    size += at;
    sent = send(ws->fd, frame, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EAGAIN) { /* the last frame just fitted */
        ws->peer.full = true;
        lws_callback_on_writable(ws->wsi);
        return;
    }
    ws->close_said = true;
    if (sent != (ssize_t)size)
        ws_kill(&ws->peer);
    else if (ws->close_heard)
        ws_linger(ws);
}

static void ws_pause(struct peer *peer, bool paused)
{
    struct ws_peer *ws = ws_of(peer);

    ws->paused = paused;
    if (paused)
        ws_end_pace(ws);
    if (!paused && ws->unread)
        ws_flush_later(peer);
}

static void ws_close(struct peer *peer, uint16_t code, const char *reason)
{
    struct ws_peer *ws = ws_of(peer);

    if (peer->close_code)
        return;
    peer->handler->flush(peer);
    if (peer->close_code)
        return; /* it has gone */
    peer->close_code = code;
    ws->close_reason = reason;
    wheel_arm(&peer->worker->wheel, &peer->deadline,
              clock_mono_ms() + CLOSING_MS);
    ws_pause(peer, false); /* its close frame must be heard */
    if (ws->wsi && peer->established && !peer->full)
        say_close(ws);
}

static size_t text_head(char out[FRAME_HEAD_MAX], size_t size)
{
    return frame_head(out, WS_TEXT, size);
}

static const struct peer_wire ws_wire = {
    .format = FORMAT_FRAME,
    .head = text_head,
    .send = ws_send,
    .ping = ws_ping,
    .flush_later = ws_flush_later,
    .resume_later = ws_resume_later,
    .pause = ws_pause,
    .close = ws_close,
    .kill = ws_kill,
};

static void deadline_passed(struct wheel_node *node)
{
    struct peer *peer = container_of(node, struct peer, deadline);

    if (peer->close_code)
        ws_kill(peer);
    else
        peer->handler->late(peer);
}

/* --- what the loop and the library tell --------------------------------- */

static void readable(struct watch *watch, uint32_t events)
{
    struct ws_peer *ws = container_of(watch, struct ws_peer, watch);

    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        ws->ended = true; /* behind what it has sent */
    ws->unread = true;
    ws->heard = true; /* also while it is paused */
    if (!ws->paused && !ws->killed)
        ws_read_some(ws);
}

/* From now on the library has nothing to read, and we have everything. */
static bool take_over_reading(struct ws_peer *ws)
{
    lws_rx_flow_control(ws->wsi, 0);
    ws->watch.ready = readable;
    return !poller_add(&ws->peer.worker->poller, ws->fd, EPOLLIN | EPOLLRDHUP,
                       &ws->watch);
}

static void writable(struct ws_peer *ws)
{
    struct shared *pong = ws->pong;

    ws->peer.full = false;
    ws->pong = NULL;
    if (pong)
        (void)ws_send(&ws->peer, &(struct span){pong->data, pong->size}, 1);
    shared_unref(pong);
    if (!ws->peer.close_code)
        ws->peer.handler->writable(&ws->peer);
    else if (ws->close_reason && !ws->close_said)
        say_close(ws);
}

static void gone(struct ws_peer *ws)
{
    struct ws_host *host = ws->host;

    if (ws->peer.established)
        poller_remove(&host->worker->poller, ws->fd, &ws->watch);
    ws->wsi = NULL;
    wheel_disarm(&ws->peer.deadline);
    ws_end_pace(ws);
    ws_drop_message(ws);
    shared_unref(ws->pong);
    list_remove(&ws->link);
    list_remove(&ws->later);
    guests_let_go(host->worker->server->guests, ws->guest);
    worker_disconnected(host->worker, -1);
    ws->peer.handler->gone(&ws->peer);
}

static void bind_peer(struct ws_host *host, struct lws *wsi)
{
    host->adopting->wsi = wsi;
    lws_set_opaque_user_data(wsi, host->adopting);
    host->adopting = NULL;
}

/* The library goes through the handshake before it returns from the adoption,
 * so before it was told whose the connection is. */
static void bind_early(struct lws *wsi)
{
    struct ws_host *host = lws_context_user(lws_get_context(wsi));

    if (host->adopting && !lws_get_opaque_user_data(wsi))
        bind_peer(host, wsi);
}

static void established(struct ws_peer *ws)
{
    ws->peer.established = true;
    ws->heard = true;
    if (!take_over_reading(ws))
        ws_kill(&ws->peer);
    else
        ws->peer.handler->established(&ws->peer);
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason,
                    void *user, void *in, size_t size)
{
    struct ws_peer *ws;

    (void)user;
    (void)in;
    (void)size;
    if (!wsi)
        return 0;
    if (reason == LWS_CALLBACK_ESTABLISHED)
        bind_early(wsi);
    ws = lws_get_opaque_user_data(wsi);
    if (!ws)
        return 0;
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        established(ws);
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        writable(ws);
        return 0;
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        return -1; /* what a killed peer had left in its socket */
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_WSI_DESTROY:
        lws_set_opaque_user_data(wsi, NULL);
        gone(ws);
        return 0;
    default:
        return 0;
    }
}

/* --- the host ----------------------------------------------------------- */

static const struct lws_protocols protocols[] = {
    {.name = WS_SUBPROTOCOL,
     .callback = callback,
     .rx_buffer_size = RX_BYTES,
     .tx_packet_size = TX_BYTES},
    {.name = NULL},
};

/* Never ask whether a connection is still valid. */
static const lws_retry_bo_t no_validity = {0};

static void library_says(int level, const char *line)
{
    (void)level;
    trace(TRACE_DEBUG, "libwebsockets", "text=\"%.*s\"",
          (int)strcspn(line, "\n\""), line);
}

enum err ws_host_create(struct ws_host **out, struct worker *worker)
{
    struct ws_host *host = mem_zalloc(sizeof(*host));
    void *loops[] = {&worker->loop};
    struct lws_context_creation_info info;

    if (!host)
        return ERR_NOMEM;
    info = (struct lws_context_creation_info){
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .protocols = protocols,
        .user = host,
        .foreign_loops = loops,
        .retry_and_idle_policy = &no_validity,
        .max_http_header_data = HEAD_MAX_BYTES + 1024,
        .max_http_header_pool = 64,
        .pcontext = &host->context, /* NULL again when it is gone for good */
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
    };

    lws_set_log_level(LLL_ERR, library_says);
    host->worker = worker;
    list_init(&host->peers);
    list_init(&host->later);
    host->context = lws_create_context(&info);
    if (!host->context)
        goto free_host;
    host->vhost = lws_create_vhost(host->context, &info);
    if (!host->vhost)
        goto destroy_context;
    *out = host;
    return ERR_NONE;

destroy_context:
    lws_context_destroy(host->context);
free_host:
    mem_free(host);
    return ERR_UNAVAILABLE;
}

static bool speaks_at(const struct ws_handler *handler,
                      const struct config *config, struct span path)
{
    return handler->path ? span_is(path, handler->path)
                         : handler->speaks(config, path);
}

static const struct ws_handler *handler_at(const struct ws_host *host,
                                           struct span path)
{
    for (size_t i = 0; ws_handlers[i]; i++)
        if (speaks_at(ws_handlers[i], host->worker->config, path))
            return ws_handlers[i];
    return NULL;
}

enum err ws_host_check(struct ws_host *host, const struct head *head,
                       struct failure *why)
{
    const struct ws_handler *handler = handler_at(host, head->path);
    enum err rc;

    if (!handler)
        return fail(why, ERR_NOT_FOUND, "WebSocket is spoken at " WS_PATH);
    rc = handshake_check(host->worker->config, head, why);
    if (rc == ERR_FORBIDDEN && handler->receive)
        return ERR_NONE; /* who has words of its own for it */
    return rc;
}

static bool adopt(struct ws_host *host, struct ws_peer *ws, struct span bytes)
{
    struct lws *wsi;

    host->adopting = ws;
    wsi = lws_adopt_socket_vhost_readbuf(host->vhost, ws->fd, bytes.data,
                                         bytes.size);
    if (!host->adopting)
        return true; /* bound early; if it has gone since, so has the peer */
    if (wsi)
        bind_peer(host, wsi);
    host->adopting = NULL;
    return wsi != NULL;
}

void ws_host_adopt(struct ws_host *host, int fd, const struct head *head,
                   struct span bytes)
{
    struct failure why;
    const struct ws_handler *handler = handler_at(host, head->path);
    struct ws_peer *ws;

    if (handler->receive && handler->receive(host->worker, fd, head, bytes))
        return;
    ws = handler->create(host->worker, head, &why);
    if (!ws) {
        refuse_socket(host->worker, fd, 0, &why);
        return;
    }
    ws->peer.wire = &ws_wire;
    ws->peer.handler = &handler->peer;
    ws->peer.worker = host->worker;
    ws->handler = handler;
    ws->host = host;
    ws->fd = fd;
    ws->guest = guests_hold(host->worker->server->guests, fd);
    list_init(&ws->later);
    wheel_node_init(&ws->peer.deadline, deadline_passed);
    wheel_node_init(&ws->whole, ws_too_slow);
    wheel_arm(&host->worker->wheel, &ws->peer.deadline,
              clock_mono_ms() + host->worker->config->header_timeout_ms);
    list_append(&host->peers, &ws->link);
    if (!adopt(host, ws, bytes))
        gone(ws); /* fd is closed */
}

bool ws_host_turn(struct ws_host *host)
{
    struct list now;

    list_take(&now, &host->later);
    while (!list_empty(&now)) {
        struct ws_peer *ws = container_of(now.next, struct ws_peer, later);

        list_remove(&ws->later);
        if (ws->unread && !ws->paused && !ws->killed)
            ws_read_some(ws);
        ws->peer.handler->flush(&ws->peer);
    }
    return list_empty(&host->later);
}

void ws_host_drain(struct ws_host *host)
{
    list_each_safe (link, &host->peers) {
        struct ws_peer *ws = container_of(link, struct ws_peer, link);

        ws->peer.handler->drain(&ws->peer);
    }
}

void ws_host_close(struct ws_host *host)
{
    lws_context_destroy(host->context);
}

void ws_host_free(struct ws_host *host)
{
    if (host && host->context)
        lws_context_destroy(host->context); /* the second half of it */
    mem_free(host);
}
