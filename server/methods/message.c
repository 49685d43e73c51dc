/* Sending a message, and saying how far one has received and read. */
#include "server/methods/body.h"
#include "server/methods/history.h"
#include "server/methods/params.h"
#include "server/methods/submit.h"
#include "server/methods/target.h"
#include "server/methods/trace.h"
#include "server/worker.h"

#include <inttypes.h>
#include <string.h>

#define CLIENT_MSG_ID_MAX 64
#define TYPE_MAX 32
#define SENT_BYTES 256 /* most answers take less */
#define TYPE_ACCEPTED "1 to 32 characters of A-Z a-z 0-9 _ . -"

/* --- message.send --------------------------------------------------------- */

static enum err target_by_to(struct call *call, struct target *target)
{
    struct span user;
    enum err err = param_name(call, "to", &user);

    if (!err)
        target_of_two(call, user, target);
    return err;
}

/* Exactly one of `to` and `conversation`. */
static enum err send_target(struct call *call, struct target *target)
{
    bool to = param_given(call, "to");
    bool named = param_given(call, "conversation");

    if (to == named)
        return fail(&call->failure, ERR_BAD_REQUEST,
                    "give exactly one of 'to' (a user) and 'conversation', "
                    "got %s",
                    to ? "both" : "neither");
    return to ? target_by_to(call, target) : target_named(call, target);
}

static bool type_ok(struct span type)
{
    for (size_t i = 0; i < type.size; i++)
        if (type.data[i] == '@')
            return false;
    return type.size <= TYPE_MAX && name_ok(type);
}

static enum err send_type(struct call *call, struct span *type)
{
    struct jtext value;
    enum err err = ERR_NONE;

    *type = SPAN("text");
    if (!param_get(call, "type", &value))
        return ERR_NONE;
    if (value.kind == JTEXT_STRING)
        err = param_string(call, &value, type);
    if (!err && (value.kind != JTEXT_STRING || !type_ok(*type)))
        err = param_refuse(call, "type", TYPE_ACCEPTED, &value);
    return err;
}

/* `room` is for what is not spelled as it is stored. */
static enum err send_body(struct call *call, struct buf *room, struct span *out)
{
    struct jtext body;
    enum err err;

    if (!call->params || !jtext_get(call->params, "body", &body))
        return param_refuse(call, "body", "given, as any JSON value", NULL);
    err = body_text(room, &body, out);
    if (err == ERR_TOO_LARGE)
        return fail(&call->failure, err,
                    "'body' must take at most %" PRIu64
                    " bytes as compact JSON",
                    call->worker->config->max_message_bytes);
    return err ? fail_plain(&call->failure, err) : ERR_NONE;
}

static bool relaxed(const struct call *call)
{
    return call->worker->config->durability == DURABILITY_RELAXED;
}

/* The key, with all that stands before its value. */
static void append_number(struct buf *out, struct span key, uint64_t number)
{
    buf_append_span(out, key);
    buf_append_u64(out, number);
}

static enum err sent(struct call *call, const struct entry *entry,
                     const struct applied *applied)
{
    struct buf *out = &call->result;
    char cursor[CURSOR_MAX_BYTES];
    size_t size = cursor_write(cursor, store_epoch(worker_store(call->worker)),
                               applied->lsn);

    (void)buf_reserve(out, SENT_BYTES);
    buf_append_span(out, SPAN("{\"conversation\":"));
    json_quote(out, entry->conversation);
    append_number(out, SPAN(",\"short_id\":"), applied->conv);
    append_number(out, SPAN(",\"seq\":"), applied->seq);
    buf_append_span(out, SPAN(",\"cursor\":\""));
    buf_append(out, cursor, size);
    append_number(out, SPAN("\",\"ts\":"),
                  applied->duplicate ? applied->ts : entry->ts);
    buf_append_span(out, applied->duplicate ? SPAN(",\"duplicate\":true")
                                            : SPAN(",\"duplicate\":false"));
    if (relaxed(call))
        buf_append_span(out, SPAN(",\"durability\":\"relaxed\""));
    buf_append_span(out, SPAN("}"));
    return call_written(call);
}

static enum err send_entry(struct call *call, struct entry *entry)
{
    bool echo = true;
    uint64_t client_seq = 0;
    enum err err = send_type(call, &entry->type);

    if (!err)
        err = param_text(call, "client_msg_id", CLIENT_MSG_ID_MAX,
                         &entry->client_msg_id);
    if (!err)
        err = param_number(call, "client_seq", 0, NUMBER_MAX, &client_seq);
    if (!err)
        err = param_flag(call, "echo", &echo);
    if (param_given(call, "client_seq"))
        entry->mark = client_seq + 1;
    entry->kind = ENTRY_MESSAGE;
    entry->flags = echo ? 0 : ENTRY_NO_ECHO;
    return err;
}

static enum err message_send(struct call *call)
{
    struct target target;
    struct entry entry = {0};
    struct buf body;
    enum err err = send_target(call, &target);

