/* The transports as a client speaks them. */
#define _GNU_SOURCE /* memmem, strcasestr */
#include "tests/simulate/wire.h"

#include "tests/simulate/house.h"
#include "tests/simulate/story.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const names[] = {
    [VIA_WS] = "ws",         [VIA_SSE] = "sse",
    [VIA_STREAM] = "stream", [VIA_MULTIPART] = "multipart",
    [VIA_IFRAME] = "iframe", [VIA_LONGPOLL] = "longpoll",
    [VIA_POLL] = "poll",     [VIA_JSONP] = "jsonp",
    [VIA_TCP] = "tcp",       [VIA_CALL] = "call",
};

const char *via_name(enum via via)
{
    return names[via];
}

bool via_polls(enum via via)
{
    return via == VIA_LONGPOLL || via == VIA_POLL || via == VIA_JSONP;
}

bool via_both_ways(enum via via)
{
    return via == VIA_WS || via == VIA_TCP;
}

/* --- requests ------------------------------------------------------------- */

void wire_get(struct buf *out, enum via via, const char *query,
              const char *token)
{
    buf_printf(out, "GET /v1/%s?%s%s%s HTTP/1.1\r\nHost: rung\r\n", names[via],
               query, via == VIA_JSONP ? "&access_token=" : "",
               via == VIA_JSONP ? token : "");
    if (via == VIA_WS)
        buf_append_text(out, "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                             "Sec-WebSocket-Version: 13\r\n"
                             "Sec-WebSocket-Protocol: rung.v1\r\n"
                             "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n");
    if (via != VIA_JSONP)
        buf_printf(out, "Authorization: Bearer %s\r\n", token);
    buf_append_text(out, "\r\n");
}

void wire_post(struct buf *out, const char *method, const char *params,
               const char *token)
{
    buf_printf(out,
               "POST /v1/%s HTTP/1.1\r\nHost: rung\r\n"
               "Authorization: Bearer %s\r\nContent-Length: %zu\r\n\r\n%s",
               method, token, strlen(params), params);
}

static void masked_frame(struct buf *out, const char *text)
{
    static const unsigned char mask[4] = {0x72, 0x75, 0x6e, 0x67};
    size_t size = strlen(text);
    unsigned char head[8] = {0x81, 0x80 | 126, (unsigned char)(size >> 8),
                             (unsigned char)size};
    char *room;

    memcpy(head + 4, mask, 4);
    buf_append(out, head, 4 + sizeof mask);
    room = buf_reserve(out, size);
    for (size_t i = 0; i < size; i++)
        room[i] = (char)(text[i] ^ mask[i % 4]);
    out->size += size;
}

void wire_frame(struct buf *out, enum via via, const char *text)
{
    if (via == VIA_WS)
        masked_frame(out, text);
    else
        buf_printf(out, "%s\n", text);
}

void wire_auth(struct buf *out, const char *asked, const char *token)
{
    buf_printf(out,
               "{\"id\":\"auth\",\"method\":\"auth\",\"params\":{%s,"
               "\"token\":\"%s\"}}\r\n",
               asked, token);
}

static size_t base64url(char *out, const unsigned char *data, size_t size)
{
    int length = EVP_EncodeBlock((unsigned char *)out, data, (int)size);

    while (length > 0 && out[length - 1] == '=')
        length--;
    for (int i = 0; i < length; i++) {
        if (out[i] == '+')
            out[i] = '-';
        else if (out[i] == '/')
            out[i] = '_';
    }
    out[length] = '\0';
    return (size_t)length;
}

