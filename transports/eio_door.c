/* What a request at an Engine.IO path asks for: its query, its Origin, and the
 * worker that it must go to. */
#include "transports/eio_door.h"

#include "server/base/clock.h"
#include "server/guests.h"
#include "server/origin.h"
#include "server/response.h"
#include "server/socket.h"
#include "transports/eio_carry.h"
#include "transports/place.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define GREEDY_RETRY_MS 5000

/* --- errors -------------------------------------------------------------- */

static const char *const words[] = {
    [EIO_UNKNOWN_TRANSPORT] = "Transport unknown",
    [EIO_UNKNOWN_SID] = "Session ID unknown",
    [EIO_BAD_HANDSHAKE_METHOD] = "Bad handshake method",
    [EIO_BAD_REQUEST] = "Bad request",
    [EIO_FORBIDDEN] = "Forbidden",
    [EIO_UNSUPPORTED_VERSION] = "Unsupported protocol version",
};

void eio_error_write(struct buf *out, enum eio_error error)
{
    buf_printf(out, "{\"code\":%d,\"message\":\"%s\"}", (int)error,
               words[error]);
}

int eio_error_status(enum eio_error error)
{
    return error == EIO_FORBIDDEN ? 403 : 400;
}

void eio_refuse(struct eio_exchange *exchange, enum eio_error error)
{
    struct buf text;

    buf_init(&text, 128);
    eio_error_write(&text, error);
    eio_answer(exchange, eio_error_status(error), "application/json",
               (struct span){text.data, text.size});
    buf_fini(&text);
}

/* --- what is asked for --------------------------------------------------- */

static struct span without_slash(struct span path)
{
    if (path.size && path.data[path.size - 1] == '/')
        path.size--;
    return path;
}

/* Its last slash does not count; an empty place is nowhere. */
static bool is_at(struct span path, const char *place)
{
    return *place &&
           span_equal(without_slash(path), without_slash(span_of(place)));
}

const struct eio_server *eio_server_at(const struct config *config,
                                       struct span path)
{
    for (size_t i = 0; eio_servers[i]; i++)
        if (is_at(path, eio_servers[i]->path(config)))
            return eio_servers[i];
    return NULL;
}

/* A media type, whatever its parameters. */
static bool is_type(struct span value, const char *type)
{
    size_t size = strlen(type);

    return value.size >= size && strncasecmp(value.data, type, size) == 0 &&
           (value.size == size || value.data[size] == ';' ||
            value.data[size] == ' ');
}

static void take_index(struct eio_ask *out, struct span j)
{
    size_t size = 0;

    out->jsonp = j.data != NULL;
    for (size_t i = 0; j.data && i < j.size && size < EIO_INDEX_MAX; i++)
        if (j.data[i] >= '0' && j.data[i] <= '9')
            out->index[size++] = j.data[i];
}

bool eio_ask_read(struct eio_ask *out, const struct eio_server *server,
                  const struct head *head, const struct query *query)
{
    struct span transport = query_get(query, "transport");
    struct span sid = query_get(query, "sid");

    *out = (struct eio_ask){
        .server = server,
        .protocol = span_is(query_get(query, "EIO"), "4") ? EIO_PROTOCOL_4
                                                          : EIO_PROTOCOL_3,
        .websocket = span_is(transport, "websocket"),
        .get = span_is(head->method, "GET"),
        .post = span_is(head->method, "POST"),
        .octets = head->content_type.data &&
                  is_type(head->content_type, "application/octet-stream"),
        .base64 = query_get(query, "b64").size > 0,
    };
    take_index(out, query_get(query, "j"));
    if (sid.size == EIO_SID_CHARS)
        memcpy(out->sid, sid.data, sid.size);
    else if (sid.size)
        out->sid[0] = '?';
    buf_init(&out->params, HEAD_MAX_BYTES);
    if (out->protocol == EIO_PROTOCOL_3 && !sid.size)
        buf_append(&out->params, query->pairs, query->size);
    return out->websocket || span_is(transport, "polling");
}

