/* message.trace: the life of one entry: submitted, committed, announced,
 * written per device and transport, acknowledged, read, each with its time.
 *
 * What is on disk is known for ever: when it was submitted, and the receipts.
 * The rest is what the workers' recorders still remember, if they do.
 *
 * shown_note: whoever may read an entry may trace it, and is told of others
 * what receipts would tell: nothing in a channel or a large group, where only
 * one's own devices are shown and the others counted.
 */
#include "server/methods/trace.h"

#include "server/base/mem.h"
#include "server/methods/params.h"
#include "server/methods/target.h"
#include "server/recorder.h"
#include "server/worker.h"
#include "store/append.h"
#include "transports/transport.h"

#include <stdlib.h>

#define STEPS_MAX 1000
#define LOOK_AHEAD 2000 /* entries of the log, for the first receipts */

struct step {
    uint64_t at_us;
    size_t place; /* of two at a time the one that was found first */
    const char *name;
    json_t *said; /* {step, at_us, …} */
};

struct tracing {
    struct call *call;
    struct reader *reader;
    const struct target *target;
    const struct entry *entry; /* borrowed, while it is visited */
    unsigned worker;           /* whose recorder is read */
    struct step *steps;        /* room for STEPS_MAX */
    size_t count;
    uint64_t hidden; /* steps by others, and those beyond STEPS_MAX */
    bool committed;  /* that step is there */
    enum err err;
};

/* Takes `more`, what it says beside its name and time. */
static void add(struct tracing *tracing, const char *name, uint64_t at_us,
                json_t *more)
{
    json_t *said =
        json_pack("{s:s, s:I}", "step", name, "at_us", (json_int_t)at_us);

    if (!more || !said || json_object_update(said, more)) {
        json_decref(said);
        tracing->err = ERR_NOMEM;
    } else if (tracing->count == STEPS_MAX) {
        json_decref(said);
        tracing->hidden++;
    } else {
        tracing->steps[tracing->count] =
            (struct step){at_us, tracing->count, name, said};
        tracing->count++;
    }
    json_decref(more);
}

/* See shown_note. */
static bool may_show(const struct tracing *tracing, struct span user)
{
    const struct conversation *conv = &tracing->target->conv;

    return span_is(user, tracing->call->who->user) ||
           (conv->type != CONV_CHANNEL &&
            conv->member_count <= RECEIPT_MEMBERS);
}

/* --- what the recorders remember ------------------------------------------ */

static bool in_sight(const struct sight *sight, uint64_t seq)
{
    for (size_t i = 0; i < sight->count; i++)
        if (seq >= sight->ranges[i].from && seq <= sight->ranges[i].to)
            return true;
    return false;
}

/* Whether the entry was among what went over a mixed chain to this reader: all
 * of the recorded range was, that they may see. */
static bool is_on_chain_of(struct tracing *tracing, const struct recorded *to)
{
    const struct target *target = tracing->target;
    const struct entry *entry = tracing->entry;
    struct viewer viewer = {to->app, to->user, to->inbox};
    struct sight sight;
    enum err err;

    if (to->inbox != target->conv.inbox || target->conv.type == CONV_CHANNEL ||
        ((entry->flags & ENTRY_NO_ECHO) && span_equal(to->user, entry->from) &&
         span_equal(to->device, entry->device)))
        return false;
    if (target->conv.type == CONV_P2P)
        return span_equal(to->user, target->parts.a) ||
               span_equal(to->user, target->parts.b);
    err = sight_of(tracing->reader, &viewer, &target->conv, &sight);
    tracing->err = tracing->err ? tracing->err : err;
    return !err && in_sight(&sight, entry->seq);
}

static bool was_written_to(struct tracing *tracing, const struct recorded *to)
{
    if (!span_is(to->app, tracing->call->who->app))
        return false;
    return to->conv ? to->conv == tracing->target->conv.no
                    : is_on_chain_of(tracing, to);
}

static const char *transport_name(enum carried_by by)
{
    for (const struct transport *const *t = transports; *t; t++)
        if ((*t)->by == by)
            return (*t)->name;
    return "";
}

