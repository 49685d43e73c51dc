/* The ladder of docs/CLIENT.md: which rung (a transport) is to be opened or
 * closed, and when. Pure: it is told what happens and what time it is, and
 * tells what to do; whoever uses it opens, closes and waits.
 *
 * Units    milliseconds of any clock that only goes forward.
 * Errors   none.
 * Threads  one at a time.
 * Memory   borrows the names of the rungs.
 */
#ifndef RUNG_LADDER_H
#define RUNG_LADDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LADDER_MAX 8
#define LADDER_NONE (-1)
#define LADDER_NEVER UINT64_MAX

enum rung_state { RUNG_UNTRIED, RUNG_OPENING, RUNG_LIVE, RUNG_FAILED };

/* How a rung ended. */
enum rung_end {
    RUNG_FELL,  /* lost, silent, timed out: the next rung */
    RUNG_UNFIT, /* this rung does not carry what we say: the next rung */
    RUNG_BYE,   /* the same rung again, after the delay that the server gave */
    RUNG_LATER  /* all of them later: the delay, and full jitter on top */
};

struct ladder_rung {
    const char *name;
    enum rung_state state;
    bool tried;                      /* in this round */
    bool failed;                     /* in this round, and not counted yet */
    unsigned failures;               /* in a row */
    uint64_t opened_ms, accepted_ms; /* accepted: 0: not yet */
    uint64_t rests_until_ms;
};

struct ladder {
    struct ladder_rung rungs[LADDER_MAX]; /* the best first */
    size_t count;
    /* What to do; never called by ladder_init(). */
    void (*open)(struct ladder *ladder, size_t rung);
    void (*close)(struct ladder *ladder, size_t rung);
    uint64_t (*random)(uint64_t below); /* uniform; 0 for 0 */
    /* the rest is the ladder's */
    int live; /* LADDER_NONE: nothing carries */
    int best; /* the one that worked last, or LADDER_NONE */
    bool round;
    unsigned attempt; /* rounds without success */
    uint64_t live_ms, next_open_ms, wait_until_ms;
    uint64_t rtt_ms;
};

/* The others fields of *ladder are set already, and its rungs' names. */
void ladder_init(struct ladder *ladder);
/* Begin, or begin again at once: what waits and rests does so no longer. */
void ladder_start(struct ladder *ladder, uint64_t now_ms);
/* Do what is due. When to call again at the latest: LADDER_NEVER, or then. */
uint64_t ladder_tick(struct ladder *ladder, uint64_t now_ms);
/* Rung i was accepted, by a status 200 or a handshake: proves nothing yet. */
void ladder_accepted(struct ladder *ladder, size_t i, uint64_t now_ms);
/* Something has come of it: with the first it is live. */
void ladder_heard(struct ladder *ladder, size_t i, uint64_t now_ms);
/* It is closed, not by close(). */
void ladder_ended(struct ladder *ladder, size_t i, enum rung_end how,
                  uint64_t delay_ms, uint64_t now_ms);

#endif
