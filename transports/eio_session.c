/* An Engine.IO session: its beginning, its heartbeat, what it hears, its end.
 *
 * end_note: a server's closed() must not come inside a call of the server's
 * own. So what a server does ends a session only at the end of the turn; what
 * its peer, a timer or a socket does ends it at once. */
#define HASH_NONFATAL_OOM 1
#include "transports/eio_inside.h"

#include "server/base/clock.h"
#include "server/guests.h"

#include <assert.h>
#include <string.h>

#define CLOSING_MS 30000 /* for what was sent to be taken */

/* --- its beginning ------------------------------------------------------- */

static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyz"
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ_-";

static void write_sid(char out[EIO_SID_CHARS + 1], unsigned worker)
{
    unsigned char bytes[EIO_SID_CHARS];

    random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < EIO_SID_CHARS; i++)
        out[i] = letters[bytes[i] % 64];
    out[0] = letters[worker / 64 % 64];
    out[1] = letters[worker % 64];
    out[EIO_SID_CHARS] = 0;
}

struct worker *eio_owner(struct worker *here, const struct eio_ask *ask)
{
    const struct server *server = here->server;
    const char *high = strchr(letters, ask->sid[0]), *low;
    struct eio_options options;
    size_t index;

    if (!ask->sid[0]) {
        ask->server->options(here->config, &options);
        return options.together ? server->workers[0] : here;
    }
    low = ask->sid[1] ? strchr(letters, ask->sid[1]) : NULL;
    if (!high || !low)
        return here;
    index = (size_t)(high - letters) * 64 + (size_t)(low - letters);
    return index < server->worker_count ? server->workers[index] : here;
}

static void beat(struct wheel_node *node);

static bool enter(struct eio_session *session)
{
    struct eio_host *host = session->host;
    bool entered;

    HASH_ADD_STR(host->sessions, sid, session);
    entered = session->hh.tbl != NULL;
    host->count += entered;
    return entered;
}

struct eio_session *eio_session_create(struct eio_host *host,
                                       struct eio_ask *ask)
{
    struct eio_session *session = mem_zalloc(sizeof(*session));

    if (!session)
        return NULL;
    session->host = host;
    session->server = ask->server;
    ask->server->options(host->worker->config, &session->options);
    session->protocol = ask->protocol;
    session->octets = ask->protocol == EIO_PROTOCOL_3 && !ask->base64;
    session->over_ws = ask->websocket;
    list_init(&session->dirty);
    wheel_node_init(&session->beat, beat);
    write_sid(session->sid, host->worker->index);
    if (host->count < session->options.max_sessions && enter(session)) {
        session->params = ask->params;
        buf_init(&ask->params, 0);
        return session;
    }
    mem_free(session);
    return NULL;
}

/* --- its heartbeat ------------------------------------------------------- */

static void arm(struct eio_session *session)
{
    wheel_arm(&session->host->worker->wheel, &session->beat,
              session->expires_ms ? session->expires_ms : session->ping_ms);
}

/* Pings keep their rhythm, however late the wheel and the answers are: else
 * every one would push the next. */
static uint64_t next_ping_ms(const struct eio_session *session)
{
    uint64_t now = clock_mono_ms();
    uint64_t interval_ms = session->options.ping_interval_ms;
    uint64_t next = session->ping_ms + interval_ms;

    return session->pinged && next > now ? next : now + interval_ms;
}

/* Protocol 4: the server asks; protocol 3: the client does. */
static void start_beating(struct eio_session *session)
{
    session->ping_ms = next_ping_ms(session);
    session->pinged = false;
    session->expires_ms =
        session->protocol == EIO_PROTOCOL_4
            ? 0
            : session->ping_ms + session->options.ping_timeout_ms;
    arm(session);
}

/* The wheel may be late. A peer that can hear the ping has its whole time from
 * now on; for one that is not there to hear it, the time runs as if it had
 * been. */
static void ping(struct eio_session *session)
{
    uint64_t from_ms =
        eio_has_room(session) ? clock_mono_ms() : session->ping_ms;

    session->pinged = true;
    session->refreshed = false;
    session->expires_ms = from_ms + session->options.ping_timeout_ms;
    eio_queue_type(session, EIO_PING, (struct span){0});
    arm(session);
}

static bool is_late(const struct eio_session *session)
{
    return session->expires_ms && clock_mono_ms() >= session->expires_ms;
}

static void beat(struct wheel_node *node)
{
    struct eio_session *session = container_of(node, struct eio_session, beat);

    if (is_late(session))
        eio_session_end(session, EIO_CLOSE);
    else if (!session->expires_ms)
        ping(session);
    else
        arm(session);
}

/* Anything at all tells that the peer lives, once a ping. */
static void take_sign_of_life(struct eio_session *session, enum eio_type type)
{
    if (session->protocol == EIO_PROTOCOL_3 || type == EIO_PONG) {
        start_beating(session);
    } else if (session->pinged && !session->refreshed) {
        session->refreshed = true;
        session->expires_ms =
            clock_mono_ms() + session->options.ping_timeout_ms;
        arm(session);
    }
}

struct eio_session *eio_session_find(struct eio_host *host, const char *sid)
{
    struct eio_session *session;

    HASH_FIND_STR(host->sessions, sid, session);
    if (!session || !is_late(session))
        return session;
    eio_session_end(session, EIO_CLOSE);
    return NULL;
}

