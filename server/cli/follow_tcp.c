/* Following over raw TCP: `auth` goes out, lines come in. */
#include "server/cli/follow_inside.h"
#include "server/cli/tcp_client.h"

#include <stdlib.h>
#include <string.h>

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
    bool is_bye = strcmp(follow_kind(line), "bye") == 0;
    bool go_on = true;

    if (error && !is_bye) {
        (void)fail(&tcp->refused,
                   remote_err_by_code(
                       json_string_value(json_object_get(error, "code"))),
                   "%s", message ? message : "refused");
        tcp->refused.retry_after_ms =
            (uint32_t)(follow_number(error, "retry_after_ms") & INT32_MAX);
        f->close_code = (uint16_t)(follow_number(line, "close") & UINT16_MAX);
        f->ours = true;
        go_on = false;
    } else if (line) {
        go_on = follow_take(f, line, text);
    }
    json_decref(line);
    return go_on;
}

static bool tcp_batch(void *arg)
{
    struct tcp *tcp = arg;

    return follow_flush(tcp->follower);
}

static void tcp_idle(void *arg)
{
    struct tcp *tcp = arg;

    follow_idle(tcp->follower);
}

static void tcp_accepted(void *arg)
{
    struct tcp *tcp = arg;

    follow_accepted(tcp->follower);
}

enum err follow_tcp(struct follower *f, struct failure *why)
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

    err = buf_status(&line) ? follow_too_long(why)
                            : tcp_client_run(&options, why);
    buf_fini(&line);
    if (tcp.refused.err) {
        *why = tcp.refused;
        return why->err;
    }
    return follow_ended(f, err, why);
}
