/* What the files of transports/eio.h share; others see that.
 *
 * An exchange is a GET or POST of a session, from its head to its answer. Its
 * request is `home`, where it was read; its session may be on another worker:
 * then it is an errand, there and back. `home` counts it as a call in flight,
 * so nobody falls quiet while one is away.
 */
#ifndef RUNG_EIO_INSIDE_H
#define RUNG_EIO_INSIDE_H

#include "server/base/list.h"
#include "server/query.h"
#include "transports/eio.h"
#include "transports/request.h"
#include "transports/ws_host.h"

#include <uthash.h>

#define EIO_SID_CHARS 22 /* two of them name the worker */
#define EIO_INDEX_MAX 20 /* of JSONP's `j` */

/* The protocol's error codes, and what they say. */
enum eio_error {
    EIO_UNKNOWN_TRANSPORT,
    EIO_UNKNOWN_SID,
    EIO_BAD_HANDSHAKE_METHOD,
    EIO_BAD_REQUEST,
    EIO_FORBIDDEN,
    EIO_UNSUPPORTED_VERSION,
};

/* --- what is asked for: eio_door.c ---------------------------------------- */

struct eio_ask {
    const struct eio_server *server;
    enum eio_protocol protocol;
    bool websocket;    /* the transport; else polling */
    bool get, post;    /* the method, unless another */
    bool octets, form; /* the body's type */
    bool base64;       /* no binary answers */
    bool jsonp;
    char index[EIO_INDEX_MAX + 1]; /* `j`, for JSONP */
    char sid[EIO_SID_CHARS + 1]; /* "": a handshake; one that cannot be: "?" */
    struct buf params; /* the query of a protocol 3 handshake, decoded */
};

struct eio_host {
    struct worker *worker;
    struct eio_session *sessions; /* uthash, by sid */
    size_t count;                 /* of them */
    struct list dirty;            /* with something to send, or to be freed */
    struct list leaving;          /* POSTs that wait: eio_poll.c */
    struct buf scratch;           /* of one packet that is read */
    struct buf text;              /* of one answer, or frame */
    bool draining;
};

/* What it owns is freed. */
static inline void eio_ask_fini(struct eio_ask *ask)
{
    buf_fini(&ask->params);
}

/* Whose session it is, or will be. */
struct worker *eio_owner(struct worker *here, const struct eio_ask *ask);
/* {"code":…,"message":…} */
void eio_error_write(struct buf *out, enum eio_error error);
int eio_error_status(enum eio_error error);

/* --- exchanges: eio_carry.c ------------------------------------------------
 */

struct eio_exchange {
    struct errand expecting, asking, forgetting;
    struct worker *home, *there;
    unsigned away;           /* errands that are not back */
    struct request *request; /* home's; NULL: its peer has left */
    bool routing;            /* home: inside route(), so not parked yet */
    bool ended;              /* home: answered, or given up */

    struct eio_ask ask;
    struct guest *guest; /* of a handshake: its session's, until there is one */
    struct span body;    /* borrowed, or … */
    struct buf copy;     /* … of it */

    /* there: */
    struct eio_session *session; /* that it waits for or posts to, or NULL */
    bool refused;                /* it came while another was under way */
    bool asked, answered;
    struct list leaving;        /* it closed its session, whose poll … */
    struct wheel_node patience; /* … may be about to come */

    int status;
    const char *type;
    struct buf answer;
};

/* There: its answer, which is copied, goes home. Once. */
void eio_answer(struct eio_exchange *exchange, int status, const char *type,
                struct span body);
void eio_refuse(struct eio_exchange *exchange, enum eio_error error);

/* --- sessions: eio_session.c -----------------------------------------------
 */

enum eio_state { EIO_LIVE, EIO_CLOSING, EIO_CLOSED };

struct eio_waiting {
    struct shared *bytes;
    bool binary; /* else its first byte is the type's digit */
};

struct eio_session {
    struct eio_host *host;
    const struct eio_server *server;
    struct eio_options options;
    enum eio_protocol protocol;
    enum eio_state state;
    void *owner;

