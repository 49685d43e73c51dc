/* What the packets of a Socket.IO client mean to its sockets. */
#include "transports/sio_inside.h"

#include "server/base/clock.h"

void sio_forget_parts(struct sio_client *client)
{
    buf_fini(&client->text);
    buf_init(&client->text, SIZE_MAX / 2);
    while (client->count)
        buf_fini(&client->attachments[--client->count]);
    client->missing = 0;
    client->held = 0;
    if (!client->awaited)
        wheel_disarm(&client->deadline);
}

/* An id that nobody waits for is no fault. */
static void hear_reply(struct sio_socket *socket, const struct sio_event *reply)
{
    list_each_safe (link, &socket->asks) {
        struct ask *ask = container_of(link, struct ask, link);

        if (ask->id != reply->id)
            continue;
        list_remove(link);
        socket->ask_count--;
        ask->reply(socket, reply);
        mem_free(ask);
        return;
    }
}

static void hear_said(struct sio_client *client, struct sio_socket *socket,
                      const struct sio_packet *packet)
{
    struct span attachments[SIO_ATTACHMENTS_MAX];
    struct sio_event event = {
        .name = packet->name,
        .args = packet->args,
        .attachments = attachments,
        .attachment_count = packet->attachments,
        .wants_ack = packet->has_id,
        .id = packet->id,
    };

    for (unsigned i = 0; i < packet->attachments; i++)
        attachments[i] = (struct span){client->attachments[i].data,
                                       client->attachments[i].size};
    if (packet->type == SIO_EVENT || packet->type == SIO_BINARY_EVENT)
        client->handler->on_event(socket, &event);
    else if (packet->has_id)
        hear_reply(socket, &event);
}

static void obey(struct sio_client *client, const struct sio_packet *packet)
{
    struct sio_socket *socket = sio_socket_in(client, packet->space);

    if (!socket && packet->type == SIO_CONNECT)
        sio_connect(client, packet);
    else if (!socket || !socket->connected || packet->type == SIO_CONNECT ||
             packet->type == SIO_CONNECT_ERROR)
        sio_close(client, SIO_LOST);
    else if (packet->type == SIO_DISCONNECT)
        sio_end_socket(socket, SIO_LEFT);
    else
        hear_said(client, socket, packet);
}

/* False: too much of it, or no memory. */
static bool keep(struct sio_client *client, struct buf *out, struct span bytes)
{
    struct worker *worker = eio_worker(client->session);

    if (bytes.size > eio_max_payload(client->session) - client->held)
        return false;
    client->held += bytes.size;
    wheel_arm(&worker->wheel, &client->deadline,
              clock_mono_ms() + worker->config->body_timeout_ms);
    buf_append_span(out, bytes);
    return !buf_status(out);
}

/* Whose packet it is must be in before anything of it is kept. */
static void begin_parts(struct sio_client *client, struct span text,
                        const struct sio_packet *packet)
{
    const struct sio_socket *socket = sio_socket_in(client, packet->space);

    client->missing = packet->attachments;
    if (!socket || !socket->connected || !keep(client, &client->text, text))
        sio_close(client, SIO_LOST);
}

static void hear_text(struct sio_client *client, struct span text)
{
    struct sio_packet packet;

    if (client->missing || sio_read(client->protocol, text, &packet))
        sio_close(client, SIO_LOST);
    else if (packet.attachments)
        begin_parts(client, text, &packet);
    else
        obey(client, &packet);
}

static void obey_parts(struct sio_client *client)
{
    const struct span text = {client->text.data, client->text.size};
    struct sio_packet packet;

    client->lent = true;
    if (sio_read(client->protocol, text, &packet))
        sio_close(client, SIO_LOST); /* no memory for its check */
    else
        obey(client, &packet);
    client->lent = false;
    sio_forget_parts(client);
}

static void hear_attachment(struct sio_client *client, struct span bytes)
{
    struct buf *attachment = &client->attachments[client->count];

    if (!client->missing) {
        sio_close(client, SIO_LOST);
        return;
    }
    buf_init(attachment, SIZE_MAX / 2); /* keep() bounds it */
    client->count++;
    if (!keep(client, attachment, bytes))
        sio_close(client, SIO_LOST);
    else if (!--client->missing)
        obey_parts(client);
}

void sio_hear(void *owner, const struct eio_packet *packet)
{
    struct sio_client *client = owner;

    if (client->over)
        return;
    client->depth++;
    if (packet->binary)
        hear_attachment(client, packet->data);
    else
        hear_text(client, packet->data);
    client->depth--;
    sio_bury(client);
}
