/* How an answer reaches the library: a response of its own, or one that many
 * requests share.
 */
#include "transports/http_inside.h"

/* The answer is ready: the handler queues it, now or after the sweep. The
 * library does not say what it sends of it. */
static void answered(struct exchange *exchange, size_t size)
{
    bool parked = exchange->request.stage == STAGE_PARKED;

    metrics_add(exchange->request.worker->metrics.sent_bytes, size);
    exchange->request.stage = exchange->response || exchange->answer
                                  ? STAGE_ANSWERED
                                  : STAGE_OVER; /* no memory for it */
    if (parked)
        connection_resume(exchange->connection);
}

enum MHD_Result exchange_queue(struct exchange *exchange)
{
    struct MHD_Response *response =
        exchange->answer ? exchange->answer->other : exchange->response;

    if (exchange->request.stage != STAGE_ANSWERED)
        return MHD_NO;
    connection_arm(exchange->connection,
                   exchange->request.worker->config->body_timeout_ms);
    return MHD_queue_response(exchange->connection->mhd, exchange->status,
                              response);
}

static struct MHD_Response *bytes_of(struct span body, bool lasting)
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

static struct MHD_Response *made_of(const struct response *response)
{
    struct MHD_Response *made = bytes_of(response->body, response->lasting);

    for (size_t i = 0; made && i < response->count; i++) {
        if (MHD_add_response_header(made, response->fields[i].name.data,
                                    response->fields[i].value.data) == MHD_YES)
            continue;
        MHD_destroy_response(made);
        made = NULL;
    }
    return made;
}

static void reply(struct request *request, const struct response *response)
{
    struct exchange *exchange = exchange_of(request);

    exchange->response = made_of(response);
    exchange->status = (unsigned)response->status;
    answered(exchange, response->body.size);
}

static void drop(void *made)
{
    MHD_destroy_response(made);
}

static void answer(struct request *request, struct answer *answer)
{
    struct exchange *exchange = exchange_of(request);

    if (!answer->other) {
        struct response response;

        answer_response(answer, &response);
        answer->other = made_of(&response);
        answer->drop = drop;
    }
    if (answer->other) {
        answer->refs++;
        exchange->answer = answer;
        exchange->status = 200;
    }
    answered(exchange, answer->body.size);
}

const struct backend http_backend = {
    .reply = reply,
    .answer = answer,
    .park = connection_park,
    .take = connection_take,
};
