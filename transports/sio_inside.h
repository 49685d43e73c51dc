/* What sio_client.c, sio_connect.c and sio_hear.c share.
 *
 * Errors   memory that is short ends the client, which comes back.
 * Threads  the worker's loop.
 * Memory   a socket that has gone is kept until no call is inside of its client
 *          (`depth`), and then freed by sio_bury().
 */
#ifndef RUNG_SIO_INSIDE_H
#define RUNG_SIO_INSIDE_H

#include "server/limits.h"
#include "transports/sio.h"

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

static inline struct sio_socket *socket_at(struct list *link)
{
    return container_of(link, struct sio_socket, link);
}

/* --- sio_client.c --------------------------------------------------------- */

/* Frees the text. */
void sio_send(struct sio_client *client, struct buf *text,
              const struct span *attachments, unsigned count);
/* NULL: no memory. */
struct sio_socket *sio_socket_create(struct sio_client *client,
                                     struct span space);
/* NULL: it is not in there. */
struct sio_socket *sio_socket_in(const struct sio_client *client,
                                 struct span space);
/* It is in its namespace no more, and nobody is told. */
void sio_remove_socket(struct sio_socket *socket);
/* The same, and its handler is told. */
void sio_end_socket(struct sio_socket *socket, enum sio_end how);
/* The peer broke the rules, or is to go: what it was sent still leaves. */
void sio_close(struct sio_client *client, enum sio_end how);
void sio_bury(struct sio_client *client);
/* As sio_spend(), for its client. */
uint32_t sio_client_spend(struct sio_client *client);

/* --- sio_connect.c -------------------------------------------------------- */

/* It asks for a namespace in which it is not. */
void sio_connect(struct sio_client *client, const struct sio_packet *packet);

/* --- sio_hear.c ----------------------------------------------------------- */

/* Forget a packet whose attachments have not all come. */
void sio_forget_parts(struct sio_client *client);

#endif
