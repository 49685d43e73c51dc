/* What befalls the server and its clients, a step at a time.
 *
 * Threads  one. */
#ifndef RUNG_SIMULATE_STEPS_H
#define RUNG_SIMULATE_STEPS_H

#include "tests/simulate/chance.h"

/* Conversations that everybody needs, asked for; and perhaps a bad disk. */
void steps_begin(struct chance *chance);
/* One step, by chance. */
void steps_make(struct chance *chance);
/* Whatever was broken on purpose works again. */
void steps_heal(void);

#endif
