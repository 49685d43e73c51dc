/* message.history: a page of one conversation, half-open by seq.
 *
 * after → what follows that seq, before → the newest before it, neither → the
 * newest of all; always answered ascending. What the caller may see are the
 * times of their membership, so a page may leap over what happened in between.
 */
#include "server/methods/history.h"

#include "server/methods/params.h"
#include "server/methods/target.h"
#include "server/worker.h"

#define LIMIT_DEFAULT 50
#define LIMIT_MAX 200

struct page {
    const char *epoch;
    bool backward;
    uint64_t from, to; /* closed */
    uint64_t limit;
    json_t *messages;
    size_t bytes;
    bool more; /* full before the end */
    enum err err;
};

static bool put(struct page *page, json_t *message)
{
    if (page->backward ? json_array_insert_new(page->messages, 0, message) == 0
                       : json_array_append_new(page->messages, message) == 0)
        return true;
    page->err = ERR_NOMEM;
    return false;
}

static bool shows_nothing(const struct entry *entry)
{
    return entry->kind == ENTRY_TRIM || (entry->flags & ENTRY_TRIMMED);
}

/* An entry_visit. */
static bool take(const struct entry *entry, struct span bytes, void *arg)
{
    struct page *page = arg;
    size_t count = json_array_size(page->messages);

    (void)bytes;
    if (shows_nothing(entry))
        return true;
    if (count == page->limit) {
        page->more = true;
        return false;
    }

    struct event *event = event_of_entry(page->epoch, entry);

    if (!event) {
        page->err = ERR_NOMEM;
        return false;
    }
    if (count && page->bytes + event->size > PAGE_MAX_BYTES) {
        event_unref(event);
        page->more = true;
        return false;
    }
    page->bytes += event->size;

    json_t *message = json_loadb(event->json, event->size, 0, NULL);

    event_unref(event);
    return put(page, message);
}

static enum err read_range(struct page *page, struct reader *reader,
                           conv_no conv, uint64_t from, uint64_t to)
{
    if (from < page->from)
        from = page->from;
    if (to > page->to)
        to = page->to;
    if (from > to)
        return ERR_NONE;

    enum err err =
        chain_read(reader, conv, from, to, page->backward, take, page);

    return err ? err : page->err;
}

static enum err read_sight(struct page *page, struct reader *reader,
                           conv_no conv, const struct sight *sight)
{
    enum err err = ERR_NONE;

    for (size_t n = 0; n < sight->count && !err && !page->more; n++) {
        size_t i = page->backward ? sight->count - 1 - n : n;

        err = read_range(page, reader, conv, sight->ranges[i].from,
                         sight->ranges[i].to);
    }
    return err;
}

static json_t *answer(const struct page *page, const struct sight *sight)
{
    return json_pack("{s:O, s:I, s:I, s:b}", "messages", page->messages,
                     "first_seq", (json_int_t)sight_first(sight), "last_seq",
                     (json_int_t)sight_last(sight), "more", (int)page->more);
}

/* With the reader begun. */
static enum err read_page(struct call *call, struct reader *reader,
                          struct page *page, struct target *target)
{
    struct viewer viewer = call_viewer(call);
    struct sight sight = {.ever = true};
    enum err err = target_look(call, reader, target);

    if (err)
        return err;
    if (target->exists) {
        err = sight_of(reader, &viewer, &target->conv, &sight);
        if (!err && sight.ever)
            err = read_sight(page, reader, target->conv.no, &sight);
        if (err)
            return fail_plain(&call->failure, err);
    }
    if (!sight.ever)
        return fail_plain(&call->failure, ERR_NOT_MEMBER);
    return call_result(call, answer(page, &sight));
}

/* Where to read, from `after`, `before` and `limit`. */
static enum err page_asked_for(struct call *call, struct page *page)
{
    uint64_t after = 0, before = NUMBER_MAX + 1;
    bool forward = param_given(call, "after");
    enum err err = param_number(call, "after", 0, NUMBER_MAX, &after);

    if (!err)
        err = param_number(call, "before", 1, NUMBER_MAX, &before);
    if (!err)
        err = param_number(call, "limit", 1, LIMIT_MAX, &page->limit);
    if (!err && forward && param_given(call, "before"))
        err = fail(&call->failure, ERR_BAD_REQUEST,
                   "give 'after' or 'before', not both");
    page->backward = !forward;
    page->from = after + 1;
    page->to = before - 1;
    return err;
}

enum err message_history(struct call *call)
{
    struct reader *reader = call->worker->reader;
    struct page page = {.epoch = store_epoch(worker_store(call->worker)),
                        .limit = LIMIT_DEFAULT};
    struct target target;
    enum err err = target_named(call, &target);

    if (!err)
        err = page_asked_for(call, &page);
    if (err)
        return err;
    page.messages = json_array();
    if (!page.messages)
        return fail_plain(&call->failure, ERR_NOMEM);
    err = reader_begin(reader);
    if (err) {
        fail_plain(&call->failure, err);
    } else {
        err = read_page(call, reader, &page, &target);
        reader_end(reader);
    }
    json_decref(page.messages);
    return err;
}
