/* What a request asks for, and who may ask. */
#include "transports/route.h"

#include "server/method.h"
#include "server/origin.h"
#include "store/name.h"
#include "transports/demo_wall.h"
#include "transports/health.h"
#include "transports/jsonp_answer.h"
#include "transports/pages.h"
#include "transports/place.h"
#include "transports/transport.h"

#include <string.h>
#include <strings.h>

/* --- identity ----------------------------------------------------------- */

/* "Bearer xyz" → "xyz"; data NULL when it is not that. */
static struct span bearer_of(struct span authorization)
{
    if (authorization.size < 7 ||
        strncasecmp(authorization.data, "Bearer ", 7) != 0)
        return (struct span){0};
    authorization.data += 7;
    authorization.size -= 7;
    while (authorization.size && *authorization.data == ' ') {
        authorization.data++;
        authorization.size--;
    }
    return authorization;
}

enum err identity_of(struct worker *worker, const struct head *head,
                     const struct query *query, struct identity *who,
                     bool *given, struct failure *why)
{
    struct span token = bearer_of(head->authorization);
    struct span ticket = query_get(query, "ticket");
    enum err rc;

    *given = true;
    if (!token.data && head->authorization.data)
        return fail(why, ERR_UNAUTHORIZED,
                    "Authorization must be: Bearer TOKEN");
    if (!token.data)
        token = query_get(query, "access_token");
    if (token.data)
        rc = auth_verify(worker->auth, token, who, why);
    else if (ticket.data)
        rc = ticket_redeem(ticket, who, why);
    else {
        *given = false;
        return fail_plain(why, ERR_UNAUTHORIZED);
    }
    if (rc)
        return rc;
    return identity_choose_device(who, query_get(query, "device"), why);
}

void follow_of(const struct query *query, struct follow *follow)
{
    *follow = (struct follow){
        .cursor = query_get(query, "cursor"),
        .conversation = query_get(query, "conversation"),
        .after = query_get(query, "after"),
        .limit = query_get(query, "limit"),
    };
}

/* --- methods ------------------------------------------------------------ */

struct http_call {
    struct call call;
    struct request *request;
    struct identity who;
};

static void http_call_answer(struct http_call *job)
{
    const struct call *call = &job->call;
    struct reply reply = {.body = {call->result.data, call->result.size}};

    if (call->failure.err)
        jsonp_or_fail_counted(job->request, &call->failure);
    else
        jsonp_or_reply(job->request, &reply);
}

static void http_call_done(struct call *call)
{
    struct http_call *job = container_of(call, struct http_call, call);

    http_call_answer(job);
    worker_call_ends(call->worker);
    buf_fini(&call->result);
    mem_free(job);
}

static bool http_call_left(const struct call *call)
{
    return request_left(container_of(call, struct http_call, call)->request);
}

/* `params` is for the time of method_run(). */
static enum err prepare(struct request *request, struct http_call *job,
                        struct span name, struct jtext_object *params,
                        struct failure *why)
{
    struct worker *worker = request_worker(request);
    bool jsonp = request_callback(request).data;
    struct span body =
        jsonp ? request_param(request, "params") : request_body(request);
    bool given;
    enum err rc = identity_of(worker, request_head(request),
                              request_query(request), &job->who, &given, why);

    if (rc && (given || jsonp)) /* see jsonp_note */
        return rc;
    job->request = request;
    job->call = (struct call){
        .worker = worker,
        .method = name,
        .params = params,
        .who = given ? &job->who : NULL,
        .done = http_call_done,
        .left = http_call_left,
    };
    return params_read(params, body, worker->config->max_message_bytes, why);
}

static void call_method(struct request *request, struct span name)
{
    struct http_call *job = mem_zalloc(sizeof(*job));
    struct jtext_object params;
    struct failure why;

    if (!job) {
        fail_plain(&why, ERR_NOMEM);
        jsonp_or_fail(request, &why);
        return;
    }
    if (prepare(request, job, name, &params, &why)) {
        jsonp_or_fail(request, &why);
        mem_free(job);
        return;
    }
    worker_call_begins(job->call.worker);
    method_run(&job->call);     /* may free job */
    request_park_call(request); /* unless it is answered already */
}

static bool is_method(struct span name)
{
    for (const char *const *at = method_names(); *at; at++)
        if (span_is(name, *at))
            return true;
    return false;
}

/* --- transports --------------------------------------------------------- */

