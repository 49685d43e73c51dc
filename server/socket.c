/* A bare socket: what every host does with one that no library holds. */
#include "server/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define DROPS_AT_ONCE 16 /* more than that is a flood, and may be reset */

/* After a part the next send says EAGAIN, which arms the edge. */
enum sent socket_send(int fd, const struct shared *bytes, size_t *offset,
                      struct metrics *metrics)
{
    while (*offset < bytes->size) {
        ssize_t sent = send(fd, bytes->data + *offset, bytes->size - *offset,
                            MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN ? SENT_PART : SENT_BROKEN;
        *offset += (size_t)sent;
        metrics_add(metrics->sent_bytes, (uint64_t)sent);
    }
    return SENT_ALL;
}

bool socket_skip(int fd, size_t size)
{
    while (size) {
        ssize_t got = recv(fd, NULL, size, MSG_TRUNC | MSG_DONTWAIT);

        if (got > 0)
            size -= (size_t)got;
        else if (got == 0 || errno != EINTR)
            return false;
    }
    return true;
}

/* tcp(7): the user timeout ends what waits for acknowledgements or for room at
 * the peer's, and keep-alive probes, whatever their number. A stream's
 * heartbeats come before the first of those. */
void socket_expect(int fd, uint64_t ms)
{
    int on = 1;
    int silence_ms = ms < 1000 ? 1000 : (int)ms;
    int idle_s = silence_ms / 1000;
    int between_s = idle_s < 5 ? 1 : idle_s / 5;

    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence_ms,
               sizeof(silence_ms));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &between_s, sizeof(between_s));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

void socket_close_answered(int fd)
{
    char bin[4096];

    shutdown(fd, SHUT_WR);
    for (int i = 0; i < DROPS_AT_ONCE; i++)
        if (recv(fd, bin, sizeof(bin), MSG_DONTWAIT) <= 0)
            break;
    close(fd);
}
