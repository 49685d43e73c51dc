/* Allocation through one door, so that tests can shut it at the Nth call. */
#include "server/base/mem.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static atomic_bool counting;   /* a test is watching */
static atomic_size_t made;     /* allocations since it began to */
static atomic_size_t fails_at; /* the one of them that fails; 0: none */

/* Whether this allocation is the one that a test wants to fail. */
static bool doomed(void)
{
    if (!atomic_load_explicit(&counting, memory_order_relaxed))
        return false;
    return atomic_fetch_add(&made, 1) + 1 == atomic_load(&fails_at);
}

size_t mem_fail_nth(size_t nth)
{
    atomic_store(&fails_at, nth);
    atomic_store(&counting, nth != 0);
    return atomic_exchange(&made, 0);
}

/* malloc(0) may answer NULL, which would read as a failure. */
static size_t at_least_one(size_t size)
{
    return size ? size : 1;
}

void *mem_alloc(size_t size)
{
    return doomed() ? NULL : malloc(at_least_one(size));
}

void *mem_zalloc(size_t size)
{
    return doomed() ? NULL : calloc(1, at_least_one(size));
}

void *mem_realloc(void *ptr, size_t size)
{
    return doomed() ? NULL : realloc(ptr, at_least_one(size));
}

char *mem_strndup(const char *text, size_t length)
{
    char *copy = length < SIZE_MAX ? mem_alloc(length + 1) : NULL;

    if (!copy)
        return NULL;
    if (length)
        memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

void mem_free(void *ptr)
{
    free(ptr);
}

struct shared *shared_create_behind(size_t room, size_t size)
{
    if (size > SIZE_MAX / 2 || room > SIZE_MAX / 4)
        return NULL;

    struct shared *shared = mem_alloc(sizeof(*shared) + room + size);

    if (!shared)
        return NULL;
    atomic_init(&shared->refs, 1);
    shared->size = size;
    shared->data = (char *)(shared + 1) + room;
    return shared;
}

struct shared *shared_create(size_t size)
{
    return shared_create_behind(0, size);
}

struct shared *shared_copy(const void *data, size_t size)
{
    struct shared *shared = shared_create(size);

    if (shared && size)
        memcpy(shared->data, data, size);
    return shared;
}

struct shared *shared_ref(struct shared *shared)
{
    int before =
        atomic_fetch_add_explicit(&shared->refs, 1, memory_order_relaxed);

    assert(before > 0);
    (void)before;
    return shared;
}

void shared_unref(struct shared *shared)
{
    if (!shared)
        return;

    /* Release: our reads of the bytes come before the free; acquire: the
     * others' do, too. */
    int before =
        atomic_fetch_sub_explicit(&shared->refs, 1, memory_order_acq_rel);

    assert(before > 0);
    if (before == 1)
        mem_free(shared);
}
