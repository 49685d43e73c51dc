/* The ways of moving a cursor, as a client sees them. */
#include "server/cli/follow.h"

#include "server/base/clock.h"
#include "server/cli/interrupt.h"
#include "server/cli/part_reader.h"
#include "server/cli/sse_reader.h"
#include "server/cli/tcp_client.h"
#include "server/cli/ws_client.h"
#include "transports/tcp_lines.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SILENCE_FIRST_MS 60000
#define LINE_MAX_BYTES ((size_t)64 << 20)
#define POLL_TIMEOUT_MS 15000
#define POLL_PAUSE_MAX_MS 60000
#define NAP_MS 100

/* --- events --------------------------------------------------------------- */

static const char *kind_of(const json_t *event)
{
    const char *kind = json_string_value(json_object_get(event, "event"));

    return kind ? kind : "";
}

static uint64_t number(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));

    return value > 0 ? (uint64_t)value : 0;
}

/* What the event says about the stream itself. */
static void note(struct follower *f, const json_t *event)
{
    const char *kind = kind_of(event);
    uint64_t beat_ms = number(event, "heartbeat_ms");

    f->heard = true;
    if (strcmp(kind, "hello") == 0 && beat_ms)
        f->silence_ms = 2 * beat_ms;
    if (strcmp(kind, "bye") == 0) {
        f->bye = true;
        f->bye_ms = (uint32_t)(number(event, "retry_after_ms") & INT32_MAX);
        f->bye_err = remote_err_by_code(json_string_value(
            json_object_get(json_object_get(event, "error"), "code")));
    }
}

/* False: stop. */
static bool take(struct follower *f, const json_t *event, struct span text)
{
    if (!*kind_of(event)) /* a method's answer */
        return true;
    note(f, event);
    if (position_take(&f->position, event) && !f->event(f, event, text))
        f->stopped = true;
    return !f->stopped;
}

/* One object as text; what is not JSON is passed over. */
static bool take_text(struct follower *f, struct span text)
{
    json_t *event = json_loadb(text.data, text.size, 0, NULL);
    bool go_on = !event || take(f, event, text);

    json_decref(event);
    return go_on;
}

static void take_events(struct follower *f, const json_t *events)
{
    for (size_t i = 0; i < json_array_size(events) && !f->stopped; i++) {
        const json_t *event = json_array_get(events, i);
        char *text = json_dumps(event, JSON_COMPACT);

        (void)take(f, event, span_of(text ? text : ""));
        free(text); /* jansson's */
    }
}

static bool flush(struct follower *f)
{
    if (!f->flush(f))
        f->stopped = true;
    return !f->stopped;
}

static void idle(void *arg)
{
    struct follower *f = arg;

    f->idle(f);
}

static void accepted(void *arg)
{
    struct follower *f = arg;

    f->accepted(f);
}

static bool cancelled(const struct follower *f)
{
    return f->cancelled && atomic_load(f->cancelled);
}

static enum err refused(struct follower *f, const struct http_answer *answer,
                        struct failure *why)
{
    f->ours = remote_in_our_words(answer);
    return remote_refusal(answer, why);
}

/* Why the stream is over, once it is. */
static enum err over(struct follower *f, enum err err, struct failure *why)
{
    if (f->stopped)
        return fail(why, ERR_END, "stopped");
    if (f->bye && (!err || err == ERR_UNAVAILABLE)) {
        fail(why, ERR_UNAVAILABLE, "the server said bye");
        why->retry_after_ms = f->bye_ms;
        return ERR_UNAVAILABLE;
    }
    return err ? err : fail(why, ERR_UNAVAILABLE, "the stream ended");
}

/* --- URLs ----------------------------------------------------------------- */

static void add_query(struct buf *out, const char *name, const char *value)
{
    if (!value)
        return;
    buf_append_text(out, "&");
    buf_append_text(out, name);
    buf_append_text(out, "=");
    query_escape(out, value);
}

