/* An intrusive doubly linked list; a node that is in no list points at itself.
 *
 * Threads  one at a time. Memory: nodes live inside their owners.
 */
#ifndef RUNG_BASE_LIST_H
#define RUNG_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#define container_of(ptr, type, member)                                        \
    ((type *)((char *)(ptr)-offsetof(type, member)))

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *list)
{
    list->next = list->prev = list;
}

static inline bool list_empty(const struct list *list)
{
    return list->next == list;
}

static inline void list_append(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

/* Safe for a node that is in no list. Afterwards it is in none. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* Move everything from `from` to the empty list `to`. */
static inline void list_take(struct list *to, struct list *from)
{
    list_init(to);
    if (list_empty(from))
        return;
    *to = *from;
    to->next->prev = to;
    to->prev->next = to;
    list_init(from);
}

#define list_each(node, head)                                                  \
    for (struct list *node = (head)->next; node != (head); node = node->next)
/* The current node may be removed (and freed) inside the loop. */
#define list_each_safe(node, head)                                             \
    for (struct list *node = (head)->next, *node##_next = node->next;          \
         node != (head); node = node##_next, node##_next = node->next)

#endif
