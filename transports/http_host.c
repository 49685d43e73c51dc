/* HTTP on a worker's loop, carried by libmicrohttpd in external epoll mode. */
#include "transports/http_host.h"

#include "server/base/clock.h"
#include "server/base/poller.h"
#include "server/base/trace.h"
#include "server/handshake.h"
#include "server/limits.h"
#include "server/method.h"
#include "server/origin.h"
#include "transports/route.h"
#include "transports/ws_host.h"

#include <assert.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define DAEMON_CONNECTIONS 100
#define DAEMON_ROUNDS 16 /* of MHD_run() in one turn */
/* Turns in which a daemon is busy and nothing comes of it, and its rest then.
 */
#define FRUITLESS_TURNS 64
#define REST_MS 100
/* A connection whose head does not fit the small pool gets a large one, which
 * has room for HEAD_MAX_BYTES, twice where they are cookies, HEAD_MAX_PIECES
 * and the head of an answer. */
#define SMALL_POOL 4096
#define LARGE_POOL 32768
#define PIECE_BYTES 64
#define ANSWER_BYTES 900

/* One libmicrohttpd daemon. */
struct house {
    struct http_host *host;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    struct list link;  /* its group's `roomy`, or nowhere when full */
    struct list dirty; /* host->dirty, or nowhere */
    struct group *group;
    struct house *next; /* its group's `all` */
    unsigned connections;
    unsigned fruitless;     /* turns in a row */
    struct wheel_node rest; /* of a house that is busy with nothing */
};

struct group {
    size_t pool;
    struct house *all;
    struct list roomy;
};

struct http_host {
    struct worker *worker;
    struct group small, large;
    struct list dirty;
    struct list connections; /* all: visited only when draining */
    bool draining;
    bool arrived; /* came() ran, during MHD_add_connection() */
};

/* One TCP connection. */
struct connection {
    struct house *house;
    struct MHD_Connection *mhd;
    int fd;
    struct watch watch;         /* its peer leaving */
    struct wheel_node deadline; /* of an idle peer, a head, a body */
    struct list link;
    struct bucket bucket;
    struct request *request; /* the current one, or NULL */
    bool left;               /* the peer has said that it is done */
};

enum stage {
    STAGE_NEW,      /* its head is being read */
    STAGE_BODY,     /* checked; its body is being read */
    STAGE_ROUTED,   /* given to route(), not answered yet */
    STAGE_PARKED,   /* suspended */
    STAGE_ANSWERED, /* the answer is ready, or queued */
    STAGE_OVER,     /* gone or taken: close */
};

struct request {
    struct connection *connection;
    enum stage stage;
    unsigned status;
    struct MHD_Response *response;
    struct answer *answer; /* instead of response */
    void (*gone)(void *owner);
    void *owner;
    struct head head;
    struct query query;
    enum err refusal; /* to be answered when the body is in */
    uint32_t wait_ms; /* RATE_LIMITED */
    struct buf body;
    size_t received; /* of the body, also what was dropped */
    size_t target_size;
    char target[]; /* raw, then decoded in place; one spare byte */
};

struct answer {
    int refs;
    struct MHD_Response *response;
};

static void mark_dirty(struct house *house)
{
    if (list_empty(&house->dirty))
        list_append(&house->host->dirty, &house->dirty);
}

/* The library has come to something. */
static void stirs(struct house *house)
{
    house->fruitless = 0;
}

static struct worker *worker_of(struct request *request)
{
    return request->connection->house->host->worker;
}

/* --- answers ------------------------------------------------------------ */

/* The answer is ready: the handler queues it, now or after the sweep. */
static void answered(struct request *request)
{
    bool parked = request->stage == STAGE_PARKED;

    assert(request->stage == STAGE_ROUTED || parked ||
           request->stage == STAGE_NEW || request->stage == STAGE_BODY);
    request->stage = STAGE_ANSWERED;
    if (!request->response && !request->answer)
        request->stage = STAGE_OVER; /* no memory for it */
    if (parked) {
        MHD_resume_connection(request->connection->mhd);
        mark_dirty(request->connection->house);
    }
}

