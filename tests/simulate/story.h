/* What happened, in words: one line an event, with its time. And the end of a
 * run that found something wrong.
 *
 * Threads  one. Memory: kept until the process ends.
 */
#ifndef RUNG_SIMULATE_STORY_H
#define RUNG_SIMULATE_STORY_H

#include "server/base/err.h"

#include <stdbool.h>
#include <stddef.h>

void story_tell(const char *format, ...) PRINTF_LIKE(1, 2);
/* What a run did, and what was done to it. */
struct tally {
    unsigned messages; /* stored and answered */
    unsigned network;  /* connections broken, stalled, or left for another */
    unsigned disk;     /* steps that failed */
    unsigned kills, cuts;
    unsigned lines;            /* events over raw TCP */
    unsigned gaps;             /* told of what retention took */
    unsigned restores, resets; /* backups, and clients told of it */
};
#define TALLY_FORMAT                                                           \
    "tally: %u messages, %u faults of the network, %u of the disk, %u kills, " \
    "%u power cuts, %u events over lines, %u gaps, %u backups restored, %u "   \
    "resets"
extern struct tally tally;

/* The run has failed: the first such reason stands. It goes on, so that the
 * checks behind it need not expect a failed run; ask story_failed(). */
void story_fail(const char *format, ...) PRINTF_LIKE(1, 2);
/* NULL while nothing was wrong. */
const char *story_failed(void);
const char *story_text(size_t *size);

#endif
