/* What a receiving request asks for, checked, and where it starts: at the end
 * of which chain, at a cursor of it, or with a reset.
 */
#include "server/base/mem.h"
#include "server/watch.h"

#include <string.h>

#define NOT_IN "you are not in this 'conversation'"
#define LIMIT_DEFAULT 200
#define LIMIT_MAX 1000

/* --- what a request asks for -------------------------------------------- */

static enum err parse_number(struct span text, const char *name, uint64_t min,
                             uint64_t max, uint64_t *out, struct failure *why)
{
    uint64_t number;

    if (!u64_read(text, &number) || number < min || number > max)
        return fail(why, ERR_BAD_REQUEST,
                    "'%s' must be a whole number from %llu to %llu", name,
                    (unsigned long long)min, (unsigned long long)max);
    *out = number;
    return ERR_NONE;
}

static char default_device[] = "default"; /* shared: what most are */

static enum err take_device(struct carrier *carrier, const struct identity *who,
                            struct failure *why)
{
    if (who->device[0])
        carrier->device = mem_strndup(who->device, strlen(who->device));
    else
        carrier->device = default_device;
    return carrier->device ? ERR_NONE : fail_plain(why, ERR_NOMEM);
}

void carrier_drop_device(struct carrier *carrier)
{
    if (carrier->device != default_device)
        mem_free(carrier->device);
    carrier->device = NULL;
}

static enum err take_options(struct carrier *carrier,
                             const struct identity *who,
                             const struct follow *follow, struct failure *why)
{
    uint64_t limit = LIMIT_DEFAULT;
    enum err rc = ERR_NONE;

    if (follow->limit.data)
        rc = parse_number(follow->limit, "limit", 1, LIMIT_MAX, &limit, why);
    carrier->limit = (uint32_t)limit;
    if (!rc && follow->after.data && !follow->conversation.data)
        rc = fail(why, ERR_BAD_REQUEST,
                  "'after' is a seq and goes with 'conversation'; the mixed "
                  "chain takes 'cursor'");
    return rc ? rc : take_device(carrier, who, why);
}

/* --- where it starts ---------------------------------------------------- */

static void owe_reset(struct carrier *carrier, const char *reason)
{
    carrier->reset = reason;
    carrier->cursor = store_head(worker_store(carrier->worker));
}

/* *given tells whether the cursor is one of this store's. */
static enum err take_cursor(struct carrier *carrier,
                            const struct follow *follow, bool *given,
                            struct failure *why)
{
    struct store *store = worker_store(carrier->worker);
    char epoch[9];
    lsn at;

    *given = false;
    if (!follow->cursor.data) {
        carrier->now = !follow->after.data;
        carrier->cursor = store_head(store);
        return ERR_NONE;
    }
    if (cursor_parse(follow->cursor, epoch, &at))
        return fail(why, ERR_BAD_REQUEST,
                    "'cursor' must be 0 or a cursor that this server gave, "
                    "like 5f3a1c22-1042");
    if (epoch[0] && memcmp(epoch, store_epoch(store), 8) != 0)
        owe_reset(carrier, "the cursor belongs to another epoch");
    else if (at > store_head(store))
        owe_reset(carrier, "the cursor is ahead of the log");
    else {
        *given = true;
        carrier->cursor = at;
    }
    return ERR_NONE;
}

static enum err find_conversation(struct reader *reader, struct span app,
                                  struct span name, struct conversation *out)
{
    uint64_t no = 0;

    if (!memchr(name.data, ':', name.size) &&
        !parse_number(name, "conversation", 1, UINT64_MAX >> 11, &no, NULL))
        return reader_conversation_no(reader, app, no, out);
    return reader_conversation(reader, app, name, out);
}

/* The position in a single chain, given as seq, as cursor, or not at all. */
static enum err place_in_chain(struct carrier *carrier, struct reader *reader,
                               const struct follow *follow, bool cursor_given,
                               const struct conversation *conversation,
                               struct failure *why)
{
    enum err rc;

    if (follow->after.data) {
        rc = parse_number(follow->after, "after", 0, UINT64_MAX >> 11,
                          &carrier->seq, why);
        if (rc)
            return rc;
        if (carrier->seq > conversation->last_seq) {
            carrier->seq = conversation->last_seq;
            owe_reset(carrier, "'after' is ahead of the conversation");
        } else {
            carrier->cursor = 0;
        }
        return ERR_NONE;
    }
    if (!cursor_given) { /* from now on, or after a reset */
        carrier->seq = conversation->last_seq;
        return ERR_NONE;
    }
    rc =
        reader_seq_at(reader, conversation->no, carrier->cursor, &carrier->seq);
    if (!rc && carrier->seq < conversation->trimmed_seq &&
        carrier->cursor >= conversation->trimmed_lsn)
        carrier->seq = conversation->trimmed_seq;
    return rc ? fail_plain(why, rc) : ERR_NONE;
}

/* What is in memory may be behind: who has just been let in, by an entry that
 * this worker has not heard of, may follow, and sees from that entry on. */
