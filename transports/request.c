/* What every request has, whichever host reads it: what was asked, and the
 * header fields of its answer.
 */
#include "transports/request_inside.h"

#include "server/base/clock.h"
#include "server/origin.h"
#include "transports/place.h"
#include "transports/route.h"

#include <string.h>

#define ORIGIN_MAX_BYTES 256

/* --- what was asked ----------------------------------------------------- */

struct worker *request_worker(struct request *request)
{
    return request->worker;
}

const struct head *request_head(struct request *request)
{
    return request->head;
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
    return request->body;
}

enum err request_call_back(struct request *request, struct span callback,
                           struct failure *why)
{
    mem_free(request->callback);
    request->callback = mem_strndup(callback.data, callback.size);
    return request->callback ? ERR_NONE : fail_plain(why, ERR_NOMEM);
}

struct span request_callback(struct request *request)
{
    return span_of(request->callback);
}

void *request_expected(struct request *request)
{
    void *expected = request->expected;

    request->expected = NULL;
    return expected;
}

/* --- its life ----------------------------------------------------------- */

/* Without memory for it, a page of another host cannot read the answer. */
void request_begin(struct request *request, const struct head *head)
{
    request->head = head;
    if (origin_is_foreign(head) && head->origin.size < ORIGIN_MAX_BYTES &&
        origin_allowed(request->worker->config, head))
        request->origin = mem_strndup(head->origin.data, head->origin.size);
}

/* The query is decoded in a copy, for the request's own is decoded later. */
void request_expect(struct request *request, const struct head *head)
{
    const struct place *place = place_find(request->worker->config, head->path);
    char text[HEAD_MAX_BYTES + 1];
    struct query query;
    struct failure why;

    if (!place || !place->expect || request->expected ||
        head->query.size >= sizeof(text))
        return;
    if (head->query.size)
        memcpy(text, head->query.data, head->query.size);
    if (query_parse(&query, text, head->query.size, &why))
        return; /* which it is told when its body is there */
    request->place = place;
    request->expected = place->expect(request->worker, head, &query);
}

void request_run(struct request *request, char *query, uint32_t wait_ms)
{
    struct failure why;

    request->stage = STAGE_ROUTED;
    if (wait_ms) {
        fail(&why, ERR_RATE_LIMITED, "this connection asks too often");
        why.retry_after_ms = wait_ms;
        request_fail(request, &why);
    } else if (query_parse(&request->query, query, request->head->query.size,
                           &why)) {
        request_fail(request, &why);
    } else {
        route(request);
    }
    assert(request->stage != STAGE_ROUTED);
}

void request_fini(struct request *request)
{
    mem_free(request->origin);
    request->origin = NULL;
    mem_free(request->callback);
    request->callback = NULL;
    if (request->expected)
        request->place->lost(request->expected);
    request->expected = NULL;
}

void request_park(struct request *request, void (*gone)(void *owner),
                  void *owner)
{
    assert(request->stage == STAGE_ROUTED);
    request->stage = STAGE_PARKED;
    request->gone = gone;
    request->owner = owner;
    request->backend->park(request);
}

void request_forsaken(struct request *request)
{
    assert(request->stage == STAGE_PARKED);
    request->stage = STAGE_OVER;
    if (request->gone)
        request->gone(request->owner);
}

void request_park_call(struct request *request)
{
    if (request->stage == STAGE_ROUTED)
        request_park(request, NULL, NULL);
}

bool request_left(const struct request *request)
{
    return request->backend->left(request);
}

int request_fd(const struct request *request)
{
    return request->backend->fd(request);
}

int request_take(struct request *request)
{
    assert(request->stage == STAGE_ROUTED);
    return request->backend->take(request);
}

/* --- answers ------------------------------------------------------------ */

static void respond(struct request *request, struct response *response)
{
    assert(request->stage < STAGE_ANSWERED);
    request->backend->reply(request, response);
}

/* For a page of another host that is allowed to read this. */
void request_add_cors(struct request *request, struct response *response)
{
    if (!request->origin)
        return;
    response_field(response, "Access-Control-Allow-Origin", request->origin);
    response_field(response, "Access-Control-Expose-Headers", "Retry-After");
}

void request_reply(struct request *request, const struct reply *reply)
{
    const char *origins = request->worker->config->allowed_origins;
    struct response response;

    response_init(&response, reply->status ? reply->status : 200,
                  reply->type ? reply->type : "application/json",
                  reply->cacheable);
    if (reply->for_anyone && !strcmp(origins, "*"))
        response_field(&response, "Access-Control-Allow-Origin", origins);
    else
        request_add_cors(request, &response);
    for (size_t i = 0; i < REPLY_HEADERS && reply->headers[i].name; i++)
        response_field(&response, reply->headers[i].name,
                       reply->headers[i].value);
    response.body = reply->body;
    response.lasting = reply->lasting;
    respond(request, &response);
}

static void fail_with(struct request *request, const struct failure *why,
                      const char *allow)
{
    struct response response;
    struct buf text;

    buf_init(&text, 4096);
    response_fail(&response, 0, why, &text);
    if (allow)
        response_field(&response, "Allow", allow);
    request_add_cors(request, &response);
    respond(request, &response);
    buf_fini(&text);
}

void request_fail_counted(struct request *request, const struct failure *why)
{
    fail_with(request, why, NULL);
}

void request_fail_allow(struct request *request, const struct failure *why,
                        const char *allow)
{
    struct metrics *metrics = &request_worker(request)->metrics;

    metrics_add(metrics->errors[err_wire(why->err)], 1);
    fail_with(request, why, allow);
}

void request_fail(struct request *request, const struct failure *why)
{
    request_fail_allow(request, why, NULL);
}

/* --- one answer for many ------------------------------------------------ */

void answer_response(const struct answer *answer, struct response *out)
{
    response_init(out, 200, "application/json", false);
    out->body = answer->body;
}

/* Of this second. `body` may lie in the text of another one. */
static bool write_answer(struct answer *answer, struct span body)
{
    struct response response;
    struct shared *text;

    answer->body = body;
    answer_response(answer, &response);
    text = response_text(&response, false);
    if (!text)
        return false;
    shared_unref(answer->text);
    answer->text = text;
    answer->body =
        (struct span){text->data + text->size - body.size, body.size};
    answer->second = clock_wall_ms() / 1000;
    return true;
}

struct answer *answer_create(struct span body)
{
    struct answer *answer = mem_zalloc(sizeof(*answer));

    if (!answer)
        return NULL;
    answer->refs = 1;
    if (write_answer(answer, body))
        return answer;
    mem_free(answer);
    return NULL;
}

struct shared *answer_text(struct answer *answer)
{
    if (answer->second != clock_wall_ms() / 1000 &&
        !write_answer(answer, answer->body))
        return NULL;
    return answer->text;
}

void answer_unref(struct answer *answer)
{
    if (!answer || --answer->refs)
        return;
    if (answer->other)
        answer->drop(answer->other);
    shared_unref(answer->text);
    mem_free(answer);
}

bool request_takes_answer(struct request *request)
{
    return !request->origin && !request->callback;
}

void request_answer(struct request *request, struct answer *answer)
{
    assert(request->stage < STAGE_ANSWERED);
    request->backend->answer(request, answer);
}