static bool add_header(struct MHD_Response *response, const char *name,
                       const char *value)
{
    return MHD_add_response_header(response, name, value) == MHD_YES;
}

static bool add_common(struct MHD_Response *response, const char *type,
                       bool cacheable)
{
    return add_header(response, "Content-Type", type) &&
           add_header(response, "X-Content-Type-Options", "nosniff") &&
           add_header(response, "Vary", "Origin") &&
           (cacheable ||
            add_header(response, "Cache-Control", "no-store, no-transform"));
}

/* For a page of another host that is allowed to read this. */
static bool add_cors(struct MHD_Response *response, const struct head *head,
                     const struct config *config)
{
    char origin[256];

    if (!origin_is_foreign(head) || !origin_allowed(config, head) ||
        head->origin.size >= sizeof(origin))
        return true;
    snprintf(origin, sizeof(origin), "%.*s", (int)head->origin.size,
             head->origin.data);
    return add_header(response, "Access-Control-Allow-Origin", origin) &&
           add_header(response, "Access-Control-Expose-Headers", "Retry-After");
}

static struct MHD_Response *response_of(struct span body, bool lasting)
{
    /* The library takes a pointer to mutable bytes and leaves them alone. */
    union {
        const char *in;
        void *out;
    } bytes = {.in = body.size ? body.data : ""};

    return MHD_create_response_from_buffer(
        body.size, bytes.out,
        lasting || !body.size ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_COPY);
}

void request_reply(struct request *request, const struct reply *reply)
{
    struct MHD_Response *response = response_of(reply->body, reply->lasting);
    bool ok =
        response &&
        add_common(response, reply->type ? reply->type : "application/json",
                   reply->cacheable) &&
        add_cors(response, &request->head, worker_of(request)->config);

    for (size_t i = 0; ok && i < REPLY_HEADERS && reply->headers[i].name; i++)
        ok = add_header(response, reply->headers[i].name,
                        reply->headers[i].value);
    if (!ok && response) {
        MHD_destroy_response(response);
        response = NULL;
    }
    request->response = response;
    request->status = reply->status ? (unsigned)reply->status : 200;
    answered(request);
}

static void put_header(struct reply *reply, const char *name, const char *value)
{
    size_t at = 0;

    while (reply->headers[at].name)
        at++;
    assert(at < REPLY_HEADERS);
    reply->headers[at].name = name;
    reply->headers[at].value = value;
}

static void fail_with(struct request *request, const struct failure *why,
                      const char *allow)
{
    enum err wire = err_wire(why->err);
    struct reply reply = {.status = err_status(wire)};
    struct buf text;
    char seconds[16];

    buf_init(&text, 4096);
    failure_write(&text, why);
    reply.body = (struct span){text.data, text.size};
    if (why->retry_after_ms) {
        snprintf(seconds, sizeof(seconds), "%u",
                 (why->retry_after_ms + 999) / 1000);
        put_header(&reply, "Retry-After", seconds);
    }
    if (reply.status == 401)
        put_header(&reply, "WWW-Authenticate", "Bearer");
    if (wire == ERR_UNSUPPORTED_VERSION)
        put_header(&reply, "Sec-WebSocket-Version", "13");
    if (allow)
        put_header(&reply, "Allow", allow);
    request_reply(request, &reply);
    buf_fini(&text);
}

void request_fail_counted(struct request *request, const struct failure *why)
{
    fail_with(request, why, NULL);
}

void request_fail_allow(struct request *request, const struct failure *why,
                        const char *allow)
{
    struct metrics *metrics = &worker_of(request)->metrics;

    metrics_add(metrics->errors[err_wire(why->err)], 1);
    fail_with(request, why, allow);
}

void request_fail(struct request *request, const struct failure *why)
{
    request_fail_allow(request, why, NULL);
}

struct answer *answer_create(struct span body)
{
    struct answer *answer = mem_alloc(sizeof(*answer));

    if (!answer)
        return NULL;
    answer->refs = 1;
    answer->response = response_of(body, false);
    if (!answer->response ||
        !add_common(answer->response, "application/json", false)) {
        answer_unref(answer);
        return NULL;
    }
    return answer;
}

