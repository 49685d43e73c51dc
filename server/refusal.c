/* Refusing a socket that no host has yet. */
#include "server/refusal.h"

#include "server/handshake.h"
#include "server/response.h"
#include "server/socket.h"

void refuse_stranger(struct worker *worker, int fd, int status,
                     const struct failure *why)
{
    struct response response;
    struct shared *answer;
    struct buf text;
    size_t sent = 0;

    metrics_add(worker->metrics.refused, 1);
    metrics_add(worker->metrics.errors[err_wire(why->err)], 1);
    buf_init(&text, 4096);
    response_fail(&response, status, why, &text);
    if (why->err == ERR_METHOD_NOT_ALLOWED)
        response_field(&response, "Allow", HANDSHAKE_ALLOW);
    answer = response_text(&response, true);
    /* What the socket's buffer does not take, a refused peer does not get. */
    if (answer)
        (void)socket_send(fd, answer, &sent, &worker->metrics);
    shared_unref(answer);
    buf_fini(&text);
    socket_close_answered(fd);
}

void refuse_socket(struct worker *worker, int fd, int status,
                   const struct failure *why)
{
    refuse_stranger(worker, fd, status, why);
    worker_disconnected(worker);
}
