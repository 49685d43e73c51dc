/* Socket.IO packets as text: the head by hand, the data by jtext. */
#include "transports/sio_packet.h"

#include "server/event.h"

/* --- the head ------------------------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_binary(enum sio_type type)
{
    return type == SIO_BINARY_EVENT || type == SIO_BINARY_ACK;
}

static bool is_event(enum sio_type type)
{
    return type == SIO_EVENT || type == SIO_BINARY_EVENT;
}

static bool is_ack(enum sio_type type)
{
    return type == SIO_ACK || type == SIO_BINARY_ACK;
}

static void skip(struct span *rest, size_t size)
{
    rest->data += size;
    rest->size -= size;
}

/* Digits; false: there are none, or they say more than max. */
static bool take_number(struct span *rest, uint64_t max, uint64_t *out)
{
    uint64_t number = 0;

    if (!rest->size || !is_digit(*rest->data))
        return false;
    for (; rest->size && is_digit(*rest->data); skip(rest, 1)) {
        number = number * 10 + (uint64_t)(*rest->data - '0');
        if (number > max)
            return false;
    }
    *out = number;
    return true;
}

static bool take_type(struct span *rest, struct sio_packet *out)
{
    if (!rest->size || *rest->data < '0' || *rest->data > '6')
        return false;
    out->type = (enum sio_type)(*rest->data - '0');
    skip(rest, 1);
    return true;
}

static bool take_attachments(struct span *rest, struct sio_packet *out)
{
    uint64_t count;

    if (!is_binary(out->type))
        return true;
    if (!take_number(rest, SIO_ATTACHMENTS_MAX, &count) || !count ||
        !rest->size || *rest->data != '-')
        return false;
    out->attachments = (unsigned)count;
    skip(rest, 1);
    return true;
}

/* To the comma, which may be missing when nothing follows. */
static bool take_space(struct span *rest, struct sio_packet *out)
{
    size_t size = 0;

    out->space = SPAN("/");
    if (!rest->size || *rest->data != '/')
        return true;
    while (size < rest->size && rest->data[size] != ',')
        size++;
    if (size > SIO_NAMESPACE_MAX)
        return false;
    out->space = (struct span){rest->data, size};
    skip(rest, size < rest->size ? size + 1 : size);
    return true;
}

static void part_query(struct sio_packet *out)
{
    const char *mark = memchr(out->space.data, '?', out->space.size);
    size_t size = mark ? (size_t)(mark - out->space.data) : out->space.size;

    if (!mark)
        return;
    out->query = (struct span){mark + 1, out->space.size - size - 1};
    out->space.size = size;
}

static bool take_id(struct span *rest, struct sio_packet *out)
{
    out->has_id = rest->size && is_digit(*rest->data);
    return !out->has_id || take_number(rest, SIO_ID_MAX, &out->id);
}

/* --- the data ------------------------------------------------------------- */

static const char *const reserved[] = {
    "connect",       "connect_error", "disconnect",
    "disconnecting", "newListener",   "removeListener",
};

bool sio_is_reserved(struct span name)
{
    for (size_t i = 0; i < sizeof(reserved) / sizeof(*reserved); i++)
        if (span_is(name, reserved[i]))
            return true;
    return false;
}

bool sio_says(const struct jtext *value, const char *text)
{
    return value->kind == JTEXT_STRING && jtext_says(value, span_of(text));
}

/* A number, or a string that is not reserved. */
static bool may_be_name(const struct jtext *name)
{
    for (size_t i = 0; i < sizeof(reserved) / sizeof(*reserved); i++)
        if (sio_says(name, reserved[i]))
            return false;
    return name->kind == JTEXT_STRING || name->kind == JTEXT_INTEGER ||
           name->kind == JTEXT_REAL;
}