void answer_unref(struct answer *answer)
{
    if (!answer || --answer->refs)
        return;
    if (answer->response)
        MHD_destroy_response(answer->response);
    mem_free(answer);
}

bool request_takes_answer(struct request *request)
{
    return !origin_is_foreign(&request->head);
}

void request_answer(struct request *request, struct answer *answer)
{
    answer->refs++;
    request->answer = answer;
    request->status = 200;
    answered(request);
}

/* Without it (no memory) a peer that leaves is noticed when answered. */
static void watch_peer(struct connection *connection)
{
    struct poller *poller = &connection->house->host->worker->poller;

    if (poller_add(poller, connection->fd, EPOLLRDHUP, &connection->watch))
        trace(TRACE_WARN, "cannot watch a connection", "fd=%d", connection->fd);
}

/* The peer went before there was anything to tell: be told again, a turn
 * later. */
static void watch_anew(struct connection *connection)
{
    struct poller *poller = &connection->house->host->worker->poller;

    poller_remove(poller, connection->fd, &connection->watch);
    watch_peer(connection);
}

void request_park(struct request *request, void (*gone)(void *owner),
                  void *owner)
{
    assert(request->stage == STAGE_ROUTED);
    request->stage = STAGE_PARKED;
    request->gone = gone;
    request->owner = owner;
    MHD_suspend_connection(request->connection->mhd);
    if (gone && request->connection->left)
        watch_anew(request->connection);
}

void request_park_call(struct request *request)
{
    if (request->stage == STAGE_ROUTED)
        request_park(request, NULL, NULL);
}

/* The duplicate stays in every epoll that knows the fd: leave ours first; the
 * library leaves its own when it closes. */
static int duplicate(struct connection *connection)
{
    struct worker *worker = connection->house->host->worker;
    int fd = fcntl(connection->fd, F_DUPFD_CLOEXEC, 0);

    if (fd >= 0)
        poller_remove(&worker->poller, connection->fd, &connection->watch);
    return fd;
}

int request_take(struct request *request)
{
    int fd;

    assert(request->stage == STAGE_ROUTED);
    fd = duplicate(request->connection);
    if (fd >= 0)
        request->stage = STAGE_OVER;
    return fd;
}

/* --- what was asked ----------------------------------------------------- */

struct worker *request_worker(struct request *request)
{
    return worker_of(request);
}

const struct head *request_head(struct request *request)
{
    return &request->head;
}

const struct query *request_query(struct request *request)
{
    return &request->query;
}

struct span request_param(struct request *request, const char *name)
{
    return query_get(&request->query, name);
}

struct span request_body(struct request *request)
{
    return (struct span){request->body.data, request->body.size};
}

/* --- a request's way through the library -------------------------------- */

/* whole_lines: the library shows a head's parts where they lie in its buffer.
 * So each must begin where the one before ends, with just the bytes between
 * that a strict head has: a line that ended in LF alone or was folded, or a NUL
 * that cut a part short, leaves another distance. */
struct walk {
    struct head *head;
    struct failure *why;
    enum err err;
    const char *line; /* where the next one must begin */
    bool loose;       /* it did not */
};

static bool is_blank(const char *from, const char *to)
{
    while (from < to && (*from == ' ' || *from == '\t'))
        from++;
    return from == to;
}

static enum MHD_Result walk_field(void *arg, enum MHD_ValueKind kind,
                                  const char *name, size_t name_size,
                                  const char *value, size_t value_size)
{
    struct walk *walk = arg;

    (void)kind;
    if (name != walk->line || value <= name + name_size ||
        !is_blank(name + name_size + 1, value))
        walk->loose = true;
    walk->line = value + value_size + 2;
    walk->err = head_field(walk->head, (struct span){name, name_size},
                           (struct span){value, value_size}, walk->why);
    return walk->err || walk->loose ? MHD_NO : MHD_YES;
}

