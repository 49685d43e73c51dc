/* The clients of a run: devices of a few people. Each follows over one
 * transport or another, always from the cursor it has, and calls methods until
 * they are answered.
 *
 * follow.c receives, calls.c asks; both do by themselves what an honest client
 * does: come back, ask again, renew the token.
 *
 * Units    microseconds of virtual time.
 * Errors   what a client must never see fails the run (story.h).
 * Threads  one. Memory: kept until the process ends, for the checks.
 */
#ifndef RUNG_SIMULATE_PEER_H
#define RUNG_SIMULATE_PEER_H

#include "tests/simulate/net.h"
#include "tests/simulate/wire.h"

enum deed { SEND, READ, ACK, CREATE, INVITE, JOIN, LEAVE };

/* One method call, asked until it is answered for good. */
struct call {
    struct list link;
    struct peer *by;
    enum deed deed;
    const char *conversation;
    const char *user;   /* INVITE: whom */
    char id[24];        /* SEND: client_msg_id, and the text */
    uint64_t mark;      /* READ: a seq; ACK: an lsn */
    uint64_t counted;   /* SEND: its client_seq; 0: none */
    char epoch[9];      /* ACK: of the lsn */
    unsigned asked_era; /* house_era() of its answer */
    uint64_t asked_us;  /* when, on the line that it is out on */
    enum { IDLE, ON_LINE, ON_SOCKET } out;
    unsigned tries;
    bool unsure; /* asked once without an answer: it may have happened */
    bool over;
    /* the answer */
    int status; /* 200, or why not */
    char code[32];
    uint64_t seq, lsn;
    bool duplicate;
};

struct shown {
    uint64_t lsn, seq;
    const char *conversation;
};

/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): there are few */
struct peer {
    const char *user, *device;
    const char *chain; /* follows only this conversation; NULL: all */
    uint64_t at;       /* its cursor: an lsn, or a seq of its chain */
    char epoch[9];     /* "" until known */
    unsigned era;      /* of that (house_era()) */
    bool reloads;      /* with the next request */
    uint64_t base;     /* it was told to reload at this lsn, and is shown what
                          is beyond */
    struct shown *shown;
    size_t shown_count;
    char *token;
    unsigned asked_era;
    uint64_t token_until_s, asked_until_s; /* the one that it follows with */
    /* following */
    enum via via;
    struct line line;
    struct wire wire;
    bool asked;       /* a poll is out, or a stream is open */
    uint64_t floor;   /* what came last over this line, or was presented */
    uint64_t next_us; /* not before */
    uint64_t heard_us;
    /* calling */
    struct line calls_line;
    struct wire calls_wire;
    uint64_t calls_us; /* not before */
    struct list calls;
};

#define PEERS 6
extern struct peer peers[PEERS];

void peers_begin(void);
/* Let one do what is due; false: nothing is. */
bool peers_turn(struct chance *chance);
uint64_t peers_due_us(void);
/* All that was asked is answered. */
bool peers_idle(void);

/* --- follow.c ------------------------------------------------------------- */

void follow_over(struct peer *peer, enum via via); /* from now on */
void follow_drop(struct peer *peer);               /* the connection breaks */
bool follow_turn(struct peer *peer);
uint64_t follow_due_us(const struct peer *peer);
const char *peer_token(struct peer *peer);
/* The next one will be good for so long. */
void peer_token_for(struct peer *peer, uint64_t seconds);

/* --- calls.c -------------------------------------------------------------- */

struct call *call_make(struct peer *by, enum deed deed,
                       const char *conversation);
/* A SEND whose place among those of its device is kept (client_seq). */
void call_count(struct call *call);
/* Where there is retention, this one has settings of its own. */
#define KEEPS_ITS_OWN "0:2:team"
#define OWN_KEEP_COUNT 4
/* Once more what was answered already. */
struct call *call_again(const struct call *call);
void calls_drop(struct peer *peer); /* the connection breaks */
bool calls_turn(struct peer *peer);
uint64_t calls_due_us(const struct peer *peer);
/* What was out on the WebSocket has no answer. */
void calls_lost(struct peer *peer, int out);
/* A backup does not know what was counted since. */
void calls_restored(void);
void calls_answer(struct peer *peer, const json_t *frame);
size_t calls_count(void);
struct call *calls_all(size_t i);

#endif
