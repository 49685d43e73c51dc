/* Sessions and carriers: who is talking, over what, and how far they have got.
 *
 * A session is one user on one worker: identity, what they may see, their rate
 * bucket. A carrier is one live stream, parked poll or single poll answer: a
 * cursor on the user's mixed chain or on one conversation. It is LEVEL when all
 * that the worker knows of has been handed to it; then the hub hands it each
 * commit's burst as it comes. Else it is behind, and its transport reads on
 * with carrier_next() when the peer can take more. There is no queue in
 * between.
 *
 * read_note: a reader must never pass an entry it has not seen. The lists of
 * conversations in memory are right as of the worker's head (the last commit
 * announced to it), so reads stop there, though the snapshot may know more.
 *
 * Units    as in store/entry.h; times in milliseconds.
 * Errors   enum err with words for the client in *why.
 * Threads  the loop thread of the worker that made them; nothing is shared.
 * Memory   a carrier is embedded in its transport's struct, which the transport
 *          allocates and frees: after carrier_open() succeeded it must call
 *          carrier_close() before freeing.
 */
#ifndef RUNG_SESSION_H
#define RUNG_SESSION_H

#include "server/auth.h"
#include "server/base/list.h"
#include "server/base/wheel.h"
#include "server/event.h"
#include "server/limits.h"
#include "server/sequencer.h"

#include <stdbool.h>

struct worker;
struct transport;
struct hub;

/* What a receiving request asks for, the same on every transport. Spans are
 * borrowed during the call; an empty span with data NULL means "not given". */
struct follow {
    struct span cursor;
    struct span conversation; /* name or short_id */
    struct span after;        /* decimal seq; only with conversation */
    struct span limit;        /* decimal 1..1000; default 200 */
};

/* A user, whatever the device. */
struct person {
    const char *app, *user; /* the session's */
    uint64_t inbox;
};

struct session {
    struct hub *hub;
    struct person who;
    struct list carriers; /* those that follow the mixed chain */
    struct list own;      /* all its carriers, whatever they follow */
    unsigned carrier_count;
    struct bucket bucket; /* requests of this user */
    /* the rest is the hub's */
    struct list idle; /* hub's list of those without references, oldest first */
    size_t idle_weight;
    unsigned refs;
    struct interest **interests; /* stints, see watch.h */
    size_t interest_count, interest_room;
    lsn latest;     /* nothing newer than this concerns the user */
    lsn presenting; /* newest cursor that any device has presented */
    uint64_t recorded_ms;
    bool record_armed;
    struct wheel_node record;
};

/* A burst that waits for a carrier during an announcement. */
struct touch {
    struct burst *burst; /* a reference */
    struct touch *next;
};

/* What a delivery touches comes first: it is paid for each follower. */
struct carrier {
    const struct transport *via; /* static; never NULL */
    struct worker *worker;
    /* the hub's: */
    struct list link;   /* session->carriers or the conversation's */
    struct list due;    /* in the hub's list during an announcement */
    struct touch touch; /* the first, which is mostly the only one */

    struct conversation_watch *watch; /* conv != 0 */
    lsn cursor;                       /* see carrier_at() */
    uint64_t seq;                     /* conv != 0: the seq reached */
    conv_no conv;                     /* 0: the mixed chain */
    uint32_t limit;
    bool level;   /* everything up to the worker's head was handed over */
    bool open;    /* between carrier_open() and carrier_close() */
    bool greeted; /* hello is out */
    bool now;     /* opened without a cursor: from now on */
    bool past;    /* conv != 0: not in it, as far as is known: each entry is
                     looked at */
    struct session *session; /* holds a reference */
    const char *reset;       /* a reset event is owed, for this reason; else
                                NULL */
    char *device;            /* owned, unless it is the default, "default" */
    uint64_t expires_ms;     /* the token's */
    uint64_t deadline_ms;    /* parked polls: when to answer empty; else 0 */
    struct wheel_node beat;  /* heartbeat, park deadline or expiry */
    /* the hub's: */
    struct list all;     /* in the hub's list of all carriers */
    struct list own;     /* in the session's list of all its carriers */
    struct list leaving; /* in the hub's list: lost its conversation */
};

/* Attach `carrier` (zeroed, embedded) for `who`. Checks everything in `follow`
 * (the message names the parameter), membership for a conversation, and the
 * limit of streams per user (ERR_RATE_LIMITED). A presented cursor also acks
 * (docs/PROTOCOL.md section 6). The interest is registered before anything is
 * read. A wrong epoch or a cursor ahead of the log is a success that owes a
 * `reset`. For streams the heartbeat is armed. */
MUST_CHECK enum err carrier_open(struct carrier *carrier, struct worker *worker,
                                 const struct transport *via,
                                 const struct identity *who,
                                 const struct follow *follow,
                                 struct failure *why);
void carrier_close(struct carrier *carrier); /* not open: nothing */

/* What to send next, in order: hello (streams only), reset, then the log beyond
 * the cursor, bounded by the carrier's limit and by `max_bytes` of JSON (at
 * least one event). *out is owned by the caller (burst_unref) or NULL when
 * there is nothing now: the carrier is LEVEL from then on. *more tells that
 * another call would bring more. The cursor moves with this call: what was
 * handed out is the transport's to send. On error nothing moved. */
MUST_CHECK enum err carrier_next(struct carrier *carrier, size_t max_bytes,
                                 struct burst **out, bool *more,
                                 struct failure *why);

/* The peer cannot take more now: stop live delivery until carrier_next() has
 * brought it level again. */
void carrier_behind(struct carrier *carrier);

/* The cursor to show: the worker's head when level, else its own. */
lsn carrier_at(const struct carrier *carrier);
/* For answers in single-chain mode: the seq reached; 0 before the first. */
uint64_t carrier_seq(const struct carrier *carrier);

/* Park for at most wait_ms: then the transport's beat() comes, unless wake(),
 * deliver() or end() came before. Only when level. */
void carrier_park(struct carrier *carrier, uint64_t wait_ms);

/* Who is at its other end: the session's user, with the device and the expiry
 * of the carrier. */
void carrier_identity(const struct carrier *carrier, struct identity *out);
/* A token renewed in place: this carrier lives as long as `who` now. */
void carrier_renew(struct carrier *carrier, const struct identity *who);
/* The same for every carrier of this user and device, on every worker; on the
 * others as soon as they hear of it. */
void carriers_renew(struct worker *worker, const struct identity *who);

/* A device of this user presented `at` (ws message.ack without waiting). */
void session_present(struct session *session, lsn at);
/* The same of one conversation: everything up to `seq`. */
void session_present_in(struct session *session, conv_no conv, uint64_t seq);

/* The session of `who` on this worker, loaded on demand; a reference.
 * NULL when memory is short. */
struct session *session_get(struct worker *worker, const struct identity *who);
void session_put(struct session *session); /* NULL: nothing */

/* One request of this user: ERR_RATE_LIMITED with retry_after_ms, or ok. */
MUST_CHECK enum err session_spend(struct session *session, struct failure *why);

#endif