/* whole_lines */
static void walk_fields(struct walk *walk, struct request *request,
                        const char *method, const char *version)
{
    struct MHD_Connection *mhd = request->connection->mhd;
    const union MHD_ConnectionInfo *info;
    size_t line = strlen(method) + 1 + request->target_size + 1;

    walk->loose = version != method + line;
    walk->line = version + strlen(version) + 2;
    MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, walk_field, walk);
    info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (!info || walk->line + 2 != method + info->header_size)
        walk->loose = true;
    if (!walk->err && walk->loose)
        walk->err = fail(walk->why, ERR_BAD_REQUEST,
                         "the head's lines must end in CR LF, unfolded, and "
                         "hold no NUL");
}

static enum err too_large(struct request *request, struct failure *why)
{
    uint64_t max = worker_of(request)->config->max_message_bytes;

    return fail(why, ERR_TOO_LARGE, "a body may have at most %llu bytes",
                (unsigned long long)max);
}

/* Every request of a connection, not only its first, which the front door saw.
 */
static enum err check_head(struct request *request, const char *method,
                           const char *version, struct failure *why)
{
    struct head *head = &request->head;
    struct walk walk = {.head = head, .why = why};
    enum err rc;

    head_init(head);
    rc = head_request_line(head, span_of(method),
                           (struct span){request->target, request->target_size},
                           span_of(version), why);
    if (rc)
        return rc;
    walk_fields(&walk, request, method, version);
    if (walk.err)
        return walk.err;
    rc = head_finish(head, why);
    if (rc)
        return rc;
    if (head->length > worker_of(request)->config->max_message_bytes)
        return too_large(request, why);
    return ERR_NONE;
}

static enum MHD_Result queue(struct request *request)
{
    struct MHD_Response *response =
        request->answer ? request->answer->response : request->response;

    if (request->stage != STAGE_ANSWERED)
        return MHD_NO;
    return MHD_queue_response(request->connection->mhd, request->status,
                              response);
}

static void arm(struct connection *connection, uint64_t ms)
{
    struct worker *worker = connection->house->host->worker;

    wheel_arm(&worker->wheel, &connection->deadline, clock_mono_ms() + ms);
}

static enum MHD_Result rebuild_field(void *arg, enum MHD_ValueKind kind,
                                     const char *name, const char *value)
{
    struct buf *out = arg;

    (void)kind;
    buf_printf(out, "%s: %s\r\n", name, value ? value : "");
    return MHD_YES;
}

/* A connection kept alive (by a proxy) turns into a WebSocket: the head that
 * the library has eaten is written anew for the other one to read. */
static enum MHD_Result become_websocket(struct request *request)
{
    struct worker *worker = worker_of(request);
    struct failure why;
    struct buf head;
    int fd;

    if (handshake_check(worker->config, &request->head, &why)) {
        request_fail_allow(request, &why,
                           why.err == ERR_METHOD_NOT_ALLOWED ? "GET, OPTIONS"
                                                             : NULL);
        return queue(request);
    }
    buf_init(&head, HEAD_MAX_BYTES);
    buf_printf(&head, "GET %.*s HTTP/1.1\r\n", (int)request->target_size,
               request->target);
    MHD_get_connection_values(request->connection->mhd, MHD_HEADER_KIND,
                              rebuild_field, &head);
    buf_append_text(&head, "\r\n");
    fd = buf_status(&head) ? -1 : duplicate(request->connection);
    if (fd >= 0) {
        worker_connected(worker);
        ws_host_adopt(worker->ws, fd, &request->head,
                      (struct span){head.data, head.size});
    }
    buf_fini(&head);
    request->stage = STAGE_OVER;
    return MHD_NO;
}

/* The first handler call: what is refused here closes the connection. */
static enum MHD_Result begin(struct request *request, const char *method,
                             const char *version)
{
    struct worker *worker = worker_of(request);
    struct connection *connection = request->connection;
    struct failure why = {0};

    metrics_add(worker->metrics.requests, 1);
    if (check_head(request, method, version, &why)) {
        request_fail(request, &why);
        return queue(request);
    }
    request->wait_ms = bucket_spend(
        &connection->bucket, worker->config->connection_rate, clock_mono_us());
    if (request->wait_ms)
        request->refusal = ERR_RATE_LIMITED;
    else if (handshake_wanted(&request->head))
        return become_websocket(request);
    request->stage = STAGE_BODY;
    buf_init(&request->body, worker->config->max_message_bytes);
    if (request->head.length || request->head.chunked)
        arm(connection, worker->config->body_timeout_ms);
    else
        wheel_disarm(&connection->deadline);
    return MHD_YES;
}

