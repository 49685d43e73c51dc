/* The server's threads as fibers of one thread. */
#include "tests/simulate/fiber.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include <uv.h>

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#ifdef WITH_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

#define FIBERS_MAX 16
#define STACK_BYTES (2u << 20)
#define TURN_US                                                                \
    20 /* what a turn takes: so time passes for who never sleeps               \
        */
#define OVERTAKEN_PERCENT 10 /* and of those as many for a while */
#define PREEMPTED_US 20000
#define FOREVER UINT64_MAX

enum state { FREE, READY, WAITING, SLEEPING, JOINING, DONE };

/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): there are few */
struct fiber {
    enum state state;
    const char *name;
    void (*entry)(void *);
    void *arg;
    ucontext_t context;
    char *stack;
    void *shadow;              /* the sanitizer's */
    int epoll;                 /* its loop's; -1 while unknown */
    uint64_t wake_us, held_us; /* not before */
    uint64_t barren; /* `stirred` when it last looked and found nothing */
    struct fiber *joined;
};

static struct fiber fibers[FIBERS_MAX];
static struct fiber *current;
static ucontext_t outside;
static uint64_t stirred = 1, turns, memory, paused_at;

/* jemalloc's, where it is linked. */
extern int mallctl(const char *name, void *old, size_t *old_size, void *new,
                   size_t new_size) __attribute__((weak));

static uint64_t allocated(void)
{
    static uint64_t *plus, *minus;
    size_t size = sizeof plus;

    if (!mallctl)
        return 0;
    if (!plus && (mallctl("thread.allocatedp", &plus, &size, NULL, 0) ||
                  mallctl("thread.deallocatedp", &minus, &size, NULL, 0)))
        abort();
    return *plus - *minus;
}

static void now_at(const void *stack, size_t size, void **shadow)
{
#ifdef WITH_ASAN
    __sanitizer_start_switch_fiber(shadow, stack, size);
#else
    (void)stack;
    (void)size;
    (void)shadow;
#endif
}

static void arrived(void *shadow, const void **stack, size_t *size)
{
#ifdef WITH_ASAN
    __sanitizer_finish_switch_fiber(shadow, stack, size);
#else
    (void)shadow;
    (void)stack;
    (void)size;
#endif
}

/* The simulator's own stack, for the sanitizer. */
static const void *outside_stack;
static size_t outside_size;

static void give_way(enum state state)
{
    struct fiber *fiber = current;
    int kept = errno;

    fiber->state = state;
    current = NULL;
    now_at(outside_stack, outside_size, state == DONE ? NULL : &fiber->shadow);
    swapcontext(&fiber->context, &outside);
    arrived(fiber->shadow, &outside_stack, &outside_size);
    errno = kept;
}

static void begin(void)
{
    arrived(NULL, &outside_stack, &outside_size);
    current->entry(current->arg);
    give_way(DONE);
    abort();
}

_Noreturn void fiber_die(void)
{
    give_way(DONE);
    abort();
}

static void make_context(struct fiber *fiber)
{
    fiber->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fiber->stack == MAP_FAILED || getcontext(&fiber->context))
        abort();
    mprotect(fiber->stack, 4096, PROT_NONE); /* it grows down, not further */
    fiber->context.uc_stack.ss_sp = fiber->stack;
    fiber->context.uc_stack.ss_size = STACK_BYTES;
    makecontext(&fiber->context, begin, 0);
}

struct fiber *fiber_start(const char *name, void (*entry)(void *), void *arg)
{
    struct fiber *fiber = fibers;

    while (fiber < fibers + FIBERS_MAX && fiber->state != FREE)
        fiber++;
    if (fiber == fibers + FIBERS_MAX)
        abort();
    *fiber = (struct fiber){
        .state = READY, .name = name, .entry = entry, .arg = arg, .epoll = -1};
    make_context(fiber);
    return fiber;
}

bool fiber_done(const struct fiber *fiber)
{
    return fiber->state == DONE;
}

bool fiber_running(void)
{
    return current != NULL;
}

void fiber_sleep_us(uint64_t us)
{
    if (!current)
        return;
    current->wake_us = time_now_us() + us;
    give_way(SLEEPING);
}

uint64_t fibers_memory(void)
{
    return memory;
}

void fiber_enter_kernel(struct chance *chance)
{
    if (!current || !chance_percent(chance, OVERTAKEN_PERCENT))
        return;
    if (chance_percent(chance, OVERTAKEN_PERCENT))
        current->held_us = time_now_us() + chance_below(chance, PREEMPTED_US);
    give_way(READY);
}

void fibers_pause_memory(void)
{
    paused_at = allocated();
}

/* Outside of fibers nothing counts anyway. */
void fibers_resume_memory(void)
{
    if (current)
        memory -= allocated() - paused_at;
}

void fibers_forget(void)
{
    memory = 0;
    for (struct fiber *fiber = fibers; fiber < fibers + FIBERS_MAX; fiber++) {
        if (fiber->state != FREE)
            munmap(fiber->stack, STACK_BYTES);
        fiber->state = FREE;
    }
}

