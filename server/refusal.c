/* Refusing a socket that no host has yet. */
#include "server/refusal.h"

#include "server/handshake.h"
#include "server/response.h"
#include "server/socket.h"

void refuse_early(struct worker *worker, int fd, int status,
                  const struct failure *why)
{
    struct response response;
    struct shared *bytes;
    struct buf text;
    size_t sent = 0;

    metrics_add(worker->metrics.refused, 1);
    metrics_add(worker->metrics.errors[err_wire(why->err)], 1);
    buf_init(&text, 4096);
    response_fail(&response, status, why, &text);
    if (why->err == ERR_METHOD_NOT_ALLOWED)
        response_field(&response, "Allow", HANDSHAKE_ALLOW);
    bytes = response_text(&response, true);
    /* What the socket's buffer does not take, a refused peer does not get. */
    if (bytes)
        (void)socket_send(fd, bytes, &sent, &worker->metrics);
    shared_unref(bytes);
    buf_fini(&text);
}

void refuse_stranger(struct worker *worker, int fd, int status,
                     const struct failure *why)
{
    refuse_early(worker, fd, status, why);
    socket_close_answered(fd);
}

void refuse_socket(struct worker *worker, int fd, int status,
                   const struct failure *why)
{
    refuse_early(worker, fd, status, why);
    worker_disconnected(worker, fd);
    socket_close_answered(fd);
}
