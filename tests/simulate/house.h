/* The server of a run: the parts of `rung serve`, assembled in the same order,
 * listening where the simulator's clients find it. It has lives: it is started,
 * and it is drained, or ends where it stands; then it starts again from what
 * the disk has kept.
 *
 * Errors   a failed start is told in the story; house_up() says.
 * Threads  one.
 * Memory   a life that ended where it stood leaves its memory behind.
 */
#ifndef RUNG_SIMULATE_HOUSE_H
#define RUNG_SIMULATE_HOUSE_H

#include <stdbool.h>
#include <stddef.h>

#define HOUSE_WORKERS 2
/* A worker's number beyond this is its port for lines. */
#define HOUSE_LINES HOUSE_WORKERS
#define HOUSE_APP "demo"
#define HOUSE_SECRET "a secret of thirty-two bytes, yes"

struct house_options {
    bool relaxed;
    unsigned heartbeat_ms, stream_max_ms;
    unsigned keep_count, keep_age_s; /* retention; both 0: none */
    unsigned retention_ms;           /* between two passes of it */
};

/* Where the run of a process has its folder. */
void house_root(int pid, char *out, size_t size);
/* Once, before the first life: makes a folder. */
void house_found(const struct house_options *given);
/* What it was founded with. */
const struct house_options *house_options(void);
bool house_forgets(void); /* there is retention */
/* Begins a life; it takes a while (run_for()). */
void house_start(void);
bool house_up(void);   /* it listens */
bool house_down(void); /* there is no life, or it has come to its end */
/* As SIGTERM would; it takes a while until house_down(). Twice: a kill. */
void house_drain(void);
/* As kill -9 would, or (power) as if the machine went off, of which a relaxed
 * server is spared: it promises nothing for that. */
void house_kill(bool power);
/* As `rung backup` would, of a life that is up; in place of the one before. */
void house_backup(void);
/* Whether there is one that was not restored yet. */
bool house_has_backup(void);
/* As if the machine was lost, and another began with the backup. */
void house_restore(void);
/* How often that was. */
unsigned house_era(void);
/* Removes the folder. */
void house_raze(void);
const char *house_dir(void);

#endif
