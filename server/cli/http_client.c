/* HTTP for the commands, by libcurl. */
#include "server/cli/http_client.h"

#include "server/base/clock.h"
#include "server/base/mem.h"
#include "server/cli/interrupt.h"
#include "server/version.h"

#include <curl/curl.h>
#include <string.h>

#define CONNECT_TIMEOUT_MS 10000L
#define TOKEN_MAX 8300

struct http_client {
    CURL *curl;
};

/* One request under way. */
struct exchange {
    struct http_client *client;
    const struct http_request *request;
    struct http_answer *answer;
    uint64_t heard_ms;
    bool stopped, silent;
    char error[CURL_ERROR_SIZE];
};

enum err http_client_create(struct http_client **out)
{
    struct http_client *client = mem_zalloc(sizeof(*client));

    if (!client)
        return ERR_NOMEM;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
        client->curl = curl_easy_init();
    if (!client->curl) {
        mem_free(client);
        return ERR_NOMEM;
    }
    *out = client;
    return ERR_NONE;
}

void http_client_destroy(struct http_client *client)
{
    if (!client)
        return;
    curl_easy_cleanup(client->curl);
    mem_free(client);
}

/* --- libcurl calls ------------------------------------------------------- */

static size_t receive(char *bytes, size_t one, size_t size, void *arg)
{
    struct exchange *exchange = arg;
    long status = 0;

    size *= one;
    exchange->heard_ms = clock_mono_ms();
    curl_easy_getinfo(exchange->client->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status == 200 && exchange->request->data) {
        if (exchange->request->data(exchange->request->arg, bytes, size))
            return size;
        exchange->stopped = true;
        return 0;
    }
    buf_append(&exchange->answer->body, bytes, size);
    return buf_status(&exchange->answer->body) ? 0 : size;
}

static size_t receive_header(char *line, size_t one, size_t size, void *arg)
{
    struct exchange *exchange = arg;
    const struct http_request *request = exchange->request;
    long status = 0;

    curl_easy_getinfo(exchange->client->curl, CURLINFO_RESPONSE_CODE, &status);
    if (one * size <= 2 && status == 200 && request->accepted)
        request->accepted(request->idle_arg); /* the empty line */
    (void)line;
    return one * size;
}

static bool is_unwanted(const struct exchange *exchange)
{
    const atomic_bool *cancelled = exchange->request->cancelled;

    return interrupt_wanted() || (cancelled && atomic_load(cancelled));
}

/* Nonzero ends the transfer. */
static int look_around(void *arg, curl_off_t down_total, curl_off_t down,
                       curl_off_t up_total, curl_off_t up)
{
    struct exchange *exchange = arg;
    const uint64_t *silence_ms = exchange->request->silence_ms;

    (void)down_total, (void)down, (void)up_total, (void)up;
    if (exchange->request->idle)
        exchange->request->idle(exchange->request->idle_arg);
    exchange->silent = silence_ms && *silence_ms &&
                       clock_mono_ms() - exchange->heard_ms > *silence_ms;
    return exchange->silent || is_unwanted(exchange);
}

/* --- one request ---------------------------------------------------------- */

static struct curl_slist *headers_of(const struct http_request *request)
{
    struct curl_slist *headers = NULL;
    char line[TOKEN_MAX + 32];

    if (request->token) {
        (void)snprintf(line, sizeof(line), "Authorization: Bearer %.*s",
                       TOKEN_MAX, request->token);
        headers = curl_slist_append(headers, line);
    }
    if (request->body) {
        headers = curl_slist_append(headers, "Content-Type: application/json");
        headers = curl_slist_append(headers, "Expect:");
    }
    return headers;
}

static void set_up(CURL *curl, struct exchange *exchange,
                   struct curl_slist *headers)
{
    const struct http_request *request = exchange->request;

    curl_easy_reset(curl); /* the connection stays */
    curl_easy_setopt(curl, CURLOPT_URL, request->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "rung/" RUNG_VERSION);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, exchange->error);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, exchange);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, receive_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, exchange);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_around);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, exchange);
    if (request->body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)strlen(request->body));
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
    }
}

static enum err outcome(const struct exchange *exchange, CURLcode code,
                        struct failure *why)
{
    if (exchange->stopped || is_unwanted(exchange))
        return fail(why, ERR_END, "stopped");
    if (exchange->silent)
        return fail(why, ERR_UNAVAILABLE, "the stream has fallen silent");
    if (buf_status(&exchange->answer->body))
        return fail_plain(why, buf_status(&exchange->answer->body));
    if (code != CURLE_OK)
        return fail(why, ERR_UNAVAILABLE, "%.180s",
                    exchange->error[0] ? exchange->error
                                       : curl_easy_strerror(code));
    return ERR_NONE;
}

enum err http_client_do(struct http_client *client,
                        const struct http_request *request,
                        struct http_answer *answer, struct failure *why)
{
    struct exchange exchange = {.client = client,
                                .request = request,
                                .answer = answer,
                                .heard_ms = clock_mono_ms()};
    struct curl_slist *headers = headers_of(request);
    curl_off_t retry_after_s = 0;

    memset(answer, 0, sizeof(*answer));
    buf_init(&answer->body, HTTP_BODY_MAX_BYTES);
    set_up(client->curl, &exchange, headers);

    CURLcode code = curl_easy_perform(client->curl);

    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &answer->status);
    curl_easy_getinfo(client->curl, CURLINFO_RETRY_AFTER, &retry_after_s);
    answer->retry_after_ms = (uint64_t)retry_after_s * 1000;
    /* The handle must not keep what dies with this call. */
    curl_easy_setopt(client->curl, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    return outcome(&exchange, code, why);
}
