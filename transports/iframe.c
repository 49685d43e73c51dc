/* The forever iframe: a page that never ends, in which each batch of events is
 * a script that hands an array to a function of the page around it.
 *
 * Nobody may frame it but the pages that may talk to us, and no body can end
 * its script (server/script_text.h). */
#include "server/origin.h"
#include "server/script_text.h"
#include "transports/stream_body.h"

#include <string.h>

#define PADDING 1024 /* what an old browser gathers before it shows a page */

extern const struct transport iframe_transport;

static enum err ask(struct stream_body *body, struct request *request,
                    struct follow *follow, struct failure *why)
{
    struct span callback = request_param(request, "callback");
    enum err rc = callback_check(callback, why);

    (void)follow;
    if (!rc)
        memcpy(body->callback, callback.data, callback.size);
    return rc;
}

/* Browsers that know no frame-ancestors know only X-Frame-Options, which has no
 * list; the others then leave it aside. */
static void fields(struct response *head, struct buf *scratch,
                   const struct config *config)
{
    buf_append_text(scratch, "default-src 'none'; script-src 'unsafe-inline'; "
                             "frame-ancestors 'self'");
    origin_write_allowed(scratch, config);
    buf_append(scratch, "", 1);
    response_field(head, "Referrer-Policy", "no-referrer");
    if (!buf_status(scratch))
        response_field(head, "Content-Security-Policy", scratch->data);
    if (!config->allowed_origins[0])
        response_field(head, "X-Frame-Options", "SAMEORIGIN");
}

static void opening(struct buf *out, const struct stream_body *body)
{
    (void)body;
    buf_printf(out,
               "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\">"
               "<title>rung</title></head><body>\n<!--%*s-->\n",
               PADDING, "");
}

static struct shared *dress(const struct stream_body *body,
                            struct shared *bytes, bool last)
{
    struct shared *script = NULL;
    struct buf out;

    (void)last;
    buf_init(&out, SIZE_MAX / 2);
    (void)buf_reserve(&out, bytes->size + 128);
    buf_printf(&out, "<script>parent[\"%s\"]([", body->callback);
    buf_append(&out, bytes->data, bytes->size);
    buf_append_text(&out, "])</script>\n");
    if (!buf_status(&out))
        script = shared_copy(out.data, out.size);
    buf_fini(&out);
    return script;
}

static const struct stream_wire wire = {
    .transport = &iframe_transport,
    .format = FORMAT_SCRIPT,
    .type = "text/html; charset=utf-8",
    .ask = ask,
    .fields = fields,
    .opening = opening,
    .dress = dress,
};

static void iframe_open(struct worker *worker, struct request *request,
                        const struct identity *who, const struct follow *follow)
{
    stream_body_open(&wire, worker, request, who, follow);
}

const struct transport iframe_transport = {
    .name = "iframe",
    .by = BY_IFRAME,
    .stream = true,
    .open = iframe_open,
    .deliver = stream_body_deliver,
    .wake = stream_body_wake,
    .beat = stream_body_beat,
    .end = stream_body_end,
};