/* What comes beyond the limit is dropped, and beyond twice the limit, cut. */
static enum MHD_Result take_body(struct request *request, const char *data,
                                 size_t *size)
{
    metrics_add(worker_of(request)->metrics.received_bytes, *size);
    request->received += *size;
    if (request->received > 2 * request->body.max)
        return MHD_NO;
    if (!request->refusal)
        buf_append(&request->body, data, *size);
    if (!request->refusal && buf_status(&request->body)) {
        request->refusal = buf_status(&request->body);
        buf_fini(&request->body);
    }
    *size = 0;
    return MHD_YES;
}

/* Why the request must be refused though its head was fine. */
static enum err refusal_of(struct request *request, struct failure *why)
{
    if (request->refusal == ERR_TOO_LARGE)
        return too_large(request, why);
    if (request->refusal == ERR_RATE_LIMITED) {
        fail(why, ERR_RATE_LIMITED, "this connection asks too often");
        why->retry_after_ms = request->wait_ms;
        return why->err;
    }
    if (request->refusal)
        return fail_plain(why, request->refusal);
    return query_parse(&request->query,
                       request->target +
                           (request->head.query.data - request->target),
                       request->head.query.size, why);
}

static enum MHD_Result dispatch(struct request *request)
{
    struct failure why;

    wheel_disarm(&request->connection->deadline);
    request->stage = STAGE_ROUTED;
    if (refusal_of(request, &why))
        request_fail(request, &why);
    else
        route(request);
    assert(request->stage != STAGE_ROUTED);
    return request->stage == STAGE_PARKED ? MHD_YES : queue(request);
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *mhd,
                              const char *url, const char *method,
                              const char *version, const char *data,
                              size_t *size, void **context)
{
    struct request *request = *context;

    (void)cls;
    (void)mhd;
    (void)url;
    if (!request)
        return MHD_NO; /* there was no memory for it */
    stirs(request->connection->house);
    switch (request->stage) {
    case STAGE_NEW:
        return begin(request, method, version);
    case STAGE_BODY:
        return *size ? take_body(request, data, size) : dispatch(request);
    default: /* resumed with its answer, or without */
        return queue(request);
    }
}

/* The request line is there: the only place where the library shows the target
 * as it was sent. */
static void *first_line(void *cls, const char *target,
                        struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct connection *connection = info ? info->socket_context : NULL;
    size_t size = strlen(target);
    struct request *request;

    (void)cls;
    if (!connection)
        return NULL;
    request = mem_zalloc(sizeof(*request) + size + 1);
    if (!request)
        return NULL;
    request->connection = connection;
    request->target_size = size;
    memcpy(request->target, target, size + 1);
    connection->request = request;
    stirs(connection->house);
    arm(connection, connection->house->host->worker->config->header_timeout_ms);
    return request;
}

/* The library is through with a request, whatever became of it. */
static void completed(void *cls, struct MHD_Connection *mhd, void **context,
                      enum MHD_RequestTerminationCode code)
{
    struct request *request = *context;
    struct connection *connection;

    (void)cls;
    (void)mhd;
    (void)code;
    if (!request)
        return;
    *context = NULL;
    connection = request->connection;
    connection->request = NULL;
    stirs(connection->house);
    if (request->response)
        MHD_destroy_response(request->response);
    answer_unref(request->answer);
    buf_fini(&request->body);
    mem_free(request);
    arm(connection, connection->house->host->worker->config->idle_timeout_ms);
    if (connection->house->host->draining)
        shutdown(connection->fd, SHUT_RD);
}

/* --- connections -------------------------------------------------------- */

