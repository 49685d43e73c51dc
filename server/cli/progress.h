/* A progress bar on a terminal: share, rate, time left. Nothing when stderr is
 * not one.
 *
 * Units    the caller's own: entries, bytes.
 * Threads  one at a time. Memory: the title is borrowed.
 */
#ifndef RUNG_PROGRESS_H
#define RUNG_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *title; /* "checking" */
    const char *unit;  /* "entries"; "B" prints KiB, MiB … */
    uint64_t total;    /* 0: unknown */
    uint64_t begun_us, shown_us;
    bool visible;
};

void progress_begin(struct progress *progress, const char *title,
                    const char *unit, uint64_t total);
/* Cheap enough to call for each entry: it draws ten times a second. */
void progress_step(struct progress *progress, uint64_t done);
/* Draw the last state and go to the next line. */
void progress_end(struct progress *progress, uint64_t done);

#endif
