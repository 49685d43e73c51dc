/* WebSocket on a worker's loop, carried by libwebsockets on a foreign loop. */
#include "transports/ws_host.h"

#include "server/base/clock.h"
#include "server/base/trace.h"
#include "server/handshake.h"
#include "server/refusal.h"
#include "server/utf8.h"

#include <assert.h>
#include <errno.h>
#include <libwebsockets.h>
#include <string.h>
#include <sys/socket.h>

#define RX_BYTES 512 /* of a read; the library keeps so many per connection */
#define TX_BYTES (1u << 20)
#define PING_BYTES 4
#define CLOSING_MS 3000

struct ws_host {
    struct worker *worker;
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct list peers;
    struct list later;        /* peers with something to flush */
    struct ws_peer *adopting; /* not bound to its wsi yet */
};

/* --- sending ------------------------------------------------------------ */

void ws_kill(struct ws_peer *peer)
{
    if (!peer->wsi)
        return;
    if (!peer->close_code)
        peer->close_code = 1006;
    peer->close_said = true; /* there is nobody to say it to */
    /* The library's own way, LWS_TO_KILL_ASYNC, waits for a timer that only
     * other traffic starts on a foreign loop; the end of the socket does not.
     */
    shutdown(peer->fd, SHUT_RDWR);
    ws_pause(peer, false);
}

/* False: the library keeps some of it, and nothing may overtake that. */
static bool lib_write(struct ws_peer *peer, const char *data, size_t size,
                      enum lws_write_protocol kind)
{
    if (lws_write(peer->wsi, (unsigned char *)data, size, kind) < 0) {
        ws_kill(peer);
        return true;
    }
    if (!lws_partial_buffered(peer->wsi))
        return true;
    peer->full = true;
    lws_callback_on_writable(peer->wsi);
    return false;
}

static ssize_t send_frames(int fd, const struct span *frames, size_t count)
{
    struct iovec pieces[WS_FRAMES_MAX];
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};

    if (count == 1) /* mostly; and the kernel does less for it */
        return send(fd, frames->data, frames->size,
                    MSG_NOSIGNAL | MSG_DONTWAIT);
    assert(count <= WS_FRAMES_MAX);
    for (size_t i = 0; i < count; i++)
        pieces[i] = (struct iovec){(char *)frames[i].data, frames[i].size};
    return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* How much of it the socket took; negative: the peer has gone. */
