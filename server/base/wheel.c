/* A timing wheel: a node hangs in the slot of its tick modulo WHEEL_SLOTS, and
 * stays there for whole turns until its tick has come. */
#include "server/base/wheel.h"

#include <assert.h>
#include <stddef.h>

static struct list *slot_of(struct wheel *wheel, uint64_t tick)
{
    return &wheel->slots[tick & (WHEEL_SLOTS - 1)];
}

void wheel_init(struct wheel *wheel, uint64_t now_ms)
{
    for (size_t i = 0; i < WHEEL_SLOTS; i++)
        list_init(&wheel->slots[i]);
    wheel->tick = now_ms / WHEEL_TICK_MS;
}

void wheel_node_init(struct wheel_node *node, void (*fire)(struct wheel_node *))
{
    list_init(&node->link);
    node->due_tick = 0;
    node->fire = fire;
}

void wheel_arm(struct wheel *wheel, struct wheel_node *node, uint64_t at_ms)
{
    uint64_t tick = at_ms / WHEEL_TICK_MS + (at_ms % WHEEL_TICK_MS != 0);

    assert(node->fire);
    if (tick <= wheel->tick)
        tick = wheel->tick + 1; /* that slot was emptied already */
    node->due_tick = tick;
    list_remove(&node->link);
    list_append(slot_of(wheel, tick), &node->link);
}

void wheel_disarm(struct wheel_node *node)
{
    list_remove(&node->link);
}

/* Handle the slot of wheel->tick. The nodes move to a list of this function's
 * first, because a node that fires may arm or disarm any other. */
static void handle_tick(struct wheel *wheel)
{
    struct list *slot = slot_of(wheel, wheel->tick);
    struct list taken;

    list_take(&taken, slot);
    while (!list_empty(&taken)) {
        struct wheel_node *node =
            container_of(taken.next, struct wheel_node, link);

        list_remove(&node->link);
        if (node->due_tick > wheel->tick)
            list_append(slot, &node->link); /* another turn */
        else
            node->fire(node);
    }
}

void wheel_advance(struct wheel *wheel, uint64_t now_ms)
{
    uint64_t now = now_ms / WHEEL_TICK_MS;

    /* After a long sleep one whole turn visits every slot. */
    if (now > wheel->tick + WHEEL_SLOTS)
        wheel->tick = now - WHEEL_SLOTS;
    while (wheel->tick < now) {
        wheel->tick++;
        handle_tick(wheel);
    }
}
