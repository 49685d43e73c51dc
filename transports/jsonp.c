/* JSONP polling: a long poll for script tags, answered by a call. */
#include "transports/longpoll.h"

extern const struct transport jsonp_transport;

static void jsonp_open(struct worker *worker, struct request *request,
                       const struct identity *who, const struct follow *follow)
{
    (void)worker;
    longpoll_open_as(&jsonp_transport, request, who, follow);
}

const struct transport jsonp_transport = {
    .name = "jsonp",
    .by = BY_JSONP,
    .open = jsonp_open,
    .deliver = longpoll_deliver,
    .wake = longpoll_wake,
    .beat = longpoll_beat,
    .end = longpoll_end,
};
