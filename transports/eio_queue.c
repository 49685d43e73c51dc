/* What a session was sent and its peer has not taken: packets in order, in
 * bytes that sessions share, and bounded. */
#include "transports/eio_inside.h"

#include <string.h>

#define ROUNDS 8 /* of room() and sending in one turn, then others */
#define FEW 16   /* packets that are as good as gone */
/* What one costs besides its bytes: the allocator's part, and its place here */
#define PACKET_COST (sizeof(struct shared) + 32)

/* --- messages ------------------------------------------------------------ */

/* The head of its WebSocket frame lies in front of the data, right before it:
 * so the same bytes leave by every way. */
static struct shared *message_create(enum ws_opcode opcode, size_t size,
                                     char **data)
{
    char head[FRAME_HEAD_MAX];
    size_t head_size = frame_head(head, opcode, size);
    struct shared *shared = shared_create_behind(FRAME_HEAD_MAX, size);

    if (!shared)
        return NULL;
    memcpy(shared->data - head_size, head, head_size);
    *data = shared->data;
    return shared;
}

struct shared *eio_text_create(size_t size, char **room)
{
    struct shared *text = message_create(WS_TEXT, 1 + size, room);

    if (text)
        *(*room)++ = '0' + EIO_MESSAGE;
    return text;
}

struct shared *eio_binary_create(size_t size, char **room)
{
    return message_create(WS_BINARY, size, room);
}

/* --- the queue ----------------------------------------------------------- */

static bool make_room(struct eio_session *session)
{
    size_t room = session->room ? session->room * 2 : 8;
    struct eio_waiting *grown = mem_alloc(room * sizeof(*grown));

    if (!grown)
        return false;
    for (size_t i = 0; i < session->count; i++)
        grown[i] = session->queue[(session->first + i) % session->room];
    mem_free(session->queue);
    session->queue = grown;
    session->first = 0;
    session->room = room;
    return true;
}

void eio_queue(struct eio_session *session, struct shared *given, bool binary)
{
    size_t after = session->waiting + (given ? PACKET_COST + given->size : 0);

    if (session->state != EIO_LIVE || session->broken || !given ||
        after > session->options.max_waiting ||
        (session->count == session->room && !make_room(session))) {
        if (session->state == EIO_LIVE)
            eio_break(session);
        shared_unref(given);
        return;
    }
    session->queue[(session->first + session->count++) % session->room] =
        (struct eio_waiting){given, binary};
    session->waiting = after;
    eio_session_dirty(session);
}

static struct eio_waiting *waiting_at(const struct eio_session *session,
                                      size_t i)
{
    return &session->queue[(session->first + i) % session->room];
}

static void drop_first(struct eio_session *session)
{
    struct shared *bytes = waiting_at(session, 0)->bytes;

    session->first = (session->first + 1) % session->room;
    session->count--;
    session->waiting -= PACKET_COST + bytes->size;
    shared_unref(bytes);
}

void eio_queue_type(struct eio_session *session, enum eio_type type,
                    struct span data)
{
    char *room;
    struct shared *bytes = message_create(WS_TEXT, 1 + data.size, &room);

    if (bytes) {
        room[0] = (char)('0' + type);
        if (data.size)
            memcpy(room + 1, data.data, data.size);
    }
    eio_queue(session, bytes, false);
}

void eio_send_text(struct eio_session *session, struct shared *text)
{
    eio_queue(session, shared_ref(text), false);
}

void eio_send_binary(struct eio_session *session, struct shared *binary)
{
    eio_queue(session, shared_ref(binary), true);
}

void eio_queue_free(struct eio_session *session)
{
    while (session->count)
        drop_first(session);
    mem_free(session->queue);
}

/* --- polling ------------------------------------------------------------- */

static struct eio_packet packet_of(const struct eio_waiting *waiting)
{
    struct span data = {waiting->bytes->data, waiting->bytes->size};

    if (waiting->binary)
        return (struct eio_packet){EIO_MESSAGE, true, data};
    return (struct eio_packet){(enum eio_type)(data.data[0] - '0'),
                               false,
                               {data.data + 1, data.size - 1}};
}

static enum eio_form form_of(const struct eio_session *session)
{
    if (session->poll->ask.jsonp)
        return EIO_FORM_JSONP;
    for (size_t i = 0; session->octets && i < session->count; i++)
        if (waiting_at(session, i)->binary)
            return EIO_FORM_OCTETS;
    return EIO_FORM_TEXT;
}

static bool answer_poll(struct eio_host *host, struct eio_exchange *poll,
                        enum eio_form form)
{
    struct buf *text = &host->text;

    if (!buf_status(text)) {
        eio_answer(poll, 200, eio_answer_type(form),
                   (struct span){text->data, text->size});
        return true;
    }
    eio_refuse(poll, EIO_BAD_REQUEST);
    buf_fini(text);
    buf_init(text, SIZE_MAX / 2);
    return false;
}

static struct eio_exchange *take_poll(struct eio_session *session)
{
    struct eio_exchange *poll = session->poll;

    session->poll = NULL;
    poll->session = NULL;
    return poll;
}

/* A close packet comes alone: clients hear it before the messages in front of
 * it. */
