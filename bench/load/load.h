/* A load generator that is not the bottleneck: one thread, one epoll, sockets
 * and nothing else. It speaks the client's side of WebSocket, SSE, long poll
 * and short poll to several servers, and checks every message it is handed.
 *
 * Units    times are microseconds of the monotonic clock, sizes bytes.
 * Errors   anything that a server does wrong ends the run: die().
 * Threads  one.
 * Memory   connections live until the end of the run.
 */
#ifndef RUNG_BENCH_LOAD_H
#define RUNG_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wire { WIRE_WS, WIRE_SSE, WIRE_LONGPOLL, WIRE_POLL, WIRE_POST };

/* fanout: everyone follows one channel. rooms: conversations with members of
 * their own. idle: connect and stay. resume: rooms; come back with cursors. */
enum shape { SHAPE_FANOUT, SHAPE_ROOMS, SHAPE_IDLE, SHAPE_RESUME };

struct plan {
    const char *server, *via, *shape_name; /* as given */
    const struct dialect *dialect;
    enum wire wire;
    enum shape shape;
    int port;
    unsigned rooms, members; /* of each room */
    unsigned publishers;     /* connections that only publish */
    unsigned window;         /* messages in flight; saturation */
    unsigned behind;         /* resume: messages that a client has missed */
    unsigned sources;        /* 127.0.0.1 … 127.0.0.N */
    double rate;             /* messages a second; 0: as many as it takes */
    double seconds, warm_s;
    unsigned size;        /* of a payload */
    unsigned interval_ms; /* between two short polls */
    const char *secret;   /* of the app "bench" */
    const char *pids;     /* of the server: CPU and memory */
};
extern struct plan plan;

enum stage {
    STAGE_CLOSED,
    STAGE_CONNECTING,
    STAGE_HEAD,     /* WebSocket, SSE: the response head is to come */
    STAGE_GREETING, /* the protocol's own hello is to come */
    STAGE_OPEN,
};

/* One connection. */
struct conn {
    int fd;
    uint8_t wire;
    uint8_t stage;
    bool publisher; /* follows nothing */
    bool busy;      /* polls and posts: a request is out */
    bool writing;   /* EPOLLOUT is asked for */
    bool raw_body;  /* a stream without chunks */
    bool text;      /* the frame under way is one of text */
    uint8_t step;   /* the dialect's: where its greeting stands */
    uint8_t side;   /* which member of its room */
    uint32_t index; /* among the followers, or among the publishers */
    uint32_t room;
    uint64_t left; /* of the frame or chunk under way */
    char *kept;    /* what is not understood yet; owned */
    uint32_t kept_size, kept_room;
    char *out; /* what the socket did not take; owned */
    uint32_t out_size, out_sent;
    uint32_t next[2];  /* the check's: fan-out uses the first */
    char *token;       /* Rung: the bearer; owned */
    char *sid;         /* Engine.IO: the session; owned */
    char cursor[96];   /* polls: where to go on */
    uint64_t asked_us; /* polls: when to ask, or when it was asked */
    struct conn *later;
};

extern struct conn *followers, *posters;
extern unsigned follower_count, poster_count, opened;
extern uint64_t rx_bytes, tx_bytes, requests;

_Noreturn void die(const char *format, ...)
    __attribute__((format(printf, 1, 2)));
uint64_t now_us(void);

/* --- loop.c: sockets -------------------------------------------------------
 */

void loop_init(void);
void conn_dial(struct conn *conn);
void conn_send(struct conn *conn, const char *data, size_t size);
void conn_drop(struct conn *conn);
/* Serve what happens until `until_us`, or until stop() says so. */
void loop_run(uint64_t until_us, bool (*stop)(void));
/* Called each turn: publish what is due; says when the next will be, or 0. */
extern uint64_t (*loop_tick)(uint64_t now);
/* The wire's: connected; there are `size` bytes, of which it says how many it
 * has understood. The rest comes again with what follows it. */
void wire_connected(struct conn *conn);
size_t wire_read(struct conn *conn, char *data, size_t size);
void wire_ask(struct conn *conn); /* polls: the next request */
/* Polls that are due; when the next will be, or 0. */
uint64_t wire_tick(uint64_t now);
void wire_opened(struct conn *conn);

