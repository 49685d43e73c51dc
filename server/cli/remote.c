/* The server a command talks to: URL, token, one call, when to try again. */
#include "server/cli/remote.h"

#include "server/base/clock.h"
#include "server/base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_URL "http://localhost:8080"
#define CALL_TIMEOUT_MS 30000
#define TOKEN_FILE_MAX 8192
#define BACKOFF_FIRST_MS 500
#define BACKOFF_MAX_MS 30000

/* --- opening -------------------------------------------------------------- */

static const char *or_environment(const char *given, const char *name)
{
    const char *found = given ? given : getenv(name);

    return found && *found ? found : NULL;
}

static enum err take_url(struct remote *remote, const char *url,
                         struct failure *why)
{
    size_t size = strlen(url);

    if (strncasecmp(url, "http://", 7) != 0 &&
        strncasecmp(url, "https://", 8) != 0)
        return fail(why, ERR_BAD_REQUEST,
                    "--url: '%.120s' is not an http:// or https:// URL", url);
    while (size && url[size - 1] == '/')
        size--;
    if (size >= sizeof(remote->url) / 2)
        return fail(why, ERR_BAD_REQUEST, "--url: is too long");
    memcpy(remote->url, url, size);
    remote->url[size] = '\0';
    return ERR_NONE;
}

static enum err token_from_file(struct remote *remote, const char *path,
                                struct failure *why)
{
    char line[TOKEN_FILE_MAX];
    FILE *file = fopen(path, "re");

    if (!file)
        return fail(why, ERR_BAD_REQUEST, "--token-file: %.120s: %s", path,
                    strerror(errno));

    bool read = fgets(line, sizeof(line), file) != NULL;

    (void)fclose(file);
    if (read)
        line[strcspn(line, " \t\r\n")] = '\0';
    if (!read || !*line)
        return fail(why, ERR_BAD_REQUEST,
                    "--token-file: %.120s holds no token in its first line",
                    path);
    remote->token = mem_strndup(line, strlen(line));
    return remote->token ? ERR_NONE : fail_plain(why, ERR_NOMEM);
}

static enum err take_token(struct remote *remote,
                           const struct remote_options *options,
                           struct failure *why)
{
    int ways = !!options->token + !!options->token_file + !!options->user;
    const char *token = options->token;

    if (ways > 1)
        return fail(why, ERR_BAD_REQUEST,
                    "give one of --token, --token-file and --user");
    if (options->token_file)
        return token_from_file(remote, options->token_file, why);
    if (options->user) {
        remote->user = options->user; /* the login comes with the first use */
        return ERR_NONE;
    }
    token = or_environment(token, "RUNG_TOKEN");
    if (!token)
        return fail(why, ERR_BAD_REQUEST,
                    "a token is needed: --token, --token-file, RUNG_TOKEN, or "
                    "--user for the demo's login");
    remote->token = mem_strndup(token, strlen(token));
    return remote->token ? ERR_NONE : fail_plain(why, ERR_NOMEM);
}

enum err remote_open(struct remote *out, const struct remote_options *options,
                     struct failure *why)
{
    const char *url = or_environment(options->url, "RUNG_URL");

    memset(out, 0, sizeof(*out));
    out->call_timeout_ms = CALL_TIMEOUT_MS;

    enum err err = take_url(out, url ? url : DEFAULT_URL, why);

    if (err)
        return err;
    err = http_client_create(&out->http);
    if (err)
        return fail_plain(why, err);
    err = take_token(out, options, why);
    if (err)
        remote_close(out);
    return err;
}

void remote_close(struct remote *remote)
{
    http_client_destroy(remote->http);
    mem_free(remote->token);
    memset(remote, 0, sizeof(*remote));
}

/* --- the demo's login ----------------------------------------------------- */

/* POST once, with the token there is. */
static enum err post(struct remote *remote, const char *method,
                     const json_t *params, json_t **result,
                     struct failure *why);

static enum err take_login(struct remote *remote, json_t *result,
                           struct failure *why)
{
    const char *token = json_string_value(json_object_get(result, "token"));

    if (token)
        remote->token = mem_strndup(token, strlen(token));
    return remote->token
               ? ERR_NONE
               : fail(why, ERR_UNAVAILABLE, "the login brought no token");
}

enum err remote_login(struct remote *remote, struct failure *why)
{
    json_t *params, *result = NULL;
    enum err err;

    if (remote->token)
        return ERR_NONE;
    params = json_pack("{s:s}", "user", remote->user);
    if (!params)
        return fail(why, ERR_BAD_REQUEST, "--user: is not a user's name");
    err = post(remote, "demo.login", params, &result, why);
    if (!err)
        err = take_login(remote, result, why);
    json_decref(result);
    json_decref(params);
    return err;
}

