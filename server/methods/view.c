/* Conversations as JSON: the row of a list, and the whole with its members. */
#include "server/methods/view.h"

#include <string.h>

#define UNREAD_ROWS 10000 /* looked at: a list must not hold the loop up */
#define MEMBERS_SHOWN 200
#define LOOK_BACK 16 /* entries searched for the last message of a row */

static const char *const type_names[] = {
    [CONV_P2P] = "p2p", [CONV_GROUP] = "group", [CONV_CHANNEL] = "channel"};

/* Set a value (given); a missing one, or no memory, spoils the object. */
static enum err set(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) ? ERR_NOMEM : ERR_NONE;
}

static enum err set_number(json_t *object, const char *key, uint64_t value)
{
    return set(object, key, json_integer((json_int_t)value));
}

static enum err set_span(json_t *object, const char *key, struct span value)
{
    return set(object, key, json_stringn(value.data, value.size));
}

/* --- settings ------------------------------------------------------------- */

struct span conversation_text(const struct conversation *conv,
                              struct conv_settings *settings)
{
    struct span rest = {0};

    memset(settings, 0, sizeof(*settings));
    if (conv->type == CONV_P2P ||
        conv_settings_read(settings, conv->body, &rest))
        return (struct span){0};
    return rest;
}

json_t *settings_json(const struct conv_settings *settings)
{
    return json_pack("{s:s, s:b, s:b, s:{s:I, s:I}}", "history",
                     settings->history_all ? "all" : "join", "joinable",
                     (int)settings->joinable, "open", (int)settings->open,
                     "retention", "max_age_s",
                     (json_int_t)(settings->max_age_ms / 1000), "max_count",
                     (json_int_t)settings->max_count);
}

static enum err set_description(json_t *object, const struct conversation *conv)
{
    struct conv_settings settings;
    struct span text = conversation_text(conv, &settings);
    json_t *said = text.size ? json_loadb(text.data, text.size, 0, NULL) : NULL;
    json_t *name = json_object_get(said, "name");
    enum err err = set(object, "name", name ? json_incref(name) : json_null());

    json_decref(said);
    if (!err)
        err = set(object, "settings", settings_json(&settings));
    return err;
}

/* --- what both forms show ------------------------------------------------- */

static struct span peer_of(const struct conv_name *parts, struct span user)
{
    return span_equal(parts->a, user) ? parts->b : parts->a;
}

static enum err set_names(json_t *object, const struct viewer *viewer,
                          const struct conv_name *parts, struct span name)
{
    enum err err = set_span(object, "conversation", name);

    if (!err)
        err = set(object, "type", json_string(type_names[parts->type]));
    if (!err && parts->type == CONV_P2P)
        err = set_span(object, "peer", peer_of(parts, viewer->user));
    return err;
}

/* Messages by others beyond the read mark, of the newest UNREAD_ROWS entries;
 * channels keep no marks. */
static enum err count_unread(struct reader *reader, const struct viewer *viewer,
                             const struct conversation *conv,
                             const struct sight *sight, uint64_t read_seq,
                             uint64_t *unread)
{
    uint64_t from = read_seq + 1;

    *unread = 0;
    if (conv->type == CONV_CHANNEL || !sight->count)
        return ERR_NONE;
    if (from < sight_first(sight))
        from = sight_first(sight);
    if (from > sight_last(sight))
        return ERR_NONE;
    if (sight_last(sight) - from >= UNREAD_ROWS)
        from = sight_last(sight) - UNREAD_ROWS + 1;
    return reader_count_unread(reader, viewer->app, viewer->user, conv->no,
                               from, sight_last(sight), unread);
}

static enum err set_marks(json_t *object, struct reader *reader,
                          const struct viewer *viewer,
                          const struct conversation *conv,
                          const struct sight *sight)
{
    struct marks marks = {0};
    uint64_t unread = 0;
    enum err err =
        reader_marks(reader, viewer->app, viewer->user, conv->no, &marks);

    if (!err)
        err =
            count_unread(reader, viewer, conv, sight, marks.read_seq, &unread);
    if (!err)
        err = set_number(object, "read_seq", marks.read_seq);
    if (!err)
        err = set_number(object, "delivered_seq", marks.delivered_seq);
    if (!err)
        err = set_number(object, "unread", unread);
    return err;
}

static enum err set_common(json_t *object, struct reader *reader,
                           const struct viewer *viewer,
                           const struct conv_name *parts,
                           const struct conversation *conv,
                           const struct sight *sight)
{
    enum err err = set_names(object, viewer, parts, conv->name);

    if (!err)
        err = set_number(object, "short_id", conv->no);
    if (!err)
        err = set_description(object, conv);
    if (!err && conv->creator.size)
        err = set_span(object, "creator", conv->creator);
    if (!err)
        err = set_number(object, "last_seq", conv->last_seq);
    if (!err)
        err = set_number(object, "first_seq", conv->trimmed_seq + 1);
    if (!err)
        err = set_number(object, "member_count", conv->member_count);
    return err ? err : set_marks(object, reader, viewer, conv, sight);
}

/* --- the whole ------------------------------------------------------------ */

