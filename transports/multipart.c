/* AJAX multipart streaming: each batch of events a body part, an array. */
#include "transports/stream_body.h"

#include <string.h>

#define PADDING 256

extern const struct transport multipart_transport;

static enum err ask(struct stream_body *body, struct request *request,
                    struct follow *follow, struct failure *why)
{
    (void)follow;
    (void)why;
    if (request_head(request)->accepts_mixed)
        body->type = "multipart/mixed; boundary=" PART_BOUNDARY;
    return ERR_NONE;
}

/* A preamble, which parsers skip, and the first delimiter. */
static void opening(struct buf *out, const struct stream_body *body)
{
    (void)body;
    buf_printf(out, "%*s\r\n--" PART_BOUNDARY "\r\n", PADDING, "");
}

/* The delimiter behind the last part closes the body. */
static struct shared *dress(const struct stream_body *body,
                            struct shared *bytes, bool last)
{
    static const char end[] = "--\r\n";
    size_t size = bytes->size - 2; /* without the delimiter's line end */
    struct shared *closing;

    (void)body;
    if (!last)
        return shared_ref(bytes);
    closing = shared_create(size + sizeof(end) - 1);
    if (!closing)
        return NULL;
    memcpy(closing->data, bytes->data, size);
    memcpy(closing->data + size, end, sizeof(end) - 1);
    return closing;
}

static const struct stream_wire wire = {
    .transport = &multipart_transport,
    .format = FORMAT_PART,
    .type = "multipart/x-mixed-replace; boundary=" PART_BOUNDARY,
    .ask = ask,
    .opening = opening,
    .dress = dress,
};

static void multipart_open(struct worker *worker, struct request *request,
                           const struct identity *who,
                           const struct follow *follow)
{
    stream_body_open(&wire, worker, request, who, follow);
}

const struct transport multipart_transport = {
    .name = "multipart",
    .by = BY_MULTIPART,
    .stream = true,
    .open = multipart_open,
    .deliver = stream_body_deliver,
    .wake = stream_body_wake,
    .beat = stream_body_beat,
    .end = stream_body_end,
};
