/* Engine.IO packets as bytes: reading. */
#include "transports/eio_packet.h"

#include "server/query.h"
#include "server/utf8.h"

#include <openssl/evp.h>

#define SEPARATOR '\x1e'
#define LENGTH_DIGITS 10 /* of a packet in a payload of protocol 3 */
#define OCTETS_END '\xff'

/* --- base64 --------------------------------------------------------------- */

static bool is_base64(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];

        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
              (c >= '0' && c <= '9') || c == '+' || c == '/'))
            return false;
    }
    return true;
}

/* Into room for 3 bytes; a group of fewer than 4 digits says fewer than 3. */
static void decode_group(char *out, struct span digits)
{
    char group[4] = {'=', '=', '=', '='};

    memcpy(group, digits.data, digits.size);
    (void)EVP_DecodeBlock((unsigned char *)out, (unsigned char *)group, 4);
}

/* Replaces what is in `out`. Padding may be missing, as for the reference
 * server. */
static enum err decode_base64(struct span text, struct buf *out)
{
    size_t whole, left;
    char *room;

    for (int pads = 0; pads < 2 && text.size && (text.size + pads) % 4 == 0 &&
                       text.data[text.size - 1] == '=';
         pads++)
        text.size--;
    left = text.size % 4;
    whole = text.size - left;
    if (left == 1 || text.size > INT32_MAX || !is_base64(text))
        return ERR_BAD_REQUEST;
    buf_reset(out);
    room = buf_reserve(out, text.size / 4 * 3 + 3);
    if (!room)
        return buf_status(out);
    if (whole)
        (void)EVP_DecodeBlock((unsigned char *)room,
                              (const unsigned char *)text.data, (int)whole);
    if (left)
        decode_group(room + whole / 4 * 3,
                     (struct span){text.data + whole, left});
    out->size = whole / 4 * 3 + (left ? left - 1 : 0);
    return ERR_NONE;
}

/* --- one packet ----------------------------------------------------------- */

static bool type_of(char digit, enum eio_type *out)
{
    if (digit < '0' || digit > '6')
        return false;
    *out = (enum eio_type)(digit - '0');
    return true;
}

static struct span behind(struct span text, size_t size)
{
    return (struct span){text.data + size, text.size - size};
}

/* Behind the "b". */
static enum err read_base64(enum eio_protocol protocol, struct span text,
                            struct buf *scratch, struct eio_packet *out)
{
    enum err err;

    out->type = EIO_MESSAGE;
    out->binary = true;
    if (protocol == EIO_PROTOCOL_3) {
        if (!text.size || !type_of(*text.data, &out->type))
            return ERR_BAD_REQUEST;
        text = behind(text, 1);
    }
    err = decode_base64(text, scratch);
    out->data = (struct span){scratch->data, scratch->size};
    return err;
}

static enum err read_text(enum eio_protocol protocol, struct span text,
                          struct buf *scratch, struct eio_packet *out)
{
    if (!text.size)
        return ERR_BAD_REQUEST;
    if (*text.data == 'b')
        return read_base64(protocol, behind(text, 1), scratch, out);
    if (!type_of(*text.data, &out->type))
        return ERR_BAD_REQUEST;
    out->binary = false;
    out->data = behind(text, 1);
    return ERR_NONE;
}

static enum err read_octets(enum eio_protocol protocol, struct span octets,
                            struct eio_packet *out)
{
    out->type = EIO_MESSAGE;
    out->binary = true;
    out->data = octets;
    if (protocol == EIO_PROTOCOL_4)
        return ERR_NONE;
    if (!octets.size || !type_of((char)(*octets.data + '0'), &out->type))
        return ERR_BAD_REQUEST;
    out->data = behind(octets, 1);
    return ERR_NONE;
}

enum err eio_read_frame(enum eio_protocol protocol, struct span frame,
                        bool binary, struct buf *scratch,
                        struct eio_packet *out)
{
    return binary ? read_octets(protocol, frame, out)
                  : read_text(protocol, frame, scratch, out);
}

/* --- payloads ------------------------------------------------------------- */

void eio_payload_begin(struct eio_payload *in, enum eio_protocol protocol,
                       struct span body, bool octets)
{
    *in = (struct eio_payload){
        .protocol = protocol, .octets = octets, .rest = body};
}

/* Protocol 4: to the separator or the end. */
static enum err next_separated(struct eio_payload *in, struct buf *scratch,
                               struct eio_packet *out)
{
    struct span packet = in->rest;
    const char *end;

