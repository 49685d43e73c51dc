/* A WebSocket for the commands: libwebsockets' client side.
 *
 * Units    milliseconds.
 * Errors   ws_client_run() returns when the connection is over: ERR_END when
 *          `message` said stop or the user wants to end (interrupt.h),
 *          ERR_UNAVAILABLE when it was lost or refused for now, ERR_FORBIDDEN
 *          or the like when the server does not want us back as we are.
 * Threads  one at a time.
 *
 * libwebsockets' sharp edges: it prints by itself unless told not to; the
 * status of a refused handshake is only in the words of the error callback or
 * in the response code asked of the connection; a message comes in pieces, of
 * which the last has lws_is_final_fragment() and no bytes remaining;
 * lws_service() returns for sockets, not for its own timers, so a timer that
 * ends the loop must call lws_cancel_service().
 */
#ifndef RUNG_WS_CLIENT_H
#define RUNG_WS_CLIENT_H

#include "server/base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ws_client_options {
    const char *url;            /* http(s)://host:port/path?query */
    const char *token;          /* Bearer */
    const uint64_t *silence_ms; /* frames must come at least so often */
    bool (*message)(void *arg, const char *text, size_t size);
    void (*idle)(void *arg);      /* several times a second */
    void (*accepted)(void *arg);  /* the handshake is through */
    const atomic_bool *cancelled; /* see http_client.h */
    uint16_t *close_code; /* of the server's close frame, if one comes */
    void *arg;
};

MUST_CHECK enum err ws_client_run(const struct ws_client_options *options,
                                  struct failure *why);

#endif
