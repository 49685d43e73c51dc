/* One request: its way through the library's callbacks, from the request line
 * to its end. Its head is checked, its body gathered, and route() answers.
 */
#include "transports/http_inside.h"

#include "server/base/clock.h"
#include "server/handshake.h"
#include "server/limits.h"
#include "server/method.h"
#include "transports/route.h"
#include "transports/ws_host.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>

/* --- what was asked ----------------------------------------------------- */

struct worker *request_worker(struct request *request)
{
    return request->connection->house->host->worker;
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
    uint64_t max = request_worker(request)->config->max_message_bytes;

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
    if (head->length > request_worker(request)->config->max_message_bytes)
        return too_large(request, why);
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
static enum MHD_Result become_websocket(struct request *request)
{
    struct worker *worker = request_worker(request);
    struct failure why;
    struct buf head;
    int fd;

    if (handshake_check(worker->config, &request->head, &why)) {
        request_fail_allow(request, &why,
                           why.err == ERR_METHOD_NOT_ALLOWED ? "GET, OPTIONS"
                                                             : NULL);
        return request_queue(request);
    }
    buf_init(&head, HEAD_MAX_BYTES);
    buf_printf(&head, "GET %.*s HTTP/1.1\r\n", (int)request->target_size,
               request->target);
    MHD_get_connection_values(request->connection->mhd, MHD_HEADER_KIND,
                              rebuild_field, &head);
    buf_append_text(&head, "\r\n");
    fd = buf_status(&head) ? -1 : connection_duplicate(request->connection);
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
    struct worker *worker = request_worker(request);
    struct connection *connection = request->connection;
    struct failure why = {0};

    metrics_add(worker->metrics.requests, 1);
    if (check_head(request, method, version, &why)) {
        request_fail(request, &why);
        return request_queue(request);
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
        connection_arm(connection, worker->config->body_timeout_ms);
    else
        wheel_disarm(&connection->deadline);
    return MHD_YES;
}

/* What comes beyond the limit is dropped, and beyond twice the limit, cut. */
static enum MHD_Result take_body(struct request *request, const char *data,
                                 size_t *size)
{
    metrics_add(request_worker(request)->metrics.received_bytes, *size);
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
    return request->stage == STAGE_PARKED ? MHD_YES : request_queue(request);
}

enum MHD_Result request_handle(void *cls, struct MHD_Connection *mhd,
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
    house_stirs(request->connection->house);
    switch (request->stage) {
    case STAGE_NEW:
        return begin(request, method, version);
    case STAGE_BODY:
        return *size ? take_body(request, data, size) : dispatch(request);
    default: /* resumed with its answer, or without */
        return request_queue(request);
    }
}

/* The request line is there: the only place where the library shows the target
 * as it was sent. */
void *request_first_line(void *cls, const char *target,
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
    house_stirs(connection->house);
    connection_arm(connection,
                   connection->house->host->worker->config->header_timeout_ms);
    return request;
}

/* The library is through with a request, whatever became of it. */
void request_completed(void *cls, struct MHD_Connection *mhd, void **context,
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
    house_stirs(connection->house);
    if (request->response)
        MHD_destroy_response(request->response);
    answer_unref(request->answer);
    buf_fini(&request->body);
    mem_free(request);
    connection_arm(connection,
                   connection->house->host->worker->config->idle_timeout_ms);
    if (connection->house->host->draining)
        shutdown(connection->fd, SHUT_RD);
}