/* Of an object in a packet with that many attachments. */
static bool placeholder_holds(const struct jtext_object *object,
                              void *attachments)
{
    struct jtext mark, number;

    if (!jtext_get(object, "_placeholder", &mark) || mark.kind != JTEXT_TRUE)
        return true;
    return jtext_get(object, "num", &number) && number.kind == JTEXT_INTEGER &&
           jtext_integer(&number) >= 0 &&
           jtext_integer(&number) < *(unsigned *)attachments;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct span trim(struct span text)
{
    while (text.size && is_blank(*text.data))
        skip(&text, 1);
    while (text.size && is_blank(text.data[text.size - 1]))
        text.size--;
    return text;
}

/* What `list` holds: a name if there must be one, and arguments. */
static bool take_args(struct sio_packet *out, const struct jtext *list)
{
    struct span inside = {list->text.data + 1, list->text.size - 2};

    if (list->kind != JTEXT_ARRAY)
        return false;
    if (is_event(out->type) &&
        (!jtext_next_inside(&inside, &out->name) || !may_be_name(&out->name)))
        return false;
    out->args = trim(inside);
    return true;
}

/* Data that is there. */
static bool check_data(enum sio_protocol protocol, struct sio_packet *out,
                       const struct jtext *data)
{
    switch (out->type) {
    case SIO_CONNECT:
        return data->kind == JTEXT_OBJECT;
    case SIO_DISCONNECT:
        return false;
    case SIO_CONNECT_ERROR:
        return protocol == SIO_PROTOCOL_4 || data->kind == JTEXT_STRING ||
               data->kind == JTEXT_OBJECT;
    default:
        return take_args(out, data);
    }
}

static enum err take_data(enum sio_protocol protocol, struct span rest,
                          struct sio_packet *out)
{
    struct jtext data;
    enum err err;

    if (!rest.size)
        return is_event(out->type) || is_ack(out->type) ? ERR_BAD_REQUEST
                                                        : ERR_NONE;
    err = jtext_read_loose(rest, &data,
                           out->attachments ? placeholder_holds : NULL,
                           &out->attachments);
    if (err)
        return err;
    out->data = data.text;
    return check_data(protocol, out, &data) ? ERR_NONE : ERR_BAD_REQUEST;
}

enum err sio_read(enum sio_protocol protocol, struct span text,
                  struct sio_packet *out)
{
    *out = (struct sio_packet){0};
    if (!take_type(&text, out) || !take_attachments(&text, out) ||
        !take_space(&text, out) || !take_id(&text, out))
        return ERR_BAD_REQUEST;
    if (protocol == SIO_PROTOCOL_4)
        part_query(out);
    return take_data(protocol, text, out);
}

bool sio_next(struct span *rest, struct jtext *out)
{
    return jtext_next_inside(rest, out);
}

/* --- writing -------------------------------------------------------------- */

void sio_write_head(struct buf *out, enum sio_type type, unsigned attachments,
                    struct span space, const uint64_t *id)
{
    if (attachments && type == SIO_EVENT)
        type = SIO_BINARY_EVENT;
    if (attachments && type == SIO_ACK)
        type = SIO_BINARY_ACK;
    buf_append_u64(out, (uint64_t)type);
    if (attachments) {
        buf_append_u64(out, attachments);
        buf_append_text(out, "-");
    }
    if (!span_is(space, "/")) {
        buf_append_span(out, space);
        buf_append_text(out, ",");
    }
    if (id)
        buf_append_u64(out, *id);
}

void sio_write_event(struct buf *out, unsigned attachments, struct span space,
                     const uint64_t *id, struct span name, struct span args)
{
    sio_write_head(out, SIO_EVENT, attachments, space, id);
    buf_append_text(out, "[");
    json_quote(out, name);
    if (args.size)
        buf_append_text(out, ",");
    buf_append_span(out, args);
    buf_append_text(out, "]");
}

void sio_write_ack(struct buf *out, unsigned attachments, struct span space,
                   uint64_t id, struct span args)
{
    sio_write_head(out, SIO_ACK, attachments, space, &id);
    buf_append_text(out, "[");
    buf_append_span(out, args);
    buf_append_text(out, "]");
}
