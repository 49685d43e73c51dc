/* Any bytes as the body of a POST. What is read from it and written as the
 * answer to a poll reads as the same packets; a script has nothing in it that
 * breaks out of it. The first byte chooses the protocol and its form. */
#define _GNU_SOURCE /* memmem */
#include "transports/eio_packet.h"

#include "server/utf8.h"

#include <stdlib.h>
#include <string.h>

#define NO_LIMIT (SIZE_MAX / 4)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool it)
{
    if (!it)
        abort();
}

/* A packet where its likes are compared: its length keeps it from running into
 * the next. */
static void note(struct buf *notes, const struct eio_packet *packet)
{
    must(packet->type <= EIO_NOOP);
    must(packet->binary || utf8_valid(packet->data.data, packet->data.size));
    buf_printf(notes, "%d %d %zu ", (int)packet->type, (int)packet->binary,
               packet->data.size);
    buf_append_span(notes, packet->data);
}

/* Into the answer that is open; when that is full, into the next, behind
 * whatever `notes` needs of the last. */
struct echo {
    enum eio_protocol protocol;
    enum eio_form form;
    struct eio_answer answer;
    struct buf out;
    struct buf again; /* notes of what was written */
};

static void read_all(enum eio_protocol protocol, struct span body, bool octets,
                     struct buf *notes, struct echo *echo);

static void echo_begin(struct echo *echo)
{
    buf_reset(&echo->out);
    eio_answer_begin(&echo->answer, &echo->out, echo->protocol, echo->form,
                     SPAN("0"), 64);
}

static void echo_end(struct echo *echo)
{
    struct span written = {echo->out.data, echo->out.size};

    must(echo->answer.packets <= EIO_POLL_PACKETS);
    if (echo->answer.packets)
        read_all(echo->protocol, written, echo->form == EIO_FORM_OCTETS,
                 &echo->again, NULL);
}

static void echo_add(struct echo *echo, const struct eio_packet *packet)
{
    if (eio_answer_add(&echo->answer, packet))
        return;
    echo_end(echo);
    echo_begin(echo);
    must(eio_answer_add(&echo->answer, packet));
}

/* To its end or its fault; what is written by `echo` has none. */
static void read_all(enum eio_protocol protocol, struct span body, bool octets,
                     struct buf *notes, struct echo *echo)
{
    struct eio_payload in;
    struct eio_packet packet;
    struct buf scratch;
    enum err err;

    buf_init(&scratch, NO_LIMIT);
    eio_payload_begin(&in, protocol, body, octets);
    while (!(err = eio_payload_next(&in, &scratch, &packet))) {
        note(notes, &packet);
        if (echo)
            echo_add(echo, &packet);
    }
    must(err == ERR_END || (echo && err == ERR_BAD_REQUEST));
    buf_fini(&scratch);
}

static void check_echo(enum eio_protocol protocol, struct span body,
                       bool octets)
{
    struct echo echo = {.protocol = protocol,
                        .form = octets ? EIO_FORM_OCTETS : EIO_FORM_TEXT};
    struct buf notes;

    buf_init(&notes, NO_LIMIT);
    buf_init(&echo.out, NO_LIMIT);
    buf_init(&echo.again, NO_LIMIT);
    echo_begin(&echo);
    read_all(protocol, body, octets, &notes, &echo);
    echo_end(&echo);
    must(!buf_status(&notes) && !buf_status(&echo.again));
    must(notes.size == echo.again.size);
    must(!notes.size || !memcmp(notes.data, echo.again.data, notes.size));
    buf_fini(&echo.again);
    buf_fini(&echo.out);
    buf_fini(&notes);
}

static void check_script(struct span body)
{
    struct eio_packet packet = {EIO_MESSAGE, false, body};
    struct eio_answer answer;
    struct buf out;

    if (!utf8_valid(body.data, body.size))
        return;
    buf_init(&out, NO_LIMIT);
    eio_answer_begin(&answer, &out, EIO_PROTOCOL_3, EIO_FORM_JSONP, body, 64);
    must(eio_answer_add(&answer, &packet));
    eio_answer_end(&answer);
    must(!buf_status(&out));
    must(!memchr(out.data, '\n', out.size) && !memchr(out.data, '<', out.size));
    must(!memmem(out.data, out.size, "\xe2\x80\xa8", 3));
    buf_fini(&out);
}

/* What a form says is no longer than itself. */
static void check_form(struct span body)
{
    struct buf payload;

    buf_init(&payload, NO_LIMIT);
    if (!eio_form_read(body, &payload))
        must(payload.size <= body.size &&
             utf8_valid(payload.data, payload.size));
    buf_fini(&payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span body;
    char *text;

    if (!size)
        return 0;
    text = malloc(size); /* exactly: its ends are watched */
    must(text != NULL);
    memcpy(text, data, size);
    body = (struct span){text + 1, size - 1};
    switch (text[0] & 3) {
    case 0:
        check_echo(EIO_PROTOCOL_4, body, false);
        break;
    case 1:
        check_echo(EIO_PROTOCOL_3, body, false);
        break;
    case 2:
        check_echo(EIO_PROTOCOL_3, body, true);
        break;
    default:
        check_script(body);
        check_form(body);
    }
    free(text);
    return 0;
}
