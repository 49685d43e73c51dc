/* Following by asking again and again. */
#include "server/base/clock.h"
#include "server/cli/follow_inside.h"
#include "server/cli/interrupt.h"

#define POLL_TIMEOUT_MS 15000
#define POLL_PAUSE_MAX_MS 60000
#define NAP_MS 100

static void take_answer(struct follower *f, const json_t *body)
{
    const json_t *events = json_object_get(body, "events");
    const char *cursor = json_string_value(json_object_get(body, "cursor"));
    json_t *after = json_object_get(body, "after");

    f->heard = true;
    follow_take_events(f, events);
    if (f->stopped)
        return;
    if (!f->position.conversation) {
        position_level(&f->position, cursor);
    } else if (json_is_integer(after) &&
               (!f->position.has_after ||
                follow_number(body, "after") > f->position.after)) {
        f->position.after = follow_number(body, "after");
        f->position.has_after = true;
    }
}

/* Ask once; *more: ask again at once. */
static enum err ask(struct follower *f, const char *transport,
                    const uint64_t *wait_s, bool *more, uint64_t *pause_ms,
                    struct failure *why)
{
    char url[FOLLOW_URL_MAX_BYTES];
    struct http_request request = {.url = url,
                                   .token = f->remote->token,
                                   .idle_arg = f,
                                   .accepted = follow_accepted,
                                   .cancelled = f->cancelled,
                                   .timeout_ms = POLL_TIMEOUT_MS +
                                                 (wait_s ? *wait_s * 1000 : 0)};
    struct http_answer answer;
    json_t *body = NULL;

    if (!follow_url(f, transport, wait_s, url))
        return follow_too_long(why);

    enum err err = http_client_do(f->remote->http, &request, &answer, why);

    if (!err && answer.status != 200)
        err = follow_refused(f, &answer, why);
    if (!err) {
        body = json_loadb(answer.body.data ? answer.body.data : "",
                          answer.body.size, 0, NULL);
        if (!json_is_object(body))
            err = fail(why, ERR_UNAVAILABLE, "the answer is not JSON");
    }
    if (!err) {
        take_answer(f, body);
        (void)follow_flush(f);
        *more = json_is_true(json_object_get(body, "more"));
        *pause_ms = answer.retry_after_ms;
    }
    json_decref(body);
    buf_fini(&answer.body);
    return f->stopped || f->bye ? follow_ended(f, err, why) : err;
}

/* False: it is wanted no more. */
static bool rest(const struct follower *f, uint64_t ms)
{
    uint64_t end = clock_mono_ms() + ms;
    bool go_on = !follow_cancelled(f) && !interrupt_wanted();

    for (uint64_t now = clock_mono_ms(); go_on && now < end;
         now = clock_mono_ms())
        go_on = interrupt_sleep(end - now < NAP_MS ? end - now : NAP_MS) &&
                !follow_cancelled(f);
    return go_on;
}

/* Polls until one fails. The first is answered at once: it tells whether this
 * gets through. */
static enum err follow_polls(struct follower *f, const char *transport,
                             bool waits, struct failure *why)
{
    static const uint64_t at_once = 0;

    for (;;) {
        bool more = false;
        uint64_t pause_ms = 0;
        const uint64_t *wait_s = f->heard ? &f->wait_s : &at_once;
        enum err err =
            ask(f, transport, waits ? wait_s : NULL, &more, &pause_ms, why);

        if (err)
            return err;
        if (!waits && pause_ms < f->interval_ms)
            pause_ms = f->interval_ms;
        if (pause_ms > POLL_PAUSE_MAX_MS)
            pause_ms = POLL_PAUSE_MAX_MS;
        if (!rest(f, more ? 0 : pause_ms))
            return fail(why, ERR_END, "stopped");
    }
}

enum err follow_longpoll(struct follower *f, struct failure *why)
{
    return follow_polls(f, "longpoll", true, why);
}

enum err follow_poll(struct follower *f, struct failure *why)
{
    return follow_polls(f, "poll", false, why);
}