    if (in->over)
        return ERR_END;
    end = packet.size ? memchr(packet.data, SEPARATOR, packet.size) : NULL;
    if (end) {
        packet.size = (size_t)(end - packet.data);
        in->rest = behind(in->rest, packet.size + 1);
    } else {
        in->over = true;
    }
    if (!utf8_valid(packet.data, packet.size))
        return ERR_BAD_REQUEST;
    return read_text(EIO_PROTOCOL_4, packet, scratch, out);
}

/* So many bytes are that many UTF-16 code units; SIZE_MAX: there are fewer, or
 * the last is cut in two, or it is no UTF-8. */
static size_t bytes_of_units(struct span text, size_t units)
{
    size_t at = 0;

    while (units) {
        size_t size =
            at < text.size ? utf8_sequence(text.data + at, text.size - at) : 0;
        size_t worth = size == 4 ? 2 : 1;

        if (!size || worth > units)
            return SIZE_MAX;
        at += size;
        units -= worth;
    }
    return at;
}

/* A length whose digits begin at `zero`, and what ends it. */
static bool take_length(struct span *rest, char zero, char end, size_t *out)
{
    size_t number = 0, i = 0;

    for (; i < rest->size && rest->data[i] != end; i++) {
        unsigned digit = (unsigned char)(rest->data[i] - zero);

        if (digit > 9 || i == LENGTH_DIGITS)
            return false;
        number = number * 10 + digit;
    }
    if (!i || i == rest->size)
        return false;
    *rest = behind(*rest, i + 1);
    *out = number;
    return true;
}

/* Protocol 3: behind a length. */
static enum err next_counted(struct eio_payload *in, struct buf *scratch,
                             struct eio_packet *out)
{
    struct span packet;
    size_t units, size;

    do {
        if (!in->rest.size)
            return ERR_END;
        if (!take_length(&in->rest, '0', ':', &units))
            return ERR_BAD_REQUEST;
    } while (!units); /* nothing, which is no packet */
    size = bytes_of_units(in->rest, units);
    if (size == SIZE_MAX)
        return ERR_BAD_REQUEST;
    packet = (struct span){in->rest.data, size};
    in->rest = behind(in->rest, size);
    return read_text(EIO_PROTOCOL_3, packet, scratch, out);
}

/* Protocol 3, among binary ones. */
static enum err next_octets(struct eio_payload *in, struct buf *scratch,
                            struct eio_packet *out)
{
    struct span packet;
    size_t size;
    char kind;

    if (!in->rest.size)
        return ERR_END;
    kind = *in->rest.data;
    in->rest = behind(in->rest, 1);
    if ((kind != 0 && kind != 1) ||
        !take_length(&in->rest, 0, OCTETS_END, &size) || size > in->rest.size)
        return ERR_BAD_REQUEST;
    packet = (struct span){in->rest.data, size};
    in->rest = behind(in->rest, size);
    if (kind == 1)
        return read_octets(EIO_PROTOCOL_3, packet, out);
    if (!utf8_valid(packet.data, packet.size))
        return ERR_BAD_REQUEST;
    return read_text(EIO_PROTOCOL_3, packet, scratch, out);
}

enum err eio_payload_next(struct eio_payload *in, struct buf *scratch,
                          struct eio_packet *out)
{
    if (!in->begun && !in->rest.size)
        return ERR_BAD_REQUEST;
    in->begun = true;
    if (in->protocol == EIO_PROTOCOL_4)
        return next_separated(in, scratch, out);
    return in->octets ? next_octets(in, scratch, out)
                      : next_counted(in, scratch, out);
}

/* --- JSONP's form --------------------------------------------------------- */

/* In place: "\n" becomes a line feed, "\\n" a backslash and an n. */
static size_t undo_line_feeds(char *text, size_t size)
{
    size_t from = 0, to = 0;

    while (from < size) {
        size_t left = size - from;

        if (left >= 3 && !memcmp(text + from, "\\\\n", 3)) {
            text[to++] = '\\';
            text[to++] = 'n';
            from += 3;
        } else if (left >= 2 && !memcmp(text + from, "\\n", 2)) {
            text[to++] = '\n';
            from += 2;
        } else {
            text[to++] = text[from++];
        }
    }
    return to;
}

enum err eio_form_read(struct span body, struct buf *payload)
{
    struct query query;
    struct span data;

    buf_reset(payload);
    if (!buf_reserve(payload, body.size + 1))
        return buf_status(payload);
    buf_append_span(payload, body);
    if (query_parse(&query, payload->data, payload->size, NULL))
        return ERR_BAD_REQUEST;
    data = query_get(&query, "d");
    if (!data.data)
        return ERR_BAD_REQUEST;
    memmove(payload->data, data.data, data.size);
    payload->size = undo_line_feeds(payload->data, data.size);
    return ERR_NONE;
}
