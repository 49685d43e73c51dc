/* A WebSocket for the commands, by libwebsockets. */
#include "server/cli/ws_client.h"

#include "server/base/buf.h"
#include "server/base/clock.h"
#include "server/cli/interrupt.h"
#include "server/cli/remote.h"

#include <libwebsockets.h>
#include <string.h>

#define MESSAGE_MAX_BYTES (64u << 20)
#define TICK_US (100 * LWS_US_PER_MS) /* for signals and silence */
#define TOKEN_MAX 8300
#define NOT_AS_YOU_ARE 4100 /* 4100–4199 */

struct connection {
    const struct ws_client_options *options;
    struct failure *why;
    struct lws *wsi;
    struct buf message;
    uint64_t heard_ms;
    bool over;
    enum err err;
    lws_sorted_usec_list_t tick;
    struct lws_context *context;
};

/* The first reason stands. */
static void end(struct connection *c, enum err err, const char *words)
{
    if (!c->over)
        c->err = fail(c->why, err, "%s", words);
    c->over = true;
}

/* --- callbacks ------------------------------------------------------------ */

static int add_token(struct connection *c, struct lws *wsi, unsigned char **at,
                     unsigned char *limit)
{
    char value[TOKEN_MAX + 8];
    int size = snprintf(value, sizeof(value), "Bearer %.*s", TOKEN_MAX,
                        c->options->token ? c->options->token : "");

    return c->options->token &&
           lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_AUTHORIZATION,
                                        (const unsigned char *)value, size, at,
                                        limit);
}

/* What the status of a refused handshake means. */
static void refused(struct connection *c, struct lws *wsi, const char *words)
{
    unsigned status = lws_http_client_http_response(wsi);
    char text[160];
    struct http_answer answer = {.status = (long)status};

    if (status < 300) {
        (void)snprintf(text, sizeof(text), "%s",
                       words ? words : "the connection failed");
        end(c, ERR_UNAVAILABLE, text);
        return;
    }
    if (!c->over)
        c->err = remote_refusal(&answer, c->why);
    c->over = true;
}

static int received(struct connection *c, struct lws *wsi, const char *bytes,
                    size_t size)
{
    c->heard_ms = clock_mono_ms();
    buf_append(&c->message, bytes, size);
    if (buf_status(&c->message)) {
        end(c, ERR_UNAVAILABLE, "a message is too big");
        return -1;
    }
    if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi))
        return 0;

    bool go_on =
        c->options->message(c->options->arg, c->message.data, c->message.size);

    buf_reset(&c->message);
    if (!go_on)
        end(c, ERR_END, "stopped");
    return go_on ? 0 : -1;
}

/* {code, reason} of the peer's close frame. */
static void peer_closes(struct connection *c, const unsigned char *bytes,
                        size_t size)
{
    unsigned code = size >= 2 ? (unsigned)bytes[0] << 8 | bytes[1] : 1005;
    bool final = code / 100 == NOT_AS_YOU_ARE / 100;
    char reason[64] = "", text[160];

    *c->options->close_code = (uint16_t)code;
    if (size > 2)
        (void)snprintf(reason, sizeof(reason), "%.*s", (int)(size - 2),
                       (const char *)bytes + 2);
    (void)snprintf(text, sizeof(text), "the server closed with %u %s", code,
                   reason);
    if (final && strcmp(reason, err_code(ERR_TOKEN_EXPIRED)) == 0)
        end(c, ERR_TOKEN_EXPIRED, text);
    else
        end(c, final ? ERR_FORBIDDEN : ERR_UNAVAILABLE, text);
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason,
                    void *user, void *in, size_t size)
{
    struct connection *c =
        lws_get_context(wsi) ? lws_context_user(lws_get_context(wsi)) : NULL;
    unsigned char **at = in;

    (void)user;
    if (!c) /* the context is still being made */
        return 0;
    switch (reason) {
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        return add_token(c, wsi, at, *at + size) ? -1 : 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        refused(c, wsi, in);
        break;
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        c->options->accepted(c->options->arg);
        break;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return received(c, wsi, in, size);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        peer_closes(c, in, size);
        break;
    case LWS_CALLBACK_CLIENT_CLOSED:
        end(c, ERR_UNAVAILABLE, "the connection is lost");
        break;
    default:
        break;
    }
    return 0;
}

static void tick(lws_sorted_usec_list_t *sul)
{
    struct connection *c = lws_container_of(sul, struct connection, tick);
    uint64_t limit_ms = c->options->silence_ms ? *c->options->silence_ms : 0;

    c->options->idle(c->options->arg);
    if (interrupt_wanted() ||
        (c->options->cancelled && atomic_load(c->options->cancelled)))
        end(c, ERR_END, "stopped");
    else if (limit_ms && clock_mono_ms() - c->heard_ms > limit_ms)
        end(c, ERR_UNAVAILABLE, "the stream has fallen silent");
    if (c->over)
        lws_cancel_service(c->context);
    else
        lws_sul_schedule(c->context, 0, sul, tick, TICK_US);
}

/* --- connecting ----------------------------------------------------------- */

static const struct lws_protocols protocols[] = {
    {.name = "rung.v1", .callback = callback, .rx_buffer_size = 65536},
    {0},
};

static struct lws_context *make_context(struct connection *c)
{
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
        .user = c,
    };

    lws_set_log_level(0, NULL);
    return lws_create_context(&info);
}

static bool connect_to(struct connection *c, char *url)
{
    struct lws_client_connect_info info = {.context = c->context,
                                           .protocol = protocols[0].name,
                                           .local_protocol_name =
                                               protocols[0].name};
    const char *scheme, *rest;
    char path[REMOTE_URL_MAX_BYTES * 2], host[300];

    if (lws_parse_uri(url, &scheme, &info.address, &info.port, &rest))
        return false;
    (void)snprintf(path, sizeof(path), "/%s", rest);
    (void)snprintf(host, sizeof(host), "%s:%d", info.address, info.port);
    info.path = path;
    info.host = host;
    info.ssl_connection = strcmp(scheme, "https") == 0 ? LCCSCF_USE_SSL : 0;
    info.pwsi = &c->wsi;
    /* NULL may come after the error callback has said why. */
    return lws_client_connect_via_info(&info) || c->over;
}

enum err ws_client_run(const struct ws_client_options *options,
                       struct failure *why)
{
    struct connection c = {
        .options = options, .why = why, .heard_ms = clock_mono_ms()};
    char url[REMOTE_URL_MAX_BYTES * 2];

    (void)snprintf(url, sizeof(url), "%s", options->url);
    buf_init(&c.message, MESSAGE_MAX_BYTES);
    c.context = make_context(&c);
    if (!c.context)
        return fail_plain(why, ERR_NOMEM);
    if (connect_to(&c, url))
        lws_sul_schedule(c.context, 0, &c.tick, tick, TICK_US);
    else
        end(&c, ERR_BAD_REQUEST, "--url: cannot be connected to");
    while (!c.over && lws_service(c.context, 0) >= 0)
        ;
    end(&c, ERR_UNAVAILABLE, "the connection is lost");
    lws_sul_schedule(c.context, 0, &c.tick, tick, LWS_SET_TIMER_USEC_CANCEL);
    lws_context_destroy(c.context);
    buf_fini(&c.message);
    return c.err;
}
