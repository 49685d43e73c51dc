/* The server's threads as fibers of one thread, and virtual time.
 *
 * The server runs its own code, unchanged: the simulator's program defines
 * uv_thread_create(), uv_thread_join(), epoll_wait(), nanosleep() and the
 * clocks, which therefore come before those of the libraries. Where a thread
 * would sleep, its fiber gives way, and the simulator says who goes on and when
 * time passes.
 *
 * Units    microseconds of virtual time.
 * Errors   none: without memory the program ends.
 * Threads  one.
 * Memory   fibers_forget() frees the stacks, not what was allocated on them:
 *          that is what a crash loses.
 */
#ifndef RUNG_SIMULATE_FIBER_H
#define RUNG_SIMULATE_FIBER_H

#include "tests/simulate/chance.h"

#include <stddef.h>

struct fiber;

uint64_t time_now_us(void); /* since the run's beginning */
void time_pass(uint64_t until_us);

struct fiber *fiber_start(const char *name, void (*entry)(void *), void *arg);
bool fiber_done(const struct fiber *fiber);
bool fiber_running(void); /* called by a fiber, not by the simulator */
/* By a fiber. Outside of one, nothing. */
void fiber_sleep_us(uint64_t us);
/* By a fiber that enters the kernel, where others may overtake it, by chance.
 * Outside of one, nothing. */
void fiber_enter_kernel(struct chance *chance);
/* By a fiber: it never comes back. */
_Noreturn void fiber_die(void);

/* Let one of those that can go on do so, by chance; false when none can. */
bool fibers_turn(struct chance *chance);
/* One of them, by chance, stands still for so long: as the kernel lets threads
 * stand. Which one; -1: there is none. */
int fibers_hold(struct chance *chance, uint64_t us);
/* When the next sleeper wakes; UINT64_MAX: none does. */
uint64_t fibers_due_us(void);
/* Something happened outside, by which sockets may have become ready. */
void fibers_stir(void);
/* How often fibers have gone on. */
uint64_t fibers_turns(void);
/* What they have allocated and not freed, in bytes; 0 in builds whose allocator
 * cannot say. */
uint64_t fibers_memory(void);
/* What is allocated and freed in between, by the simulator, does not count. */
void fibers_pause_memory(void);
void fibers_resume_memory(void);
void fibers_forget(void);

#endif