/* Only what is parked needs this: otherwise the library reads, and sees it. */
static void peer_left(struct watch *watch, uint32_t events)
{
    struct connection *connection =
        container_of(watch, struct connection, watch);
    struct request *request = connection->request;

    if (!(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
        return;
    connection->left = true;
    if (!request || request->stage != STAGE_PARKED || !request->gone)
        return;
    request->stage = STAGE_OVER;
    MHD_resume_connection(connection->mhd);
    mark_dirty(connection->house);
    request->gone(request->owner);
}

/* Too slow. The library notices the end of input and closes; or, when it has no
 * room to read on, its own timeout. */
static void cut(struct wheel_node *node)
{
    struct connection *connection =
        container_of(node, struct connection, deadline);

    shutdown(connection->fd, SHUT_RDWR);
    MHD_set_connection_option(connection->mhd, MHD_CONNECTION_OPTION_TIMEOUT,
                              1u);
    mark_dirty(connection->house);
}

static void came(struct house *house, struct MHD_Connection *mhd,
                 void **context)
{
    struct worker *worker = house->host->worker;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct connection *connection = mem_zalloc(sizeof(*connection));

    house->host->arrived = true;
    stirs(house);
    if (++house->connections >= DAEMON_CONNECTIONS)
        list_remove(&house->link);
    if (!connection || !info) {
        mem_free(connection);
        return;
    }
    connection->house = house;
    connection->mhd = mhd;
    connection->fd = info->connect_fd;
    connection->watch.ready = peer_left;
    wheel_node_init(&connection->deadline, cut);
    arm(connection, worker->config->header_timeout_ms);
    list_append(&house->host->connections, &connection->link);
    watch_peer(connection);
    *context = connection;
}

static void went(struct house *house, void **context)
{
    struct connection *connection = *context;

    if (connection) {
        poller_remove(&house->host->worker->poller, connection->fd,
                      &connection->watch);
        wheel_disarm(&connection->deadline);
        list_remove(&connection->link);
        mem_free(connection);
        *context = NULL;
    }
    house->connections--;
    stirs(house);
    worker_disconnected(house->host->worker);
    if (list_empty(&house->link))
        list_append(&house->group->roomy, &house->link);
}

static void connection_changed(void *cls, struct MHD_Connection *mhd,
                               void **context,
                               enum MHD_ConnectionNotificationCode code)
{
    struct house *house = cls;

    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        came(house, mhd, context);
    else
        went(house, context);
}

/* --- houses ------------------------------------------------------------- */

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    mark_dirty(poll->data);
}

static void rested(struct wheel_node *node)
{
    mark_dirty(container_of(node, struct house, rest));
}

static struct MHD_Daemon *start_daemon(struct house *house, size_t pool)
{
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_TURBO |
            MHD_ALLOW_SUSPEND_RESUME,
        0, NULL, NULL, handle, NULL, MHD_OPTION_NOTIFY_CONNECTION,
        connection_changed, house, MHD_OPTION_NOTIFY_COMPLETED, completed, NULL,
        MHD_OPTION_URI_LOG_CALLBACK, first_line, NULL,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)DAEMON_CONNECTIONS + 28,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, pool, MHD_OPTION_STRICT_FOR_CLIENT,
        1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
}

static struct house *house_build(struct http_host *host, struct group *group)
{
    struct house *house = mem_zalloc(sizeof(*house));
    const union MHD_DaemonInfo *info;