/* --- whose turn it is ----------------------------------------------------- */

static bool can_go_on(const struct fiber *fiber, bool readable)
{
    if (time_now_us() < fiber->held_us)
        return false;
    switch (fiber->state) {
    case READY:
        return true;
    case SLEEPING:
        return time_now_us() >= fiber->wake_us;
    case WAITING:
        return time_now_us() >= fiber->wake_us ||
               (readable && fiber->barren != stirred);
    case JOINING:
        return fiber->joined->state == DONE;
    case FREE:
    case DONE:
        break;
    }
    return false;
}

static void go_on(struct fiber *fiber)
{
    void *shadow = NULL;
    uint64_t before = allocated();

    fiber->state = READY;
    current = fiber;
    turns++;
    now_at(fiber->stack, STACK_BYTES, &shadow);
    swapcontext(&outside, &fiber->context);
    arrived(shadow, NULL, NULL);
    memory += allocated() - before;
    time_pass(time_now_us() + TURN_US);
}

bool fibers_turn(struct chance *chance)
{
    struct pollfd looks[FIBERS_MAX];
    struct fiber *able[FIBERS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < FIBERS_MAX; i++)
        looks[i] = (struct pollfd){
            .fd = fibers[i].state == WAITING ? fibers[i].epoll : -1,
            .events = POLLIN};
    poll(looks, FIBERS_MAX, 0);
    for (size_t i = 0; i < FIBERS_MAX; i++)
        if (can_go_on(&fibers[i], looks[i].revents != 0))
            able[count++] = &fibers[i];
    if (!count)
        return false;
    go_on(able[chance_below(chance, count)]);
    return true;
}

int fibers_hold(struct chance *chance, uint64_t us)
{
    size_t count = 0, which;

    while (count < FIBERS_MAX && fibers[count].state != FREE)
        count++;
    if (!count)
        return -1;
    which = chance_below(chance, count);
    fibers[which].held_us = time_now_us() + us;
    return (int)which;
}

static uint64_t due_of(const struct fiber *fiber)
{
    switch (fiber->state) {
    case READY: /* it would go on at once */
        return fiber->held_us;
    case WAITING:
    case SLEEPING:
        return fiber->wake_us > fiber->held_us ? fiber->wake_us
                                               : fiber->held_us;
    case FREE:
    case JOINING:
    case DONE:
        break;
    }
    return FOREVER;
}

uint64_t fibers_due_us(void)
{
    uint64_t due = FOREVER;

    for (struct fiber *fiber = fibers; fiber < fibers + FIBERS_MAX; fiber++)
        if (due_of(fiber) < due)
            due = due_of(fiber);
    return due;
}

void fibers_stir(void)
{
    stirred++;
}

uint64_t fibers_turns(void)
{
    return turns;
}

/* --- in place of the libraries' ------------------------------------------- */

static int look(int epoll, struct epoll_event *events, int max)
{
    return (int)syscall(SYS_epoll_wait, epoll, events, max, 0);
}

/* A loop's own epoll is the one on which it sleeps; those inside are only
 * looked at. */
static int wait_on(int epoll, struct epoll_event *events, int max, int timeout)
{
    struct fiber *fiber = current;
    uint64_t until = timeout < 0
                         ? FOREVER
                         : time_now_us() + (uint64_t)timeout * UINT64_C(1000);

    if (timeout)
        fiber->epoll = epoll;
    else if (fiber->epoll != epoll)
        return look(epoll, events, max);
    for (;;) {
        int found;

        fiber->wake_us = until;
        give_way(WAITING);
        found = look(epoll, events, max);
        if (found) {
            stirred++;
            return found;
        }
        if (time_now_us() >= until)
            return 0;
        fiber->barren = stirred;
    }
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */
int epoll_wait(int epfd, struct epoll_event *events, int maxevents, int timeout)
{
    if (current)
        return wait_on(epfd, events, maxevents, timeout);
    return look(epfd, events, maxevents); /* the simulator never sleeps */
}

int epoll_pwait(int epfd, struct epoll_event *events, int maxevents,
                int timeout, const sigset_t *sigmask)
{
    (void)sigmask;
    return epoll_wait(epfd, events, maxevents, timeout);
}

int nanosleep(const struct timespec *requested, struct timespec *remaining)
{
    (void)remaining;
    fiber_sleep_us((uint64_t)requested->tv_sec * 1000000 +
                   (uint64_t)requested->tv_nsec / 1000);
    return 0;
}

int uv_thread_create(uv_thread_t *tid, uv_thread_cb entry, void *arg)
{
    struct fiber *fiber = fiber_start("thread", entry, arg);

    *tid = (uv_thread_t)(fiber - fibers);
    return 0;
}

int uv_thread_join(uv_thread_t *tid)
{
    struct fiber *other = &fibers[*tid];

    if (!current)
        abort(); /* somebody must go on meanwhile */
    if (other->state != DONE) {
        current->joined = other;
        give_way(JOINING);
    }
    return 0;
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
