/* Which conversation is meant, and which of its seqs the caller may see. */
#include "server/methods/target.h"

#include "server/methods/params.h"
#include "server/worker.h"

#include <stdlib.h>
#include <string.h>

#define CONVERSATION_ACCEPTED                                                  \
    "a conversation such as \"0:1:alice:bob\" or \"0:2:team\", or its "        \
    "short_id"

/* --- names ---------------------------------------------------------------- */

static enum err refuse_absent(struct call *call)
{
    return fail(&call->failure, ERR_NOT_FOUND, "there is no such conversation");
}

/* Point the target's parts into its own text. */
static enum err take_name(struct target *target, struct span name)
{
    if (name.size >= sizeof(target->text))
        return ERR_BAD_REQUEST;
    memcpy(target->text, name.data, name.size);
    target->text[name.size] = '\0';
    target->name = (struct span){target->text, name.size};
    return name_parse(&target->parts, target->name);
}

static enum err name_by_number(struct call *call, conv_no no,
                               struct target *target)
{
    struct reader *reader = call->worker->reader;
    struct conversation conv;
    enum err err = reader_begin(reader);

    if (err)
        return fail_plain(&call->failure, err);
    err = reader_conversation_no(reader, span_of(call->who->app), no, &conv);
    if (!err)
        err = take_name(target, conv.name);
    reader_end(reader);
    if (err == ERR_NOT_FOUND)
        return refuse_absent(call);
    return err ? fail_plain(&call->failure, err) : ERR_NONE;
}

/* A short_id as a number, which is never 0. */
static bool is_number(const struct jtext *value, conv_no *no)
{
    int64_t number = value->kind == JTEXT_INTEGER ? jtext_integer(value) : 0;

    *no = number > 0 ? (conv_no)number : 0;
    return number > 0;
}

static bool names_me(const struct target *target, const struct call *call)
{
    struct span me = span_of(call->who->user);

    return span_equal(target->parts.a, me) || span_equal(target->parts.b, me);
}

enum err target_named(struct call *call, struct target *out)
{
    struct jtext value;
    struct span text = {0};
    enum err err = ERR_NONE;
    conv_no no;

    memset(out, 0, sizeof(*out));
    if (!param_get(call, "conversation", &value))
        return param_refuse(call, "conversation", CONVERSATION_ACCEPTED, NULL);
    if (value.kind == JTEXT_STRING)
        err = param_string(call, &value, &text);
    if (err)
        return err;
    out->by_number = is_number(&value, &no) || u64_read(text, &no);
    if (out->by_number)
        err = name_by_number(call, no, out);
    else if (!text.data || take_name(out, text))
        err = param_refuse(call, "conversation", CONVERSATION_ACCEPTED, &value);
    if (err)
        return err;
    if (out->parts.inbox != call->who->inbox)
        return refuse_absent(call);
    if (out->parts.type == CONV_P2P && !names_me(out, call))
        return fail_plain(&call->failure, ERR_NOT_MEMBER);
    return ERR_NONE;
}

void target_of_two(struct call *call, struct span other, struct target *out)
{
    char name[CONVERSATION_MAX_BYTES];
    size_t size =
        name_p2p(name, call->who->inbox, span_of(call->who->user), other);

    memset(out, 0, sizeof(*out));
    /* Both users' names were checked, so theirs is a name. */
    if (take_name(out, (struct span){name, size}))
        abort();
}

enum err target_look(struct call *call, struct reader *reader,
                     struct target *target)
{
    enum err err = reader_conversation(reader, span_of(call->who->app),
                                       target->name, &target->conv);

    target->exists = err == ERR_NONE;
    if (err == ERR_NOT_FOUND && target->parts.type == CONV_P2P)
        return ERR_NONE;
    if (err == ERR_NOT_FOUND)
        return refuse_absent(call);
    return err ? fail_plain(&call->failure, err) : ERR_NONE;
}

/* --- sight ---------------------------------------------------------------- */

static void add_range(struct sight *sight, const struct conversation *conv,
                      uint64_t from, uint64_t to)
{
    if (from <= conv->trimmed_seq)
        from = conv->trimmed_seq + 1;
    if (!to || to > conv->last_seq)
        to = conv->last_seq;
    if (from > to)
        return;
    sight->ranges[sight->count].from = from;
    sight->ranges[sight->count].to = to;
    sight->count++;
}

static int by_from(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Times of membership may overlap where newcomers see all history. */
static void join_overlaps(struct sight *sight)
{
    size_t kept = 0;

    qsort(sight->ranges, sight->count, sizeof(sight->ranges[0]), by_from);
    for (size_t i = 1; i < sight->count; i++) {
        if (sight->ranges[i].from > sight->ranges[kept].to + 1)
            sight->ranges[++kept] = sight->ranges[i];
        else if (sight->ranges[i].to > sight->ranges[kept].to)
            sight->ranges[kept].to = sight->ranges[i].to;
    }
    if (sight->count)
        sight->count = kept + 1;
}

enum err sight_of(struct reader *reader, const struct viewer *viewer,
                  const struct conversation *conv, struct sight *out)
{
    struct stint stints[SIGHT_MAX];
    size_t count;

    memset(out, 0, sizeof(*out));
    if (conv->type != CONV_GROUP) { /* one's own two, or open to everyone */
        out->present = out->ever = true;
        add_range(out, conv, 1, 0);
        return ERR_NONE;
    }

    enum err err = reader_stints_in(reader, viewer->app, viewer->user, conv->no,
                                    stints, SIGHT_MAX, &count);

    if (err)
        return err;
    out->ever = count > 0;
    for (size_t i = 0; i < count; i++) {
        out->present = out->present || !stints[i].to_seq;
        add_range(out, conv, stints[i].from_seq, stints[i].to_seq);
    }
    join_overlaps(out);
    return ERR_NONE;
}

uint64_t sight_first(const struct sight *sight)
{
    return sight->count ? sight->ranges[0].from : 0;
}

uint64_t sight_last(const struct sight *sight)
{
    return sight->count ? sight->ranges[sight->count - 1].to : 0;
}