    if (!house)
        return NULL;
    house->host = host;
    house->group = group;
    list_init(&house->dirty);
    list_init(&house->link);
    wheel_node_init(&house->rest, rested);
    house->daemon = start_daemon(house, group->pool);
    if (!house->daemon)
        goto free_house;
    info = MHD_get_daemon_info(house->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (!info ||
        uv_poll_init(&host->worker->loop, &house->poll, info->epoll_fd))
        goto stop_daemon;
    house->poll.data = house;
    uv_poll_start(&house->poll, UV_READABLE, on_readable);
    house->next = group->all;
    group->all = house;
    list_append(&group->roomy, &house->link);
    return house;

stop_daemon:
    MHD_stop_daemon(house->daemon);
free_house:
    mem_free(house);
    return NULL;
}

static void free_house(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void house_raze(struct house *house)
{
    uv_close((uv_handle_t *)&house->poll, free_house);
    MHD_stop_daemon(house->daemon);
    wheel_disarm(&house->rest);
    list_remove(&house->link);
    list_remove(&house->dirty);
}

/* False when the library has more to do already. */
static bool house_turn(struct house *house)
{
    MHD_UNSIGNED_LONG_LONG timeout;

    for (int round = 0; round < DAEMON_ROUNDS; round++) {
        MHD_run(house->daemon);
        if (MHD_get_timeout(house->daemon, &timeout) != MHD_YES || timeout) {
            stirs(house);
            return true;
        }
    }
    if (++house->fruitless < FRUITLESS_TURNS)
        return false;
    wheel_arm(&house->host->worker->wheel, &house->rest,
              clock_mono_ms() + REST_MS);
    return true;
}

/* --- the host ----------------------------------------------------------- */

static void group_init(struct group *group, size_t pool)
{
    group->pool = pool;
    list_init(&group->roomy);
}

enum err http_host_create(struct http_host **out, struct worker *worker)
{
    struct http_host *host = mem_zalloc(sizeof(*host));

    if (!host)
        return ERR_NOMEM;
    host->worker = worker;
    group_init(&host->small, SMALL_POOL);
    group_init(&host->large, LARGE_POOL);
    list_init(&host->dirty);
    list_init(&host->connections);
    *out = host;
    return ERR_NONE;
}

/* A house with room, built when there is none. */
static struct house *find_room(struct http_host *host, struct group *group)
{
    if (list_empty(&group->roomy))
        return house_build(host, group);
    return container_of(group->roomy.next, struct house, link);
}

static size_t pool_needed(const struct head *head)
{
    return head->size + head->cookie_bytes + head->pieces * PIECE_BYTES +
           ANSWER_BYTES;
}

void http_host_adopt(struct http_host *host, int fd, const struct head *head)
{
    struct group *group =
        pool_needed(head) > SMALL_POOL ? &host->large : &host->small;
    struct house *house = find_room(host, group);
    struct sockaddr_in nobody = {.sin_family = AF_INET};

    if (!house) {
        close(fd);
        worker_disconnected(host->worker);
        return;
    }
    /* When it fails it has closed fd; it tells connection_changed() of the end
     * only if it told it of the beginning. */
    host->arrived = false;
    if (MHD_add_connection(house->daemon, fd, (struct sockaddr *)&nobody,
                           sizeof(nobody)) != MHD_YES &&
        !host->arrived)
        worker_disconnected(host->worker);
    mark_dirty(house);
}

bool http_host_turn(struct http_host *host)
{
    struct list work;

    list_take(&work, &host->dirty);
    while (!list_empty(&work)) {
        struct house *house = container_of(work.next, struct house, dirty);

        list_remove(&house->dirty);
        if (!house_turn(house))
            mark_dirty(house);
    }
    return list_empty(&host->dirty);
}

void http_host_drain(struct http_host *host)
{
    host->draining = true;
    list_each_safe (link, &host->connections) {
        struct connection *connection =
            container_of(link, struct connection, link);

        if (!connection->request)
            shutdown(connection->fd, SHUT_RD);
    }
}

static void give_up_parked(struct http_host *host)
{
    list_each_safe (link, &host->connections) {
        struct connection *connection =
            container_of(link, struct connection, link);
        struct request *request = connection->request;

        if (!request || request->stage != STAGE_PARKED)
            continue;
        request->stage = STAGE_OVER;
        MHD_resume_connection(connection->mhd);
        mark_dirty(connection->house);
        if (request->gone)
            request->gone(request->owner);
    }
    http_host_turn(host);
}

static void group_raze(struct group *group)
{
    while (group->all) {
        struct house *house = group->all;

        group->all = house->next;
        house_raze(house);
    }
}

void http_host_destroy(struct http_host *host)
{
    if (!host)
        return;
    give_up_parked(host);
    group_raze(&host->small);
    group_raze(&host->large);
    mem_free(host);
}
