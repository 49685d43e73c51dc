/* A Socket.IO client comes into its namespaces, is refused, and leaves them. */
#include "transports/sio_inside.h"

#include "server/event.h"
#include "server/query.h"

#include <string.h>

#define SOCKETS_MAX 100 /* of one client */
#define REFUSED_MAX 8   /* CONNECTs in a row; then the client is closed */

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
    sio_send(client, &text, NULL, 0);
}

/* Every refusal is queued, and asking for one costs next to nothing. */
static void count_refusal(struct sio_client *client)
{
    if (++client->refused >= REFUSED_MAX)
        sio_close(client, SIO_LOST);
}

void sio_refuse(struct sio_socket *socket, struct span message,
                struct span data)
{
    struct sio_client *client = socket->client;

    send_refusal(client, span_of(socket->space), message, data);
    sio_remove_socket(socket);
    count_refusal(client);
    sio_bury(client);
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
    sio_send(client, &text, NULL, 0);
}

static void send_disconnect(struct sio_socket *socket)
{
    struct buf text;

    buf_init(&text, SIZE_MAX / 2);
    sio_write_head(&text, SIO_DISCONNECT, 0, span_of(socket->space), NULL);
    sio_send(socket->client, &text, NULL, 0);
}

void sio_disconnect(struct sio_socket *socket)
{
    if (socket->gone)
        return;
    send_disconnect(socket);
    sio_end_socket(socket, SIO_DISMISSED);
}

void sio_kick(struct sio_socket *socket)
{
    struct sio_client *client = socket->client;

    if (socket->gone)
        return;
    list_each (link, &client->sockets)
        if (socket_at(link)->connected)
            send_disconnect(socket_at(link));
    sio_close(client, SIO_DISMISSED);
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
        sio_close(client, SIO_LOST);
    buf_fini(&auth);
}

void sio_connect(struct sio_client *client, const struct sio_packet *packet)
{
    struct sio_socket *socket;

    if (sio_client_spend(client)) {
        sio_close(client, SIO_LOST);
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
                 ? sio_socket_create(client, packet->space)
                 : NULL;
    if (!socket)
        sio_close(client, SIO_LOST);
    else if (client->protocol == SIO_PROTOCOL_4)
        connect_4(client, socket, packet->query);
    else
        client->handler->on_connect(socket, packet->data.data ? packet->data
                                                              : SPAN("{}"));
}
