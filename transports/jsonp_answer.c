/* Answers for script tags. */
#include "transports/jsonp_answer.h"

#include "server/method.h"
#include "server/script_text.h"

#include <string.h>

bool jsonp_is(struct span name)
{
    return span_is(name, "jsonp") ||
           (name.size > 6 && memcmp(name.data, "jsonp/", 6) == 0);
}

enum err jsonp_begin(struct request *request, struct failure *why)
{
    struct span callback = request_param(request, "callback");

    enum err rc = callback_check(callback, why);

    return rc ? rc : request_call_back(request, callback, why);
}

/* The comment keeps the callback's letters from being the first bytes, which
 * something else than a script might begin with. */
static void call_back(struct request *request, struct span json)
{
    struct reply reply = {.type = "application/javascript; charset=utf-8"};
    struct failure why;
    struct buf out;

    buf_init(&out, SIZE_MAX / 2);
    (void)buf_reserve(&out, json.size + 128);
    buf_append_text(&out, "/**/");
    buf_append_span(&out, request_callback(request));
    buf_append_text(&out, "(");
    script_append(&out, json);
    buf_append_text(&out, ");");
    reply.body = (struct span){out.data, out.size};
    if (buf_status(&out)) {
        fail_plain(&why, buf_status(&out));
        request_fail(request, &why);
    } else {
        request_reply(request, &reply);
    }
    buf_fini(&out);
}

void jsonp_or_reply(struct request *request, const struct reply *reply)
{
    if (request_callback(request).data)
        call_back(request, reply->body);
    else
        request_reply(request, reply);
}

static void fail_by_call(struct request *request, const struct failure *why)
{
    struct buf out;

    buf_init(&out, 4096);
    failure_write(&out, why);
    if (buf_status(&out))
        request_fail_counted(request, why);
    else
        call_back(request, (struct span){out.data, out.size});
    buf_fini(&out);
}

void jsonp_or_fail_counted(struct request *request, const struct failure *why)
{
    if (request_callback(request).data)
        fail_by_call(request, why);
    else
        request_fail_counted(request, why);
}

void jsonp_or_fail(struct request *request, const struct failure *why)
{
    struct metrics *metrics = &request_worker(request)->metrics;

    metrics_add(metrics->errors[err_wire(why->err)], 1);
    jsonp_or_fail_counted(request, why);
}
