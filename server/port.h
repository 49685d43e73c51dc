/* A worker's side of the sequencer: what it submits, the commits that it is
 * told of, and the port at which it is told.
 *
 * Units    as in store/entry.h.
 * Errors   NULL, or ERR_NOMEM, when memory is short.
 * Threads  a port belongs to its loop. Commits and announcements are made and
 *          filled on the sequencer thread; once posted, an announcement
 *          belongs to the port's loop, and a commit is immutable.
 * Memory   a submission is owned by its maker; the sequencer borrows it from
 *          submit until `done`. A commit is shared by counted references. An
 *          announcement is owned by its maker until it is posted to the
 *          mailbox of a port, which frees it and drops its commit.
 */
#ifndef RUNG_PORT_H
#define RUNG_PORT_H

#include "server/base/mailbox.h"
#include "store/append.h"

/* One entry that was committed. */
struct committed {
    struct entry entry; /* assigned fields filled in; spans into the commit */
    bool created;       /* it created its conversation */
};

/* What one group commit wrote, in lsn order; immutable, shared by workers. */
struct commit {
    atomic_int refs;
    lsn head;              /* the last entry's */
    uint64_t committed_us; /* wall time, when it was on disk */
    size_t count;
    struct committed *entries;
    struct buf bytes;
};
struct commit *commit_ref(struct commit *commit);
void commit_unref(struct commit *commit); /* any thread; NULL: nothing */

struct submission {
    struct letter letter; /* the sequencer's */
    struct port *port;    /* where to be answered; set by the maker */
    struct entry entry;   /* set by the maker; spans into memory that lives
                             until done() */
    void (*done)(struct submission *submission); /* on the port's loop */
    struct applied applied;                      /* filled in before done() */
    struct failure failure;                      /* err ERR_NONE on success */
    struct submission *next; /* the sequencer's, then the announcement's */
    size_t size;             /* the sequencer's: what it weighs in the queue */
    uint64_t since_ms;       /* the sequencer's: when it came there */
};

struct port {
    struct mailbox box; /* init by port_init() */
    /* On the port's loop, once per commit that wrote something, in order,
     * before the done() of that commit's submissions. Borrowed: ref it to keep
     * it. */
    void (*announce)(struct port *port, struct commit *commit);
    /* After one announce() or several, and before the done() of them all: pass
     * on what they said. False: not all of it yet, port_turn() is to go on;
     * until then nothing is announced. Set by the owner; NULL: nothing to do. */
    bool (*deliver)(struct port *port);
    bool delivering; /* the port's, as are the rest */
    struct letter *held, *newest_held;
};
MUST_CHECK enum err port_init(struct port *port, uv_loop_t *loop,
                              void (*announce)(struct port *, struct commit *));
/* Go on delivering, then announce what has come meanwhile; once a turn of the
 * loop. True: there is nothing left. */
bool port_turn(struct port *port);
void port_close(struct port *port, uv_close_cb closed);

/* --- the sequencer's ----------------------------------------------------- */

/* What one port is told after one commit. */
struct announcement {
    struct letter letter;
    struct commit *commit; /* a reference, or NULL */
    struct submission *answers, **last_answer;
};

/* An empty commit, without room for entries: one reference. */
struct commit *commit_create(void);
/* Room for so many entries in all; those that are in stay. */
MUST_CHECK enum err commit_widen(struct commit *commit, size_t room);

/* Without a commit and without answers. */
struct announcement *announcement_create(void);
/* The port will call its done(), after those that were added before. */
void announcement_answer(struct announcement *to, struct submission *answer);

#endif