static enum err may_follow(const struct carrier *carrier, struct reader *reader,
                           const struct conversation *conversation,
                           struct failure *why)
{
    const struct session *session = carrier->session;
    struct stint stint;
    size_t count = 0;
    enum err rc;

    if (conversation->inbox != session->who.inbox)
        return fail(why, ERR_NOT_FOUND, "'conversation' does not exist");
    if (conversation->type == CONV_CHANNEL)
        return ERR_NONE;
    for (size_t i = 0; i < session->interest_count; i++)
        if (session->interests[i]->stint.conv == conversation->no)
            return ERR_NONE;
    rc = reader_stints_in(reader, span_of(session->who.app),
                          span_of(session->who.user), conversation->no, &stint,
                          1, &count);
    if (rc)
        return fail_plain(why, rc);
    return count ? ERR_NONE : fail(why, ERR_NOT_MEMBER, NOT_IN);
}

/* Whether two others talk is nobody's business: existing or not, the answer is
 * the same. */
static enum err refuse_absent(const struct session *session, struct span name,
                              struct failure *why)
{
    struct conv_name parts;

    if (!name_parse(&parts, name) && parts.type == CONV_P2P &&
        parts.inbox == session->who.inbox &&
        !span_is(parts.a, session->who.user) &&
        !span_is(parts.b, session->who.user))
        return fail(why, ERR_NOT_MEMBER, NOT_IN);
    return fail(why, ERR_NOT_FOUND, "'conversation' does not exist");
}

static enum err join_conversation(struct carrier *carrier,
                                  struct reader *reader,
                                  const struct follow *follow,
                                  bool cursor_given, struct failure *why)
{
    struct session *session = carrier->session;
    struct conversation conversation;
    enum err rc = find_conversation(reader, span_of(session->who.app),
                                    follow->conversation, &conversation);

    if (rc == ERR_NOT_FOUND || rc == ERR_BAD_REQUEST)
        return refuse_absent(session, follow->conversation, why);
    if (rc)
        return fail_plain(why, rc);
    rc = may_follow(carrier, reader, &conversation, why);
    if (!rc)
        rc = place_in_chain(carrier, reader, follow, cursor_given,
                            &conversation, why);
    if (rc)
        return rc;
    carrier->watch = watch_get(session->hub, &conversation);
    if (!carrier->watch)
        return fail_plain(why, ERR_NOMEM);
    carrier->conv = conversation.no;
    carrier->past = conversation.type != CONV_CHANNEL &&
                    !interest_find(session, conversation.no);
    if (carrier->seq > conversation.trimmed_seq && !carrier->cursor) {
        rc = reader_lsn_of(reader, carrier->conv, carrier->seq,
                           &carrier->cursor);
        if (rc && rc != ERR_NOT_FOUND) {
            watch_release(carrier->watch);
            return fail_plain(why, rc);
        }
    }
    list_append(&carrier->watch->carriers, &carrier->link);
    if (!carrier->reset && (cursor_given || follow->after.data))
        session_present_in(session, carrier->conv, carrier->seq);
    return ERR_NONE;
}

/* Who stands at the end of a channel that others here follow needs nothing of
 * the store: what is in memory tells that there is nothing new. */
static bool join_at_end(struct carrier *carrier, const struct follow *follow,
                        bool cursor_given)
{
    struct hub *hub = carrier->session->hub;
    struct conversation_watch *watch =
        watch_named(hub, &carrier->session->who, follow->conversation);
    uint64_t after = 0;

    if (!watch || !watch->heard_seq)
        return false;
    if (follow->after.data) {
        if (parse_number(follow->after, "after", 0, UINT64_MAX >> 11, &after,
                         NULL) ||
            after != watch->heard_seq)
            return false;
        carrier->cursor = watch->heard_lsn;
    } else if (!cursor_given || carrier->cursor < watch->heard_lsn ||
               carrier->cursor > hub->head) {
        return false;
    }
    carrier->seq = watch->heard_seq;
    carrier->watch = watch;
    carrier->conv = watch->no;
    list_append(&watch->carriers, &carrier->link);
    return true;
}

static enum err start(struct carrier *carrier, const struct follow *follow,
                      struct failure *why)
{
    struct session *session = carrier->session;
    struct reader *reader = carrier->worker->reader;
    bool given;
    enum err rc = take_cursor(carrier, follow, &given, why);

    if (rc)
        return rc;
    if (follow->conversation.data) {
        if (join_at_end(carrier, follow, given))
            return ERR_NONE;
        rc = reader_begin(reader);
        if (rc)
            return fail_plain(why, rc);
        rc = join_conversation(carrier, reader, follow, given, why);
        reader_end(reader);
        return rc;
    }
    list_append(&session->carriers, &carrier->link);
    if (given)
        session_present(session, carrier->cursor);
    return ERR_NONE;
}

enum err carrier_attach(struct carrier *carrier, const struct identity *who,
                        const struct follow *follow, struct failure *why)
{
    enum err rc = take_options(carrier, who, follow, why);

    if (!rc)
        rc = start(carrier, follow, why);
    if (rc)
        carrier_drop_device(carrier);
    return rc;
}
