/* The listening sockets of one worker. */
#include "server/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096

static enum err split(const char *address, char *host, size_t room,
                      unsigned *port, struct failure *why)
{
    const char *colon = strrchr(address, ':');
    size_t size = colon ? (size_t)(colon - address) : 0;
    char *end = NULL;
    unsigned long number =
        colon && colon[1] ? strtoul(colon + 1, &end, 10) : 65536;

    if (number > 65535 || *end || size >= room)
        return fail(why, ERR_BAD_REQUEST,
                    "listen \"%s\": HOST:PORT is expected, with a port of "
                    "0 to 65535",
                    address);
    if (size >= 2 && address[0] == '[' && address[size - 1] == ']') {
        address++;
        size -= 2;
    }
    memcpy(host, address, size);
    host[size] = '\0';
    *port = (unsigned)number;
    return ERR_NONE;
}

static unsigned port_of(int fd)
{
    struct sockaddr_storage bound;
    socklen_t size = sizeof(bound);
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    if (getsockname(fd, (struct sockaddr *)&bound, &size))
        return 0;
    memcpy(&v4, &bound, sizeof(v4));
    memcpy(&v6, &bound, sizeof(v6));
    return ntohs(bound.ss_family == AF_INET6 ? v6.sin6_port : v4.sin_port);
}

static void set_port(struct addrinfo *at, unsigned port)
{
    /* sin_port and sin6_port lie in the same place. */
    struct sockaddr_in v4;

    memcpy(&v4, at->ai_addr, sizeof(v4));
    v4.sin_port = htons((unsigned short)port);
    memcpy(at->ai_addr, &v4, sizeof(v4));
}

static int listen_on(const struct addrinfo *at)
{
    int on = 1;
    int fd = socket(at->ai_family,
                    at->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)))
        goto close_fd;
    if (at->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (bind(fd, at->ai_addr, at->ai_addrlen) || listen(fd, BACKLOG))
        goto close_fd;
    return fd;

close_fd:
    on = errno;
    close(fd);
    errno = on;
    return -1;
}

/* SO_REUSEPORT would let a second server of the same user share the port, and
 * take half of the connections: so the first socket must get it alone. */
static bool is_taken(const struct addrinfo *at)
{
    int fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, 0);
    int on = 1;
    bool taken;

    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (at->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    taken = bind(fd, at->ai_addr, at->ai_addrlen) && errno == EADDRINUSE;
    close(fd);
    return taken;
}

/* One address of the name. All after the first share the port that it got. */
static void open_one(struct listener *listener, struct addrinfo *at, bool first)
{
    int fd;

    set_port(at, listener->port);
    if (first && listener->port && is_taken(at)) {
        errno = EADDRINUSE;
        return;
    }
    fd = listen_on(at);
    if (fd < 0)
        return;
    listener->port = port_of(fd);
    listener->fds[listener->count++] = fd;
}

enum err listener_open(struct listener *out, const char *address, unsigned port,
                       struct failure *why)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE};
    struct addrinfo *all = NULL;
    unsigned asked = 0;
    bool first = port == 0;
    enum err rc;
    int code, error = EADDRNOTAVAIL;

    memset(out, 0, sizeof(*out));
    rc = split(address, out->host, sizeof(out->host), &asked, why);
    if (rc)
        return rc;
    out->port = port ? port : asked;
    code = getaddrinfo(*out->host ? out->host : NULL, "0", &hints, &all);
    if (code)
        return fail(why, ERR_BAD_REQUEST, "listen \"%s\": %s", address,
                    gai_strerror(code));
    for (struct addrinfo *at = all; at && out->count < LISTENER_SOCKETS;
         at = at->ai_next) {
        size_t before = out->count;

        errno = 0;
        open_one(out, at, first);
        if (out->count == before && errno)
            error = errno;
        if (error == EADDRINUSE)
            break;
    }
    freeaddrinfo(all);
    if (out->count == 0 || error == EADDRINUSE) {
        listener_close(out);
        return fail(why, ERR_UNAVAILABLE, "cannot listen on \"%s\": %s",
                    address, strerror(error));
    }
    return ERR_NONE;
}

void listener_close(struct listener *listener)
{
    while (listener->count)
        close(listener->fds[--listener->count]);
}
