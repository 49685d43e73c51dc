/* Server-Sent Events (WHATWG HTML, section 9.2): each event a block of lines,
 * whose `id:` is the cursor that a stock client comes back with. */
#include "transports/stream_body.h"

#define RETRY_MS 1000
#define PADDING 256 /* gets the first events past buffering middle boxes */

extern const struct transport sse_transport;

/* Last-Event-ID is newer than what the URL says. */
static enum err ask(struct stream_body *body, struct request *request,
                    struct follow *follow, struct failure *why)
{
    const struct head *head = request_head(request);

    (void)body;
    (void)why;
    if (head->last_event_id.data && head->last_event_id.size) {
        follow->cursor = head->last_event_id;
        follow->after = (struct span){0};
    }
    return ERR_NONE;
}

static void opening(struct buf *out, const struct stream_body *body)
{
    (void)body;
    buf_printf(out, ":%*s\nretry: %d\n\n", PADDING, "", RETRY_MS);
}

/* The heartbeat's event moves the client's Last-Event-ID past what does not
 * concern it; the comment is for who only looks whether bytes come. */
static const struct stream_wire wire = {
    .transport = &sse_transport,
    .format = FORMAT_SSE,
    .type = "text/event-stream; charset=utf-8",
    .ask = ask,
    .opening = opening,
    .beat = ": heartbeat\n",
};

static void sse_open(struct worker *worker, struct request *request,
                     const struct identity *who, const struct follow *follow)
{
    stream_body_open(&wire, worker, request, who, follow);
}

const struct transport sse_transport = {
    .name = "sse",
    .by = BY_SSE,
    .stream = true,
    .open = sse_open,
    .deliver = stream_body_deliver,
    .wake = stream_body_wake,
    .beat = stream_body_beat,
    .end = stream_body_end,
};