    if (!err)
        err = send_entry(call, &entry);
    if (err)
        return err;
    buf_init(&body, call->worker->config->max_message_bytes);
    err = send_body(call, &body, &entry.body);
    if (!err) {
        entry.conversation = target.name;
        err = call_submit(call, &entry, sent);
    }
    buf_fini(&body);
    return err;
}

/* --- message.ack, message.read -------------------------------------------- */

static enum err marked(struct call *call, const struct entry *entry,
                       const struct applied *applied)
{
    (void)applied;
    buf_append_span(&call->result, SPAN("{\"conversation\":"));
    json_quote(&call->result, entry->conversation);
    append_number(&call->result, SPAN(",\"seq\":"), entry->mark);
    buf_append_span(&call->result, SPAN("}"));
    return call_written(call);
}

/* How far the conversation goes for the caller; refuses those who are not in
 * it. */
static enum err last_for(struct call *call, struct target *target,
                         uint64_t *last)
{
    struct reader *reader = call->worker->reader;
    struct viewer viewer = call_viewer(call);
    struct sight sight = {.present = true};
    enum err err = reader_begin(reader);

    if (err)
        return fail_plain(&call->failure, err);
    err = target_look(call, reader, target);
    if (!err && target->exists) {
        err = sight_of(reader, &viewer, &target->conv, &sight);
        if (err)
            fail_plain(&call->failure, err);
    }
    if (!err && !sight.present)
        err = fail_plain(&call->failure, ERR_NOT_MEMBER);
    *last = target->exists ? target->conv.last_seq : 0;
    reader_end(reader);
    return err;
}

/* {conversation, seq} → the same, seq cut to what there is. */
static enum err mark(struct call *call, enum entry_kind kind)
{
    struct target target;
    struct entry entry = {.kind = kind};
    uint64_t last = 0;
    enum err err = target_named(call, &target);

    if (!err && !param_given(call, "seq"))
        err = param_refuse(call, "seq", "given as a whole number", NULL);
    if (!err)
        err = param_number(call, "seq", 1, NUMBER_MAX, &entry.mark);
    if (!err)
        err = last_for(call, &target, &last);
    if (err)
        return err;
    if (entry.mark > last)
        entry.mark = last;
    entry.conversation = target.name;
    if (!last || target.parts.type == CONV_CHANNEL) /* no marks are kept */
        return marked(call, &entry, NULL);
    return call_submit(call, &entry, marked);
}

static enum err message_read(struct call *call)
{
    return mark(call, ENTRY_READ);
}

/* The cursor of the parameter, in this log and not beyond its end. */
static enum err known_cursor(struct call *call, lsn *at)
{
    struct store *store = worker_store(call->worker);
    struct jtext value;
    struct span text = {0};
    bool given = param_get(call, "cursor", &value);
    enum err err = ERR_NONE;
    char epoch[9];

    if (given && value.kind == JTEXT_STRING)
        err = param_string(call, &value, &text);
    if (err)
        return err;
    if (!text.data || cursor_parse(text, epoch, at))
        return param_refuse(call, "cursor",
                            "a cursor as events and answers carry it",
                            given ? &value : NULL);
    if (epoch[0] && strcmp(epoch, store_epoch(store)) != 0)
        return fail(&call->failure, ERR_BAD_REQUEST,
                    "'cursor' must be of this log (epoch %s), got epoch %s",
                    store_epoch(store), epoch);
    if (*at > store_head(store))
        return fail(&call->failure, ERR_BAD_REQUEST,
                    "'cursor' must not be ahead of the log, whose head is "
                    "%s-%" PRIu64,
                    store_epoch(store), store_head(store));
    return ERR_NONE;
}

/* The mark itself is recorded by the session, many at a time. */
static enum err ack_cursor(struct call *call)
{
    char cursor[CURSOR_MAX_BYTES];
    lsn at = 0;
    enum err err = known_cursor(call, &at);

    if (err)
        return err;

    struct session *session = session_get(call->worker, call->who);

    if (!session)
        return fail_plain(&call->failure, ERR_NOMEM);
    session_present(session, at);
    session_put(session);
    cursor_write(cursor, store_epoch(worker_store(call->worker)), at);
    return call_result(call, json_pack("{s:s}", "cursor", cursor));
}

/* {cursor} or {conversation, seq} */
static enum err message_ack(struct call *call)
{
    bool cursor = param_given(call, "cursor");

    if (cursor == param_given(call, "conversation"))
        return fail(&call->failure, ERR_BAD_REQUEST,
                    "give either 'cursor' or 'conversation' and 'seq', got %s",
                    cursor ? "both" : "neither");
    return cursor ? ack_cursor(call) : mark(call, ENTRY_DELIVERED);
}

const struct method message_methods[] = {
    {"message.send", false, message_send},
    {"message.history", false, message_history},
    {"message.ack", false, message_ack},
    {"message.read", false, message_read},
    {"message.trace", false, message_trace},
    {0},
};
