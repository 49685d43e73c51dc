/* "Did you mean …?": the known word nearest to a mistyped one.
 *
 * Threads  any. Memory: all words are borrowed.
 */
#ifndef RUNG_NEAREST_H
#define RUNG_NEAREST_H

#include <stddef.h>

struct nearest {
    const char *typed;
    const char *best; /* NULL while nothing is near enough to suggest */
    size_t distance;  /* letters added, dropped, replaced or swapped */
};

void nearest_init(struct nearest *nearest, const char *typed);
void nearest_offer(struct nearest *nearest, const char *known);

#endif
