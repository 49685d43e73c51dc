/* How an answer reaches the library: a response of its own, or one that many
 * requests share.
 *
 * chunks_note: the library takes chunks apart less strictly than RFC 9112
 * section 7.1 has them (lines and chunks that end in LF alone), and shows
 * none of it. Somebody in front of us may see another end of them; so a request
 * in chunks is its connection's last, and nothing can hide behind it.
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

/* `last`: the library closes behind it. */
static struct MHD_Response *made_of(const struct response *response, bool last)
{
    struct MHD_Response *made = bytes_of(response->body, response->lasting);

    bool good = made != NULL;

    for (size_t i = 0; good && i < response->count; i++)
        good = MHD_add_response_header(made, response->fields[i].name.data,
                                       response->fields[i].value.data);
    if (good && last)
        good = MHD_add_response_header(made, "Connection", "close");
    if (good)
        return made;
    if (made)
        MHD_destroy_response(made);
    return NULL;
}

static void reply(struct request *request, const struct response *response)
{
    struct exchange *exchange = exchange_of(request);

    /* See chunks_note. */
    exchange->response = made_of(response, exchange->head.chunked);
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
    struct response response;

    if (exchange->head.chunked) {
        answer_response(answer, &response);
        reply(request, &response);
        return;
    }
    if (!answer->other) {
        answer_response(answer, &response);
        answer->other = made_of(&response, false);
        answer->drop = drop;
    }
    if (answer->other) {
        answer->refs++;
        exchange->answer = answer;
        exchange->status = 200;
    }
    answered(exchange, answer->body.size);
}

static bool left(const struct request *request)
{
    return container_of(request, struct exchange, request)->connection->left;
}

static int fd_of(const struct request *request)
{
    return container_of(request, struct exchange, request)->connection->fd;
}

const struct backend http_backend = {
    .reply = reply,
    .answer = answer,
    .park = connection_park,
    .take = connection_take,
    .left = left,
    .fd = fd_of,
};
