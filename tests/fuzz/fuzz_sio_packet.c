/* Any bytes as a Socket.IO packet. What is accepted holds what the header
 * promises, is UTF-8, and is accepted again, with the same arguments, when it
 * is written anew. jansson accepts none of what is refused for its JSON. */
#include "transports/sio_packet.h"

#include "server/utf8.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define NO_LIMIT (SIZE_MAX / 4)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool it)
{
    if (!it)
        abort();
}

static bool is_event(const struct sio_packet *packet)
{
    return packet->type == SIO_EVENT || packet->type == SIO_BINARY_EVENT;
}

static bool is_ack(const struct sio_packet *packet)
{
    return packet->type == SIO_ACK || packet->type == SIO_BINARY_ACK;
}

static void check_promises(const struct sio_packet *packet)
{
    bool binary =
        packet->type == SIO_BINARY_EVENT || packet->type == SIO_BINARY_ACK;

    must(packet->type <= SIO_BINARY_ACK);
    must(binary == (packet->attachments > 0));
    must(packet->attachments <= SIO_ATTACHMENTS_MAX);
    must(packet->space.size && packet->space.data[0] == '/');
    must(packet->space.size + packet->query.size <= SIO_NAMESPACE_MAX);
    must(!packet->has_id || packet->id <= SIO_ID_MAX);
    must(utf8_valid(packet->data.data, packet->data.size));
    if (is_event(packet) && packet->name.kind == JTEXT_STRING)
        must(!sio_says(&packet->name, "connect"));
}

/* The arguments can be walked, and are all that there is. */
static void check_walk(const struct sio_packet *packet)
{
    struct span rest = packet->args;
    struct jtext value;
    size_t bytes = 0;

    while (sio_next(&rest, &value)) {
        must(value.text.size > 0);
        bytes += value.text.size;
    }
    must(!rest.size && bytes <= packet->args.size);
}

static void write_again(struct buf *out, const struct sio_packet *packet)
{
    if (is_event(packet))
        sio_write_event(out, packet->attachments, packet->space,
                        packet->has_id ? &packet->id : NULL, SPAN("x"),
                        packet->args);
    else
        sio_write_ack(out, packet->attachments, packet->space,
                      packet->has_id ? packet->id : 0, packet->args);
}

static void check_again(const struct sio_packet *packet)
{
    struct sio_packet again;
    struct buf out;

    buf_init(&out, NO_LIMIT);
    write_again(&out, packet);
    must(!buf_status(&out));
    must(!sio_read(SIO_PROTOCOL_5, (struct span){out.data, out.size}, &again));
    must(again.type == packet->type);
    must(again.attachments == packet->attachments);
    must(span_equal(again.space, packet->space));
    must(span_equal(again.args, packet->args));
    buf_fini(&out);
}

static unsigned depth_of(const json_t *value)
{
    unsigned deepest = 0;
    const char *key;
    json_t *member;
    size_t i;

    json_array_foreach (value, i, member) {
        unsigned depth = depth_of(member);

        deepest = depth > deepest ? depth : deepest;
    }
    json_object_foreach ((json_t *)value, key, member) {
        unsigned depth = depth_of(member);

        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + (json_is_array(value) || json_is_object(value));
}

/* What jansson reads as a connection's data. It overlooks a NUL behind a
 * value. */
static bool jansson_takes(struct span text)
{
    json_t *value;
    bool takes;

    if (memchr(text.data, '\0', text.size))
        return false;
    value = json_loadb(text.data, text.size, JSON_ALLOW_NUL, NULL);
    takes = json_is_object(value) && depth_of(value) <= JTEXT_LOOSE_DEPTH_MAX;
    json_decref(value);
    return takes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sio_packet packet;
    char *text = malloc(size ? size : 1); /* exactly: its ends are watched */
    struct span whole = {text, size};

    must(text != NULL);
    if (size)
        memcpy(text, data, size);
    for (int protocol = SIO_PROTOCOL_4; protocol <= SIO_PROTOCOL_5; protocol++)
        if (!sio_read((enum sio_protocol)protocol, whole, &packet)) {
            check_promises(&packet);
            if (is_event(&packet) || is_ack(&packet)) {
                check_walk(&packet);
                check_again(&packet);
            }
        } else if (size > 1 && text[0] == '0' && text[1] == '{') {
            must(!jansson_takes((struct span){text + 1, size - 1}));
        }
    free(text);
    return 0;
}
