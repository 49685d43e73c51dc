/* HTTP for the commands: the only user of libcurl.
 *
 * Units    milliseconds, bytes.
 * Errors   ERR_UNAVAILABLE with libcurl's words when there was no answer;
 *          ERR_END when the user wants to end (interrupt.h) or `data` said
 *          stop. An answer of any status is a success.
 * Threads  one at a time.
 * Memory   an answer's body is the caller's: buf_fini().
 *
 * libcurl's sharp edges: options stay set on a handle, so each request resets
 * it; it raises signals for timeouts unless CURLOPT_NOSIGNAL; a waiting
 * transfer runs its progress callback at least once a second, which is where a
 * signal and a stream that has fallen silent are noticed.
 */
#ifndef RUNG_HTTP_CLIENT_H
#define RUNG_HTTP_CLIENT_H

#include "server/base/buf.h"

#include <stdatomic.h>
#include <stdbool.h>

#define HTTP_BODY_MAX_BYTES (64u << 20)

struct http_client;

struct http_request {
    const char *url;
    const char *token;   /* Bearer; may be NULL */
    const char *body;    /* POSTed as JSON; NULL: GET */
    uint64_t timeout_ms; /* of the whole; 0: none */
    /* An answer of status 200 is handed here as it comes, instead of being
     * gathered; false stops it. May be NULL. */
    bool (*data)(void *arg, const char *bytes, size_t size);
    void *arg;
    /* Called about once a second or more often; may use another client. NULL:
     * no. */
    void (*idle)(void *idle_arg);
    void *idle_arg;
    /* The head of an answer of status 200 has come. NULL: no. */
    void (*accepted)(void *idle_arg);
    /* Becomes true, by another thread, when the answer is wanted no more: seen
     * within a second. NULL: never. */
    const atomic_bool *cancelled;
    /* Bytes must come at least so often; read again after each. NULL: no. */
    const uint64_t *silence_ms;
};

struct http_answer {
    long status;
    uint64_t retry_after_ms; /* from Retry-After; 0: none */
    struct buf body;
};

MUST_CHECK enum err http_client_create(struct http_client **out);
void http_client_destroy(struct http_client *client); /* NULL: nothing */
/* *answer is filled in whatever happens. */
MUST_CHECK enum err http_client_do(struct http_client *client,
                                   const struct http_request *request,
                                   struct http_answer *answer,
                                   struct failure *why);

#endif
