/* The ways of moving a cursor, as a client sees them: what they share. */
#include "server/cli/follow_inside.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SILENCE_FIRST_MS 60000

/* --- events --------------------------------------------------------------- */

const char *follow_kind(const json_t *event)
{
    const char *kind = json_string_value(json_object_get(event, "event"));

    return kind ? kind : "";
}

uint64_t follow_number(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));

    return value > 0 ? (uint64_t)value : 0;
}

/* What the event says about the stream itself. */
static void note(struct follower *f, const json_t *event)
{
    const char *kind = follow_kind(event);
    uint64_t beat_ms = follow_number(event, "heartbeat_ms");

    f->heard = true;
    if (strcmp(kind, "hello") == 0 && beat_ms)
        f->silence_ms = 2 * beat_ms;
    if (strcmp(kind, "bye") == 0) {
        f->bye = true;
        f->bye_ms =
            (uint32_t)(follow_number(event, "retry_after_ms") & INT32_MAX);
        f->bye_err = remote_err_by_code(json_string_value(
            json_object_get(json_object_get(event, "error"), "code")));
    }
}

/* False: stop. */
bool follow_take(struct follower *f, const json_t *event, struct span text)
{
    if (!*follow_kind(event)) /* a method's answer */
        return true;
    note(f, event);
    if (position_take(&f->position, event) && !f->event(f, event, text))
        f->stopped = true;
    return !f->stopped;
}

bool follow_take_text(struct follower *f, struct span text)
{
    json_t *event = json_loadb(text.data, text.size, 0, NULL);
    bool go_on = !event || follow_take(f, event, text);

    json_decref(event);
    return go_on;
}

void follow_take_events(struct follower *f, const json_t *events)
{
    for (size_t i = 0; i < json_array_size(events) && !f->stopped; i++) {
        const json_t *event = json_array_get(events, i);
        char *text = json_dumps(event, JSON_COMPACT);

        (void)follow_take(f, event, span_of(text ? text : ""));
        free(text); /* jansson's */
    }
}

bool follow_flush(struct follower *f)
{
    if (!f->flush(f))
        f->stopped = true;
    return !f->stopped;
}

void follow_idle(void *arg)
{
    struct follower *f = arg;

    f->idle(f);
}

void follow_accepted(void *arg)
{
    struct follower *f = arg;

    f->accepted(f);
}

bool follow_cancelled(const struct follower *f)
{
    return f->cancelled && atomic_load(f->cancelled);
}

enum err follow_refused(struct follower *f, const struct http_answer *answer,
                        struct failure *why)
{
    f->ours = remote_in_our_words(answer);
    return remote_refusal(answer, why);
}

enum err follow_ended(struct follower *f, enum err err, struct failure *why)
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

bool follow_url(const struct follower *f, const char *transport,
                const uint64_t *wait_s, char out[FOLLOW_URL_MAX_BYTES])
{
    struct buf url;

    buf_init(&url, FOLLOW_URL_MAX_BYTES);
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

enum err follow_too_long(struct failure *why)
{
    return fail(why, ERR_BAD_REQUEST,
                "--url, --conversation and --device are too long together");
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