/* http://…/v1/<transport>?…; false when it is too long. */
static bool make_url(const struct follower *f, const char *transport,
                     const uint64_t *wait_s, char out[REMOTE_URL_MAX_BYTES * 2])
{
    struct buf url;

    buf_init(&url, REMOTE_URL_MAX_BYTES * 2);
    buf_printf(&url, "%s/v1/%s?", f->remote->url, transport);
    position_query(&url, &f->position);
    add_query(&url, "device", f->device);
    add_query(&url, "limit", f->limit);
    if (wait_s)
        buf_printf(&url, "&wait=%" PRIu64, *wait_s);
    buf_append(&url, "", 1);

    bool fits = !buf_status(&url);

    if (fits)
        memcpy(out, url.data, url.size);
    buf_fini(&url);
    return fits;
}

static enum err too_long(struct failure *why)
{
    return fail(why, ERR_BAD_REQUEST,
                "--url, --conversation and --device are too long together");
}

/* --- ws ------------------------------------------------------------------- */

/* One or more objects, one a line. */
static bool ws_message(void *arg, const char *text, size_t size)
{
    struct follower *f = arg;

    while (size) {
        const char *end = memchr(text, '\n', size);
        size_t line = end ? (size_t)(end - text) : size;

        if (line && !take_text(f, (struct span){text, line}))
            break;
        text += line + (end ? 1 : 0);
        size -= line + (end ? 1 : 0);
    }
    return flush(f);
}

static enum err follow_ws(struct follower *f, struct failure *why)
{
    char url[REMOTE_URL_MAX_BYTES * 2];
    struct ws_client_options options = {.url = url,
                                        .token = f->remote->token,
                                        .silence_ms = &f->silence_ms,
                                        .message = ws_message,
                                        .idle = idle,
                                        .accepted = accepted,
                                        .cancelled = f->cancelled,
                                        .close_code = &f->close_code,
                                        .arg = f};

    if (!make_url(f, "ws", NULL, url))
        return too_long(why);
    return over(f, ws_client_run(&options, why), why);
}

/* --- endless answers ------------------------------------------------------ */

static enum err follow_stream(struct follower *f, const char *transport,
                              bool (*data)(void *, const char *, size_t),
                              void *arg, struct failure *why)
{
    char url[REMOTE_URL_MAX_BYTES * 2];
    struct http_request request = {.url = url,
                                   .token = f->remote->token,
                                   .data = data,
                                   .arg = arg,
                                   .idle = idle,
                                   .idle_arg = f,
                                   .accepted = accepted,
                                   .cancelled = f->cancelled,
                                   .silence_ms = &f->silence_ms};
    struct http_answer answer;

    if (!make_url(f, transport, NULL, url))
        return too_long(why);

    enum err err = http_client_do(f->remote->http, &request, &answer, why);

    if (answer.status && answer.status != 200 && err != ERR_END)
        err = refused(f, &answer, why);
    buf_fini(&answer.body);
    return over(f, err, why);
}

struct sse {
    struct follower *follower;
    struct sse_reader reader;
};

static bool sse_event(void *arg, const char *id, const char *data, size_t size)
{
    struct sse *sse = arg;

    if (data)
        return take_text(sse->follower, (struct span){data, size});
    /* A heartbeat: a comment with an id. */
    if (!sse->follower->position.conversation)
        position_level(&sse->follower->position, id);
    return true;
}

static bool sse_data(void *arg, const char *bytes, size_t size)
{
    struct sse *sse = arg;
    bool go_on = sse_reader_push(&sse->reader, bytes, size);

    return flush(sse->follower) && go_on;
}

static enum err follow_sse(struct follower *f, struct failure *why)
{
    struct sse sse = {.follower = f};
    enum err err;

    sse_reader_init(&sse.reader, sse_event, &sse);
    err = follow_stream(f, "sse", sse_data, &sse, why);
    sse_reader_fini(&sse.reader);
    return err;
}

/* A JSON object a line. */
struct lines {
    struct follower *follower;
    struct tcp_lines lines;
};

static bool lines_data(void *arg, const char *bytes, size_t size)
{
    struct lines *in = arg;
    enum lines_found found = LINES_LINE;
    bool go_on = true;
    struct span line;

    while (go_on && found == LINES_LINE) {
        found =
            tcp_lines_next(&in->lines, LINE_MAX_BYTES, &bytes, &size, &line);
        if (found == LINES_LINE)
            go_on = take_text(in->follower, line);
    }
    return flush(in->follower) && go_on && found == LINES_MORE;
}

static enum err follow_lines(struct follower *f, struct failure *why)
{
    struct lines in = {.follower = f};
    enum err err = follow_stream(f, "stream", lines_data, &in, why);

