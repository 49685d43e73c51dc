/* What the hub knows in memory: sessions, the conversations they listen to, and
 * the links between them. Only hub.c, session.c, receipt.c and the carrier's
 * files, carrier.c, attach.c and catch_up.c, look inside.
 *
 * watch_note: a session is loaded from a snapshot that may be newer than the
 * hub's head. Memberships that the snapshot closed after the head are therefore
 * kept open until their LEAVE is announced, joins that are known already are
 * skipped when announced, and an entry before a stint's first seq is not
 * delivered to it.
 *
 * Threads  the worker's loop. Errors: NULL or ERR_NOMEM when memory is short.
 */
#ifndef RUNG_WATCH_H
#define RUNG_WATCH_H

#include "server/hub.h"
#include "server/worker.h"
#include "store/reader.h"

#define DELIVERED_UNKNOWN UINT64_MAX

struct known_session; /* session.c: entries of the hub's tables */
struct known_watch;
struct known_name;

/* A conversation that somebody on this worker listens to. */
struct conversation_watch {
    struct hub *hub;
    conv_no no;
    enum conv_type type;
    lsn latest;         /* nothing newer is in it; may be ahead of the head */
    uint64_t heard_seq; /* the newest seq announced to this worker; 0: not
                           known */
    lsn heard_lsn;      /* of that entry */
    uint32_t said_by;   /* author_hash() of the newest message; 0: unknown */
    uint64_t said_seq;  /* of that message */
    uint64_t other_seq; /* of the newest by another than that; 0: unknown */
    char *marked_as;    /* its name, once a receipt was stored in it; or NULL */
    struct list interests;   /* of sessions in it */
    struct list carriers;    /* that follow it alone */
    struct burst *burst;     /* open during an announcement; else NULL */
    struct list open_link;   /* hub's list of watches with an open burst */
    struct known_name *name; /* channels: in the hub's table; or NULL */
};

/* One stint of a session. */
struct interest {
    struct session *session;
    struct stint stint;
    lsn end;                          /* closed: the lsn it ended at; 0: open */
    struct conversation_watch *watch; /* open stints; else NULL */
    struct list link;                 /* watch->interests */
    uint64_t presented; /* up to that seq, not recorded yet; 0: nothing */
    uint64_t delivered; /* the user's delivered mark; DELIVERED_UNKNOWN */
    lsn recorded;       /* up to where `delivered` has been looked at */
};

/* What somebody who follows one channel was given from the log, for the next
 * who asks for exactly the same: many fall behind together. */
struct shared_read {
    struct burst *burst; /* a reference; NULL: none */
    /* what was asked */
    conv_no conv;
    uint64_t from; /* behind this seq */
    lsn upto;
    uint32_t limit;
    size_t max_bytes;
    /* where it led */
    uint64_t seq;
    lsn passed;
    bool more;
};

#define SHARED_READS 16

struct hub {
    struct worker *worker;
    const char *epoch;
    lsn head;
    struct known_session *sessions; /* uthash */
    struct known_watch *watches;    /* uthash */
    struct known_name *names;       /* uthash: channels that are watched */
    struct list idle;               /* sessions without references */
    struct list disowned;           /* sessions, likewise, but in use */
    size_t idle_weight;             /* of those: one each, and one per stint */
    struct list all;                /* every open carrier */
    struct list due;                /* carriers with touches */
    size_t at_once;                 /* of them, in a turn of the loop */
    struct list open;               /* watches with an open burst */
    struct list leaving;            /* carriers that lost their conversation */
    struct shared_read reads[SHARED_READS];
    unsigned next_read;      /* of them to be replaced */
    uint64_t marks_until_us; /* receipt.c: the time that is taken for marks */
};

/* Not 0. Two authors of different hashes are different. */
uint32_t author_hash(struct span user);
/* The watch of `no`, or NULL. */
struct conversation_watch *watch_find(struct hub *hub, conv_no no);
/* The watch of the channel that this user means by `name`, or NULL: there is
 * none, or it is not known whether there is. */
struct conversation_watch *
watch_named(struct hub *hub, const struct person *who, struct span name);
/* The watch of `conversation`, made when missing. Give it a listener at once,
 * or call watch_release(). */
struct conversation_watch *watch_get(struct hub *hub,
                                     const struct conversation *conversation);
/* Free it if nobody listens any more. */
void watch_release(struct conversation_watch *watch);

/* The session if it is in memory, or NULL. No reference. */
struct session *session_find(struct hub *hub, struct span app, uint64_t inbox,
                             struct span user);
/* What is in memory about it is no longer right: the next session_get() loads
 * anew; who holds a reference keeps this one until they let go. */
void session_disown(struct session *session);
/* Add an open stint (no-op when that stint is known). */
MUST_CHECK enum err interest_open(struct session *session,
                                  const struct stint *stint,
                                  const struct conversation *conversation);
/* The open stint of `conv` ended with the entry at `end`, seq `to_seq`. */
void interest_close(struct session *session, conv_no conv, uint64_t to_seq,
                    lsn end);
/* The open interest in `conv`, or NULL. */
struct interest *interest_find(const struct session *session, conv_no conv);
void sessions_free(struct hub *hub);          /* all of them; at the end */
void session_record(struct wheel_node *node); /* receipt.c: the timer fired */
/* receipt.c: what the timer would do; its reference stays, for who gives it back
 * may free other sessions. */
void session_store_marks(struct session *session);

/* --- carriers: carrier.c, attach.c, catch_up.c -------------------------- */

/* Take from `follow` what it asks for, checked, and put `carrier`, which has
 * its session, where that says: at a position of the mixed chain or of one
 * conversation, among those who listen to it. On error it is nowhere and holds
 * nothing more than before. */
MUST_CHECK enum err carrier_attach(struct carrier *carrier,
                                   const struct identity *who,
                                   const struct follow *follow,
                                   struct failure *why);
/* Whether its own device sent this entry and wants no echo of it. */
bool carrier_sent(const struct carrier *carrier, const struct entry *entry);
/* Free the device that carrier_attach() took; none: nothing. */
void carrier_drop_device(struct carrier *carrier);
/* The next burst that waits for it, with its reference; NULL: no more. */
struct burst *take_touch(struct carrier *carrier);
/* Whether a carrier of one conversation may see this seq of it. */
bool carrier_sees(const struct carrier *carrier, uint64_t seq);
/* Drop what is shared of the reads. */
void reads_forget(struct hub *hub);

#endif