struct members {
    json_t *list;
    bool more;
    enum err err;
};

static json_t *member_json(const struct member *member)
{
    return json_pack("{s:s%, s:s, s:I, s:I}", "user", member->user.data,
                     member->user.size, "role",
                     member->creator ? "owner" : "member", "read_seq",
                     (json_int_t)member->marks.read_seq, "delivered_seq",
                     (json_int_t)member->marks.delivered_seq);
}

/* A member_visit. */
static bool add_member(const struct member *member, void *arg)
{
    struct members *members = arg;

    if (json_array_size(members->list) == MEMBERS_SHOWN) {
        members->more = true;
        return false;
    }
    if (json_array_append_new(members->list, member_json(member)))
        members->err = ERR_NOMEM;
    return !members->err;
}

static enum err set_members(json_t *object, struct reader *reader, conv_no conv)
{
    struct members members = {.list = json_array()};
    enum err err = members.list
                       ? reader_members(reader, conv, add_member, &members)
                       : ERR_NOMEM;

    if (!err)
        err = members.err;
    if (!err)
        err = set(object, "members", json_incref(members.list));
    if (!err)
        err = set(object, "more_members", json_boolean(members.more));
    json_decref(members.list);
    return err;
}

enum err view_whole(struct reader *reader, const struct viewer *viewer,
                    const struct conv_name *parts,
                    const struct conversation *conv, json_t **out)
{
    struct sight sight;
    enum err err = sight_of(reader, viewer, conv, &sight);

    if (err)
        return err;
    if (!sight.present)
        return ERR_NOT_MEMBER;

    json_t *object = json_object();

    err = set_common(object, reader, viewer, parts, conv, &sight);
    if (!err)
        err = set_members(object, reader, conv->no);
    if (err) {
        json_decref(object);
        return err;
    }
    *out = object;
    return ERR_NONE;
}

static json_t *unborn_members(const struct conv_name *parts)
{
    struct member a = {.user = parts->a}, b = {.user = parts->b};
    json_t *list = json_array();
    bool alone = span_equal(a.user, b.user);

    if (json_array_append_new(list, member_json(&a)) ||
        (!alone && json_array_append_new(list, member_json(&b)))) {
        json_decref(list);
        return NULL;
    }
    return list;
}

json_t *view_unborn(const struct viewer *viewer, const struct target *target)
{
    struct conv_settings none = {0};
    json_t *members = unborn_members(&target->parts);
    json_t *object = json_pack(
        "{s:n, s:n, s:o, s:i, s:i, s:i, s:i, s:i, s:I, s:b, s:o}", "short_id",
        "name", "settings", settings_json(&none), "last_seq", 0, "first_seq", 1,
        "read_seq", 0, "delivered_seq", 0, "unread", 0, "member_count",
        (json_int_t)json_array_size(members), "more_members", 0, "members",
        members);

    if (set_names(object, viewer, &target->parts, target->name)) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* --- a row ---------------------------------------------------------------- */

struct last {
    const char *epoch;
    json_t *message;
    enum err err;
};

/* An entry_visit, newest first. */
static bool take_message(const struct entry *entry, struct span bytes,
                         void *arg)
{
    struct last *last = arg;

    (void)bytes;
    if (entry->kind != ENTRY_MESSAGE || (entry->flags & ENTRY_TRIMMED))
        return true;

    struct event *event = event_of_entry(last->epoch, entry);

    if (event)
        last->message = json_loadb(event->json, event->size, 0, NULL);
    if (!last->message)
        last->err = ERR_NOMEM;
    event_unref(event);
    return false;
}

static enum err set_last(json_t *object, struct reader *reader,
                         const char *epoch, const struct conversation *conv,
                         const struct sight *sight)
{
    struct last last = {.epoch = epoch};
    uint64_t to = sight_last(sight);
    uint64_t from = to >= LOOK_BACK ? to - LOOK_BACK + 1 : 1;
    enum err err = ERR_NONE;

    /* The newest range is the present one: what lies in it may be seen. */
    if (sight->count && from < sight->ranges[sight->count - 1].from)
        from = sight->ranges[sight->count - 1].from;
    if (sight->count)
        err = chain_read(reader, conv->no, from, to, true, take_message, &last);
    if (!err)
        err = last.err;
    if (err) {
        json_decref(last.message);
        return err;
    }
    return set(object, "last_message",
               last.message ? last.message : json_null());
}

enum err view_row(struct reader *reader, const char *epoch,
                  const struct viewer *viewer, const struct conversation *conv,
                  json_t **out)
{
    struct sight sight;
    struct conv_name parts;
    enum err err = name_parse(&parts, conv->name);

    if (!err)
        err = sight_of(reader, viewer, conv, &sight);
    if (err)
        return err;

    json_t *object = json_object();

    err = set_common(object, reader, viewer, &parts, conv, &sight);
    if (!err)
        err = set_last(object, reader, epoch, conv, &sight);
    if (!err)
        err = set(object, "muted", json_false());
    if (!err)
        err = set(object, "pinned", json_false());
    if (err) {
        json_decref(object);
        return err;
    }
    *out = object;
    return ERR_NONE;
}