bool remote_renew(struct remote *remote)
{
    if (!remote->user)
        return false;
    mem_free(remote->token);
    remote->token = NULL;
    return true;
}

/* --- calls ---------------------------------------------------------------- */

enum err remote_err_by_code(const char *code)
{
    for (int err = ERR_NONE + 1; code && err < ERR_COUNT; err++)
        if (strcmp(err_code((enum err)err), code) == 0)
            return (enum err)err;
    return ERR_NONE;
}

/* For answers that are not ours: a proxy's, another server's. */
static enum err err_by_status(long status)
{
    if (status == 429)
        return ERR_RATE_LIMITED;
    if (status == 401)
        return ERR_UNAUTHORIZED;
    if (status == 404)
        return ERR_NOT_FOUND;
    return status >= 400 && status < 500 ? ERR_FORBIDDEN : ERR_UNAVAILABLE;
}

bool remote_in_our_words(const struct http_answer *answer)
{
    json_t *body = json_loadb(answer->body.data ? answer->body.data : "",
                              answer->body.size, 0, NULL);
    json_t *error = json_object_get(body, "error");
    bool ours =
        remote_err_by_code(json_string_value(json_object_get(error, "code"))) !=
        ERR_NONE;

    json_decref(body);
    return ours;
}

enum err remote_refusal(const struct http_answer *answer, struct failure *why)
{
    json_t *body = json_loadb(answer->body.data ? answer->body.data : "",
                              answer->body.size, 0, NULL);
    json_t *error = json_object_get(body, "error");
    const char *message = json_string_value(json_object_get(error, "message"));
    const char *code = json_string_value(json_object_get(error, "code"));
    json_int_t asked =
        json_integer_value(json_object_get(error, "retry_after_ms"));
    enum err err = remote_err_by_code(code);

    if (!err)
        err = err_by_status(answer->status);
    if (message)
        fail(why, err, "%s (%s)", message, code ? code : err_code(err));
    else
        fail(why, err, "the server answered with HTTP status %ld: %s",
             answer->status, err_text(err));
    why->retry_after_ms =
        (uint32_t)(asked > 0 && asked <= INT32_MAX ? (uint64_t)asked
                                                   : answer->retry_after_ms);
    json_decref(body);
    return err;
}

static enum err result_of(const struct http_answer *answer, json_t **result,
                          struct failure *why)
{
    if (answer->status != 200)
        return remote_refusal(answer, why);
    *result = json_loadb(answer->body.data ? answer->body.data : "",
                         answer->body.size, 0, NULL);
    return json_is_object(*result)
               ? ERR_NONE
               : fail(why, ERR_UNAVAILABLE, "the answer is not a JSON object");
}

static enum err post(struct remote *remote, const char *method,
                     const json_t *params, json_t **result, struct failure *why)
{
    char url[REMOTE_URL_MAX_BYTES + 64];
    char *body = json_dumps(params, JSON_COMPACT);
    struct http_answer answer;

    if (!body)
        return fail_plain(why, ERR_NOMEM);
    (void)snprintf(url, sizeof(url), "%s/v1/%s", remote->url, method);

    struct http_request request = {.url = url,
                                   .token = remote->token,
                                   .body = body,
                                   .timeout_ms = remote->call_timeout_ms};
    enum err err = http_client_do(remote->http, &request, &answer, why);

    if (!err)
        err = result_of(&answer, result, why);
    buf_fini(&answer.body);
    free(body); /* jansson's */
    return err;
}

enum err remote_call(struct remote *remote, const char *method,
                     const json_t *params, json_t **result, struct failure *why)
{
    enum err err = remote_login(remote, why);

    *result = NULL;
    return err ? err : post(remote, method, params, result, why);
}

bool remote_number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    if (!*text || strlen(text) > 16 || text[strspn(text, "0123456789")])
        return false;
    *out = strtoull(text, NULL, 10);
    return *out >= min && *out <= max;
}

/* --- trying again --------------------------------------------------------- */

bool remote_retryable(enum err err)
{
    switch (err) {
    case ERR_UNAVAILABLE:
    case ERR_OVERLOADED:
    case ERR_RATE_LIMITED:
    case ERR_INTERNAL:
    case ERR_CLOSED:
        return true;
    default:
        return false;
    }
}

uint64_t remote_backoff_ms(unsigned attempt, uint64_t asked_ms)
{
    uint64_t most = BACKOFF_MAX_MS;

    if (attempt < 6)
        most = (uint64_t)BACKOFF_FIRST_MS << attempt;
    return asked_ms +
           random_below(most < BACKOFF_MAX_MS ? most : BACKOFF_MAX_MS);
}