/* --- publishing ------------------------------------------------------------
 */

/* One message of `room` by its member `side`, made at `made_us`. */
void publish(unsigned room, unsigned side, uint64_t made_us);
/* The same by POST on a connection that has nothing else to do; `by` may be
 * NULL. `number` is a room, or what the dialect wants to say by itself. */
void post(struct conn *by, unsigned number, const char *payload, size_t size);
void poster_free(struct conn *conn);
void ws_frame(struct conn *conn, unsigned opcode, const char *data,
              size_t size);

/* --- check.c: what was handed over -----------------------------------------
 */

#define PAYLOAD_MIN 32
#define PAYLOAD_MARK '~'
#define PAYLOAD_END '|'

extern uint64_t published, completed, deliveries, slowest_us;
extern uint64_t lost, twice, reordered;

void check_init(void);
/* A payload of the next message of a room; returns its size. */
size_t check_make(char *out, unsigned room, unsigned side, uint64_t made_us);
/* Count the payloads in `data`; returns how far they are whole. */
size_t check_payloads(struct conn *conn, const char *data, size_t size);
/* What the same bytes meant for another follower; see same_note. */
struct meaning {
    uint32_t from, count;
};
void check_again(struct conn *conn, const struct meaning *meaning);
extern uint64_t delivered_us; /* when the bytes at hand came in */
extern void (*on_completed)(unsigned room, unsigned side);
void check_measure(bool on);
uint64_t check_latency(double part);
uint64_t check_latency_count(void);
/* Has it got all there is? */
bool check_level(const struct conn *conn);

/* --- dialects: what each server wants to hear -------------------------------
 */

struct dialect {
    const char *name;
    /* Before anyone connects. */
    void (*prepare)(void);
    /* The request that opens a WebSocket or stream, or the next poll. */
    size_t (*follow)(struct conn *conn, char *out, size_t room);
    /* A WebSocket message, of a long one its beginning: true when it was the
     * protocol's own. May be NULL. */
    bool (*own)(struct conn *conn, const char *data, size_t size);
    /* STAGE_GREETING first, until the dialect calls wire_opened(). */
    bool greets, greets_polls;
    /* A poll's answer, to find where to go on. */
    void (*answered)(struct conn *conn, const char *head, size_t head_size,
                     const char *body, size_t body_size);
    /* A frame that publishes; NULL: never by WebSocket. */
    size_t (*frame)(const struct conn *conn, char *out, size_t room,
                    unsigned number, const char *payload, size_t size);
    /* A request that publishes; `by` is the member who does. */
    size_t (*request)(struct conn *by, char *out, size_t room, unsigned number,
                      const char *payload, size_t size);
    /* The fan-out's publishers send by POST even to WebSocket followers. */
    bool posts;
};

extern const struct dialect rung_dialect, rung_socketio_dialect, nchan_dialect,
    socketio_dialect, ws_dialect, ceiling_dialect;

/* For who speaks Socket.IO with something else behind it (dialect_socketio.c).
 */
size_t socketio_follow(struct conn *conn, char *out, size_t room);
void socketio_answered(struct conn *conn, const char *head, size_t head_size,
                       const char *body, size_t body_size);
/* Instead of a room: the payload is a packet of the protocol's own. */
#define SOCKETIO_SAYS UINT32_MAX
/* One Engine.IO packet; `auth` is what CONNECT brings, JSON or "". */
bool socketio_take(struct conn *conn, const char *data, size_t size,
                   const char *auth);
/* A packet to send by POST. */
size_t socketio_post(const struct conn *by, char *out, size_t room,
                     const char *packet, size_t size);

/* --- token.c, report.c -------------------------------------------------------
 */

char *token_mint(const char *user, const char *secret); /* owned */

struct usage {
    double cpu_s, own_cpu_s;
    uint64_t at_us;
    uint64_t deliveries, messages, rx, tx, requests;
};
void usage_take(struct usage *usage);
/* Private anonymous and shared memory of the server's processes, and Pss. */
uint64_t server_memory(uint64_t *pss);
void report(const struct usage *from, const struct usage *to);

#endif