/* The query is decoded in a copy, for the head is read again elsewhere. */
static bool parse_copy(struct query *out, char *text, const struct head *head)
{
    struct failure why;

    if (head->query.size)
        memcpy(text, head->query.data, head->query.size);
    return head->query.size < HEAD_MAX_BYTES &&
           !query_parse(out, text, head->query.size, &why);
}

bool eio_ask_of_head(struct eio_ask *out, const struct config *config,
                     const struct head *head)
{
    const struct eio_server *server = eio_server_at(config, head->path);
    char text[HEAD_MAX_BYTES + 1];
    struct query query;

    if (!server || !parse_copy(&query, text, head))
        return false;
    if (eio_ask_read(out, server, head, &query))
        return true;
    eio_ask_fini(out);
    return false;
}

/* --- over HTTP ----------------------------------------------------------- */

static bool holds(const struct config *config, struct span path)
{
    return eio_server_at(config, path) != NULL;
}

static uint64_t body_max(const struct config *config, struct span path)
{
    struct eio_options options;

    eio_server_at(config, path)->options(config, &options);
    return options.max_payload;
}

static void *expect(struct worker *worker, const struct head *head,
                    const struct query *query)
{
    const struct eio_server *server = eio_server_at(worker->config, head->path);
    struct eio_exchange *exchange;
    struct eio_ask ask;

    if (!server || !origin_allowed(worker->config, head))
        return NULL;
    if (!eio_ask_read(&ask, server, head, query) || !ask.post || !ask.sid[0]) {
        eio_ask_fini(&ask);
        return NULL;
    }
    exchange = eio_exchange_create(worker, &ask);
    if (exchange)
        eio_exchange_expect(exchange);
    return exchange;
}

static void lost(void *expected)
{
    eio_exchange_lost(expected);
}

static void refuse_here(struct request *request, enum eio_error error)
{
    struct reply reply = {.status = eio_error_status(error),
                          .for_anyone = true};
    struct buf text;

    buf_init(&text, 128);
    eio_error_write(&text, error);
    reply.body = (struct span){text.data, text.size};
    request_reply(request, &reply);
    buf_fini(&text);
}

/* CORS preflight (WHATWG Fetch, section 3.2.2). */
static void answer_options(struct request *request)
{
    const struct head *head = request_head(request);
    char *fields =
        mem_strndup(head->asked_fields.data ? head->asked_fields.data : "",
                    head->asked_fields.size);
    struct reply reply = {
        .status = 204,
        .for_anyone = true,
        .headers = {{"Access-Control-Allow-Methods", "GET, POST, OPTIONS"},
                    {"Access-Control-Max-Age", "600"},
                    {fields && *fields ? "Access-Control-Allow-Headers" : NULL,
                     fields}},
    };

    request_reply(request, &reply);
    mem_free(fields);
}

/* A handshake takes a place of its address, for a session outlives the
 * connection by which it was begun. False: it has none left. */
static bool take_place(struct request *request, const struct eio_ask *ask,
                       struct guest **out)
{
    const struct worker *worker = request_worker(request);

    *out = NULL;
    return ask->sid[0] || !ask->get || ask->websocket ||
           guests_begin_session(worker->server->guests, request_fd(request),
                                worker->config->max_connections_per_address,
                                out);
}

static void refuse_greedy(struct request *request, struct eio_ask *ask)
{
    struct worker *worker = request_worker(request);
    struct failure why;

    eio_ask_fini(ask);
    metrics_add(worker->metrics.socketio_refused, 1);
    fail(&why, ERR_RATE_LIMITED, "more than %llu sessions of this address",
         (unsigned long long)worker->config->max_connections_per_address);
    why.retry_after_ms = GREEDY_RETRY_MS;
    request_fail(request, &why);
}

/* It came with an exchange when its body came late. */
static void carry(struct request *request, struct eio_ask *ask)
{
    struct eio_exchange *exchange = request_expected(request);
    struct guest *guest;

    if (!take_place(request, ask, &guest)) {
        refuse_greedy(request, ask);
        return;
    }
    if (!exchange)
        exchange = eio_exchange_create(request_worker(request), ask);
    else
        eio_ask_fini(ask);
    if (exchange) {
        exchange->guest = guest;
        eio_exchange_run(exchange, request);
    } else {
        struct failure why;

        guests_end_session(request_worker(request)->server->guests, guest);
        fail_plain(&why, ERR_NOMEM);
        request_fail(request, &why);
    }
}

