/* Short poll: what the log has beyond the cursor, at once, and under load a
 * hint when to ask again. */
#include "transports/poll_answer.h"
#include "transports/transport.h"

extern const struct transport poll_transport;

static void poll_open(struct worker *worker, struct request *request,
                      const struct identity *who, const struct follow *follow)
{
    struct carrier carrier = {0};
    struct burst *burst = NULL;
    struct failure why;
    bool more = false;
    enum err rc =
        carrier_open(&carrier, worker, &poll_transport, who, follow, &why);

    if (!rc)
        rc = session_spend(carrier.session, &why);
    if (!rc)
        rc = carrier_next(&carrier, POLL_BYTES, &burst, &more, &why);
    if (rc)
        request_fail(request, &why);
    else
        poll_answer(request, &carrier, burst, more, worker_pressure(worker));
    burst_unref(burst);
    carrier_close(&carrier);
}

const struct transport poll_transport = {
    .name = "poll",
    .by = BY_POLL,
    .open = poll_open,
};