    tcp_lines_fini(&in.lines);
    return err;
}

static bool multipart_part(void *arg, struct span body)
{
    struct follower *f = arg;
    json_t *events = json_loadb(body.data, body.size, 0, NULL);

    take_events(f, events);
    json_decref(events);
    return !f->stopped;
}

struct multipart {
    struct follower *follower;
    struct part_reader reader;
};

static bool multipart_data(void *arg, const char *bytes, size_t size)
{
    struct multipart *multipart = arg;
    bool go_on = part_reader_push(&multipart->reader, bytes, size);

    return flush(multipart->follower) && go_on;
}

static enum err follow_multipart(struct follower *f, struct failure *why)
{
    struct multipart multipart = {.follower = f};
    enum err err;

    part_reader_init(&multipart.reader, multipart_part, f);
    err = follow_stream(f, "multipart", multipart_data, &multipart, why);
    part_reader_fini(&multipart.reader);
    return err;
}

/* --- tcp ------------------------------------------------------------------ */

/* {"id":1,"method":"auth","params":{"token":…,"cursor":…}} and a line end. */
static char *auth_line(const struct follower *f)
{
    const struct position *position = &f->position;
    json_t *params = json_pack("{s:s?}", "token", f->remote->token);
    json_t *call = json_pack("{s:i, s:s, s:O?}", "id", 1, "method", "auth",
                             "params", params);
    char *text;

    if (position->conversation) {
        (void)json_object_set_new(params, "conversation",
                                  json_string(position->conversation));
        if (position->has_after)
            (void)json_object_set_new(
                params, "after", json_integer((json_int_t)position->after));
    } else if (*position->cursor) {
        (void)json_object_set_new(params, "cursor",
                                  json_string(position->cursor));
    }
    if (f->limit)
        (void)json_object_set_new(params, "limit", json_string(f->limit));
    if (f->device)
        (void)json_object_set_new(params, "device", json_string(f->device));
    text = json_dumps(call, JSON_COMPACT);
    json_decref(call);
    json_decref(params);
    return text;
}

/* Why the server will not have us, or what it closes for: an answer to `auth`, or
 * the last line. */
struct tcp {
    struct follower *follower;
    struct failure refused;
};

static bool tcp_line(void *arg, struct span text)
{
    struct tcp *tcp = arg;
    struct follower *f = tcp->follower;
    json_t *line = json_loadb(text.data, text.size, 0, NULL);
    const json_t *error = json_object_get(line, "error");
    const char *message = json_string_value(json_object_get(error, "message"));
    bool is_bye = strcmp(kind_of(line), "bye") == 0;
    bool go_on = true;

    if (error && !is_bye) {
        (void)fail(&tcp->refused,
                   remote_err_by_code(
                       json_string_value(json_object_get(error, "code"))),
                   "%s", message ? message : "refused");
        tcp->refused.retry_after_ms =
            (uint32_t)(number(error, "retry_after_ms") & INT32_MAX);
        f->close_code = (uint16_t)(number(line, "close") & UINT16_MAX);
        f->ours = true;
        go_on = false;
    } else if (line) {
        go_on = take(f, line, text);
    }
    json_decref(line);
    return go_on;
}

static bool tcp_batch(void *arg)
{
    struct tcp *tcp = arg;

    return flush(tcp->follower);
}

static void tcp_idle(void *arg)
{
    struct tcp *tcp = arg;

    idle(tcp->follower);
}

static void tcp_accepted(void *arg)
{
    struct tcp *tcp = arg;

    accepted(tcp->follower);
}

static enum err follow_tcp(struct follower *f, struct failure *why)
{
    struct tcp tcp = {.follower = f};
    char *auth = auth_line(f);
    struct buf line;
    enum err err;

    buf_init(&line, REMOTE_URL_MAX_BYTES * 8);
    buf_append_text(&line, auth ? auth : "");
    buf_append_text(&line, "\n");
    free(auth); /* jansson's */

    struct tcp_client_options options = {.address = f->tcp_address,
                                         .first = {line.data, line.size},
                                         .silence_ms = &f->silence_ms,
                                         .cancelled = f->cancelled,
                                         .accepted = tcp_accepted,
                                         .line = tcp_line,
                                         .batch = tcp_batch,
                                         .idle = tcp_idle,
                                         .arg = &tcp};

