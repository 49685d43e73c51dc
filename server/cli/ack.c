/* rung tail's acknowledgements. */
#include "server/cli/ack.h"

#include "server/base/clock.h"

#include <string.h>

#define INTERVAL_MS 1000
#define METHOD_ROOM 256
/* The thread that sends it runs the ladder, too; what is lost, the next one
 * makes good. */
#define TIMEOUT_MS 2000

enum err ack_open(struct ack *out, const char *device)
{
    memset(out, 0, sizeof(*out));
    out->device = device;
    return http_client_create(&out->http);
}

void ack_close(struct ack *ack)
{
    http_client_destroy(ack->http);
    ack->http = NULL;
}

void ack_due(struct ack *ack)
{
    ack->due = true;
}

static json_t *params_of(const struct position *position)
{
    if (position->conversation)
        return json_pack("{s:s, s:I}", "conversation", position->conversation,
                         "seq", (json_int_t)position->after);
    return json_pack("{s:s}", "cursor", position->cursor);
}

/* "message.ack?device=D"; false when it is too long. */
static bool name_method(const struct ack *ack, char out[METHOD_ROOM])
{
    struct buf text;
    bool fits;

    buf_init(&text, METHOD_ROOM);
    buf_append_text(&text, "message.ack");
    if (ack->device) {
        buf_append_text(&text, "?device=");
        query_escape(&text, ack->device);
    }
    buf_append(&text, "", 1);
    fits = !buf_status(&text);
    if (fits)
        memcpy(out, text.data, text.size);
    buf_fini(&text);
    return fits;
}

void ack_send(struct ack *ack, const struct remote *remote,
              const struct position *position, bool last)
{
    struct remote mine = *remote; /* its URL and token, over our connection */
    char method[METHOD_ROOM];
    json_t *params, *result = NULL;
    struct failure why;
    uint64_t now = clock_mono_ms();

    if (!ack->due || !remote->token ||
        (!last && ack->sent_ms && now < ack->sent_ms + INTERVAL_MS))
        return;
    ack->due = false;
    ack->sent_ms = now;
    params = params_of(position);
    mine.http = ack->http;
    mine.call_timeout_ms = TIMEOUT_MS;
    if (params && name_method(ack, method) &&
        remote_call(&mine, method, params, &result, &why) == ERR_NONE)
        json_decref(result);
    json_decref(params);
}
