/* What the http host's files share among themselves; others see http_host.h.
 *
 *     http_host.c        houses and the host
 *     http_connection.c  a connection
 *     http_request.c     a request's way
 *     http_reply.c       its answer
 *
 * Threads  the worker's loop: the library runs only in http_host_turn(),
 *          http_host_adopt() and http_host_destroy(), and calls back there.
 * Memory   a host owns its houses, each of which owns its daemon and is freed
 *          by the loop once its handle has closed. A connection and a request
 *          are made when the library tells of their beginning and freed when it
 *          tells of their end; between, the library keeps them as its context.
 *          One that could not be made, for lack of memory, is NULL there.
 *          Pointers upwards are borrowed.
 */
#ifndef RUNG_HTTP_INSIDE_H
#define RUNG_HTTP_INSIDE_H

#include "server/base/poller.h"
#include "server/limits.h"
#include "transports/http_host.h"
#include "transports/request_inside.h"

#include <microhttpd.h>

#define DAEMON_CONNECTIONS 100

/* --- houses and the host: http_host.c ----------------------------------- */

/* One libmicrohttpd daemon. */
struct house {
    struct http_host *host;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    struct list link;  /* its group's `roomy`, or nowhere when full */
    struct list dirty; /* host->dirty, or nowhere */
    struct group *group;
    struct house *next;     /* its group's `all` */
    unsigned connections;   /* counted, as `link` is, by http_connection.c */
    unsigned fruitless;     /* turns in a row */
    struct wheel_node rest; /* of a house that is busy with nothing */
};

/* The houses with pools of one size. */
struct group {
    size_t pool;
    struct house *all;
    struct list roomy;
};

struct http_host {
    struct worker *worker;
    struct group small, large;
    struct list dirty;
    struct list connections; /* all: visited only when draining */
    bool draining;
    bool closing;           /* being destroyed */
    bool arrived;           /* one came, during MHD_add_connection() */
    struct guest *arriving; /* and before, apart from its descriptor */
};

/* It has work for the library: http_host_turn() will let it run. */
void house_mark_dirty(struct house *house);
/* The library has come to something. */
void house_stirs(struct house *house);

/* --- connections: http_connection.c ------------------------------------- */

/* One TCP connection. */
struct connection {
    struct house *house;
    struct MHD_Connection *mhd;
    int fd;                     /* the library's, which closes it */
    struct watch watch;         /* its peer leaving */
    struct wheel_node deadline; /* of an idle peer, a head, a body */
    struct list link;           /* host->connections */
    struct bucket bucket;
    struct exchange *exchange; /* the current one, or NULL */
    bool left;                 /* the peer has said that it is done */
};

/* From now on the peer has that long; replaces what it had before. */
void connection_arm(struct connection *connection, uint64_t ms);
/* A duplicate of its fd, which is the caller's and is watched by nobody, for
 * when the library closes its own. -1 when that fails. */
int connection_duplicate(struct connection *connection);
/* Of the backend: its request waits, or leaves with the socket. */
void connection_park(struct request *request);
/* What was parked goes on, in the next turn. */
void connection_resume(struct connection *connection);
int connection_take(struct request *request);

/* The library's MHD_NotifyConnectionCallback; cls is the house. */
void connection_changed(void *cls, struct MHD_Connection *mhd, void **context,
                        enum MHD_ConnectionNotificationCode code);

/* --- requests: http_request.c ------------------------------------------- */

/* A request that the library reads, and its answer. */
struct exchange {
    struct request request;
    struct connection *connection;
    unsigned status;
    struct MHD_Response *response; /* a reference, or NULL */
    struct answer *answer;         /* instead of response; a reference */
    struct head head;
    enum err refusal; /* of its body, which is dropped */
    bool told;        /* it has been answered: nothing follows but the end */
    uint32_t wait_ms; /* it asks too often */
    struct buf body;
    size_t received; /* of the body, also what was dropped */
    size_t target_size;
    char target[]; /* raw, then decoded in place; one spare byte */
};

extern const struct backend http_backend; /* http_reply.c */

static inline struct exchange *exchange_of(struct request *request)
{
    return container_of(request, struct exchange, request);
}

/* The library's callbacks, in the order in which they come: once for the
 * request line; for the head, each piece of the body, its end, and after a
 * resume; once at the end, whatever became of the request. */
void *exchange_first_line(void *cls, const char *target,
                          struct MHD_Connection *mhd);
enum MHD_Result exchange_handle(void *cls, struct MHD_Connection *mhd,
                                const char *url, const char *method,
                                const char *version, const char *data,
                                size_t *size, void **context);
void exchange_completed(void *cls, struct MHD_Connection *mhd, void **context,
                        enum MHD_RequestTerminationCode code);

/* --- answers: http_reply.c ---------------------------------------------- */

/* Inside exchange_handle(): hand the answer to the library. MHD_NO, which
 * closes the connection, when there is none. */
enum MHD_Result exchange_queue(struct exchange *exchange);

#endif
