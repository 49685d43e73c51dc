/* The head of an HTTP/1 request, checked strictly (RFC 9110, RFC 9112). */
#include "server/head.h"

#include "server/base/eight.h"

#include <string.h>
#include <strings.h>

static struct span trimmed(struct span text)
{
    while (text.size && (*text.data == ' ' || *text.data == '\t')) {
        text.data++;
        text.size--;
    }
    while (text.size && (text.data[text.size - 1] == ' ' ||
                         text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

static bool is_word(struct span text, struct span word)
{
    return text.size == word.size &&
           strncasecmp(text.data, word.data, word.size) == 0;
}

/* RFC 9110 section 5.6.2 */
static bool is_token_byte(unsigned char c)
{
    unsigned char lower = c | 0x20;

    return (lower >= 'a' && lower <= 'z') || c == '-' ||
           (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+.^_`|~", c));
}

static bool is_token(struct span text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!is_token_byte((unsigned char)text.data[i]))
            return false;
    return text.size > 0;
}

/* So many of the first bytes are `least` or above and no DEL: eight at a time,
 * for heads are read for every poll. */
static size_t sound_bytes(struct span text, unsigned char least)
{
    size_t i = 0;

    for (; i + 8 <= text.size; i += 8) {
        uint64_t eight = eight_load(text.data + i);

        if ((eight_below(eight, least) | eight_equal(eight, 0x7f)) & EIGHT_TOPS)
            break;
    }
    return i;
}

/* No control characters but the tab; NUL above all. */
static bool is_field_value(struct span text)
{
    for (size_t i = sound_bytes(text, ' '); i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];

        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* Visible ASCII and, leniently, bytes beyond it, which browsers of old send. */
static bool is_target(struct span text)
{
    for (size_t i = sound_bytes(text, '!'); i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];

        if (c <= ' ' || c == 0x7f)
            return false;
    }
    return text.size > 0 && !memchr(text.data, '#', text.size);
}

static struct span next_of_list(struct span *list)
{
    const char *comma = memchr(list->data, ',', list->size);
    struct span item = *list;

    if (comma) {
        item.size = (size_t)(comma - list->data);
        list->data = comma + 1;
        list->size -= item.size + 1;
    } else {
        *list = (struct span){0};
    }
    return trimmed(item);
}

/* The same of media types, whatever their parameters. */
static bool media_list_has(struct span list, const char *word)
{
    while (list.size) {
        struct span item = next_of_list(&list);
        const char *semicolon = memchr(item.data, ';', item.size);

        if (semicolon)
            item.size = (size_t)(semicolon - item.data);
        if (is_word(trimmed(item), span_of(word)))
            return true;
    }
    return false;
}

bool head_list_has(struct span list, const char *word)
{
    while (list.size)
        if (is_word(next_of_list(&list), span_of(word)))
            return true;
    return false;
}

/* "http://host/path" of the absolute form becomes "/path". */
static struct span origin_form(struct span target)
{
    struct span rest = target;

    if (target.data[0] == '/')
        return target;
    if (rest.size > 7 && strncasecmp(rest.data, "http://", 7) == 0)
        rest.data += 7, rest.size -= 7;
    else if (rest.size > 8 && strncasecmp(rest.data, "https://", 8) == 0)
        rest.data += 8, rest.size -= 8;
    else
        return (struct span){0};
    while (rest.size && *rest.data != '/') {
        if (*rest.data == '?')
            return (struct span){0};
        rest.data++;
        rest.size--;
    }
    return rest.size ? rest : SPAN("/");
}

static size_t count(struct span text, char wanted)
{
    size_t found = 0;

    for (size_t i = 0; i < text.size; i++)
        found += text.data[i] == wanted;
    return found;
}

static void split_target(struct head *head, struct span target)
{
    const char *mark = memchr(target.data, '?', target.size);

    head->path = target;
    head->query = (struct span){target.data + target.size, 0};
    if (!mark)
        return;
    head->path.size = (size_t)(mark - target.data);
    head->query.data = mark + 1;
    head->query.size = target.size - head->path.size - 1;
    head->pieces += 1 + count(head->query, '&');
}

void head_init(struct head *head)
{
    memset(head, 0, sizeof(*head));
}

enum err head_request_line(struct head *head, struct span method,
                           struct span target, struct span version,
                           struct failure *why)
{
    struct span path;

    if (!is_token(method))
        return fail(why, ERR_BAD_REQUEST, "the method is not a token");
    if (!is_target(target))
        return fail(why, ERR_BAD_REQUEST,
                    "the target holds a character that must be escaped");
    if (span_is(version, "HTTP/1.1"))
        head->minor = 1;
    else if (!span_is(version, "HTTP/1.0"))
        return fail(why, ERR_BAD_REQUEST,
                    "the version must be HTTP/1.1 or HTTP/1.0");
    path = origin_form(target);
    if (span_is(target, "*") && span_is(method, "OPTIONS"))
        path = target;
    if (!path.size)
        return fail(why, ERR_BAD_REQUEST, "the target must be a path");
    head->method = method;
    split_target(head, path);
    return ERR_NONE;
}

/* Twice the same length is refused as well: RFC 9112 section 6.3 allows it. */
static enum err take_length(struct head *head, struct span value,
                            struct failure *why)
{
    uint64_t length = 0;

    if (head->has_length)
        return fail(why, ERR_BAD_REQUEST, "Content-Length is given twice");
    if (value.size == 0 || value.size > 15)
        return fail(why, ERR_BAD_REQUEST, "Content-Length must be a number");
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return fail(why, ERR_BAD_REQUEST,
                        "Content-Length must be digits only");
        length = length * 10 + (uint64_t)(value.data[i] - '0');
    }
    head->has_length = true;
    head->length = length;
    return ERR_NONE;
}

static enum err take_encoding(struct head *head, struct span value,
                              struct failure *why)
{
    if (head->transfer_encoding)
        return fail(why, ERR_BAD_REQUEST, "Transfer-Encoding is given twice");
    head->transfer_encoding = true;
    head->chunked = is_word(value, SPAN("chunked"));
    if (!head->chunked)
        return fail(why, ERR_BAD_REQUEST,
                    "Transfer-Encoding: only \"chunked\" is understood");
    return ERR_NONE;
}

/* A field that decides something may come once. */
static enum err take_known(struct head *head, struct span name,
                           struct span value, struct failure *why)
{
    static const struct {
        const char *name;
        size_t size, at;
    } known[] = {
#define F(member, text) {text, sizeof(text) - 1, offsetof(struct head, member)},
        HEAD_FIELDS(F)
#undef F
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        struct span *at;

        if (!is_word(name, (struct span){known[i].name, known[i].size}))
            continue;
        at = (struct span *)((char *)head + known[i].at);
        if (at->data)
            return fail(why, ERR_BAD_REQUEST, "%s is given twice",
                        known[i].name);
        *at = value;
        return ERR_NONE;
    }
    return ERR_NONE;
}

enum err head_field(struct head *head, struct span name, struct span value,
                    struct failure *why)
{
    if (!is_token(name))
        return fail(why, ERR_BAD_REQUEST, "a header's name is not a token");
    value = trimmed(value);
    if (!value.data)
        value.data = "";
    if (!is_field_value(value))
        return fail(why, ERR_BAD_REQUEST,
                    "a header's value holds a control character");
    head->pieces++;
    if (is_word(name, SPAN("cookie"))) {
        head->pieces += 1 + count(value, ';') + count(value, ',');
        head->cookie_bytes += value.size;
    }
    if (is_word(name, SPAN("content-length")))
        return take_length(head, value, why);
    if (is_word(name, SPAN("transfer-encoding")))
        return take_encoding(head, value, why);
    if (is_word(name, SPAN("connection"))) {
        head->upgrade = head->upgrade || head_list_has(value, "upgrade");
        head->close = head->close || head_list_has(value, "close");
    }
    head->expect = head->expect || is_word(name, SPAN("expect"));
    if (is_word(name, SPAN("upgrade")))
        head->websocket = head->websocket || head_list_has(value, "websocket");
    if (is_word(name, SPAN("sec-websocket-protocol"))) {
        head->ws_protocols = true;
        head->ws_protocol_ok =
            head->ws_protocol_ok || head_list_has(value, WS_SUBPROTOCOL);
    }
    if (is_word(name, SPAN("accept")))
        head->accepts_mixed =
            head->accepts_mixed || media_list_has(value, "multipart/mixed");
    return take_known(head, name, value, why);
}

/* host[:port], no userinfo, no path (RFC 3986 section 3.2.2, loosely). */
static bool is_host(struct span text)
{
    for (size_t i = 0; i < text.size; i++)
        if (strchr("/?#@\\ \t,\"<>", text.data[i]))
            return false;
    return true;
}

enum err head_finish(struct head *head, struct failure *why)
{
    if (head->minor >= 1 && !head->host.data)
        return fail(why, ERR_BAD_REQUEST, "HTTP/1.1 needs a Host header");
    if (head->host.data && !is_host(head->host))
        return fail(why, ERR_BAD_REQUEST, "Host is not a host");
    if (head->transfer_encoding && head->has_length)
        return fail(why, ERR_BAD_REQUEST,
                    "Content-Length and Transfer-Encoding exclude each other");
    if (head->transfer_encoding && head->minor == 0)
        return fail(why, ERR_BAD_REQUEST,
                    "HTTP/1.0 knows no Transfer-Encoding");
    return ERR_NONE;
}

/* One line ending in CRLF, without it. HEAD_PARTIAL when its end is not there
 * yet. A LF alone, and a CR without one, end nothing. */
static enum head_state next_line(struct span *rest, struct span *line,
                                 struct failure *why)
{
    const char *end = memchr(rest->data, '\n', rest->size);
    size_t size = end ? (size_t)(end - rest->data) : rest->size;
    const char *cr = memchr(rest->data, '\r', size);

    if (memchr(rest->data, '\0', size)) {
        fail(why, ERR_BAD_REQUEST, "the head holds a NUL");
        return HEAD_BAD;
    }
    /* The only CR stands last; without the LF it may be the newest byte. */
    if ((cr && cr != rest->data + size - 1) || (end && !cr)) {
        fail(why, ERR_BAD_REQUEST, "lines must end in CR LF");
        return HEAD_BAD;
    }
    if (!end)
        return HEAD_PARTIAL;
    *line = (struct span){rest->data, size - 1};
    rest->data = end + 1;
    rest->size -= size + 1;
    return HEAD_WHOLE;
}

static enum err parse_request_line(struct head *head, struct span line,
                                   struct failure *why)
{
    const char *one = memchr(line.data, ' ', line.size);
    const char *end = line.data + line.size;
    const char *two =
        one ? memchr(one + 1, ' ', (size_t)(end - one) - 1) : NULL;

    if (!two)
        return fail(why, ERR_BAD_REQUEST,
                    "a request starts with METHOD TARGET HTTP/1.1");
    return head_request_line(
        head, (struct span){line.data, (size_t)(one - line.data)},
        (struct span){one + 1, (size_t)(two - one) - 1},
        (struct span){two + 1, (size_t)(end - two) - 1}, why);
}

static enum err parse_field(struct head *head, struct span line,
                            struct failure *why)
{
    const char *colon = memchr(line.data, ':', line.size);
    size_t size = colon ? (size_t)(colon - line.data) : 0;

    if (line.data[0] == ' ' || line.data[0] == '\t')
        return fail(why, ERR_BAD_REQUEST, "folded header lines are refused");
    if (!colon)
        return fail(why, ERR_BAD_REQUEST, "a header line has no colon");
    return head_field(head, (struct span){line.data, size},
                      (struct span){colon + 1, line.size - size - 1}, why);
}

/* The lines of `bytes` one by one; the first bad one decides. */
static enum head_state parse_lines(struct head *head, struct span bytes,
                                   struct failure *why)
{
    struct span rest = bytes, line;
    enum head_state state = next_line(&rest, &line, why);

    if (state != HEAD_WHOLE)
        return state;
    if (parse_request_line(head, line, why))
        return HEAD_BAD;
    while ((state = next_line(&rest, &line, why)) == HEAD_WHOLE) {
        if (line.size == 0) {
            head->size = bytes.size - rest.size;
            return head_finish(head, why) ? HEAD_BAD : HEAD_WHOLE;
        }
        if (parse_field(head, line, why))
            return HEAD_BAD;
    }
    return state;
}

enum head_state head_parse(struct head *out, struct span bytes,
                           struct failure *why)
{
    head_init(out);
    /* One empty line before the request is allowed (RFC 9112 section 2.2). */
    if (bytes.size >= 2 && memcmp(bytes.data, "\r\n", 2) == 0) {
        enum head_state state = parse_lines(
            out, (struct span){bytes.data + 2, bytes.size - 2}, why);

        out->size += 2;
        return state;
    }
    return parse_lines(out, bytes, why);
}