char *wire_token(const char *user, const char *device, uint64_t expires_s)
{
    static const char head[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned mac_size;
    char claims[256], *token = malloc(1024);
    size_t at;
    int size = snprintf(claims, sizeof claims,
                        "{\"sub\":\"%s\",\"app\":\"" HOUSE_APP
                        "\",\"device\":\"%s\",\"exp\":%llu}",
                        user, device, (unsigned long long)expires_s);

    if (!token)
        abort();
    at = base64url(token, (const unsigned char *)head, sizeof head - 1);
    token[at++] = '.';
    at += base64url(token + at, (unsigned char *)claims, (size_t)size);
    HMAC(EVP_sha256(), HOUSE_SECRET, (int)strlen(HOUSE_SECRET),
         (unsigned char *)token, at, mac, &mac_size);
    token[at++] = '.';
    base64url(token + at, mac, mac_size);
    return token;
}

/* --- answers -------------------------------------------------------------- */

void wire_begin(struct wire *wire, enum via via)
{
    *wire = (struct wire){.via = via};
    if (via == VIA_TCP)
        wire->status = 200; /* there is no head */
}

static void drop(struct buf *in, size_t size)
{
    memmove(in->data, in->data + size, in->size - size);
    in->size -= size;
}

static const char *find(const char *data, size_t size, const char *text)
{
    return size ? memmem(data, size, text, strlen(text)) : NULL;
}

static const char *field(const char *head, const char *name)
{
    const char *at = strcasestr(head, name);

    return at ? at + strlen(name) : NULL;
}

/* The head of an answer, if it is whole. */
static bool take_head(struct wire *wire, struct buf *in)
{
    const char *end = find(in->data, in->size, "\r\n\r\n"), *length;
    char head[2048];
    size_t size;

    if (!end)
        return false;
    size = (size_t)(end - in->data) + 4;
    if (size >= sizeof head || strncmp(in->data, "HTTP/1.1 ", 9) != 0) {
        story_fail("not an answer: %.*s", (int)size, in->data);
        return false;
    }
    memcpy(head, in->data, size);
    head[size] = 0;
    drop(in, size);
    wire->status = (int)strtol(head + 9, NULL, 10);
    length = field(head, "\r\nContent-Length: ");
    wire->whole_body = length != NULL;
    wire->length = length ? (size_t)strtoul(length, NULL, 10) : 0;
    wire->closes = field(head, "\r\nConnection: close") != NULL;
    return true;
}

static bool tell(struct wire *wire, const char *text, size_t size,
                 wire_json heard, void *arg)
{
    json_error_t error;
    json_t *value = json_loadb(text, size, 0, &error);
    int status = wire->status;
    bool on = true;
    size_t i;
    json_t *one;

    if (!value) {
        story_fail("not JSON over %s: %.*s", names[wire->via], (int)size, text);
        return true;
    }
    if (json_is_array(value)) {
        json_array_foreach (value, i, one)
            on = on && heard(arg, status, one);
    } else {
        on = heard(arg, status, value);
    }
    json_decref(value);
    return on;
}

/* A whole body; a script's is a call. */
static bool take_body(struct wire *wire, struct buf *in, wire_json heard,
                      void *arg)
{
    size_t size = wire->length, skip = 0;
    char *body;
    bool on;

    if (in->size < size)
        return true;
    body = malloc(size + 1);
    if (!body)
        abort();
    memcpy(body, in->data, size);
    body[size] = 0;
    drop(in, size);
    if (wire->via == VIA_JSONP && strncmp(body, "/**/on(", 7) == 0) {
        skip = 7;
        size -= strlen(");") + (body[size - 1] == '\n');
    }
    wire->whole_body = false;
    on = tell(wire, body + skip, size - skip, heard, arg);
    if (on)
        wire->status = 0; /* the next answer */
    free(body);
    return on;
}

/* What of a stream's line is JSON, if any. */
static struct span json_in(enum via via, struct span line)
{
    static const char *const before[VIA_COUNT] = {
        [VIA_SSE] = "data: ",
        [VIA_STREAM] = "",
        [VIA_TCP] = "",
        [VIA_MULTIPART] = "",
        [VIA_IFRAME] = "<script>parent[\"on\"](",
    };
    size_t skip = strlen(before[via]);

    while (line.size && (line.data[0] == ' ' && via == VIA_STREAM))
        line = (struct span){line.data + 1, line.size - 1};
    while (line.size && line.data[line.size - 1] == '\r')
        line.size--;
    if (line.size <= skip || memcmp(line.data, before[via], skip) != 0)
        return (struct span){0};
    line = (struct span){line.data + skip, line.size - skip};
    if (via == VIA_IFRAME)
        line.size -= line.size > 10 ? 10 : line.size; /* )</script> */
    if (via == VIA_MULTIPART && line.data[0] != '[')
        return (struct span){0};
    return line;
}

static bool take_lines(struct wire *wire, struct buf *in, wire_json heard,
                       void *arg)
{
    const char *end;

    while ((end = find(in->data, in->size, "\n"))) {
        size_t size = (size_t)(end - in->data);
        char *copy = malloc(size + 1);
        struct span found;
        bool on;

        if (!copy)
            abort();
        memcpy(copy, in->data, size);
        drop(in, size + 1);
        found = json_in(wire->via, (struct span){copy, size});
        on = !found.size || tell(wire, found.data, found.size, heard, arg);
        free(copy);
        if (!on)
            return false;
    }
    return true;
}

static bool take_text(struct wire *wire, char *text, size_t size,
                      wire_json heard, void *arg)
{
    while (size) {
        const char *end = find(text, size, "\n");
        size_t line = end ? (size_t)(end - text) : size;

        if (line && !tell(wire, text, line, heard, arg))
            return false;
        line += end != NULL;
        text += line;
        size -= line;
    }
    return true;
}

/* Frames of a server: not masked, not in pieces. Pings are not answered: the
 * server takes any traffic for a sign of life. */
static bool take_frames(struct wire *wire, struct buf *in, wire_json heard,
                        void *arg)
{
    while (in->size >= 2) {
        const unsigned char *head = (const unsigned char *)in->data;
        size_t size = head[1] & 0x7f, skip = 2;
        unsigned opcode = head[0] & 0xf;
        char *copy;
        bool on = true;

        if (size == 126)
            skip = 4;
        if (size == 127)
            skip = 10;
        if (in->size < skip)
            return true;
        if (skip > 2) {
            size = 0;
            for (size_t i = 2; i < skip; i++)
                size = size << 8 | head[i];
        }
        if (in->size < skip + size)
            return true;
        copy = malloc(size + 1);
        if (!copy)
            abort();
        memcpy(copy, in->data + skip, size);
        drop(in, skip + size);
        if (opcode == 8)
            wire->close_code =
                size >= 2 ? (unsigned char)copy[0] << 8 | (unsigned char)copy[1]
                          : 1005;
        else if (opcode == 1)
            on = take_text(wire, copy, size, heard, arg);
        free(copy);
        if (!on)
            return false;
    }
    return true;
}

bool wire_take(struct wire *wire, struct buf *in, wire_json heard, void *arg)
{
    if (!wire->status && !take_head(wire, in))
        return true;
    if (wire->whole_body)
        return take_body(wire, in, heard, arg);
    if (wire->via == VIA_WS && wire->status == WIRE_BOTH_WAYS)
        return take_frames(wire, in, heard, arg);
    if (wire->via != VIA_TCP &&
        (wire->via == VIA_CALL || via_polls(wire->via) || wire->status != 200))
        return true;
    return take_lines(wire, in, heard, arg);
}
