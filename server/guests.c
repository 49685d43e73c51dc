/* Who is connected, by address. */
#include "server/guests.h"

#include "server/base/mem.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

#define uthash_nonfatal_oom(element) ((element)->hashed = false)
#define HASH_NONFATAL_OOM 1
#define uthash_malloc(size) mem_alloc(size)
#define uthash_free(ptr, size) mem_free(ptr)
#include <uthash.h>

#define FDS_MAX ((size_t)1 << 22)

/* All of an IPv4 address, or the network of an IPv6 one. */
struct address {
    uint8_t family;
    uint8_t bytes[8];
};

struct guest {
    struct address address;
    size_t connections, sessions;
    bool hashed;
    UT_hash_handle hh;
};

struct guests {
    uv_mutex_t lock;
    struct guest *all; /* under the lock, and so are they */
    size_t fds;
    /* NULL: not counted; else written under the lock. The kernel gives its
     * pages as they are used. */
    struct guest *_Atomic by_fd[];
};

enum err guests_create(struct guests **out)
{
    struct rlimit limit;
    size_t fds = FDS_MAX;
    struct guests *guests;

    if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur < fds)
        fds = (size_t)limit.rlim_cur;
    guests = mem_zalloc(sizeof(*guests) + fds * sizeof(struct guest *));
    if (!guests)
        return ERR_NOMEM;
    if (uv_mutex_init(&guests->lock)) {
        mem_free(guests);
        return ERR_UNAVAILABLE;
    }
    guests->fds = fds;
    *out = guests;
    return ERR_NONE;
}

void guests_destroy(struct guests *guests)
{
    struct guest *guest, *next;

    if (!guests)
        return;
    HASH_ITER(hh, guests->all, guest, next)
    {
        HASH_DEL(guests->all, guest);
        mem_free(guest);
    }
    uv_mutex_destroy(&guests->lock);
    mem_free(guests);
}

/* False: no address that is counted. */
static bool address_of(struct address *out, const struct sockaddr *from)
{
    memset(out, 0, sizeof(*out));
    out->family = (uint8_t)from->sa_family;
    if (from->sa_family == AF_INET)
        memcpy(out->bytes, &((const struct sockaddr_in *)from)->sin_addr, 4);
    else if (from->sa_family == AF_INET6)
        memcpy(out->bytes, &((const struct sockaddr_in6 *)from)->sin6_addr, 8);
    else
        return false;
    return true;
}

/* The one of that address, a new one when there is none; NULL: no memory. */
static struct guest *guest_at(struct guests *guests,
                              const struct address *address)
{
    struct guest *guest;

    HASH_FIND(hh, guests->all, address, sizeof(*address), guest);
    if (guest)
        return guest;
    guest = mem_zalloc(sizeof(*guest));
    if (!guest)
        return NULL;
    guest->address = *address;
    guest->hashed = true;
    HASH_ADD(hh, guests->all, address, sizeof(guest->address), guest);
    if (guest->hashed)
        return guest;
    mem_free(guest);
    return NULL;
}

bool guests_enter(struct guests *guests, int fd, const struct sockaddr *from,
                  uint64_t most)
{
    struct address address;
    struct guest *guest;
    bool welcome;

    if (!guests || !most || (size_t)fd >= guests->fds ||
        !address_of(&address, from))
        return true;
    uv_mutex_lock(&guests->lock);
    guest = guest_at(guests, &address);
    welcome = !guest || guest->connections < most;
    if (guest && welcome) {
        guest->connections++;
        guests->by_fd[fd] = guest;
    }
    uv_mutex_unlock(&guests->lock);
    return welcome;
}

/* The one that is counted under it, which it leaves. */
static struct guest *lift(struct guests *guests, int fd)
{
    struct guest *guest = guests->by_fd[fd];

    guests->by_fd[fd] = NULL;
    return guest;
}

static bool is_counted(struct guests *guests, int fd)
{
    return guests && (size_t)fd < guests->fds &&
           atomic_load_explicit(&guests->by_fd[fd], memory_order_relaxed);
}

static void maybe_forget(struct guests *guests, struct guest *guest)
{
    if (guest->connections || guest->sessions)
        return;
    HASH_DEL(guests->all, guest);
    mem_free(guest);
}

static void one_less(struct guests *guests, struct guest *guest)
{
    if (!guest)
        return;
    guest->connections--;
    maybe_forget(guests, guest);
}

void guests_move(struct guests *guests, int fd, int old)
{
    if (!guests || (size_t)fd >= guests->fds || (size_t)old >= guests->fds)
        return;
    uv_mutex_lock(&guests->lock);
    guests->by_fd[fd] = lift(guests, old);
    uv_mutex_unlock(&guests->lock);
}

void guests_leave(struct guests *guests, int fd)
{
    if (!is_counted(guests, fd))
        return;
    uv_mutex_lock(&guests->lock);
    one_less(guests, lift(guests, fd));
    uv_mutex_unlock(&guests->lock);
}

struct guest *guests_hold(struct guests *guests, int fd)
{
    struct guest *guest;

    if (!is_counted(guests, fd))
        return NULL;
    uv_mutex_lock(&guests->lock);
    guest = lift(guests, fd);
    uv_mutex_unlock(&guests->lock);
    return guest;
}

void guests_put_back(struct guests *guests, struct guest *guest, int fd)
{
    if (!guest)
        return;
    uv_mutex_lock(&guests->lock);
    if (fd < 0)
        one_less(guests, guest);
    else
        guests->by_fd[fd] = guest;
    uv_mutex_unlock(&guests->lock);
}

void guests_let_go(struct guests *guests, struct guest *guest)
{
    if (!guest)
        return;
    uv_mutex_lock(&guests->lock);
    one_less(guests, guest);
    uv_mutex_unlock(&guests->lock);
}

bool guests_begin_session(struct guests *guests, int fd, uint64_t most,
                          struct guest **out)
{
    struct guest *guest;
    bool welcome = true;

    *out = NULL;
    if (!most || !is_counted(guests, fd))
        return true;
    uv_mutex_lock(&guests->lock);
    guest = guests->by_fd[fd];
    welcome = guest->sessions < most;
    guest->sessions += welcome;
    uv_mutex_unlock(&guests->lock);
    *out = welcome ? guest : NULL;
    return welcome;
}

void guests_end_session(struct guests *guests, struct guest *guest)
{
    if (!guest)
        return;
    uv_mutex_lock(&guests->lock);
    guest->sessions--;
    maybe_forget(guests, guest);
    uv_mutex_unlock(&guests->lock);
}
