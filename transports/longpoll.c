/* Long poll: an answer at once when there is something, else a parked request
 * that the next commit, the deadline, or the server's end answers. Ten thousand
 * that a commit answers with the same events share one response. */
#include "transports/longpoll.h"

#include "transports/jsonp_answer.h"
#include "transports/poll_answer.h"

#include <string.h>

#define WAIT_DEFAULT_S 25
#define WAIT_MAX_S 60

extern const struct transport longpoll_transport;

struct longpoll {
    struct carrier carrier;
    struct request *request;
};

static struct longpoll *of(struct carrier *carrier)
{
    return container_of(carrier, struct longpoll, carrier);
}

static void longpoll_free(struct longpoll *poll)
{
    carrier_close(&poll->carrier);
    mem_free(poll);
}

static void gone(void *owner)
{
    longpoll_free(owner);
}

/* --- answering ---------------------------------------------------------- */

static void answer(struct longpoll *poll, struct burst *burst, bool more)
{
    poll_answer(poll->request, &poll->carrier, burst, more, 0);
    longpoll_free(poll);
}

void longpoll_deliver(struct carrier *carrier, struct burst *burst)
{
    answer(of(carrier), burst, false);
}

/* Answer what the log has; true when it had something. */
static bool answer_from_log(struct longpoll *poll)
{
    struct failure why;
    struct burst *burst;
    bool more;

    if (carrier_next(&poll->carrier, POLL_BYTES, &burst, &more, &why)) {
        jsonp_or_fail(poll->request, &why);
        longpoll_free(poll);
        return true;
    }
    if (!burst)
        return false;
    answer(poll, burst, more);
    burst_unref(burst);
    return true;
}

void longpoll_wake(struct carrier *carrier)
{
    (void)answer_from_log(of(carrier)); /* or it was nothing: still parked */
}

/* The wait is over. */
void longpoll_beat(struct carrier *carrier)
{
    answer(of(carrier), NULL, false);
}

void longpoll_end(struct carrier *carrier, const struct farewell *why)
{
    struct longpoll *poll = of(carrier);
    struct burst *burst =
        burst_of(store_epoch(worker_store(carrier->worker)),
                 event_bye(why->reason, why->message, why->retry_after_ms));

    answer(poll, burst, false); /* empty without memory */
    burst_unref(burst);
}

/* --- opening ------------------------------------------------------------ */

static enum err wait_of(struct request *request, uint64_t *wait_ms,
                        struct failure *why)
{
    struct span text = request_param(request, "wait");
    uint64_t seconds;

    if (!text.data) {
        *wait_ms = WAIT_DEFAULT_S * 1000ull;
        return ERR_NONE;
    }
    if (text.size > 2 || !u64_read(text, &seconds) || seconds > WAIT_MAX_S)
        return fail(why, ERR_BAD_REQUEST,
                    "'wait' must be a whole number of seconds from 0 to %d",
                    WAIT_MAX_S);
    *wait_ms = seconds * 1000;
    return ERR_NONE;
}

static enum err begin(struct longpoll *poll, const struct transport *via,
                      struct request *request, const struct identity *who,
                      const struct follow *follow, struct failure *why)
{
    struct worker *worker = request_worker(request);
    enum err rc = carrier_open(&poll->carrier, worker, via, who, follow, why);

    poll->request = request;
    return rc ? rc : session_spend(poll->carrier.session, why);
}

void longpoll_open_as(const struct transport *via, struct request *request,
                      const struct identity *who, const struct follow *follow)
{
    struct longpoll *poll = mem_zalloc(sizeof(*poll));
    uint64_t wait_ms = 0;
    struct failure why;

    if (!poll) {
        fail_plain(&why, ERR_NOMEM);
        jsonp_or_fail(request, &why);
        return;
    }
    if (wait_of(request, &wait_ms, &why) ||
        begin(poll, via, request, who, follow, &why)) {
        jsonp_or_fail(request, &why);
        longpoll_free(poll);
        return;
    }
    if (answer_from_log(poll))
        return;
    if (poll->carrier.now || !wait_ms || request_worker(request)->draining ||
        span_is(request_head(request)->method, "HEAD")) {
        answer(poll, NULL, false);
        return;
    }
    request_park(request, gone, poll);
    carrier_park(&poll->carrier, wait_ms);
}

static void longpoll_open(struct worker *worker, struct request *request,
                          const struct identity *who,
                          const struct follow *follow)
{
    (void)worker;
    longpoll_open_as(&longpoll_transport, request, who, follow);
}

const struct transport longpoll_transport = {
    .name = "longpoll",
    .by = BY_LONGPOLL,
    .open = longpoll_open,
    .deliver = longpoll_deliver,
    .wake = longpoll_wake,
    .beat = longpoll_beat,
    .end = longpoll_end,
};
