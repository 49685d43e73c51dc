/* Refusing a socket that no host has yet. */
#include "server/refusal.h"

#include "server/method.h"
#include "server/socket.h"

#include <sys/socket.h>

void refuse_with(int fd, const char *text, size_t size)
{
    /* What the socket's buffer does not take, a refused peer does not get. */
    (void)!send(fd, text, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    socket_close_answered(fd);
}

static const char *more_headers(enum err err)
{
    switch (err) {
    case ERR_UNSUPPORTED_VERSION:
        return "Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n";
    case ERR_METHOD_NOT_ALLOWED:
        return "Allow: GET, OPTIONS\r\n";
    case ERR_UNAUTHORIZED:
    case ERR_TOKEN_EXPIRED:
        return "WWW-Authenticate: Bearer\r\n";
    default:
        return "";
    }
}

const char *status_reason(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 409:
        return "Conflict";
    case 410:
        return "Gone";
    case 413:
        return "Content Too Large";
    case 426:
        return "Upgrade Required";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 507:
        return "Insufficient Storage";
    default:
        return "Service Unavailable";
    }
}

void refuse_socket(struct worker *worker, int fd, int status,
                   const struct failure *why)
{
    struct buf body, out;
    enum err wire = err_wire(why->err);

    if (!status)
        status = err_status(wire);
    metrics_add(worker->metrics.refused, 1);
    metrics_add(worker->metrics.errors[wire], 1);
    buf_init(&body, 2048);
    buf_init(&out, 4096);
    failure_write(&body, why);
    buf_printf(&out,
               "HTTP/1.1 %d %s\r\nConnection: close\r\n"
               "Content-Type: application/json\r\nContent-Length: %zu\r\n"
               "Cache-Control: no-store, no-transform\r\n"
               "X-Content-Type-Options: nosniff\r\n%s",
               status, status_reason(status), body.size, more_headers(wire));
    if (why->retry_after_ms)
        buf_printf(&out, "Retry-After: %u\r\n",
                   (why->retry_after_ms + 999) / 1000);
    buf_append_text(&out, "\r\n");
    buf_append(&out, body.data, body.size);
    refuse_with(fd, out.data, buf_status(&out) ? 0 : out.size);
    buf_fini(&body);
    buf_fini(&out);
    worker_disconnected(worker);
}