    err = buf_status(&line) ? too_long(why) : tcp_client_run(&options, why);
    buf_fini(&line);
    if (tcp.refused.err) {
        *why = tcp.refused;
        return why->err;
    }
    return over(f, err, why);
}

/* --- polls ---------------------------------------------------------------- */

static void take_answer(struct follower *f, const json_t *body)
{
    const json_t *events = json_object_get(body, "events");
    const char *cursor = json_string_value(json_object_get(body, "cursor"));
    json_t *after = json_object_get(body, "after");

    f->heard = true;
    take_events(f, events);
    if (f->stopped)
        return;
    if (!f->position.conversation) {
        position_level(&f->position, cursor);
    } else if (json_is_integer(after) &&
               (!f->position.has_after ||
                number(body, "after") > f->position.after)) {
        f->position.after = number(body, "after");
        f->position.has_after = true;
    }
}

/* Ask once; *more: ask again at once. */
static enum err ask(struct follower *f, const char *transport,
                    const uint64_t *wait_s, bool *more, uint64_t *pause_ms,
                    struct failure *why)
{
    char url[REMOTE_URL_MAX_BYTES * 2];
    struct http_request request = {.url = url,
                                   .token = f->remote->token,
                                   .idle_arg = f,
                                   .accepted = accepted,
                                   .cancelled = f->cancelled,
                                   .timeout_ms = POLL_TIMEOUT_MS +
                                                 (wait_s ? *wait_s * 1000 : 0)};
    struct http_answer answer;
    json_t *body = NULL;

    if (!make_url(f, transport, wait_s, url))
        return too_long(why);

    enum err err = http_client_do(f->remote->http, &request, &answer, why);

    if (!err && answer.status != 200)
        err = refused(f, &answer, why);
    if (!err) {
        body = json_loadb(answer.body.data ? answer.body.data : "",
                          answer.body.size, 0, NULL);
        if (!json_is_object(body))
            err = fail(why, ERR_UNAVAILABLE, "the answer is not JSON");
    }
    if (!err) {
        take_answer(f, body);
        (void)flush(f);
        *more = json_is_true(json_object_get(body, "more"));
        *pause_ms = answer.retry_after_ms;
    }
    json_decref(body);
    buf_fini(&answer.body);
    return f->stopped || f->bye ? over(f, err, why) : err;
}

/* False: it is wanted no more. */
static bool rest(const struct follower *f, uint64_t ms)
{
    uint64_t end = clock_mono_ms() + ms;
    bool go_on = !cancelled(f) && !interrupt_wanted();

    for (uint64_t now = clock_mono_ms(); go_on && now < end;
         now = clock_mono_ms())
        go_on = interrupt_sleep(end - now < NAP_MS ? end - now : NAP_MS) &&
                !cancelled(f);
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

static enum err follow_longpoll(struct follower *f, struct failure *why)
{
    return follow_polls(f, "longpoll", true, why);
}

static enum err follow_poll(struct follower *f, struct failure *why)
{
    return follow_polls(f, "poll", false, why);
}

/* --- the ways ------------------------------------------------------------- */

static const struct way {
    const char *name;
    enum err (*follow)(struct follower *f, struct failure *why);
} ways[] = {
    {"ws", follow_ws},
    {"tcp", follow_tcp},
    {"stream", follow_lines},
    {"sse", follow_sse},
    {"multipart", follow_multipart},
    {"longpoll", follow_longpoll},
    {"poll", follow_poll},
};

static const struct way *find(const char *name)
{
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
        if (strcmp(ways[i].name, name) == 0)
            return &ways[i];
    return NULL;
}

const char *follow_transports(void)
{
    return "ws, tcp, stream, sse, multipart, longpoll or poll";
}

bool follow_knows(const char *transport)
{
    return find(transport) != NULL;
}

enum err follow_over(struct follower *f, const char *transport,
                     struct failure *why)
{
    f->silence_ms = SILENCE_FIRST_MS;
    f->bye = f->heard = f->stopped = f->ours = false;
    f->bye_ms = 0;
    f->bye_err = ERR_NONE;
    f->close_code = 0;
    memset(why, 0, sizeof(*why));

    enum err err = remote_login(f->remote, why);

    return err ? err : find(transport)->follow(f, why);
}
