/* Answers: the bytes and headers of a reply, of an error, of one answer that
 * many requests share; and how they reach the library.
 */
#include "transports/http_inside.h"

#include "server/method.h"
#include "server/origin.h"

#include <assert.h>
#include <stdio.h>

struct answer {
    int refs;
    struct MHD_Response *response;
};

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
        house_mark_dirty(request->connection->house);
    }
}

enum MHD_Result request_queue(struct request *request)
{
    struct MHD_Response *response =
        request->answer ? request->answer->response : request->response;

    if (request->stage != STAGE_ANSWERED)
        return MHD_NO;
    return MHD_queue_response(request->connection->mhd, request->status,
                              response);
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
        add_cors(response, &request->head, request_worker(request)->config);

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
    struct metrics *metrics = &request_worker(request)->metrics;

    metrics_add(metrics->errors[err_wire(why->err)], 1);
    fail_with(request, why, allow);
}

void request_fail(struct request *request, const struct failure *why)
{
    request_fail_allow(request, why, NULL);
}

/* --- one answer for many ------------------------------------------------ */

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