    bool over_ws, upgraded;
    bool upgrading;            /* the probe was answered: packets wait */
    bool wants_room;           /* room() is asked for */
    bool octets;               /* polling: binary answers are understood */
    struct eio_exchange *poll; /* the GET that waits for packets, or NULL */
    struct eio_exchange *post; /* the POST whose body comes, or NULL */
    struct eio_peer *peer;     /* when over WebSocket */
    struct eio_peer *probe;    /* while it tries to upgrade */

    struct eio_waiting *queue; /* a ring */
    size_t first, count, room;
    size_t waiting; /* bytes of memory that they hold */

    struct wheel_node beat; /* its next ping or the end of its time */
    bool pinged, refreshed; /* … not answered yet; … but it said something */
    uint64_t expires_ms;    /* 0: not waited for */
    uint64_t ping_ms;       /* when the next ping is due */
    bool held;              /* not to be read */
    bool broken;            /* to be ended by the turn */
    struct buf params;      /* eio_param()'s */
    struct guest *guest;    /* who began it by a request */
    struct list dirty;
    UT_hash_handle hh;
    char sid[EIO_SID_CHARS + 1];
};

/* Takes what `ask` owns. NULL when there are too many, or no memory. */
struct eio_session *eio_session_create(struct eio_host *host,
                                       struct eio_ask *ask);
/* The one that is alive, or NULL. */
struct eio_session *eio_session_find(struct eio_host *host, const char *sid);
/* Say what it is, and tell its server. */
bool eio_session_open(struct eio_session *session);
/* What its peer says. */
void eio_session_hear(struct eio_session *session,
                      const struct eio_packet *packet);
/* Over: whoever waits is told, as the protocol has it. */
void eio_session_end(struct eio_session *session, enum eio_type poll_says);
void eio_session_free(struct eio_session *session);
void eio_session_dirty(struct eio_session *session);

/* --- its packets: eio_queue.c ----------------------------------------------
 */

/* Takes the reference; NULL: no memory, which ends it. */
void eio_queue(struct eio_session *session, struct shared *given, bool binary);
/* One of few bytes, which is composed. */
void eio_queue_type(struct eio_session *session, enum eio_type type,
                    struct span data);
/* What can leave leaves. */
void eio_flush(struct eio_session *session);
void eio_queue_free(struct eio_session *session);

/* --- polls and posts: eio_poll.c -------------------------------------------
 */

/* There: do what it asks for. */
void eio_take(struct eio_host *host, struct eio_exchange *exchange);
/* There: its body is to come. */
void eio_take_expected(struct eio_host *host, struct eio_exchange *exchange);
/* There: its peer has left. */
void eio_take_left(struct eio_exchange *exchange);
/* The waiting poll gets what waits, or learns that nothing more will. */
void eio_poll_flush(struct eio_session *session);
/* … or just that. */
void eio_poll_release(struct eio_session *session, enum eio_type type);
/* … whatever session it was of. False: no memory; it is refused. */
bool eio_poll_tell(struct eio_host *host, struct eio_exchange *poll,
                   enum eio_type type);
/* There: nobody waits any more for the poll of a session that was closed. */
void eio_leave_all(struct eio_host *host);
void eio_exchange_init(struct eio_exchange *exchange);

/* --- WebSocket: eio_ws.c ---------------------------------------------------
 */

struct eio_peer {
    struct ws_peer ws;
    struct eio_session *session; /* NULL: none (any more) */
    struct eio_ask ask;
    bool probing;
};

void eio_ws_flush(struct eio_session *session);
/* Let go of it: it closes. */
void eio_ws_leave(struct eio_peer *peer, uint16_t code);
extern const struct ws_handler eio_ws_handler;
/* Whether a handshake may go on; else it is answered. */
bool eio_ws_may(struct eio_host *host, const struct eio_ask *ask,
                enum eio_error *why);

/* eio_door.c: who speaks at this path; NULL: nobody. */
const struct eio_server *eio_server_at(const struct config *config,
                                       struct span path);
/* What a request asks for. False: its transport is unknown. */
bool eio_ask_read(struct eio_ask *out, const struct eio_server *server,
                  const struct head *head, const struct query *query);

#endif
