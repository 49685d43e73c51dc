/* Engine.IO packets as bytes: writing. */
#include "transports/eio_packet.h"

#include "server/event.h"
#include "server/script_text.h"

#include <openssl/evp.h>

#define SEPARATOR '\x1e'
#define OCTETS_END '\xff'

/* --- one packet ----------------------------------------------------------- */

static void encode_base64(struct buf *out, struct span bytes)
{
    char *room;

    if (!bytes.size)
        return;
    room = buf_reserve(out, (bytes.size + 2) / 3 * 4 + 1); /* and a NUL */
    if (room)
        out->size += (size_t)EVP_EncodeBlock((unsigned char *)room,
                                             (const unsigned char *)bytes.data,
                                             (int)bytes.size);
}

static void write_digit(struct buf *out, enum eio_type type, char zero)
{
    char digit = (char)(zero + (char)type);

    buf_append(out, &digit, 1);
}

void eio_write_frame(struct buf *out, enum eio_protocol protocol,
                     const struct eio_packet *packet)
{
    if (!packet->binary)
        write_digit(out, packet->type, '0');
    else if (protocol == EIO_PROTOCOL_3)
        write_digit(out, packet->type, 0);
    buf_append_span(out, packet->data);
}

static void write_base64(struct buf *out, enum eio_protocol protocol,
                         const struct eio_packet *packet)
{
    buf_append_text(out, "b");
    if (protocol == EIO_PROTOCOL_3)
        write_digit(out, packet->type, '0');
    encode_base64(out, packet->data);
}

void eio_write_text(struct buf *out, enum eio_protocol protocol,
                    const struct eio_packet *packet)
{
    if (packet->binary)
        write_base64(out, protocol, packet);
    else
        eio_write_frame(out, protocol, packet);
}

static size_t units_of(struct span text)
{
    size_t units = 0;

    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];

        units += (c & 0xc0) != 0x80; /* the first byte of a character … */
        units += c >= 0xf0;          /* … that is a pair of surrogates */
    }
    return units;
}

/* <length>:<packet>. All of a base64 packet is ASCII. */
static void write_counted(struct buf *out, const struct eio_packet *packet)
{
    size_t size = packet->data.size;

    buf_append_u64(out, packet->binary ? 2 + (size + 2) / 3 * 4
                                       : 1 + units_of(packet->data));
    buf_append_text(out, ":");
    eio_write_text(out, EIO_PROTOCOL_3, packet);
}

static void write_octets(struct buf *out, const struct eio_packet *packet)
{
    const char kind = packet->binary, end = OCTETS_END;
    char digits[U64_DIGITS];
    size_t count = u64_write(digits, packet->data.size + 1);

    for (size_t i = 0; i < count; i++)
        digits[i] = (char)(digits[i] - '0');
    buf_append(out, &kind, 1);
    buf_append(out, digits, count);
    buf_append(out, &end, 1);
    eio_write_frame(out, EIO_PROTOCOL_3, packet);
}

/* --- the answer to a poll ------------------------------------------------- */

void eio_answer_begin(struct eio_answer *answer, struct buf *out,
                      enum eio_protocol protocol, enum eio_form form,
                      struct span jsonp, size_t max_payload)
{
    *answer = (struct eio_answer){.out = out,
                                  .protocol = protocol,
                                  .form = form,
                                  .max = max_payload,
                                  .begin = out->size,
                                  .call = jsonp};
}

static void add(struct eio_answer *answer, const struct eio_packet *packet)
{
    const char separator = SEPARATOR;

    if (answer->form == EIO_FORM_OCTETS) {
        write_octets(answer->out, packet);
    } else if (answer->protocol == EIO_PROTOCOL_3) {
        write_counted(answer->out, packet);
    } else {
        if (answer->packets)
            buf_append(answer->out, &separator, 1);
        eio_write_text(answer->out, EIO_PROTOCOL_4, packet);
    }
}

bool eio_answer_add(struct eio_answer *answer, const struct eio_packet *packet)
{
    struct buf *out = answer->out;
    size_t before = out->size, used = before - answer->begin;

    if (answer->packets == EIO_POLL_PACKETS)
        return false;
    if (answer->packets &&
        (used >= answer->max || packet->data.size >= answer->max - used))
        return false;
    add(answer, packet);
    if (answer->packets && out->size - answer->begin > answer->max) {
        out->size = before;
        return false;
    }
    answer->packets++;
    return true;
}

static void write_digits_of(struct buf *out, struct span text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] >= '0' && text.data[i] <= '9')
            buf_append(out, text.data + i, 1);
}

void eio_answer_end(struct eio_answer *answer)
{
    struct buf *out = answer->out, string;

    if (answer->form != EIO_FORM_JSONP)
        return;
    buf_init(&string, out->max);
    json_quote(&string, (struct span){out->data + answer->begin,
                                      out->size - answer->begin});
    out->size = answer->begin;
    buf_append_text(out, "___eio[");
    write_digits_of(out, answer->call);
    buf_append_text(out, "](");
    script_append(out, (struct span){string.data, string.size});
    buf_append_text(out, ");");
    if (string.failed) {
        out->failed = true;
        out->short_of_memory = string.short_of_memory;
    }
    buf_fini(&string);
}

const char *eio_answer_type(enum eio_form form)
{
    switch (form) {
    case EIO_FORM_OCTETS:
        return "application/octet-stream";
    case EIO_FORM_JSONP:
        return "text/javascript; charset=UTF-8";
    default:
        return "text/plain; charset=UTF-8";
    }
}

/* --- the handshake -------------------------------------------------------- */

void eio_open_write(struct buf *out, const struct eio_open *open)
{
    buf_append_text(out, "{\"sid\":\"");
    buf_append_span(out, open->sid);
    buf_append_text(out, "\",\"upgrades\":[");
    if (open->may_upgrade)
        buf_append_text(out, "\"websocket\"");
    buf_append_text(out, "],\"pingInterval\":");
    buf_append_u64(out, open->ping_interval_ms);
    buf_append_text(out, ",\"pingTimeout\":");
    buf_append_u64(out, open->ping_timeout_ms);
    buf_append_text(out, ",\"maxPayload\":");
    buf_append_u64(out, open->max_payload);
    buf_append_text(out, "}");
}