static void refuse_unknown(struct request *request, struct eio_ask *ask)
{
    eio_ask_fini(ask);
    refuse_here(request, EIO_UNKNOWN_TRANSPORT);
}

static void serve(struct request *request)
{
    const struct worker *worker = request_worker(request);
    const struct head *head = request_head(request);
    const struct eio_server *server = eio_server_at(worker->config, head->path);
    struct eio_ask ask;

    if (!origin_allowed(worker->config, head))
        refuse_here(request, EIO_FORBIDDEN);
    else if (span_is(head->method, "OPTIONS"))
        answer_options(request);
    else if (eio_ask_read(&ask, server, head, request_query(request)))
        carry(request, &ask);
    else
        refuse_unknown(request, &ask);
}

extern const struct place eio_place;

const struct place eio_place = {
    .holds = holds,
    .body_max = body_max,
    .expect = expect,
    .lost = lost,
    .serve = serve,
};

/* --- WebSocket handshakes ------------------------------------------------- */

bool eio_speaks(const struct config *config, struct span path)
{
    return eio_server_at(config, path) != NULL;
}

static void refuse_handshake(struct worker *worker, int fd,
                             enum eio_error error)
{
    struct response response;
    struct shared *answer;
    struct buf body;
    size_t sent = 0;

    buf_init(&body, 128);
    eio_error_write(&body, error);
    response_init(&response, eio_error_status(error), "application/json",
                  false);
    if (!buf_status(&body))
        response.body = (struct span){body.data, body.size};
    metrics_add(worker->metrics.refused, 1);
    answer = response_text(&response, true);
    if (answer)
        (void)socket_send(fd, answer, &sent, &worker->metrics);
    shared_unref(answer);
    buf_fini(&body);
    worker_disconnected(worker, fd);
    socket_close_answered(fd);
}

/* A handshake on its way to the worker that has its session. */
struct moving {
    struct errand errand;
    int fd;
    size_t size;
    char bytes[]; /* its head */
};

/* The settings may have changed on its way. */
static void arrive(struct errand *errand, struct worker *worker)
{
    struct moving *moving = container_of(errand, struct moving, errand);
    struct failure why;
    struct head head;

    worker_connected(worker);
    if (!worker->draining &&
        head_parse(&head, (struct span){moving->bytes, moving->size}, &why) ==
            HEAD_WHOLE &&
        eio_speaks(worker->config, head.path)) {
        ws_host_adopt(worker->ws, moving->fd, &head,
                      (struct span){moving->bytes, moving->size});
    } else {
        worker_disconnected(worker, moving->fd);
        close(moving->fd);
    }
    mem_free(moving);
}

static void move(struct worker *from, struct worker *to, int fd,
                 struct span bytes)
{
    struct moving *moving = mem_alloc(sizeof(*moving) + bytes.size);

    if (!moving) {
        worker_disconnected(from, fd);
        close(fd);
        return;
    }
    worker_disconnected(from, -1);
    moving->errand.run = arrive;
    moving->fd = fd;
    moving->size = bytes.size;
    memcpy(moving->bytes, bytes.data, bytes.size);
    worker_send(to, &moving->errand);
}

bool eio_receive(struct worker *worker, int fd, const struct head *head,
                 struct span bytes)
{
    enum eio_error why = EIO_UNKNOWN_TRANSPORT;
    struct worker *owner;
    struct eio_ask ask;

    if (!origin_allowed(worker->config, head)) {
        refuse_handshake(worker, fd, EIO_FORBIDDEN);
        return true;
    }
    if (!eio_ask_of_head(&ask, worker->config, head)) {
        refuse_handshake(worker, fd, why);
        return true;
    }
    eio_ask_fini(&ask);
    owner = eio_owner(worker, &ask);
    if (owner != worker)
        move(worker, owner, fd, bytes);
    else if (!eio_ws_may(worker->eio, &ask, &why))
        refuse_handshake(worker, fd, why);
    else
        return false;
    return true;
}
