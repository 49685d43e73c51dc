/* conversation.list: the caller's conversations, newest first.
 *
 * Every membership costs one lookup of its conversation's head; only the rows
 * of the page cost more. The position between pages is the lsn of the last row:
 * a conversation that moves meanwhile moves to the front, and is not missed
 * there. */
#include "server/methods/list.h"

#include "server/base/mem.h"
#include "server/methods/params.h"
#include "server/methods/view.h"
#include "server/worker.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_DEFAULT 50
#define LIMIT_MAX 200

struct place {
    lsn last;
    conv_no no;
};

struct listing {
    struct reader *reader;
    struct viewer viewer;
    lsn before;
    uint64_t limit;
    struct place *places;
    size_t count, room;
    enum err err;
};

static bool grow(struct listing *listing)
{
    size_t room = listing->room ? listing->room * 2 : 32;
    struct place *grown = mem_realloc(listing->places, room * sizeof(*grown));

    if (!grown) {
        listing->err = ERR_NOMEM;
        return false;
    }
    listing->places = grown;
    listing->room = room;
    return true;
}

/* A stint_visit: remember where each present conversation stands. */
static bool note(const struct stint *stint, void *arg)
{
    struct listing *listing = arg;
    struct conversation conv;

    if (stint->to_seq || stint->inbox != listing->viewer.inbox)
        return true;
    listing->err = reader_conversation_no(listing->reader, listing->viewer.app,
                                          stint->conv, &conv);
    if (listing->err)
        return false;
    if (conv.last_lsn >= listing->before)
        return true;
    if (listing->count == listing->room && !grow(listing))
        return false;
    listing->places[listing->count++] = (struct place){conv.last_lsn, conv.no};
    return true;
}

static int newest_first(const void *a, const void *b)
{
    lsn x = ((const struct place *)a)->last,
        y = ((const struct place *)b)->last;

    return (x < y) - (x > y);
}

static enum err add_rows(struct listing *listing, const char *epoch,
                         json_t *rows)
{
    size_t bytes = 0;

    for (size_t i = 0; i < listing->count && i < listing->limit; i++) {
        struct conversation conv;
        json_t *row = NULL;
        enum err err = reader_conversation_no(
            listing->reader, listing->viewer.app, listing->places[i].no, &conv);

        if (!err)
            err =
                view_row(listing->reader, epoch, &listing->viewer, &conv, &row);
        if (err)
            return err;
        bytes += json_dumpb(row, NULL, 0, JSON_COMPACT);
        if (i && bytes > PAGE_MAX_BYTES) {
            json_decref(row);
            listing->limit = i; /* the rest is for the next page */
            return ERR_NONE;
        }
        if (json_array_append_new(rows, row))
            return ERR_NOMEM;
    }
    return ERR_NONE;
}

static json_t *answer(const struct listing *listing, json_t *rows)
{
    bool more = listing->count > listing->limit;
    json_t *result =
        json_pack("{s:O, s:b}", "conversations", rows, "more", (int)more);
    char position[24];

    if (!more)
        return result;
    (void)snprintf(position, sizeof(position), "%" PRIu64,
                   listing->places[listing->limit - 1].last);
    if (json_object_set_new(result, "before", json_string(position))) {
        json_decref(result);
        return NULL;
    }
    return result;
}

/* With the reader begun. */
static enum err read_rows(struct listing *listing, const char *epoch,
                          json_t *rows)
{
    enum err err = reader_stints(listing->reader, listing->viewer.app,
                                 listing->viewer.user, note, listing);

    if (!err)
        err = listing->err;
    if (err)
        return err;
    if (listing->count)
        qsort(listing->places, listing->count, sizeof(*listing->places),
              newest_first);
    return add_rows(listing, epoch, rows);
}

static enum err read_listing(struct call *call, struct listing *listing)
{
    json_t *rows = json_array();
    enum err err = rows ? reader_begin(listing->reader) : ERR_NOMEM;

    if (!err) {
        err = read_rows(listing, store_epoch(worker_store(call->worker)), rows);
        reader_end(listing->reader);
    }
    err = err ? fail_plain(&call->failure, err)
              : call_result(call, answer(listing, rows));
    json_decref(rows);
    mem_free(listing->places);
    return err;
}

/* The `before` of an earlier answer. */
static enum err position(struct call *call, lsn *before)
{
    struct jtext value;
    struct span text = {0};
    enum err err = ERR_NONE;

    *before = UINT64_MAX;
    if (!param_get(call, "before", &value))
        return ERR_NONE;
    if (value.kind == JTEXT_STRING)
        err = param_string(call, &value, &text);
    if (err)
        return err;
    if (!u64_read(text, before))
        return param_refuse(call, "before", "the 'before' of an earlier answer",
                            &value);
    return ERR_NONE;
}

enum err conversation_list(struct call *call)
{
    struct listing listing = {.reader = call->worker->reader,
                              .viewer = call_viewer(call),
                              .limit = LIMIT_DEFAULT};
    enum err err = position(call, &listing.before);

    if (!err)
        err = param_number(call, "limit", 1, LIMIT_MAX, &listing.limit);
    return err ? err : read_listing(call, &listing);
}