static void open_transport(struct request *request,
                           const struct transport *transport)
{
    struct worker *worker = request_worker(request);
    struct identity who;
    struct follow follow;
    struct failure why;
    bool given;

    if (worker->draining && transport->deliver) {
        fail(&why, ERR_UNAVAILABLE, "the server is going away");
        why.retry_after_ms = worker_pressure(worker);
        jsonp_or_fail(request, &why);
        return;
    }
    if (identity_of(worker, request_head(request), request_query(request), &who,
                    &given, &why)) {
        jsonp_or_fail(request, &why);
        return;
    }
    if (demo_wall_stops(request, transport, &who))
        return;
    follow_of(request_query(request), &follow);
    transport->open(worker, request, &who, &follow);
}

/* --- the map ------------------------------------------------------------ */

static bool method_is(struct request *request, const char *method)
{
    return span_is(request_head(request)->method, method);
}

static bool is_read(struct request *request)
{
    return method_is(request, "GET") || method_is(request, "HEAD");
}

/* Names come from the path and so may hold anything: they are not repeated. */
static void not_found(struct request *request)
{
    struct failure why;

    fail(&why, ERR_NOT_FOUND, "there is nothing at this path");
    request_fail(request, &why);
}

static void wrong_method(struct request *request, const char *allowed)
{
    struct failure why;

    fail(&why, ERR_METHOD_NOT_ALLOWED, "this path takes %s", allowed);
    request_fail_allow(request, &why, allowed);
}

/* jsonp_note: a page of any origin may load a script from here, and the browser
 * does not say which. So there is nothing to be had without a token or ticket
 * that the page itself brings; nothing comes with a request by itself. */
static void route_jsonp(struct request *request, struct span name)
{
    bool polls = span_is(name, "jsonp");
    struct failure why;

    if (polls ? !is_read(request) : !method_is(request, "GET"))
        wrong_method(request, polls ? "GET, HEAD, OPTIONS" : "GET, OPTIONS");
    else if (jsonp_begin(request, &why))
        request_fail(request, &why);
    else if (polls)
        open_transport(request, transport_find(name));
    else
        call_method(request, (struct span){name.data + 6, name.size - 6});
}

/* Flash is gone from every browser; its clients learn where to go. */
static void flash_retired(struct request *request)
{
    struct failure why;

    fail(&why, ERR_RETIRED,
         "the Flash socket is retired; the next rung is /v1/ws, and where "
         "that does not get through, /v1/sse");
    request_fail(request, &why);
}

static void route_v1(struct request *request, struct span name)
{
    const struct transport *transport = transport_find(name);

    if (jsonp_is(name))
        route_jsonp(request, name);
    else if (span_is(name, "flashsocket"))
        flash_retired(request);
    else if (transport && transport->open) {
        if (is_read(request))
            open_transport(request, transport);
        else
            wrong_method(request, "GET, HEAD, OPTIONS");
    } else if (method_is(request, "POST") && name_ok(name)) {
        call_method(request, name); /* which says when there is no such one */
    } else if (is_method(name)) {
        wrong_method(request, "POST, OPTIONS");
    } else {
        not_found(request);
    }
}

static void route_page(struct request *request)
{
    struct span path = request_head(request)->path;

    if (!is_read(request))
        wrong_method(request, "GET, HEAD, OPTIONS");
    else if (span_is(path, "/healthz"))
        health_serve(request);
    else if (span_is(path, "/metrics"))
        metrics_serve(request);
    else if (!pages_serve(request))
        not_found(request);
}

/* CORS preflight (WHATWG Fetch, section 3.2.2), or a plain question. */
static void answer_options(struct request *request)
{
    static const char methods[] = "GET, HEAD, POST, OPTIONS";
    struct reply reply = {.status = 204, .headers = {{"Allow", methods}}};

    if (request_head(request)->asked_method.data) {
        reply.headers[1].name = "Access-Control-Allow-Methods";
        reply.headers[1].value = methods;
        reply.headers[2].name = "Access-Control-Allow-Headers";
        reply.headers[2].value = "Authorization, Content-Type, Last-Event-ID";
        reply.headers[3].name = "Access-Control-Max-Age";
        reply.headers[3].value = "600";
    }
    request_reply(request, &reply);
}

void route(struct request *request)
{
    const struct head *head = request_head(request);
    struct span path = head->path;
    const struct place *place =
        place_find(request_worker(request)->config, path);
    struct failure why;

    if (place) {
        place->serve(request);
    } else if (!origin_allowed(request_worker(request)->config, head)) {
        fail(&why, ERR_FORBIDDEN,
             "this Origin may not read here; see allowed_origins");
        request_fail(request, &why);
    } else if (method_is(request, "OPTIONS")) {
        answer_options(request);
    } else if (path.size > 4 && memcmp(path.data, "/v1/", 4) == 0) {
        route_v1(request, (struct span){path.data + 4, path.size - 4});
    } else {
        route_page(request);
    }
}
