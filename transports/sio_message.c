/* A Socket.IO packet as the Engine.IO messages that it is: its text, and behind
 * it its attachments. */
#include "transports/sio.h"

#include <string.h>

static struct shared *text_of(const struct buf *text)
{
    char *room;
    struct shared *shared =
        buf_status(text) ? NULL : eio_text_create(text->size, &room);

    if (shared && text->size)
        memcpy(room, text->data, text->size);
    return shared;
}

static struct shared *attachment_of(struct span bytes)
{
    char *room;
    struct shared *shared = eio_binary_create(bytes.size, &room);

    if (shared && bytes.size)
        memcpy(room, bytes.data, bytes.size);
    return shared;
}

bool sio_message_packet(struct sio_message *out, struct buf *text,
                        const struct span *attachments, unsigned count)
{
    out->count = 0;
    out->text = text_of(text);
    buf_fini(text);
    if (!out->text)
        return false;
    while (out->count < count) {
        struct shared *bytes = attachment_of(attachments[out->count]);

        if (!bytes) {
            sio_message_fini(out);
            return false;
        }
        out->attachments[out->count++] = bytes;
    }
    return true;
}

bool sio_message_event(struct sio_message *out, struct span space,
                       struct span name, struct span args,
                       const struct span *attachments, unsigned count)
{
    struct buf text;

    buf_init(&text, SIZE_MAX / 2); /* what came bounds it */
    sio_write_event(&text, count, space, NULL, name, args);
    return sio_message_packet(out, &text, attachments, count);
}

void sio_message_fini(struct sio_message *message)
{
    shared_unref(message->text);
    while (message->count)
        shared_unref(message->attachments[--message->count]);
    message->text = NULL;
}
