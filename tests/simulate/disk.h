/* The disk under the log: what is written is kept by the kernel at once and by
 * the disk when it is synced; any step may be slow, fail, or be the last.
 *
 * The program defines open(), close(), write(), writev(), pwrite(), fsync() and
 * fdatasync(), before those of the C library, and looks at the log's own file
 * only. A step is one such write or sync.
 *
 * Units    microseconds of virtual time.
 * Errors   none: the simulator ends when the real disk fails it.
 * Threads  one. Memory: its own.
 */
#ifndef RUNG_SIMULATE_DISK_H
#define RUNG_SIMULATE_DISK_H

#include "tests/simulate/chance.h"

enum disk_fault {
    DISK_FINE,
    DISK_EIO,    /* the step fails */
    DISK_FULL,   /* ENOSPC, after half of it was written */
    DISK_BEFORE, /* the machine ends before the step, … */
    DISK_WITHIN, /* … when half of it is written … */
    DISK_AFTER,  /* … or after it, before anybody knows */
};

/* What comes from now on: `fault` at the nth step (1 is the next), and as many
 * as `times` in a row. */
void disk_arm(enum disk_fault fault, unsigned nth, unsigned times);
/* Each step takes between none and so long, by chance. */
void disk_slow(uint64_t most_us);
void disk_heal(void);
/* The machine has ended in a step: what ran, runs no more. */
bool disk_ended(void);

/* What is left in `to` of the file in `from` (two directories): after a kill
 * all that was written, after a power cut of what was not synced a part, by
 * chance, in sectors. Then the machine is up again. */
void disk_survive(const char *from, const char *to, bool power,
                  struct chance *chance);

/* What is opened meanwhile is on another disk, which nothing befalls. */
void disk_elsewhere(bool yes);

struct disk_counts {
    uint64_t steps, failed, ended, dropped; /* dropped: writes lost */
};
struct disk_counts disk_counts(void);

#endif
