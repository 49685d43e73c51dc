/* One request: its way through the library's callbacks, from the request line
 * to its end. Its head is checked, its body gathered, and route() answers.
 */
#include "transports/http_inside.h"

#include "server/base/clock.h"
#include "server/handshake.h"
#include "server/limits.h"
#include "server/method.h"
#include "server/refusal.h"
#include "transports/place.h"
#include "transports/route.h"
#include "transports/ws_host.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>

/* --- its head ----------------------------------------------------------- */

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
static void walk_fields(struct walk *walk, struct exchange *exchange,
                        const char *method, const char *version)
{
    struct MHD_Connection *mhd = exchange->connection->mhd;
    const union MHD_ConnectionInfo *info;
    size_t line = strlen(method) + 1 + exchange->target_size + 1;

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

static uint64_t body_max(const struct exchange *exchange)
{
    return place_body_max(exchange->request.worker->config,
                          exchange->head.path);
}

static enum err too_large(struct exchange *exchange, struct failure *why)
{
    uint64_t max = body_max(exchange);

    return fail(why, ERR_TOO_LARGE, "a body may have at most %llu bytes",
                (unsigned long long)max);
}

/* A place's clients are pages, which see an answer only when all that they send
 * is taken: a body that is not much too large is, and dropped. */
static bool may_drop(const struct exchange *exchange)
{
    const struct head *head = &exchange->head;

    return !head->expect && head->length <= 2 * body_max(exchange) &&
           place_find(exchange->request.worker->config, head->path);
}

/* Every request of a connection, not only its first, which the direct host
 * saw. */
static enum err check_head(struct exchange *exchange, const char *method,
                           const char *version, struct failure *why)
{
    struct head *head = &exchange->head;
    struct walk walk = {.head = head, .why = why};
    enum err rc;

    head_init(head);
    rc = head_request_line(
        head, span_of(method),
        (struct span){exchange->target, exchange->target_size},
        span_of(version), why);
    if (rc)
        return rc;
    walk_fields(&walk, exchange, method, version);
    if (walk.err)
        return walk.err;
    rc = head_finish(head, why);
    if (rc)
        return rc;
    if (head->length > body_max(exchange) && !may_drop(exchange))
        return too_large(exchange, why);
    return ERR_NONE;
}

/* --- its way through the library ---------------------------------------- */

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
static enum MHD_Result become_websocket(struct exchange *exchange)
{
    struct worker *worker = exchange->request.worker;
    struct failure why;
    struct buf head;
    int fd;

    if (ws_host_check(worker->ws, &exchange->head, &why)) {
        request_fail_allow(&exchange->request, &why,
                           why.err == ERR_METHOD_NOT_ALLOWED ? HANDSHAKE_ALLOW
                                                             : NULL);
        return exchange_queue(exchange);
    }
    buf_init(&head, HEAD_MAX_BYTES);
    buf_printf(&head, "GET %.*s HTTP/1.1\r\n", (int)exchange->target_size,
               exchange->target);
    MHD_get_connection_values(exchange->connection->mhd, MHD_HEADER_KIND,
                              rebuild_field, &head);
    buf_append_text(&head, "\r\n");
    fd = buf_status(&head) ? -1 : connection_duplicate(exchange->connection);
    if (fd >= 0) {
        worker_connected(worker);
        ws_host_adopt(worker->ws, fd, &exchange->head,
                      (struct span){head.data, head.size});
    }
    buf_fini(&head);
    exchange->request.stage = STAGE_OVER;
    return MHD_NO;
}

/* The first handler call: what is refused here closes the connection. */
static enum MHD_Result begin(struct exchange *exchange, const char *method,
                             const char *version)
{
    struct worker *worker = exchange->request.worker;
    struct connection *connection = exchange->connection;
    struct failure why = {0};
    enum err rc = check_head(exchange, method, version, &why);

    metrics_add(worker->metrics.requests, 1);
    request_begin(&exchange->request, &exchange->head);
    if (rc) {
        request_fail(&exchange->request, &why);
        return exchange_queue(exchange);
    }
    exchange->wait_ms = bucket_spend(
        &connection->bucket, worker->config->connection_rate, clock_mono_us());
    if (!exchange->wait_ms && handshake_wanted(&exchange->head))
        return become_websocket(exchange);
    exchange->request.stage = STAGE_BODY;
    buf_init(&exchange->body, body_max(exchange));
    if (exchange->head.length > body_max(exchange))
        exchange->refusal = ERR_TOO_LARGE;
    else if (exchange->head.length || exchange->head.chunked)
        request_expect(&exchange->request, &exchange->head);
    if (exchange->head.length || exchange->head.chunked)
        connection_arm(connection, worker->config->body_timeout_ms);
    else
        wheel_disarm(&connection->deadline);
    return MHD_YES;
}

static void say_refusal(struct exchange *exchange, struct failure *why)
{
    if (exchange->refusal == ERR_TOO_LARGE)
        too_large(exchange, why);
    else
        fail_plain(why, exchange->refusal);
}

/* The library answers only behind a body, and nobody knows how long one in
 * chunks gets. So the answer leaves beside it, and with it the connection ends.
 */
static void refuse_body(struct exchange *exchange)
{
    struct failure why;

    exchange->refusal = buf_status(&exchange->body);
    buf_fini(&exchange->body);
    exchange->told = exchange->head.chunked;
    say_refusal(exchange, &why);
    if (exchange->told)
        refuse_early(exchange->request.worker, exchange->connection->fd, 0,
                     &why);
}

/* What comes beyond the limit is dropped, and beyond twice the limit, cut. */
static enum MHD_Result take_body(struct exchange *exchange, const char *data,
                                 size_t *size)
{
    metrics_add(exchange->request.worker->metrics.received_bytes, *size);
    exchange->received += *size;
    if (exchange->received > 2 * exchange->body.max)
        return MHD_NO;
    if (!exchange->refusal && !exchange->wait_ms)
        buf_append(&exchange->body, data, *size);
    if (!exchange->refusal && buf_status(&exchange->body))
        refuse_body(exchange);
    *size = 0;
    return MHD_YES;
}

static enum MHD_Result dispatch(struct exchange *exchange)
{
    struct request *request = &exchange->request;
    struct failure why;

    wheel_disarm(&exchange->connection->deadline);
    if (exchange->told)
        return MHD_NO;
    if (exchange->refusal) {
        say_refusal(exchange, &why);
        request_fail(request, &why);
        return exchange_queue(exchange);
    }
    request->body = (struct span){exchange->body.data, exchange->body.size};
    request_run(request,
                exchange->target +
                    (exchange->head.query.data - exchange->target),
                exchange->wait_ms);
    return request->stage == STAGE_PARKED ? MHD_YES : exchange_queue(exchange);
}

enum MHD_Result exchange_handle(void *cls, struct MHD_Connection *mhd,
                                const char *url, const char *method,
                                const char *version, const char *data,
                                size_t *size, void **context)
{
    struct exchange *exchange = *context;

    (void)cls;
    (void)mhd;
    (void)url;
    if (!exchange)
        return MHD_NO; /* there was no memory for it */
    house_stirs(exchange->connection->house);
    if (exchange->connection->house->host->closing &&
        exchange->request.stage < STAGE_ROUTED)
        return MHD_NO; /* the last turn: nothing begins any more */
    switch (exchange->request.stage) {
    case STAGE_NEW:
        return begin(exchange, method, version);
    case STAGE_BODY:
        return *size ? take_body(exchange, data, size) : dispatch(exchange);
    default: /* resumed with its answer, or without */
        return exchange_queue(exchange);
    }
}

/* The request line is there: the only place where the library shows the target
 * as it was sent. */
void *exchange_first_line(void *cls, const char *target,
                          struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct connection *connection = info ? info->socket_context : NULL;
    size_t size = strlen(target);
    struct exchange *exchange;

    (void)cls;
    if (!connection)
        return NULL;
    exchange = mem_zalloc(sizeof(*exchange) + size + 1);
    if (!exchange)
        return NULL;
    exchange->request.backend = &http_backend;
    exchange->request.worker = connection->house->host->worker;
    exchange->connection = connection;
    exchange->target_size = size;
    memcpy(exchange->target, target, size + 1);
    connection->exchange = exchange;
    house_stirs(connection->house);
    connection_arm(connection,
                   connection->house->host->worker->config->header_timeout_ms);
    return exchange;
}

/* The library is through with a request, whatever became of it. */
void exchange_completed(void *cls, struct MHD_Connection *mhd, void **context,
                        enum MHD_RequestTerminationCode code)
{
    struct exchange *exchange = *context;
    struct connection *connection;

    (void)cls;
    (void)mhd;
    (void)code;
    if (!exchange)
        return;
    *context = NULL;
    connection = exchange->connection;
    connection->exchange = NULL;
    house_stirs(connection->house);
    if (exchange->response)
        MHD_destroy_response(exchange->response);
    answer_unref(exchange->answer);
    buf_fini(&exchange->body);
    request_fini(&exchange->request);
    mem_free(exchange);
    connection_arm(connection,
                   connection->house->host->worker->config->idle_timeout_ms);
    if (connection->house->host->draining)
        shutdown(connection->fd, SHUT_RD);
}
