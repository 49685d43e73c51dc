/* Raw TCP for the commands. */
#include "server/cli/tcp_client.h"

#include "server/base/clock.h"
#include "server/cli/interrupt.h"
#include "transports/tcp_lines.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NAP_MS 100 /* to look for the wish to end */
#define CONNECT_MS 10000
#define LINE_MAX_BYTES ((size_t)64 << 20)

struct connection {
    const struct tcp_client_options *options;
    int fd;
    uint64_t heard_ms;
    struct tcp_lines lines;
};

static bool is_unwanted(const struct connection *c)
{
    const atomic_bool *cancelled = c->options->cancelled;

    return interrupt_wanted() || (cancelled && atomic_load(cancelled));
}

/* Until the socket is ready for `events`; looks around meanwhile. ERR_NONE also
 * when it is not yet. */
static enum err await(struct connection *c, short events, bool *ready,
                      struct failure *why)
{
    struct pollfd wanted = {.fd = c->fd, .events = events};

    *ready = poll(&wanted, 1, NAP_MS) > 0;
    c->options->idle(c->options->arg);
    return is_unwanted(c) ? fail(why, ERR_END, "stopped") : ERR_NONE;
}

/* "HOST:PORT" or "[HOST]:PORT". */
static enum err resolve(const char *address, struct addrinfo **out,
                        struct failure *why)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    const char *colon = strrchr(address, ':');
    char host[256];
    size_t size = colon ? (size_t)(colon - address) : 0;

    if (!colon || size >= sizeof(host))
        return fail(why, ERR_BAD_REQUEST, "--tcp: '%s' is not HOST:PORT",
                    address);
    if (size >= 2 && address[0] == '[' && address[size - 1] == ']') {
        address++;
        size -= 2;
    }
    memcpy(host, address, size);
    host[size] = '\0';
    if (getaddrinfo(host, colon + 1, &hints, out))
        return fail(why, ERR_UNAVAILABLE, "%s is not found", host);
    return ERR_NONE;
}

static enum err connected(struct connection *c, struct failure *why)
{
    uint64_t end = clock_mono_ms() + CONNECT_MS;
    int code = 0;
    socklen_t size = sizeof(code);
    bool ready = false;

    while (!ready) {
        enum err err = await(c, POLLOUT, &ready, why);

        if (err)
            return err;
        if (clock_mono_ms() > end)
            return fail(why, ERR_UNAVAILABLE, "the connection takes too long");
    }
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &code, &size) || code)
        return fail(why, ERR_UNAVAILABLE, "cannot connect: %s", strerror(code));
    return ERR_NONE;
}

/* The first address that answers. */
static enum err reach(struct connection *c, struct failure *why)
{
    struct addrinfo *all = NULL;
    enum err err = resolve(c->options->address, &all, why);

    if (err)
        return err;
    err = ERR_UNAVAILABLE;
    for (struct addrinfo *at = all; at && err == ERR_UNAVAILABLE;
         at = at->ai_next) {
        c->fd = socket(at->ai_family,
                       SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (c->fd < 0)
            continue;
        if (!connect(c->fd, at->ai_addr, at->ai_addrlen) ||
            errno == EINPROGRESS)
            err = connected(c, why);
        else
            (void)fail(why, ERR_UNAVAILABLE, "cannot connect: %s",
                       strerror(errno));
        if (err)
            close(c->fd);
    }
    freeaddrinfo(all);
    if (err)
        c->fd = -1;
    return err;
}

/* A line of some kilobytes fits into a new socket. */
static enum err say(const struct connection *c, struct failure *why)
{
    struct span first = c->options->first;

    return send(c->fd, first.data, first.size, MSG_NOSIGNAL) ==
                   (ssize_t)first.size
               ? ERR_NONE
               : fail(why, ERR_UNAVAILABLE, "the connection is lost");
}

static enum err take(struct connection *c, const char *bytes, size_t size,
                     struct failure *why)
{
    const struct tcp_client_options *options = c->options;
    enum lines_found found = LINES_LINE;
    bool go_on = true;
    struct span line;

    c->heard_ms = clock_mono_ms();
    while (go_on && found == LINES_LINE) {
        found = tcp_lines_next(&c->lines, LINE_MAX_BYTES, &bytes, &size, &line);
        if (found == LINES_LINE)
            go_on = options->line(options->arg, line);
    }
    if (!options->batch(options->arg) || !go_on)
        return fail(why, ERR_END, "stopped");
    return found == LINES_MORE
               ? ERR_NONE
               : fail(why, ERR_UNAVAILABLE, "this is not the server");
}

static enum err listen_on(struct connection *c, struct failure *why)
{
    char bytes[16384];
    bool ready;

    for (;;) {
        const uint64_t *silence_ms = c->options->silence_ms;
        enum err err = await(c, POLLIN, &ready, why);
        ssize_t size;

        if (!err && clock_mono_ms() - c->heard_ms > *silence_ms)
            err = fail(why, ERR_UNAVAILABLE, "the stream has fallen silent");
        if (err)
            return err;
        if (!ready)
            continue;
        size = recv(c->fd, bytes, sizeof(bytes), 0);
        if (size < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (size <= 0)
            return fail(why, ERR_UNAVAILABLE, "the connection is lost");
        err = take(c, bytes, (size_t)size, why);
        if (err)
            return err;
    }
}

enum err tcp_client_run(const struct tcp_client_options *options,
                        struct failure *why)
{
    struct connection c = {
        .options = options, .fd = -1, .heard_ms = clock_mono_ms()};
    enum err err = reach(&c, why);

    if (err)
        return err;
    options->accepted(options->arg);
    err = say(&c, why);
    if (!err)
        err = listen_on(&c, why);
    tcp_lines_fini(&c.lines);
    close(c.fd);
    return err;
}
