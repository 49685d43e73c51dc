/* The retention pass: finds what is to be forgotten and has it trimmed, in
 * small steps, so that nobody who sends waits long for it. The sequencer's.
 *
 * Units    milliseconds.
 * Errors   what a step cannot do is traced and left to the next pass.
 * Threads  the sequencer's, where its loop calls the steps.
 * Memory   embedded in the sequencer, which fills in `metrics` and `commit`
 *          and owns `timer` as it owns its other handles.
 */
#ifndef RUNG_RETENTION_PASS_H
#define RUNG_RETENTION_PASS_H

#include "server/sequencer.h"
#include "store/reader.h"

struct retention_pass {
    /* the sequencer's */
    uv_timer_t timer;              /* its data is the pass */
    const struct metrics *metrics; /* `trimmed` tells what a step has done */
    /* Commit one trim now, and call its done(). */
    void (*commit)(struct retention_pass *pass, struct submission *trim);
    /* the rest is the pass's */
    const struct config *config; /* borrowed, see below */
    struct reader *reader;       /* owned */
    conv_no next;                /* where it goes on; 0: a new one */
    struct trim *trims;          /* found, not yet committed */
    uint64_t trims_before;       /* `trimmed` when they were looked for */
};

/* `pass` is zeroed; `store` outlives it. */
MUST_CHECK enum err retention_pass_init(struct retention_pass *pass,
                                        struct store *store);
/* After the timer was closed, or never started; zeroed: nothing. What was found
 * and not committed is found again by the next start. */
void retention_pass_fini(struct retention_pass *pass);

/* The next step comes one interval of `config` from now. The config is borrowed
 * until the next call, or the end of the loop. */
void retention_pass_schedule(struct retention_pass *pass,
                             const struct config *config);

#endif
