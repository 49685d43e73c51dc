/* HTTP streaming, for fetch() and XMLHttpRequest: NDJSON, an event a line. */
#include "transports/stream_body.h"

#define PADDING 2048 /* what an old XMLHttpRequest holds back at first */

extern const struct transport stream_transport;

/* JSON lets blanks come before the first line's object: every line is one. */
static void opening(struct buf *out, const struct stream_body *body)
{
    (void)body;
    buf_printf(out, "%*s", PADDING, "");
}

static const struct stream_wire wire = {
    .transport = &stream_transport,
    .format = FORMAT_LINES,
    .type = "application/x-ndjson",
    .opening = opening,
};

static void stream_open(struct worker *worker, struct request *request,
                        const struct identity *who, const struct follow *follow)
{
    stream_body_open(&wire, worker, request, who, follow);
}

const struct transport stream_transport = {
    .name = "stream",
    .by = BY_STREAM,
    .stream = true,
    .open = stream_open,
    .deliver = stream_body_deliver,
    .wake = stream_body_wake,
    .beat = stream_body_beat,
    .end = stream_body_end,
};
