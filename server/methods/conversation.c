/* Conversations: looking at one, and who comes and goes. */
#include "server/methods/create.h"
#include "server/methods/list.h"
#include "server/methods/params.h"
#include "server/methods/submit.h"
#include "server/methods/target.h"
#include "server/methods/view.h"
#include "server/worker.h"

#define USERS_GIVEN_MAX 1000
#define USERS_MAX_BYTES ((size_t)(NAME_MAX_BYTES + 1) * USERS_GIVEN_MAX)

/* --- conversation.get ----------------------------------------------------- */

/* With the reader begun. */
static enum err view(struct call *call, struct reader *reader,
                     struct target *target)
{
    struct viewer viewer = call_viewer(call);
    json_t *result = NULL;
    enum err err = target_look(call, reader, target);

    if (err)
        return err;
    if (!target->exists)
        return call_result(call, view_unborn(&viewer, target));
    err = view_whole(reader, &viewer, &target->parts, &target->conv, &result);
    return err ? fail_plain(&call->failure, err) : call_result(call, result);
}

static enum err conversation_get(struct call *call)
{
    struct reader *reader = call->worker->reader;
    struct target target;
    enum err err = target_named(call, &target);

    if (err)
        return err;
    err = reader_begin(reader);
    if (err)
        return fail_plain(&call->failure, err);
    err = view(call, reader, &target);
    reader_end(reader);
    return err;
}

/* --- coming and going ----------------------------------------------------- */

/* {conversation, short_id, seq?, cursor?}: the last two only when there was
 * something to change. */
static enum err changed(struct call *call, const struct entry *entry,
                        const struct applied *applied)
{
    char cursor[CURSOR_MAX_BYTES];
    json_t *result =
        json_pack("{s:s%}", "conversation", entry->conversation.data,
                  entry->conversation.size);

    if (!applied->lsn)
        return call_result(call, result);
    cursor_write(cursor, store_epoch(worker_store(call->worker)), applied->lsn);
    if (json_object_update_new(
            result,
            json_pack("{s:I, s:I, s:s}", "short_id", (json_int_t)applied->conv,
                      "seq", (json_int_t)applied->seq, "cursor", cursor))) {
        json_decref(result);
        result = NULL;
    }
    return call_result(call, result);
}

/* Two people stay two; everyone is in a channel as it is. Only a group has
 * members that come and go: *group tells whether it is one. */
static enum err movable(struct call *call, struct target *target, bool *group)
{
    enum err err = target_named(call, target);

    if (err)
        return err;
    *group = target->parts.type == CONV_GROUP;
    if (target->parts.type == CONV_P2P)
        return fail(&call->failure, ERR_FORBIDDEN,
                    "a conversation of two people takes nobody in and lets "
                    "nobody out; create a group");
    return ERR_NONE;
}

/* A channel that exists: success, and nothing to write. */
static enum err as_it_is(struct call *call, struct target *target)
{
    struct reader *reader = call->worker->reader;
    struct applied nothing = {0};
    struct entry entry = {.conversation = target->name};
    enum err err = reader_begin(reader);

    if (err)
        return fail_plain(&call->failure, err);
    err = target_look(call, reader, target);
    reader_end(reader);
    return err ? err : changed(call, &entry, &nothing);
}

static enum err move(struct call *call, struct target *target,
                     enum entry_kind kind, struct span users)
{
    struct entry entry = {
        .kind = kind, .conversation = target->name, .users = users};

    return call_submit(call, &entry, changed);
}

/* The caller alone, as a list of users. */
static struct span myself(const struct call *call)
{
    struct span user = span_of(call->who->user);

    user.size++; /* with its NUL */
    return user;
}

/* Numbers can be counted through; a group that may be joined by whoever knows
 * it is known by its name. */
static enum err key_is_name(struct call *call, const struct target *target)
{
    if (!target->by_number)
        return ERR_NONE;
    return fail(&call->failure, ERR_FORBIDDEN,
                "'conversation' must be the group's name to join it, not its "
                "short_id");
}

static enum err come_or_go(struct call *call, enum entry_kind kind)
{
    struct target target;
    bool group = false;
    enum err err = movable(call, &target, &group);

    if (!err && group && kind == ENTRY_JOIN)
        err = key_is_name(call, &target);
    if (err)
        return err;
    return group ? move(call, &target, kind, myself(call))
                 : as_it_is(call, &target);
}

static enum err conversation_join(struct call *call)
{
    return come_or_go(call, ENTRY_JOIN);
}

static enum err conversation_leave(struct call *call)
{
    return come_or_go(call, ENTRY_LEAVE);
}

/* `users`, or one `user`. */
static enum err guests(struct call *call, struct buf *out)
{
    struct span user;
    bool one = param_given(call, "user"), many = param_given(call, "users");

    if (one == many)
        return fail(&call->failure, ERR_BAD_REQUEST,
                    "give exactly one of 'users' (a list) and 'user', got %s",
                    one ? "both" : "neither");
    if (many)
        return param_names(call, "users", USERS_GIVEN_MAX, (struct span){0},
                           out);

    enum err err = param_name(call, "user", &user);

    if (err)
        return err;
    buf_append_span(out, user);
    buf_append(out, "", 1);
    return buf_status(out) ? fail_plain(&call->failure, buf_status(out))
                           : ERR_NONE;
}

static enum err conversation_invite(struct call *call)
{
    struct target target;
    struct buf users;
    bool group = false;
    enum err err = movable(call, &target, &group);

    if (err)
        return err;
    buf_init(&users, USERS_MAX_BYTES);
    err = guests(call, &users);
    if (!err && !users.size)
        err = fail(&call->failure, ERR_BAD_REQUEST,
                   "'users' must name at least one user");
    if (!err)
        err = group ? move(call, &target, ENTRY_JOIN,
                           (struct span){users.data, users.size})
                    : as_it_is(call, &target);
    buf_fini(&users);
    return err;
}

const struct method conversation_methods[] = {
    {"conversation.list", false, conversation_list},
    {"conversation.get", false, conversation_get},
    {"conversation.create", false, conversation_create},
    {"conversation.invite", false, conversation_invite},
    {"conversation.join", false, conversation_join},
    {"conversation.leave", false, conversation_leave},
    {0},
};
