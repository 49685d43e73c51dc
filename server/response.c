/* An HTTP answer: its header fields, and its text. */
#include "server/response.h"

#include "server/base/clock.h"
#include "server/method.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define OTHER_BYTES 256 /* of a head: all but its fields */

void response_init(struct response *response, int status, const char *type,
                   bool cacheable)
{
    response->status = status;
    response->body = (struct span){0};
    response->lasting = response->endless = false;
    response->count = 0;
    response_field(response, "Content-Type", type);
    response_field(response, "X-Content-Type-Options", "nosniff");
    response_field(response, "Vary", "Origin");
    if (!cacheable)
        response_field(response, "Cache-Control", "no-store, no-transform");
}

void response_field(struct response *response, const char *name,
                    const char *value)
{
    assert(response->count < RESPONSE_FIELDS);
    response->fields[response->count].name = span_of(name);
    response->fields[response->count].value = span_of(value);
    response->count++;
}

/* Whoever must upgrade is told to what (RFC 9110 section 15.5.22), and that this
 * is about the connection (section 7.8). */
static void add_why(struct response *response, enum err wire)
{
    switch (wire) {
    case ERR_UNAUTHORIZED:
    case ERR_TOKEN_EXPIRED:
        response_field(response, "WWW-Authenticate", "Bearer");
        break;
    case ERR_UNSUPPORTED_VERSION:
        response_field(response, "Sec-WebSocket-Version", "13");
        response_field(response, "Upgrade", "websocket");
        response_field(response, "Connection", "Upgrade");
        break;
    default:
        break;
    }
}

void response_fail(struct response *response, int status,
                   const struct failure *why, struct buf *text)
{
    enum err wire = err_wire(why->err);

    response_init(response, status ? status : err_status(wire),
                  "application/json", false);
    failure_write(text, why);
    if (!buf_status(text))
        response->body = (struct span){text->data, text->size};
    if (why->retry_after_ms) {
        snprintf(response->seconds, sizeof(response->seconds), "%u",
                 retry_after_s(why->retry_after_ms));
        response_field(response, "Retry-After", response->seconds);
    }
    add_why(response, wire);
}

/* --- as text ------------------------------------------------------------ */

static const char *reason(int status)
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

/* RFC 9110 section 5.6.7. Made once a second. */
static const char *date_now(void)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed",
                                    "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr",
                                       "May", "Jun", "Jul", "Aug",
                                       "Sep", "Oct", "Nov", "Dec"};
    static _Thread_local char text[64];
    static _Thread_local time_t made;
    time_t now = (time_t)(clock_wall_ms() / 1000);
    struct tm at;

    if (now == made || !gmtime_r(&now, &at))
        return text;
    made = now;
    snprintf(text, sizeof(text), "%s, %02d %s %04d %02d:%02d:%02d GMT",
             days[at.tm_wday], at.tm_mday, months[at.tm_mon], at.tm_year + 1900,
             at.tm_hour, at.tm_min, at.tm_sec);
    return text;
}

static char *put(char *at, struct span text)
{
    memcpy(at, text.data, text.size);
    return at + text.size;
}

static char *put_number(char *at, size_t number)
{
    return at + u64_write(at, number);
}

static char *put_field(char *at, struct span name, struct span value)
{
    at = put(put(at, name), SPAN(": "));
    return put(put(at, value), SPAN("\r\n"));
}

static size_t head_bound(const struct response *response)
{
    size_t size = OTHER_BYTES;

    for (size_t i = 0; i < response->count; i++)
        size += response->fields[i].name.size + 2 +
                response->fields[i].value.size + 2;
    return size;
}

static char *put_head(char *at, const struct response *response, bool last)
{
    at = put_number(put(at, SPAN("HTTP/1.1 ")), (size_t)response->status);
    at = put(put(at, SPAN(" ")), span_of(reason(response->status)));
    at = put(at, SPAN("\r\n"));
    at = put_field(at, SPAN("Date"), span_of(date_now()));
    if (last || response->endless)
        at = put_field(at, SPAN("Connection"), SPAN("close"));
    for (size_t i = 0; i < response->count; i++)
        at = put_field(at, response->fields[i].name, response->fields[i].value);
    if (response->endless)
        return put(at, SPAN("\r\n"));
    at = put_number(put(at, SPAN("Content-Length: ")), response->body.size);
    return put(at, SPAN("\r\n\r\n"));
}

struct shared *response_text(const struct response *response, bool last)
{
    struct shared *text =
        shared_create(head_bound(response) + response->body.size);
    char *end;

    if (!text)
        return NULL;
    end = put_head(text->data, response, last);
    if (response->body.size)
        end = put(end, response->body);
    text->size = (size_t)(end - text->data);
    return text;
}
