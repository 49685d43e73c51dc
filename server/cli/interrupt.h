/* SIGINT and SIGTERM as a wish to end, seen by commands that wait.
 *
 * Threads  the main thread.
 */
#ifndef RUNG_INTERRUPT_H
#define RUNG_INTERRUPT_H

#include <stdbool.h>
#include <stdint.h>

void interrupt_catch(void);
bool interrupt_wanted(void);
/* Sleep; false when it was cut short by the wish to end. */
bool interrupt_sleep(uint64_t ms);

#endif
