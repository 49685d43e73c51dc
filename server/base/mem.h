/* Allocation that tests can make fail, and reference-counted bytes.
 *
 * Units    sizes are bytes.
 * Errors   NULL when memory is short; nothing else changes.
 * Threads  any; the reference count of a `struct shared` is atomic, its bytes
 *          are immutable once more than one thread can see them.
 * Memory   mem_* results are owned by the caller and given back to mem_free();
 *          mem_free(NULL) does nothing.
 */
#ifndef RUNG_BASE_MEM_H
#define RUNG_BASE_MEM_H

#include <stdatomic.h>
#include <stddef.h>

void *mem_alloc(size_t size) __attribute__((malloc));
void *mem_zalloc(size_t size) __attribute__((malloc)); /* all bytes zero */
void *mem_realloc(void *ptr, size_t size); /* on NULL the old block is intact */
char *mem_strndup(const char *text, size_t length);
void mem_free(void *ptr);

/* Tests only: let the nth allocation from now on (1 = the next) fail, once;
 * 0 switches it off. Returns how many allocations were made since the last
 * call, if that one had switched it on (SIZE_MAX only counts). Compiled in
 * always: while it is off, the check is one relaxed atomic load. */
size_t mem_fail_nth(size_t nth);

/* Bytes shared by several owners, e.g. one encoded message by all its readers.
 */
struct shared {
    atomic_int refs;
    size_t size; /* of data */
    char *data;  /* points into this allocation */
};

struct shared *shared_create(size_t size); /* refs 1, or NULL */
/* With that many writable bytes right before its data. */
struct shared *shared_create_behind(size_t room, size_t size);
/* A copy of these bytes, refs 1, or NULL. */
struct shared *shared_copy(const void *data, size_t size);
struct shared *shared_ref(struct shared *shared); /* returns its argument */
void shared_unref(struct shared *shared);         /* NULL: nothing */

#endif
