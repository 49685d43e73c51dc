/* Following over what does not end: a WebSocket, and HTTP answers in any form.
 */
#include "server/cli/follow_inside.h"
#include "server/cli/part_reader.h"
#include "server/cli/sse_reader.h"
#include "server/cli/ws_client.h"
#include "transports/tcp_lines.h"

#include <string.h>

#define LINE_MAX_BYTES ((size_t)64 << 20)

/* --- ws ------------------------------------------------------------------- */

/* One or more objects, one a line. */
static bool ws_message(void *arg, const char *text, size_t size)
{
    struct follower *f = arg;

    while (size) {
        const char *end = memchr(text, '\n', size);
        size_t line = end ? (size_t)(end - text) : size;

        if (line && !follow_take_text(f, (struct span){text, line}))
            break;
        text += line + (end ? 1 : 0);
        size -= line + (end ? 1 : 0);
    }
    return follow_flush(f);
}

enum err follow_ws(struct follower *f, struct failure *why)
{
    char url[FOLLOW_URL_MAX_BYTES];
    struct ws_client_options options = {.url = url,
                                        .token = f->remote->token,
                                        .silence_ms = &f->silence_ms,
                                        .message = ws_message,
                                        .idle = follow_idle,
                                        .accepted = follow_accepted,
                                        .cancelled = f->cancelled,
                                        .close_code = &f->close_code,
                                        .arg = f};

    if (!follow_url(f, "ws", NULL, url))
        return follow_too_long(why);
    return follow_ended(f, ws_client_run(&options, why), why);
}

/* --- endless answers ------------------------------------------------------ */

static enum err follow_stream(struct follower *f, const char *transport,
                              bool (*data)(void *, const char *, size_t),
                              void *arg, struct failure *why)
{
    char url[FOLLOW_URL_MAX_BYTES];
    struct http_request request = {.url = url,
                                   .token = f->remote->token,
                                   .data = data,
                                   .arg = arg,
                                   .idle = follow_idle,
                                   .idle_arg = f,
                                   .accepted = follow_accepted,
                                   .cancelled = f->cancelled,
                                   .silence_ms = &f->silence_ms};
    struct http_answer answer;

    if (!follow_url(f, transport, NULL, url))
        return follow_too_long(why);

    enum err err = http_client_do(f->remote->http, &request, &answer, why);

    if (answer.status && answer.status != 200 && err != ERR_END)
        err = follow_refused(f, &answer, why);
    buf_fini(&answer.body);
    return follow_ended(f, err, why);
}

struct sse {
    struct follower *follower;
    struct sse_reader reader;
};

static bool sse_event(void *arg, const char *id, const char *data, size_t size)
{
    struct sse *sse = arg;

    if (data)
        return follow_take_text(sse->follower, (struct span){data, size});
    /* A heartbeat: a comment with an id. */
    if (!sse->follower->position.conversation)
        position_level(&sse->follower->position, id);
    return true;
}

static bool sse_data(void *arg, const char *bytes, size_t size)
{
    struct sse *sse = arg;
    bool go_on = sse_reader_push(&sse->reader, bytes, size);

    return follow_flush(sse->follower) && go_on;
}

enum err follow_sse(struct follower *f, struct failure *why)
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
            go_on = follow_take_text(in->follower, line);
    }
    return follow_flush(in->follower) && go_on && found == LINES_MORE;
}

enum err follow_lines(struct follower *f, struct failure *why)
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

    follow_take_events(f, events);
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

    return follow_flush(multipart->follower) && go_on;
}

enum err follow_multipart(struct follower *f, struct failure *why)
{
    struct multipart multipart = {.follower = f};
    enum err err;

    part_reader_init(&multipart.reader, multipart_part, f);
    err = follow_stream(f, "multipart", multipart_data, &multipart, why);
    part_reader_fini(&multipart.reader);
    return err;
}
