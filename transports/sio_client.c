/* A Socket.IO client: its sockets, one in each namespace that it is in, and
 * what its packets mean to them. */
#include "transports/sio.h"

#include "server/base/clock.h"
#include "server/event.h"
#include "server/limits.h"
#include "server/query.h"

#include <string.h>

#define SOCKETS_MAX 100 /* of one client */
#define ASKS_MAX 1000   /* replies that one socket owes */
#define REFUSED_MAX 8   /* CONNECTs in a row; then the client is closed */

struct sio_client {
    struct eio_session *session;
    const struct sio_handler *handler;
    enum sio_protocol protocol;
    struct list sockets, dead;
    unsigned socket_count;
    struct bucket bucket; /* of what it asks for, in all namespaces */
    unsigned refused;     /* CONNECTs since one was accepted */
    unsigned depth;       /* of calls in which its sockets are needed */
    bool over;            /* nothing that comes counts any more */
    bool awaited;         /* nobody is in yet: the deadline runs */
    /* For somebody to come in; from then on, for the next attachment: */
    struct wheel_node deadline;
    /* A packet whose attachments come: */
    unsigned missing, count;
    bool lent;   /* all are there, and are read */
    size_t held; /* bytes of it so far */
    struct buf text;
    struct buf attachments[SIO_ATTACHMENTS_MAX];
};

struct ask {
    struct list link;
    uint64_t id;
    sio_reply *reply;
};

static struct sio_socket *socket_at(struct list *link)
{
    return container_of(link, struct sio_socket, link);
}

/* --- sending ------------------------------------------------------------- */

static void send_message(struct sio_client *client,
                         const struct sio_message *message)
{
    eio_send_text(client->session, message->text);
    for (unsigned i = 0; i < message->count; i++)
        eio_send_binary(client->session, message->attachments[i]);
}

/* Frees the text. */
static void send_packet(struct sio_client *client, struct buf *text,
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
    send_packet(socket->client, &text, attachments, count);
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
    send_packet(socket->client, &text, attachments, count);
}

/* --- sockets ------------------------------------------------------------- */

static void socket_free(struct sio_socket *socket)
{
    list_each_safe (link, &socket->asks)
        mem_free(container_of(link, struct ask, link));
    mem_free(socket->space);
    mem_free(socket);
}

static void bury(struct sio_client *client)
{
    if (client->depth)
        return;
    list_each_safe (link, &client->dead)
        socket_free(socket_at(link));
    list_init(&client->dead);
}

static void remove_socket(struct sio_socket *socket)
{
    struct sio_client *client = socket->client;

    socket->connected = false;
    socket->gone = true;
    list_remove(&socket->link);
    list_append(&client->dead, &socket->link);
    client->socket_count--;
}

static void end_socket(struct sio_socket *socket, enum sio_end how)
{
    struct sio_client *client = socket->client;

    remove_socket(socket);
    client->depth++;
    client->handler->on_disconnect(socket, how);
    client->depth--;
    bury(client);
}

static void end_sockets(struct sio_client *client, enum sio_end how)
{
    while (!list_empty(&client->sockets))
        end_socket(socket_at(client->sockets.next), how);
}

static void forget_parts(struct sio_client *client)
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

/* The peer broke the rules, or is to go: what it was sent still leaves. */
static void close_client(struct sio_client *client, enum sio_end how)
{
    if (client->over)
        return;
    client->over = true;
    eio_close(client->session);
    end_sockets(client, how);
    if (!client->lent)
        forget_parts(client);
}