static void add_announced(struct tracing *tracing, const struct recorded *point)
{
    if (point->committed_us && !tracing->committed)
        add(tracing, "committed", point->committed_us, json_object());
    tracing->committed = true;
    add(tracing, "announced", point->at_us,
        json_pack("{s:i}", "worker", (int)tracing->worker));
}

static void add_written(struct tracing *tracing, const struct recorded *point)
{
    if (!was_written_to(tracing, point))
        return;
    if (!may_show(tracing, point->user)) {
        tracing->hidden++;
        return;
    }
    add(tracing, "written", point->at_us,
        json_pack("{s:s%, s:s%, s:s, s:i}", "user", point->user.data,
                  point->user.size, "device", point->device.data,
                  point->device.size, "over", transport_name(point->by),
                  "worker", (int)tracing->worker));
}

/* A recorder_visitor. */
static void add_point(const struct recorded *point, void *arg)
{
    struct tracing *tracing = arg;

    if (point->kind == RECORDED_ANNOUNCED)
        add_announced(tracing, point);
    else
        add_written(tracing, point);
}

static void add_recorded(struct tracing *tracing)
{
    const struct server *server = tracing->call->worker->server;

    for (size_t i = 0; i < server->worker_count; i++) {
        tracing->worker = (unsigned)i;
        recorder_visit(server->workers[i]->recorder, tracing->entry->lsn,
                       add_point, tracing);
    }
}

/* --- receipts ------------------------------------------------------------- */

static const char *receipt_name(enum entry_kind kind)
{
    return kind == ENTRY_READ ? "read" : "acknowledged";
}

static bool has_receipt(const struct tracing *tracing, const char *name,
                        struct span user)
{
    for (size_t i = 0; i < tracing->count; i++) {
        const struct step *step = &tracing->steps[i];

        if (step->name == name &&
            span_is(user,
                    json_string_value(json_object_get(step->said, "user"))))
            return true;
    }
    return false;
}

/* Entries know milliseconds: a receipt comes at the end of its own, for it is
 * later than what was written in it. */
static uint64_t end_of_ms(uint64_t ms)
{
    return ms * 1000 + 999;
}

/* An entry_visit: the first of each kind and user that covers the entry. */
static bool add_receipt(const struct entry *receipt, struct span bytes,
                        void *arg)
{
    struct tracing *tracing = arg;
    const char *name = receipt_name(receipt->kind);

    (void)bytes;
    if (receipt->mark < tracing->entry->seq ||
        span_equal(receipt->from, tracing->entry->from) ||
        !may_show(tracing, receipt->from) ||
        has_receipt(tracing, name, receipt->from))
        return true;
    add(tracing, name, end_of_ms(receipt->ts),
        json_pack("{s:s%, s:I}", "user", receipt->from.data, receipt->from.size,
                  "seq", (json_int_t)receipt->mark));
    return !tracing->err;
}

static void add_receipt_at(struct tracing *tracing, lsn at)
{
    enum err err = ERR_NONE;

    if (at)
        err = receipts_read(tracing->reader, tracing->target->conv.no, at - 1,
                            1, add_receipt, tracing);
    tracing->err = tracing->err ? tracing->err : err;
}

/* A member_visit. What came too late to be found as the first: the newest. */
static bool add_marks(const struct member *member, void *arg)
{
    struct tracing *tracing = arg;

    add_receipt_at(tracing, member->marks.delivered_lsn);
    add_receipt_at(tracing, member->marks.read_lsn);
    return !tracing->err;
}

static void add_receipts(struct tracing *tracing)
{
    const struct viewer viewer = call_viewer(tracing->call);
    conv_no conv = tracing->target->conv.no;
    struct member me = {.user = viewer.user};
    enum err err = receipts_read(tracing->reader, conv, tracing->entry->lsn,
                                 LOOK_AHEAD, add_receipt, tracing);

    if (!err && tracing->target->conv.member_count <= RECEIPT_MEMBERS)
        err = reader_members(tracing->reader, conv, add_marks, tracing);
    else if (!err)
        err = reader_marks(tracing->reader, viewer.app, viewer.user, conv,
                           &me.marks);
    if (!err)
        (void)add_marks(&me, tracing);
    tracing->err = tracing->err ? tracing->err : err;
}

