/* /engine.io/: every message of a session comes back. */
#include "tests/conformance/conformance.h"
#include "transports/eio.h"

#include <string.h>

#define WAITING_MAX (64u << 20)
#define SESSIONS_MAX 100000

static const char *path(const struct config *config)
{
    (void)config;
    return "/engine.io/";
}

void conformance_eio(const struct config *config, struct eio_options *out)
{
    (void)config;
    *out = (struct eio_options){
        .protocol_3 = conformance.eio3,
        .ping_interval_ms = conformance.ping_interval_ms,
        .ping_timeout_ms = conformance.ping_timeout_ms,
        .max_payload = conformance.max_payload,
        .max_waiting = WAITING_MAX,
        .max_sessions = SESSIONS_MAX,
    };
}

static void *open_session(struct eio_session *session)
{
    return session;
}

static void message(void *owner, const struct eio_packet *packet)
{
    char *room;
    struct shared *bytes = packet->binary
                               ? eio_binary_create(packet->data.size, &room)
                               : eio_text_create(packet->data.size, &room);

    if (!bytes) {
        eio_break(owner);
        return;
    }
    if (packet->data.size)
        memcpy(room, packet->data.data, packet->data.size);
    if (packet->binary)
        eio_send_binary(owner, bytes);
    else
        eio_send_text(owner, bytes);
    shared_unref(bytes);
}

static void closed(void *owner)
{
    (void)owner;
}

const struct eio_server engine_server = {
    .path = path,
    .options = conformance_eio,
    .open = open_session,
    .message = message,
    .closed = closed,
};