void eio_poll_flush(struct eio_session *session)
{
    enum eio_form form = form_of(session);
    struct eio_answer answer;

    if (!session->count) {
        eio_session_end(session, EIO_CLOSE);
        return;
    }
    buf_reset(&session->host->text);
    eio_answer_begin(&answer, &session->host->text, session->protocol, form,
                     span_of(session->poll->ask.index),
                     session->options.max_payload);
    while (session->count) {
        struct eio_packet packet = packet_of(waiting_at(session, 0));

        if (!eio_answer_add(&answer, &packet))
            break;
        drop_first(session);
    }
    eio_answer_end(&answer);
    if (!answer_poll(session->host, take_poll(session), form))
        eio_break(session);
}

bool eio_poll_tell(struct eio_host *host, struct eio_exchange *poll,
                   enum eio_type type)
{
    const struct eio_ask *ask = &poll->ask;
    enum eio_form form = ask->jsonp ? EIO_FORM_JSONP : EIO_FORM_TEXT;
    const struct eio_packet packet = {.type = type};
    struct eio_answer answer;

    buf_reset(&host->text);
    eio_answer_begin(&answer, &host->text, ask->protocol, form,
                     span_of(ask->index), SIZE_MAX / 2);
    (void)eio_answer_add(&answer, &packet);
    eio_answer_end(&answer);
    return answer_poll(host, poll, form);
}

void eio_poll_release(struct eio_session *session, enum eio_type type)
{
    if (!eio_poll_tell(session->host, take_poll(session), type))
        eio_break(session);
}

/* --- WebSocket ----------------------------------------------------------- */

#define UNREAD_BYTES (256u << 10) /* who leaves so much waiting is not read */

static struct span frame_of(const struct shared *bytes)
{
    char head[FRAME_HEAD_MAX];
    size_t size = frame_head(head, WS_TEXT, bytes->size);

    return (struct span){bytes->data - size, bytes->size + size};
}

/* Protocol 3 has the type in front of binary data, too, or has it in base64. */
static void send_binary_3(struct eio_session *session)
{
    struct eio_packet packet = packet_of(waiting_at(session, 0));
    struct buf *text = &session->host->text;
    char head[FRAME_HEAD_MAX];
    struct span frame[2];

    buf_reset(text);
    if (session->octets)
        eio_write_frame(text, session->protocol, &packet);
    else
        eio_write_text(text, session->protocol, &packet);
    if (buf_status(text)) {
        eio_break(session);
    } else {
        frame[0] = (struct span){
            head, frame_head(head, session->octets ? WS_BINARY : WS_TEXT,
                             text->size)};
        frame[1] = (struct span){text->data, text->size};
        (void)peer_send(&session->peer->ws.peer, frame, 2);
    }
    drop_first(session);
}

static void send_some(struct eio_session *session)
{
    struct span frames[PEER_PIECES_MAX];
    size_t count = 0;

    while (count < PEER_PIECES_MAX && count < session->count) {
        const struct eio_waiting *waiting = waiting_at(session, count);

        if (waiting->binary && session->protocol == EIO_PROTOCOL_3)
            break;
        frames[count++] = frame_of(waiting->bytes);
    }
    if (!count) {
        send_binary_3(session);
        return;
    }
    (void)peer_send(&session->peer->ws.peer, frames, count);
    while (count--)
        drop_first(session);
}

void eio_ws_flush(struct eio_session *session)
{
    struct peer *ws = &session->peer->ws.peer;

    while (session->count && !ws->full && ws->established)
        send_some(session);
    peer_pause(ws, (session->held || session->waiting > UNREAD_BYTES) &&
                       !ws->close_code);
}

void eio_hold(struct eio_session *session, bool hold)
{
    if (session->held == hold)
        return;
    session->held = hold;
    eio_session_dirty(session);
}

/* --- the turn ------------------------------------------------------------ */

bool eio_has_room(const struct eio_session *session)
{
    if (session->state != EIO_LIVE || session->broken || session->upgrading ||
        session->count >= FEW)
        return false;
    return session->over_ws ? !session->peer->ws.peer.full &&
                                  session->peer->ws.peer.established
                            : session->poll != NULL;
}

void eio_wants_room(struct eio_session *session)
{
    session->wants_room = true;
    eio_session_dirty(session);
}

static void send_out(struct eio_session *session)
{
    if (session->over_ws)
        eio_ws_flush(session);
    else if (!session->poll)
        return;
    else if (session->upgrading)
        eio_poll_release(session, EIO_NOOP);
    else if (session->count || session->state == EIO_CLOSING)
        eio_poll_flush(session);
}

void eio_flush(struct eio_session *session)
{
    for (int i = 0; i < ROUNDS && !session->broken; i++) {
        bool asked =
            session->wants_room && !session->count && eio_has_room(session);

        if (asked) {
            session->wants_room = false;
            session->server->room(session->owner);
        }
        if (!session->broken)
            send_out(session);
        if (!asked || session->state == EIO_CLOSED)
            break;
    }
    if (session->state == EIO_CLOSED)
        return;
    if (session->broken ||
        (session->state == EIO_CLOSING && session->over_ws && !session->count))
        eio_session_end(session, EIO_CLOSE);
    else if (session->wants_room && eio_has_room(session))
        eio_session_dirty(session); /* others first */
}