/* --- the answer ----------------------------------------------------------- */

static int by_time(const void *a, const void *b)
{
    const struct step *one = a, *other = b;

    if (one->at_us != other->at_us)
        return one->at_us < other->at_us ? -1 : 1;
    return one->place < other->place ? -1 : 1;
}

/* Takes what the steps say. */
static json_t *list_steps(struct tracing *tracing)
{
    json_t *list = json_array();

    qsort(tracing->steps, tracing->count, sizeof(*tracing->steps), by_time);
    for (size_t i = 0; i < tracing->count; i++)
        if (json_array_append_new(list, tracing->steps[i].said))
            tracing->err = ERR_NOMEM;
    tracing->count = 0;
    return list;
}

static json_t *answer(struct tracing *tracing)
{
    const struct entry *entry = tracing->entry;
    char cursor[CURSOR_MAX_BYTES];

    cursor_write(cursor, store_epoch(worker_store(tracing->call->worker)),
                 entry->lsn);
    return json_pack(
        "{s:s%, s:I, s:I, s:s, s:s%, s:o, s:I}", "conversation",
        entry->conversation.data, entry->conversation.size, "short_id",
        (json_int_t)entry->conv, "seq", (json_int_t)entry->seq, "cursor",
        cursor, "from", entry->from.data, entry->from.size, "steps",
        list_steps(tracing), "hidden", (json_int_t)tracing->hidden);
}

/* An entry_visit. */
static bool trace_entry(const struct entry *entry, struct span bytes, void *arg)
{
    struct tracing *tracing = arg;
    struct call *call = tracing->call;

    (void)bytes;
    tracing->entry = entry;
    add(tracing, "submitted", entry->ts * 1000,
        json_pack("{s:s%, s:s%}", "user", entry->from.data, entry->from.size,
                  "device", entry->device.data, entry->device.size));
    add_recorded(tracing);
    add_receipts(tracing);
    if (!tracing->err)
        tracing->err = call_result(call, answer(tracing));
    while (tracing->count > 0)
        json_decref(tracing->steps[--tracing->count].said);
    return false;
}

static enum err refuse_seq(struct call *call)
{
    return fail(&call->failure, ERR_NOT_FOUND,
                "'seq' must be one that you may see here");
}

/* With the reader begun. */
static enum err trace_seq(struct tracing *tracing, struct target *target,
                          uint64_t seq)
{
    struct call *call = tracing->call;
    struct viewer viewer = call_viewer(call);
    struct sight sight;
    enum err err = target_look(call, tracing->reader, target);

    if (err)
        return err;
    if (!target->exists)
        return refuse_seq(call);
    err = sight_of(tracing->reader, &viewer, &target->conv, &sight);
    if (!err && !sight.ever)
        return fail_plain(&call->failure, ERR_NOT_MEMBER);
    if (!err && !in_sight(&sight, seq))
        return refuse_seq(call);
    tracing->target = target;
    if (!err)
        err = chain_read(tracing->reader, target->conv.no, seq, seq, false,
                         trace_entry, tracing);
    err = err ? err : tracing->err;
    if (err)
        return fail_plain(&call->failure, err);
    return tracing->entry ? ERR_NONE : refuse_seq(call);
}

enum err message_trace(struct call *call)
{
    struct tracing tracing = {.call = call, .reader = call->worker->reader};
    struct target target;
    uint64_t seq = 0;
    enum err err = target_named(call, &target);

    if (!err && !param_given(call, "seq"))
        err = param_refuse(call, "seq", "given as a whole number", NULL);
    if (!err)
        err = param_number(call, "seq", 1, NUMBER_MAX, &seq);
    if (err)
        return err;
    tracing.steps = mem_alloc(STEPS_MAX * sizeof(*tracing.steps));
    if (!tracing.steps)
        return fail_plain(&call->failure, ERR_NOMEM);
    err = reader_begin(tracing.reader);
    if (err) {
        fail_plain(&call->failure, err);
    } else {
        err = trace_seq(&tracing, &target, seq);
        reader_end(tracing.reader);
    }
    mem_free(tracing.steps);
    return err;
}
