/* conversation.create: a group or a channel, its settings, its first members.
 */
#include "server/methods/create.h"

#include "server/base/clock.h"
#include "server/methods/params.h"
#include "server/methods/submit.h"
#include "server/methods/view.h"
#include "server/worker.h"

#include <string.h>

#define ID_LENGTH 16 /* of 6 bits each */
#define TITLE_MAX 128
#define MEMBERS_GIVEN_MAX 1000
#define AGE_MAX_S UINT64_C(3153600000) /* a hundred years */
#define ENTRY_MAX_BYTES (1u << 20)

struct creation {
    enum conv_type type;
    struct span id, name;
    char random_id[ID_LENGTH];
    struct conv_settings settings;
    struct buf members, body;
    char conversation[CONVERSATION_MAX_BYTES];
    size_t conversation_size;
};

/* --- parameters ----------------------------------------------------------- */

static const char *const types[] = {"group", "channel", NULL};
static const char *const histories[] = {"join", "all", NULL};

static enum err take_type(struct call *call, struct creation *new)
{
    int type = 0;

    if (!param_given(call, "type"))
        return param_refuse(call, "type", "\"group\" or \"channel\"", NULL);

    enum err err = param_choice(call, "type", types, &type);

    new->type = type ? CONV_CHANNEL : CONV_GROUP;
    return err;
}

static void make_id(struct creation *new)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char bytes[ID_LENGTH];

    random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < ID_LENGTH; i++)
        new->random_id[i] = letters[bytes[i] % 64];
    new->id = (struct span){new->random_id, ID_LENGTH};
}

static enum err take_id(struct call *call, struct creation *new)
{
    enum err err = param_name(call, "id", &new->id);

    if (!err && !new->id.data)
        make_id(new);
    return err;
}

/* The parameters of an object inside `call`, as if it were the call's own.
 * Not given: {}. */
static enum err inner(struct call *call, const char *name,
                      struct jtext_object *out)
{
    struct jtext value;

    out->count = 0;
    if (!param_get(call, name, &value))
        return ERR_NONE;
    if (value.kind != JTEXT_OBJECT)
        return param_refuse(call, name, "an object", &value);
    jtext_open(&value, out);
    return ERR_NONE;
}

static enum err take_retention(struct call *call,
                               struct conv_settings *settings)
{
    const struct jtext_object *outer = call->params;
    struct jtext_object object;
    uint64_t max_age_s = 0;
    enum err err = inner(call, "retention", &object);

    if (err)
        return err;
    call->params = &object;
    err = param_number(call, "max_age_s", 0, AGE_MAX_S, &max_age_s);
    if (!err)
        err = param_number(call, "max_count", 0, NUMBER_MAX,
                           &settings->max_count);
    call->params = outer;
    settings->max_age_ms = max_age_s * 1000;
    return err;
}

static enum err take_settings(struct call *call, struct conv_settings *settings)
{
    const struct jtext_object *outer = call->params;
    struct jtext_object object;
    int history = 0;
    enum err err = inner(call, "settings", &object);

    settings->joinable = true; /* its id, random unless chosen, is the key */
    if (err)
        return err;
    call->params = &object;
    err = param_choice(call, "history", histories, &history);
    if (!err)
        err = param_flag(call, "joinable", &settings->joinable);
    if (!err)
        err = param_flag(call, "open", &settings->open);
    if (!err)
        err = take_retention(call, settings);
    call->params = outer;
    settings->history_all = history == 1;
    return err;
}

static bool some_members(const struct call *call)
{
    struct jtext value, first;

    return param_get(call, "members", &value) && value.kind == JTEXT_ARRAY &&
           jtext_next(&value.text, &first);
}

static enum err take_members(struct call *call, struct creation *new)
{
    if (new->type == CONV_CHANNEL && some_members(call))
        return fail(&call->failure, ERR_BAD_REQUEST,
                    "'members' goes with a group; a channel is open to every "
                    "user of the app");
    return param_names(call, "members", MEMBERS_GIVEN_MAX,
                       span_of(call->who->user), &new->members);
}

static enum err take_params(struct call *call, struct creation *new)
{
    enum err err = take_type(call, new);

    if (!err)
        err = take_id(call, new);
    if (!err)
        err = param_text(call, "name", TITLE_MAX, &new->name);
    if (!err)
        err = take_settings(call, &new->settings);
    return err ? err : take_members(call, new);
}

/* --- the entry ------------------------------------------------------------ */

static int append_piece(const char *piece, size_t size, void *arg)
{
    buf_append(arg, piece, size);
    return 0;
}

/* The settings as apply reads them, then as people do. */
static enum err write_body(struct call *call, struct creation *new)
{
    json_t *said =
        json_pack("{s:s, s:o}", "type", types[new->type == CONV_CHANNEL],
                  "settings", settings_json(&new->settings));

    if (said && new->name.data)
        json_object_set_new(said, "name",
                            json_stringn(new->name.data, new->name.size));
    conv_settings_write(&new->body, &new->settings);
    if (!said || json_dump_callback(said, append_piece, &new->body,
                                    JSON_COMPACT | JSON_SORT_KEYS))
        new->body.failed = new->body.short_of_memory = true;
    json_decref(said);
    return buf_status(&new->body)
               ? fail_plain(&call->failure, buf_status(&new->body))
               : ERR_NONE;
}

static void write_name(struct call *call, struct creation *new)
{
    struct conv_name name = {
        .inbox = call->who->inbox, .type = new->type, .a = new->id};

    new->conversation_size = name_write(new->conversation, &name);
}

/* After the commit: the conversation as its creator sees it. */
static enum err created(struct call *call, const struct entry *entry,
                        const struct applied *applied)
{
    struct reader *reader = call->worker->reader;
    struct viewer viewer = {.app = entry->app, .user = entry->from};
    struct conversation conv;
    struct conv_name parts;
    json_t *result = NULL;
    enum err err = reader_begin(reader);

    if (err)
        return fail_plain(&call->failure, err);
    err = reader_conversation_no(reader, entry->app, applied->conv, &conv);
    if (!err)
        err = name_parse(&parts, conv.name);
    if (!err)
        err = view_whole(reader, &viewer, &parts, &conv, &result);
    reader_end(reader);
    return err ? fail_plain(&call->failure, err) : call_result(call, result);
}

static enum err submit(struct call *call, struct creation *new)
{
    struct entry entry = {
        .kind = ENTRY_CREATE,
        .conversation = {new->conversation, new->conversation_size},
        .body = {new->body.data, new->body.size},
        .users = {new->members.data, new->members.size},
    };

    return call_submit(call, &entry, created);
}

/* {type, id?, name?, members?, settings?} → the conversation */
enum err conversation_create(struct call *call)
{
    struct creation new = {0};
    enum err err;

    buf_init(&new.members, ENTRY_MAX_BYTES);
    buf_init(&new.body, ENTRY_MAX_BYTES);
    err = take_params(call, &new);
    if (!err)
        err = write_body(call, &new);
    if (!err) {
        write_name(call, &new);
        err = submit(call, &new);
    }
    buf_fini(&new.members);
    buf_fini(&new.body);
    return err;
}