static struct sio_socket *socket_create(struct sio_client *client,
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

static struct sio_socket *socket_in(const struct sio_client *client,
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

static uint32_t spend(struct sio_client *client)
{
    return bucket_spend(&client->bucket,
                        eio_worker(client->session)->config->connection_rate,
                        clock_mono_us());
}

uint32_t sio_spend(struct sio_socket *socket)
{
    return spend(socket->client);
}

/* --- coming and going ----------------------------------------------------- */

static void send_refusal(struct sio_client *client, struct span space,
                         struct span message, struct span data)
{
    struct buf text;

    buf_init(&text, SIZE_MAX / 2);
    sio_write_head(&text, SIO_CONNECT_ERROR, 0, space, NULL);
    if (client->protocol == SIO_PROTOCOL_4) { /* any value says it */
        if (data.size)
            buf_append_span(&text, data);
        else
            json_quote(&text, message);
    } else {
        buf_append_text(&text, "{\"message\":");
        json_quote(&text, message);
        if (data.size) {
            buf_append_text(&text, ",\"data\":");
            buf_append_span(&text, data);
        }
        buf_append_text(&text, "}");
    }
    send_packet(client, &text, NULL, 0);
}

/* Every refusal is queued, and asking for one costs next to nothing. */
static void count_refusal(struct sio_client *client)
{
    if (++client->refused >= REFUSED_MAX)
        close_client(client, SIO_LOST);
}

void sio_refuse(struct sio_socket *socket, struct span message,
                struct span data)
{
    struct sio_client *client = socket->client;

    send_refusal(client, span_of(socket->space), message, data);
    remove_socket(socket);
    count_refusal(client);
    bury(client);
}

void sio_accept(struct sio_socket *socket, const char *pid)
{
    struct sio_client *client = socket->client;
    struct buf text;

    if (client->awaited)
        wheel_disarm(&client->deadline);
    client->awaited = false;
    client->refused = 0;
    socket->connected = true;
    buf_init(&text, SIZE_MAX / 2);
    sio_write_head(&text, SIO_CONNECT, 0, span_of(socket->space), NULL);
    if (client->protocol == SIO_PROTOCOL_5) {
        buf_printf(&text, "{\"sid\":\"%s\"", socket->id);
        if (pid) {
            buf_append_text(&text, ",\"pid\":");
            json_quote(&text, span_of(pid));
        }
        buf_append_text(&text, "}");
    }
    send_packet(client, &text, NULL, 0);
}

static void send_disconnect(struct sio_socket *socket)
{
    struct buf text;

    buf_init(&text, SIZE_MAX / 2);
    sio_write_head(&text, SIO_DISCONNECT, 0, span_of(socket->space), NULL);
    send_packet(socket->client, &text, NULL, 0);
}

void sio_disconnect(struct sio_socket *socket)
{
    if (socket->gone)
        return;
    send_disconnect(socket);
    end_socket(socket, SIO_DISMISSED);
}

void sio_kick(struct sio_socket *socket)
{
    struct sio_client *client = socket->client;

    if (socket->gone)
        return;
    list_each (link, &client->sockets)
        if (socket_at(link)->connected)
            send_disconnect(socket_at(link));
    close_client(client, SIO_DISMISSED);
}

/* The query of a protocol 4 namespace, as the object that protocol 5 has. */
static bool write_auth(struct buf *out, struct span query)
{
    char text[SIO_NAMESPACE_MAX + 1];
    struct query pairs;
    struct failure why;
    const char *comma = "";

    if (query.size)
        memcpy(text, query.data, query.size);
    if (query_parse(&pairs, text, query.size, &why))
        return false;
    buf_append_text(out, "{");
    for (const char *at = pairs.pairs; at < pairs.pairs + pairs.size;) {
        const char *value = at + strlen(at) + 1;

        buf_append_text(out, comma);
        json_quote(out, span_of(at));
        buf_append_text(out, ":");
        json_quote(out, span_of(value));
        comma = ",";
        at = value + strlen(value) + 1;
    }
    buf_append_text(out, "}");
    return !buf_status(out);
}

static void connect_4(struct sio_client *client, struct sio_socket *socket,
                      struct span query)
{
    struct buf auth;

    buf_init(&auth, 64u << 10);
    if (write_auth(&auth, query))
        client->handler->on_connect(socket,
                                    (struct span){auth.data, auth.size});
    else
        close_client(client, SIO_LOST);
    buf_fini(&auth);
}

static void connect_to(struct sio_client *client,
                       const struct sio_packet *packet)
{
    struct sio_socket *socket;

    if (spend(client)) {
        close_client(client, SIO_LOST);
        return;
    }
    if (!client->handler->has(packet->space)) {
        send_refusal(client, packet->space, SPAN("Invalid namespace"),
                     client->protocol == SIO_PROTOCOL_4
                         ? SPAN("{\"message\":\"Invalid namespace\"}")
                         : (struct span){0});
        count_refusal(client);
        return;
    }
    socket = client->socket_count < SOCKETS_MAX
                 ? socket_create(client, packet->space)
                 : NULL;
    if (!socket)
        close_client(client, SIO_LOST);
    else if (client->protocol == SIO_PROTOCOL_4)
        connect_4(client, socket, packet->query);
    else
        client->handler->on_connect(socket, packet->data.data ? packet->data
                                                              : SPAN("{}"));
}

/* --- what comes ----------------------------------------------------------- */

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
    struct sio_socket *socket = socket_in(client, packet->space);

    if (!socket && packet->type == SIO_CONNECT)
        connect_to(client, packet);
    else if (!socket || !socket->connected || packet->type == SIO_CONNECT ||
             packet->type == SIO_CONNECT_ERROR)
        close_client(client, SIO_LOST);
    else if (packet->type == SIO_DISCONNECT)
        end_socket(socket, SIO_LEFT);
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
    const struct sio_socket *socket = socket_in(client, packet->space);

    client->missing = packet->attachments;
    if (!socket || !socket->connected || !keep(client, &client->text, text))
        close_client(client, SIO_LOST);
}

static void hear_text(struct sio_client *client, struct span text)
{
    struct sio_packet packet;

    if (client->missing || sio_read(client->protocol, text, &packet))
        close_client(client, SIO_LOST);
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
        close_client(client, SIO_LOST); /* no memory for its check */
    else
        obey(client, &packet);
    client->lent = false;
    forget_parts(client);
}

static void hear_attachment(struct sio_client *client, struct span bytes)
{
    struct buf *attachment = &client->attachments[client->count];

    if (!client->missing) {
        close_client(client, SIO_LOST);
        return;
    }
    buf_init(attachment, SIZE_MAX / 2); /* keep() bounds it */
    client->count++;
    if (!keep(client, attachment, bytes))
        close_client(client, SIO_LOST);
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
    bury(client);
}

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
    bury(client);
}

/* --- its life ------------------------------------------------------------- */

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
        close_client(client, SIO_LOST); /* an attachment is missing */
}

/* Protocol 4: everybody is in "/" to begin with. */
static void enter_root(struct sio_client *client)
{
    const struct sio_packet packet = {.type = SIO_CONNECT, .space = SPAN("/")};

    client->depth++;
    connect_to(client, &packet);
    client->depth--;
    bury(client);
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
    forget_parts(client);
    mem_free(client);
}
