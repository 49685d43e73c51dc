/* The clients' side of the network. */
#define _GNU_SOURCE
#include "tests/simulate/net.h"

#include "tests/simulate/fiber.h"
#include "tests/simulate/run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define FDS_MAX 1024
#define LINE_MAX_BYTES (64u << 20)
#define LATE_MOST_US 30000

static struct list lines = {&lines, &lines};
static bool marked[FDS_MAX];
static unsigned weather, life;
static uint64_t digest = UINT64_C(14695981039346656037);

unsigned net_address(struct sockaddr_un *out, unsigned place)
{
    memset(out, 0, sizeof *out);
    out->sun_family = AF_UNIX; /* an abstract name: no file is left behind */
    return (unsigned)(offsetof(struct sockaddr_un, sun_path) + 1 +
                      (size_t)snprintf(out->sun_path + 1,
                                       sizeof out->sun_path - 1,
                                       "rung-simulate-%d-%u-%u", (int)getpid(),
                                       life, place));
}

void net_new_life(void)
{
    life++;
}

void net_mark(int fd, bool own)
{
    marked[fd] = own;
}

bool net_is_marked(int fd)
{
    return marked[fd];
}

void net_weather(unsigned percent)
{
    weather = percent;
}

uint64_t net_digest(void)
{
    return digest;
}

static bool bad_luck(struct chance *chance)
{
    return weather && chance_percent(chance, weather);
}

static void small_buffer(int fd)
{
    int bytes = 1; /* the kernel's least, 4.5 KiB */

    if (bad_luck(run_chance()))
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

void net_open(struct line *line, unsigned place, void (*heard)(struct line *))
{
    struct sockaddr_un address;
    unsigned size = net_address(&address, place);

    buf_init(&line->out, LINE_MAX_BYTES);
    buf_init(&line->in, LINE_MAX_BYTES);
    line->sent = 0;
    line->stalled = false;
    line->send_at_us = line->read_at_us = 0;
    line->heard = heard;
    line->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (line->fd < 0 || line->fd >= FDS_MAX)
        abort();
    list_init(&line->link);
    if (connect(line->fd, (struct sockaddr *)&address, size)) {
        close(line->fd);
        line->fd = -1;
        return;
    }
    small_buffer(line->fd);
    marked[line->fd] = true;
    list_append(&lines, &line->link);
    fibers_stir();
}

void net_close(struct line *line)
{
    if (!line->heard)
        return;
    if (line->fd >= 0) {
        marked[line->fd] = false;
        close(line->fd);
        list_remove(&line->link);
        fibers_stir();
    }
    buf_fini(&line->out);
    buf_fini(&line->in);
    memset(line, 0, sizeof *line);
    line->fd = -1;
}

void net_send(struct line *line, const void *bytes, size_t size)
{
    if (line->sent == line->out.size) {
        buf_reset(&line->out);
        line->sent = 0;
    }
    buf_append(&line->out, bytes, size);
}

bool net_is_open(const struct line *line)
{
    return line->heard && line->fd >= 0;
}

/* --- bytes move ------------------------------------------------------------
 */

static uint64_t later(struct chance *chance)
{
    return bad_luck(chance) ? time_now_us() + chance_below(chance, LATE_MOST_US)
                            : 0;
}

static bool send_some(struct line *line, struct chance *chance)
{
    size_t left = line->out.size - line->sent;
    ssize_t sent;

    if (!left || time_now_us() < line->send_at_us)
        return false;
    if (bad_luck(chance))
        left = 1 + chance_below(chance, left);
    sent = send(line->fd, line->out.data + line->sent, left,
                MSG_NOSIGNAL | MSG_DONTWAIT);
    line->send_at_us = later(chance);
    if (sent <= 0)
        return false;
    line->sent += (size_t)sent;
    fibers_stir();
    return true;
}

static void take_in(struct line *line, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        digest = (digest ^ (unsigned char)bytes[i]) * UINT64_C(1099511628211);
    buf_append(&line->in, bytes, size);
}

static bool read_some(struct line *line, struct chance *chance)
{
    char bytes[8192];
    size_t room = sizeof bytes;
    ssize_t size;

    if (line->stalled || time_now_us() < line->read_at_us)
        return false;
    if (bad_luck(chance))
        room = 1 + chance_below(chance, 600);
    size = recv(line->fd, bytes, room, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN)
        return false;
    line->read_at_us = later(chance);
    if (size > 0) {
        take_in(line, bytes, (size_t)size);
    } else {
        marked[line->fd] = false;
        close(line->fd);
        line->fd = -1;
        list_remove(&line->link);
    }
    fibers_stir();
    line->heard(line); /* last: may close it */
    return true;
}

/* Each line has its turn: the others are not starved by the first. */
bool net_turn(struct chance *chance)
{
    struct line *able[FDS_MAX];
    size_t count = 0, first;

    list_each (node, &lines)
        able[count++] = container_of(node, struct line, link);
    first = chance_below(chance, count);
    for (size_t i = 0; i < count; i++) {
        struct line *line = able[(first + i) % count];

        if (send_some(line, chance) || read_some(line, chance))
            return true;
    }
    return false;
}

uint64_t net_due_us(void)
{
    uint64_t due = UINT64_MAX, now = time_now_us();

    list_each (node, &lines) {
        const struct line *line = container_of(node, struct line, link);

        if (line->sent < line->out.size && line->send_at_us > now &&
            line->send_at_us < due)
            due = line->send_at_us;
        if (!line->stalled && line->read_at_us > now && line->read_at_us < due)
            due = line->read_at_us;
    }
    return due;
}

/* --- in place of the C library's ------------------------------------------ */

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */
int accept4(int fd, struct sockaddr *restrict address, socklen_t *restrict size,
            int flags)
{
    int taken;

    fiber_enter_kernel(run_chance());
    taken = (int)syscall(SYS_accept4, fd, address, size, flags);

    if (taken >= 0)
        small_buffer(taken);
    return taken;
}

/* TCP drops what MSG_TRUNC asks for without a place to put it (tcp(7)); these
 * sockets want a place. */
ssize_t recv(int fd, void *bytes, size_t size, int flags)
{
    static char bin[1 << 20];

    fiber_enter_kernel(run_chance());
    if (!bytes && (flags & MSG_TRUNC)) {
        bytes = bin;
        size = size < sizeof bin ? size : sizeof bin;
        flags &= ~MSG_TRUNC;
    }
    return syscall(SYS_recvfrom, fd, bytes, size, flags, NULL, NULL);
}

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    fiber_enter_kernel(run_chance());
    return syscall(SYS_sendto, fd, bytes, size, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    fiber_enter_kernel(run_chance());
    return syscall(SYS_sendmsg, fd, message, flags);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
