/* The server a command talks to, and who it talks as.
 *
 * Errors   what the server said, as the enum err of its code; ERR_UNAVAILABLE
 *          when it could not be reached; ERR_BAD_REQUEST for options that make
 *          no sense (the message names the option); ERR_END when the user wants
 *          to end.
 * Threads  one at a time.
 * Memory   a remote borrows the texts it is opened with.
 */
#ifndef RUNG_REMOTE_H
#define RUNG_REMOTE_H

#include "server/cli/http_client.h"

#include <jansson.h>

#define REMOTE_URL_MAX_BYTES ((size_t)2048)

/* From the options, else the environment (RUNG_URL, RUNG_TOKEN), else
 * http://localhost:8080. */
struct remote_options {
    const char *url, *token, *token_file, *user;
};

struct remote {
    char url[REMOTE_URL_MAX_BYTES]; /* without a slash at its end */
    char *token;                    /* owned */
    const char *user;               /* of the demo login, or NULL */
    struct http_client *http;
    uint32_t call_timeout_ms; /* remote_open(): 30 s */
};

MUST_CHECK enum err remote_open(struct remote *out,
                                const struct remote_options *options,
                                struct failure *why);
void remote_close(struct remote *remote);
/* Have a token: log in where that is how it comes and there is none. What needs
 * one does this by itself. */
MUST_CHECK enum err remote_login(struct remote *remote, struct failure *why);
/* The token is refused: forget it. False when no login can bring another. */
bool remote_renew(struct remote *remote);

/* POST /v1/<method>, once. *result is owned by the caller. */
MUST_CHECK enum err remote_call(struct remote *remote, const char *method,
                                const json_t *params, json_t **result,
                                struct failure *why);
/* Of a wire code; ERR_NONE: there is none of that name, or no name. */
enum err remote_err_by_code(const char *code);
/* Whether an answer that is not 200 is in the server's own words, not those of
 * somebody on the way. */
bool remote_in_our_words(const struct http_answer *answer);
/* What an answer that is not 200 says. */
MUST_CHECK enum err remote_refusal(const struct http_answer *answer,
                                   struct failure *why);

/* An option's whole number in min..max. */
bool remote_number(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* Worth another attempt as it is. */
bool remote_retryable(enum err err);
/* Full jitter (a uniform share of a doubling delay, up to 30 s), on top of what
 * the server asked for. */
uint64_t remote_backoff_ms(unsigned attempt, uint64_t asked_ms);

#endif
