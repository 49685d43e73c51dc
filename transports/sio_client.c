/* A Socket.IO client: its sockets, one in each namespace that it is in, and
 * what is sent to them. */
#include "transports/sio_inside.h"

#include "server/base/clock.h"

#include <string.h>

#define ASKS_MAX 1000 /* replies that one socket owes */

/* --- sending ------------------------------------------------------------- */

static void send_message(struct sio_client *client,
                         const struct sio_message *message)
{
    eio_send_text(client->session, message->text);
    for (unsigned i = 0; i < message->count; i++)
        eio_send_binary(client->session, message->attachments[i]);
}

/* Frees the text. */
void sio_send(struct sio_client *client, struct buf *text,
              const struct span *attachments, unsigned count)
{
    struct sio_message message;

    if (!sio_message_packet(&message, text, attachments, count)) {
        eio_break(client->session);
        return;
    }
    send_message(client, &message);
    sio_message_fini(&message);
}

void sio_emit(struct sio_socket *socket, const struct sio_message *message)
{
    if (socket->connected)
        send_message(socket->client, message);
}

void sio_ack(struct sio_socket *socket, uint64_t id, struct span args,
             const struct span *attachments, unsigned count)
{
    struct buf text;

    if (!socket->connected)
        return;
    buf_init(&text, SIZE_MAX / 2);
    sio_write_ack(&text, count, span_of(socket->space), id, args);
    sio_send(socket->client, &text, attachments, count);
}

void sio_ask(struct sio_socket *socket, struct span name, struct span args,
             const struct span *attachments, unsigned count, sio_reply *reply)
{
    struct ask *ask = socket->connected && socket->ask_count < ASKS_MAX
                          ? mem_alloc(sizeof(*ask))
                          : NULL;
    struct buf text;

    if (!ask)
        return;
    ask->id = socket->asked++;
    ask->reply = reply;
    list_append(&socket->asks, &ask->link);
    socket->ask_count++;
    buf_init(&text, SIZE_MAX / 2);
    sio_write_event(&text, count, span_of(socket->space), &ask->id, name, args);
    sio_send(socket->client, &text, attachments, count);
}

/* --- sockets ------------------------------------------------------------- */

static void socket_free(struct sio_socket *socket)
{
    list_each_safe (link, &socket->asks)
        mem_free(container_of(link, struct ask, link));
    mem_free(socket->space);
    mem_free(socket);
}

void sio_bury(struct sio_client *client)
{
    if (client->depth)
        return;
    list_each_safe (link, &client->dead)
        socket_free(socket_at(link));
    list_init(&client->dead);
}

void sio_remove_socket(struct sio_socket *socket)
{
    struct sio_client *client = socket->client;

    socket->connected = false;
    socket->gone = true;
    list_remove(&socket->link);
    list_append(&client->dead, &socket->link);
    client->socket_count--;
}

void sio_end_socket(struct sio_socket *socket, enum sio_end how)
{
    struct sio_client *client = socket->client;

    sio_remove_socket(socket);
    client->depth++;
    client->handler->on_disconnect(socket, how);
    client->depth--;
    sio_bury(client);
}

static void end_sockets(struct sio_client *client, enum sio_end how)
{
    while (!list_empty(&client->sockets))
        sio_end_socket(socket_at(client->sockets.next), how);
}

/* The peer broke the rules, or is to go: what it was sent still leaves. */
void sio_close(struct sio_client *client, enum sio_end how)
{
    if (client->over)
        return;
    client->over = true;
    eio_close(client->session);
    end_sockets(client, how);
    if (!client->lent)
        sio_forget_parts(client);
}

struct sio_socket *sio_socket_create(struct sio_client *client,
                                     struct span space)
{
    static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ_-";
    struct sio_socket *socket = mem_zalloc(sizeof(*socket));
    unsigned char bytes[SIO_ID_CHARS];

    if (socket)
        socket->space = mem_strndup(space.data, space.size);
    if (!socket || !socket->space) {
        mem_free(socket);
        return NULL;
    }
    random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < SIO_ID_CHARS; i++)
        socket->id[i] = letters[bytes[i] % 64];
    socket->client = client;
    list_init(&socket->asks);
    list_init(&socket->rooms);
    list_init(&socket->member);
    list_append(&client->sockets, &socket->link);
    client->socket_count++;
    return socket;
}

struct sio_socket *sio_socket_in(const struct sio_client *client,
                                 struct span space)
{
    list_each (link, &client->sockets)
        if (span_is(space, socket_at(link)->space))
            return socket_at(link);
    return NULL;
}

struct eio_session *sio_session(const struct sio_socket *socket)
{
    return socket->client->session;
}

struct worker *sio_worker(const struct sio_socket *socket)
{
    return eio_worker(socket->client->session);
}

uint32_t sio_client_spend(struct sio_client *client)
{
    return bucket_spend(&client->bucket,
                        eio_worker(client->session)->config->connection_rate,
                        clock_mono_us());
}

uint32_t sio_spend(struct sio_socket *socket)
{
    return sio_client_spend(socket->client);
}

/* --- its life ------------------------------------------------------------- */

void sio_room(void *owner)
{
    struct sio_client *client = owner;

    if (client->over || !client->handler->on_room)
        return;
    client->depth++;
    list_each_safe (link, &client->sockets)
        if (socket_at(link)->connected)
            client->handler->on_room(socket_at(link));
    client->depth--;
    sio_bury(client);
}

/* Who never came in is owed nothing, not even what it was refused with. */
static void nobody_came(struct sio_client *client)
{
    client->over = true;
    eio_break(client->session);
    end_sockets(client, SIO_LOST);
}

static void late(struct wheel_node *node)
{
    struct sio_client *client = container_of(node, struct sio_client, deadline);

    if (client->awaited)
        nobody_came(client);
    else
        sio_close(client, SIO_LOST); /* an attachment is missing */
}

/* Protocol 4: everybody is in "/" to begin with. */
static void enter_root(struct sio_client *client)
{
    const struct sio_packet packet = {.type = SIO_CONNECT, .space = SPAN("/")};

    client->depth++;
    sio_connect(client, &packet);
    client->depth--;
    sio_bury(client);
}

void *sio_open(struct eio_session *session, const struct sio_handler *handler)
{
    struct worker *worker = eio_worker(session);
    struct sio_client *client = mem_zalloc(sizeof(*client));

    if (!client)
        return NULL;
    client->session = session;
    client->handler = handler;
    client->protocol = eio_protocol(session) == EIO_PROTOCOL_4 ? SIO_PROTOCOL_5
                                                               : SIO_PROTOCOL_4;
    list_init(&client->sockets);
    list_init(&client->dead);
    buf_init(&client->text, SIZE_MAX / 2); /* keep() bounds it */
    wheel_node_init(&client->deadline, late);
    client->awaited = true;
    wheel_arm(&worker->wheel, &client->deadline,
              clock_mono_ms() + handler->connect_timeout_ms(worker->config));
    if (client->protocol == SIO_PROTOCOL_4)
        enter_root(client);
    return client;
}

void sio_closed(void *owner)
{
    struct sio_client *client = owner;

    client->over = true;
    wheel_disarm(&client->deadline);
    end_sockets(client, SIO_LOST);
    sio_forget_parts(client);
    mem_free(client);
}
