/* Answers on a direct connection: one send() each. What the socket does not
 * take is kept, by reference, and no request is read until it has gone out.
 */
#include "transports/direct_inside.h"

#include "server/socket.h"

void direct_flush(struct direct *direct)
{
    enum sent sent;

    if (!direct->rest)
        return;
    sent = socket_send(direct->fd, direct->rest, &direct->offset,
                       &direct->request.worker->metrics);
    direct->broken = direct->broken || sent == SENT_BROKEN;
    if (sent != SENT_ALL)
        return;
    shared_unref(direct->rest);
    direct->rest = NULL;
}

/* Takes the reference; NULL: no memory for the answer. A parked request is
 * answered from inside somebody else's work: what comes next must wait. */
static void answered(struct direct *direct, struct shared *text)
{
    bool parked = direct->request.stage == STAGE_PARKED;

    direct->request.stage = STAGE_ANSWERED;
    direct->broken = direct->broken || !text;
    direct->rest = text;
    direct->offset = 0;
    direct_flush(direct);
    if (direct->rest) /* of which the peer must take all in that time */
        direct_arm(direct, direct->request.worker->config->body_timeout_ms);
    if (!parked)
        return; /* inside route(), whose caller goes on */
    if (!direct->rest && !direct->broken && !direct->closing)
        direct_next(direct);
    if (direct->more || direct->broken || (direct->closing && !direct->rest))
        direct_again(direct);
}

static void reply(struct request *request, const struct response *response)
{
    struct direct *direct = direct_of(request);

    direct->closing = request->worker->draining;
    answered(direct, response_text(response, direct->closing));
}

static void answer(struct request *request, struct answer *answer)
{
    struct shared *text;

    if (request->worker->draining) { /* which it must be told */
        struct response response;

        answer_response(answer, &response);
        reply(request, &response);
        return;
    }
    text = answer_text(answer);
    answered(direct_of(request), text ? shared_ref(text) : NULL);
}

/* A peer that left before there was anything to tell is told of a turn later.
 */
static void park(struct request *request)
{
    struct direct *direct = direct_of(request);

    if (request->gone && direct->left)
        direct_again(direct);
}

static int take(struct request *request)
{
    struct direct *direct = direct_of(request);
    int fd = direct->fd;

    poller_remove(&request->worker->poller, fd, &direct->watch);
    direct->fd = -1;
    request->stage = STAGE_OVER;
    return fd;
}

static bool left(const struct request *request)
{
    const struct direct *direct = container_of(request, struct direct, request);

    return direct->left || direct->broken;
}

static int fd_of(const struct request *request)
{
    return container_of(request, struct direct, request)->fd;
}

const struct backend direct_backend = {
    .reply = reply,
    .answer = answer,
    .park = park,
    .take = take,
    .left = left,
    .fd = fd_of,
};
