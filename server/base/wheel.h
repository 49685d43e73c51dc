/* A timing wheel: very many deadlines, cheap to move, none of them costing
 * anything until it comes (Varghese & Lauck, "Hashed and Hierarchical Timing
 * Wheels", SOSP 1987, scheme 6). Resolution 50 ms; a deadline never fires
 * early.
 *
 * Threads  one at a time (a worker's loop). Memory: nodes live in their owners.
 */
#ifndef RUNG_BASE_WHEEL_H
#define RUNG_BASE_WHEEL_H

#include "server/base/list.h"

#include <stdint.h>

#define WHEEL_TICK_MS 50
#define WHEEL_SLOTS 1024 /* a power of two: one turn is 51.2 s */

struct wheel_node {
    struct list link; /* wheel's */
    uint64_t due_tick;
    void (*fire)(struct wheel_node *node); /* already removed when called; may
                                              arm or free its owner */
};

struct wheel {
    struct list slots[WHEEL_SLOTS];
    uint64_t tick; /* the last tick handled */
};

void wheel_init(struct wheel *wheel, uint64_t now_ms);
void wheel_node_init(struct wheel_node *node,
                     void (*fire)(struct wheel_node *));
/* Arm or re-arm. */
void wheel_arm(struct wheel *wheel, struct wheel_node *node, uint64_t at_ms);
void wheel_disarm(struct wheel_node *node); /* no-op when not armed */
/* Fire everything due; call at least every WHEEL_TICK_MS. */
void wheel_advance(struct wheel *wheel, uint64_t now_ms);

#endif