bool eio_session_open(struct eio_session *session)
{
    struct eio_open open = {
        .sid = span_of(session->sid),
        .may_upgrade = !session->over_ws,
        .ping_interval_ms = session->options.ping_interval_ms,
        .ping_timeout_ms = session->options.ping_timeout_ms,
        .max_payload = session->options.max_payload,
    };
    struct buf text;

    buf_init(&text, 512);
    eio_open_write(&text, &open);
    eio_queue_type(session, EIO_OPEN, (struct span){text.data, text.size});
    buf_fini(&text);
    start_beating(session);
    session->owner = session->server->open(session);
    if (!session->owner)
        eio_session_end(session, EIO_CLOSE);
    return session->owner != NULL;
}

/* --- what it hears ------------------------------------------------------- */

static void hear_ping(struct eio_session *session,
                      const struct eio_packet *packet)
{
    if (session->protocol == EIO_PROTOCOL_4) /* the wrong way round */
        eio_session_end(session, EIO_CLOSE);
    else
        eio_queue_type(session, EIO_PONG, packet->data);
}

void eio_session_hear(struct eio_session *session,
                      const struct eio_packet *packet)
{
    if (session->state == EIO_CLOSING && packet->type == EIO_CLOSE)
        eio_session_end(session, EIO_NOOP);
    if (session->state != EIO_LIVE || session->broken)
        return;
    take_sign_of_life(session, packet->type);
    switch (packet->type) {
    case EIO_CLOSE:
        eio_session_end(session, EIO_NOOP);
        break;
    case EIO_PING:
        hear_ping(session, packet);
        break;
    case EIO_PONG:
        if (session->protocol == EIO_PROTOCOL_3)
            eio_session_end(session, EIO_CLOSE);
        break;
    case EIO_MESSAGE:
        session->server->message(session->owner, packet);
        break;
    default: /* an upgrade where there is none, a noop: nothing */
        break;
    }
}

/* --- its end ------------------------------------------------------------- */

static void leave_sockets(struct eio_session *session)
{
    struct eio_peer *probe = session->probe, *peer = session->peer;

    session->probe = session->peer = NULL;
    if (probe)
        eio_ws_leave(probe, PEER_NO_CODE);
    if (peer)
        eio_ws_leave(peer, PEER_NO_CODE);
}

void eio_session_end(struct eio_session *session, enum eio_type poll_says)
{
    void *owner = session->owner;

    if (session->state == EIO_CLOSED)
        return;
    session->state = EIO_CLOSED;
    session->owner = NULL;
    wheel_disarm(&session->beat);
    HASH_DELETE(hh, session->host->sessions, session);
    session->host->count--;
    if (session->poll)
        eio_poll_release(session, poll_says);
    if (session->post) {
        session->post->session = NULL;
        session->post->refused = true;
        session->post = NULL;
    }
    leave_sockets(session);
    if (owner)
        session->server->closed(owner);
    eio_session_dirty(session); /* to be freed */
}

void eio_close(struct eio_session *session)
{
    if (session->state != EIO_LIVE)
        return;
    session->state = EIO_CLOSING;
    session->expires_ms = clock_mono_ms() + CLOSING_MS;
    arm(session);
    eio_session_dirty(session);
}

/* See end_note. */
void eio_break(struct eio_session *session)
{
    session->broken = true;
    eio_session_dirty(session);
}

void eio_session_free(struct eio_session *session)
{
    assert(session->state == EIO_CLOSED);
    list_remove(&session->dirty);
    eio_queue_free(session);
    buf_fini(&session->params);
    guests_end_session(session->host->worker->server->guests, session->guest);
    mem_free(session);
}

void eio_session_dirty(struct eio_session *session)
{
    if (list_empty(&session->dirty))
        list_append(&session->host->dirty, &session->dirty);
}

struct worker *eio_worker(const struct eio_session *session)
{
    return session->host->worker;
}

enum eio_protocol eio_protocol(const struct eio_session *session)
{
    return session->protocol;
}

uint64_t eio_max_payload(const struct eio_session *session)
{
    return session->options.max_payload;
}

struct span eio_param(const struct eio_session *session, const char *name)
{
    const struct query query = {session->params.data, session->params.size};

    return query_get(&query, name);
}

/* --- the host ------------------------------------------------------------ */

enum err eio_host_create(struct eio_host **out, struct worker *worker)
{
    struct eio_host *host = mem_zalloc(sizeof(*host));

    if (!host)
        return ERR_NOMEM;
    host->worker = worker;
    list_init(&host->dirty);
    list_init(&host->leaving);
    buf_init(&host->scratch, SIZE_MAX / 2); /* payloads bound it */
    buf_init(&host->text, SIZE_MAX / 2);    /* what waits bounds it */
    *out = host;
    return ERR_NONE;
}

bool eio_host_turn(struct eio_host *host)
{
    struct list work;

    list_take(&work, &host->dirty);
    while (!list_empty(&work)) {
        struct eio_session *session =
            container_of(work.next, struct eio_session, dirty);

        list_remove(&session->dirty);
        if (session->state == EIO_CLOSED)
            eio_session_free(session);
        else
            eio_flush(session);
    }
    return list_empty(&host->dirty);
}

bool eio_host_idle(const struct eio_host *host)
{
    return list_empty(&host->dirty);
}

void eio_host_drain(struct eio_host *host)
{
    struct eio_session *session, *next;

    host->draining = true;
    eio_leave_all(host);
    HASH_ITER(hh, host->sessions, session, next)
    eio_close(session);
}

void eio_host_close(struct eio_host *host)
{
    struct eio_session *session, *next;

    host->draining = true;
    eio_leave_all(host);
    HASH_ITER(hh, host->sessions, session, next)
    eio_session_end(session, EIO_CLOSE);
}

void eio_host_free(struct eio_host *host)
{
    if (!host)
        return;
    assert(!host->sessions);
    list_each_safe (link, &host->dirty)
        eio_session_free(container_of(link, struct eio_session, dirty));
    buf_fini(&host->scratch);
    buf_fini(&host->text);
    mem_free(host);
}