static ssize_t send_past_library(struct ws_peer *peer,
                                 const struct span *frames, size_t count)
{
    ssize_t sent;

    /* Not to be known from `full`: it may be in the middle of a pong. */
    if (lws_partial_buffered(peer->wsi))
        return 0;
    do {
        sent = send_frames(peer->fd, frames, count);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 && errno == EAGAIN ? 0 : sent;
}

bool ws_send(struct ws_peer *peer, const struct span *frames, size_t count)
{
    struct metrics *metrics = &peer->host->worker->metrics;
    size_t skip, total = 0;
    ssize_t sent;

    if (!peer->wsi || peer->close_code)
        return true;
    for (size_t i = 0; i < count; i++)
        total += frames[i].size;
    metrics_add(metrics->writes[BY_WS], 1);
    metrics_add(metrics->sent_bytes, total);
    sent = send_past_library(peer, frames, count);
    if (sent < 0) {
        ws_kill(peer);
        return true;
    }
    skip = (size_t)sent;
    if (skip == total)
        return !peer->full;
    for (size_t i = 0; i < count && !peer->close_code; i++) {
        if (skip < frames[i].size)
            (void)lib_write(peer, frames[i].data + skip, frames[i].size - skip,
                            LWS_WRITE_RAW);
        skip -= skip < frames[i].size ? skip : frames[i].size;
    }
    return !peer->full;
}

void ws_flush_later(struct ws_peer *peer)
{
    if (peer->wsi && list_empty(&peer->later))
        list_append(&peer->host->later, &peer->later);
}

void ws_host_turn(struct ws_host *host)
{
    while (!list_empty(&host->later)) {
        struct ws_peer *peer =
            container_of(host->later.next, struct ws_peer, later);

        list_remove(&peer->later);
        peer->handler->flush(peer);
    }
}

void ws_resume_later(struct ws_peer *peer)
{
    if (peer->wsi)
        lws_callback_on_writable(peer->wsi);
}

void ws_ping(struct ws_peer *peer)
{
    /* Not empty: the library does not tell of an empty pong. */
    char room[LWS_PRE + PING_BYTES] = {0};

    if (!peer->wsi || peer->close_code || peer->full)
        return;
    if (!peer->heard) {
        ws_kill(peer); /* not even the last ping was answered */
        return;
    }
    peer->heard = false;
    (void)lib_write(peer, room + LWS_PRE, PING_BYTES, LWS_WRITE_PING);
}

/* The close frame is written past the library, which has no call for it and
 * forgets a close reason that comes from a writable callback. The connection
 * ends when the peer's own close frame comes, or with the deadline. */
static void say_close(struct ws_peer *peer)
{
    size_t size = strlen(peer->close_reason);
    unsigned char frame[4 + 123];

    if (size > 123)
        size = 123;
    frame[0] = 0x88; /* FIN, opcode 8 (RFC 6455 section 5.5.1) */
    frame[1] = (unsigned char)(size + 2);
    frame[2] = (unsigned char)(peer->close_code >> 8);
    frame[3] = (unsigned char)(peer->close_code & 0xff);
    memcpy(frame + 4, peer->close_reason, size);
    peer->close_said = true;
    if (send(peer->fd, frame, size + 4, MSG_NOSIGNAL | MSG_DONTWAIT) !=
        (ssize_t)size + 4)
        ws_kill(peer);
}

void ws_close(struct ws_peer *peer, uint16_t code, const char *reason)
{
    struct worker *worker = peer->host->worker;

    if (peer->close_code)
        return;
    peer->handler->flush(peer);
    if (peer->close_code)
        return; /* it has gone */
    peer->close_code = code;
    peer->close_reason = reason;
    wheel_arm(&worker->wheel, &peer->deadline, clock_mono_ms() + CLOSING_MS);
    ws_pause(peer, false); /* its close frame must be heard */
    if (peer->wsi && peer->established && !peer->full)
        say_close(peer);
}

void ws_pause(struct ws_peer *peer, bool paused)
{
    if (!peer->wsi || peer->paused == paused)
        return;
    peer->paused = paused;
    lws_rx_flow_control(peer->wsi, paused ? 0 : 1);
}

static void deadline_passed(struct wheel_node *node)
{
    struct ws_peer *peer = container_of(node, struct ws_peer, deadline);

    if (peer->close_code)
        ws_kill(peer);
    else
        peer->handler->late(peer);
}

/* --- receiving ---------------------------------------------------------- */

/* A message is whole. */
static void message(struct ws_peer *peer, const char *data, size_t size)
{
    if (lws_frame_is_binary(peer->wsi))
        peer->handler->binary(peer, (struct span){data, size});
    else if (utf8_valid(data, size))
        peer->handler->text(peer, (struct span){data, size});
    else
        ws_close(peer, 1007, "text must be UTF-8");
}

static void drop_frame(struct ws_peer *peer)
{
    if (peer->frame)
        buf_fini(peer->frame);
    mem_free(peer->frame);
    peer->frame = NULL;
}

static bool add_piece(struct ws_peer *peer, const char *data, size_t size)
{
    size_t most = peer->host->worker->config->max_message_bytes;
    enum err rc = ERR_NOMEM;

    if (!peer->frame)
        peer->frame = mem_zalloc(sizeof(*peer->frame));
    if (peer->frame) {
        peer->frame->max = most;
        buf_append(peer->frame, data, size);
        rc = buf_status(peer->frame);
    }
    if (rc == ERR_TOO_LARGE)
        ws_close(peer, 1009, "the message is too large");
    else if (rc)
        ws_close(peer, 1013, "out of memory");
    return !rc;
}

/* One piece of a message of several; the bytes are dropped when it is refused.
 */
static void gather(struct ws_peer *peer, const char *data, size_t size,
                   bool last)
{
    bool added = add_piece(peer, data, size);

    if (added && !last)
        return;
    if (added)
        message(peer, peer->frame->data, peer->frame->size);
    drop_frame(peer);
}

static void receive(struct ws_peer *peer, const char *data, size_t size)
{
    struct worker *worker = peer->host->worker;
    bool last = lws_is_final_fragment(peer->wsi) &&
                lws_remaining_packet_payload(peer->wsi) == 0;

    metrics_add(worker->metrics.received_bytes, size);
    peer->heard = true;
    if (peer->close_code)
        return; /* on its way out: nothing counts any more */
    if (lws_frame_is_binary(peer->wsi) && !peer->handler->binary)
        ws_close(peer, 1003, "only text is spoken here");
    else if (last && !peer->frame)
        message(peer, data, size); /* at most RX_BYTES: never too large */
    else
        gather(peer, data, size, last);
}

/* RFC 6455 section 7.4. */
static bool close_code_ok(unsigned code)
{
    if (code >= 3000 && code <= 4999)
        return true;
    return code >= 1000 && code <= 1014 && code != 1004 && code != 1005 &&
           code != 1006;
}

/* Nonzero: our close frame is out already, so that is the end of it. Else the
 * library echoes these bytes, whatever they are: make them say 1002 when they
 * are wrong. */
static int peer_closes(struct ws_peer *peer, unsigned char *code, size_t size)
{
    if (peer->close_said)
        return -1;
    if (!peer->close_code) {
        peer->handler->flush(peer);
        peer->close_code = 1000;
    }
    if (size >= 2 && (!close_code_ok((unsigned)(code[0] << 8 | code[1])) ||
                      !utf8_valid((const char *)code + 2, size - 2))) {
        code[0] = 1002 >> 8;
        code[1] = 1002 & 0xff;
    }
    return 0;
}

static void writable(struct ws_peer *peer)
{
    peer->full = false;
    if (!peer->close_code)
        peer->handler->writable(peer);
    else if (peer->close_reason && !peer->close_said)
        say_close(peer);
}

static void gone(struct ws_peer *peer)
{
    struct ws_host *host = peer->host;

    peer->wsi = NULL;
    wheel_disarm(&peer->deadline);
    drop_frame(peer);
    list_remove(&peer->link);
    list_remove(&peer->later);
    worker_disconnected(host->worker);
    peer->handler->gone(peer);
}

static void bind_peer(struct ws_host *host, struct lws *wsi)
{
    host->adopting->wsi = wsi;
    lws_set_opaque_user_data(wsi, host->adopting);
    host->adopting = NULL;
}

/* With bytes at hand the library goes through the handshake before it returns
 * from the adoption, so before it was told whose the connection is. */
static void bind_early(struct lws *wsi)
{
    struct ws_host *host = lws_context_user(lws_get_context(wsi));

    if (host->adopting && !lws_get_opaque_user_data(wsi))
        bind_peer(host, wsi);
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason,
                    void *user, void *in, size_t size)
{
    struct ws_peer *peer;

    (void)user;
    if (!wsi)
        return 0;
    if (reason == LWS_CALLBACK_ESTABLISHED)
        bind_early(wsi);
    peer = lws_get_opaque_user_data(wsi);
    if (!peer)
        return 0;
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        peer->established = true;
        peer->heard = true;
        if (peer->close_code)
            say_close(peer);
        else
            peer->handler->established(peer);
        return 0;
    case LWS_CALLBACK_RECEIVE:
        receive(peer, in, size);
        return 0;
    case LWS_CALLBACK_RECEIVE_PONG:
        peer->heard = true;
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        writable(peer);
        return 0;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        return peer_closes(peer, in, size);
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_WSI_DESTROY:
        lws_set_opaque_user_data(wsi, NULL);
        gone(peer);
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

static const struct ws_handler *handler_at(struct span path)
{
    for (size_t i = 0; ws_handlers[i]; i++)
        if (span_is(path, ws_handlers[i]->path))
            return ws_handlers[i];
    return NULL;
}

enum err ws_host_check(struct ws_host *host, const struct head *head,
                       struct failure *why)
{
    if (!handler_at(head->path))
        return fail(why, ERR_NOT_FOUND, "WebSocket is spoken at " WS_PATH);
    return handshake_check(host->worker->config, head, why);
}

static bool adopt(struct ws_host *host, struct ws_peer *peer, int fd,
                  struct span eaten)
{
    struct lws *wsi;

    host->adopting = peer;
    wsi = eaten.data ? lws_adopt_socket_vhost_readbuf(host->vhost, fd,
                                                      eaten.data, eaten.size)
                     : lws_adopt_socket_vhost(host->vhost, fd);
    if (!host->adopting)
        return true; /* bound early; if it has gone since, so has the peer */
    if (wsi)
        bind_peer(host, wsi);
    host->adopting = NULL;
    return wsi != NULL;
}

void ws_host_adopt(struct ws_host *host, int fd, const struct head *head,
                   struct span eaten)
{
    struct failure why;
    const struct ws_handler *handler = handler_at(head->path);
    struct ws_peer *peer = handler->create(host->worker, head, &why);

    if (!peer) {
        refuse_socket(host->worker, fd, 0, &why);
        return;
    }
    peer->handler = handler;
    peer->host = host;
    peer->fd = fd;
    list_init(&peer->later);
    wheel_node_init(&peer->deadline, deadline_passed);
    wheel_arm(&host->worker->wheel, &peer->deadline,
              clock_mono_ms() + host->worker->config->header_timeout_ms);
    list_append(&host->peers, &peer->link);
    if (!adopt(host, peer, fd, eaten))
        gone(peer); /* fd is closed */
}

void ws_host_drain(struct ws_host *host)
{
    list_each_safe (link, &host->peers) {
        struct ws_peer *peer = container_of(link, struct ws_peer, link);

        peer->handler->drain(peer);
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
