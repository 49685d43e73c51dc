/* Recording what was received: a presented cursor becomes `delivered` marks.
 *
 * Marks are positions, so they may be late but never wrong: the first comes at
 * once, the next are gathered for RECORD_MS and only the newest is stored. A
 * mark is stored only where it newly covers a message by somebody else; so the
 * receipts themselves, and one's own messages, cause none.
 *
 * late_note: what could not be stored now (the store refuses, the queue is
 * full, too many at once, a cursor ahead of what this worker has heard of) is
 * tried again by the timer: the client may never present anything newer.
 */
#include "server/base/clock.h"
#include "server/base/trace.h"
#include "server/watch.h"

#include <string.h>

#define RECORD_MS 1000
#define RETRY_MS 5000
#define MARKS_AT_ONCE 256 /* of one user: then the others get their turn */
#define LOOK_BACK 256     /* that many in a row are hardly all one's own */

struct delivered {
    struct submission submission;
    struct session *session; /* a reference */
    conv_no conv;
    char names[]; /* app, user, conversation */
};

static void record_later(struct session *session, uint64_t wait_ms)
{
    struct worker *worker = session->hub->worker;

    if (session->record_armed)
        return;
    session->refs++;
    session->record_armed = true;
    wheel_arm(&worker->wheel, &session->record, worker->now_ms + wait_ms);
}

/* One who has left meanwhile is refused for good; any other failure passes. */
static bool worth_another_try(enum err err)
{
    return err && err != ERR_NOT_MEMBER && err != ERR_NOT_FOUND;
}

static void delivered_done(struct submission *submission)
{
    struct delivered *delivered =
        container_of(submission, struct delivered, submission);
    struct session *session = delivered->session;
    struct interest *interest = interest_find(session, delivered->conv);

    if (worth_another_try(submission->failure.err) && interest) {
        interest->delivered = DELIVERED_UNKNOWN;
        interest->recorded = 0;
        record_later(session, RETRY_MS); /* late_note */
    }
    mem_free(delivered);
    session_put(session);
}

static struct delivered *delivered_create(struct interest *interest,
                                          struct span conversation,
                                          uint64_t seq)
{
    struct session *session = interest->session;
    struct span app = span_of(session->who.app);
    struct span user = span_of(session->who.user);
    struct delivered *delivered = mem_zalloc(sizeof *delivered + app.size +
                                             user.size + conversation.size);
    char *name;

    if (!delivered)
        return NULL;
    name = delivered->names;
    memcpy(name, app.data, app.size);
    memcpy(name + app.size, user.data, user.size);
    memcpy(name + app.size + user.size, conversation.data, conversation.size);
    delivered->session = session;
    delivered->conv = interest->stint.conv;
    delivered->submission.port = &session->hub->worker->port;
    delivered->submission.done = delivered_done;
    delivered->submission.entry = (struct entry){
        .kind = ENTRY_DELIVERED,
        .ts = clock_wall_ms(),
        .app = {name, app.size},
        .from = {name + app.size, user.size},
        .conversation = {name + app.size + user.size, conversation.size},
        .mark = seq,
    };
    return delivered;
}

/* Whether storing `seq` as the mark would say something new: whether one of
 * those it newly covers is by somebody else. */
static enum err is_news(const struct interest *interest, struct reader *reader,
                        uint64_t seq, bool *news)
{
    const struct person *who = &interest->session->who;
    uint64_t from = interest->delivered + 1, unread = 0;
    enum err rc;

    if (from < interest->stint.from_seq)
        from = interest->stint.from_seq;
    *news = seq - from >= LOOK_BACK;
    if (*news)
        return ERR_NONE;
    rc = reader_count_unread(reader, span_of(who->app), span_of(who->user),
                             interest->stint.conv, from, seq, &unread);
    *news = unread > 0;
    return rc;
}

static enum err store_mark(struct interest *interest, struct reader *reader,
                           uint64_t seq)
{
    struct session *session = interest->session;
    struct conversation conversation;
    struct delivered *delivered;
    struct failure why;
    enum err rc = reader_conversation_no(reader, span_of(session->who.app),
                                         interest->stint.conv, &conversation);

    if (rc)
        return rc;
    delivered = delivered_create(interest, conversation.name, seq);
    if (!delivered)
        return ERR_NOMEM;
    rc = sequencer_submit(session->hub->worker->server->sequencer,
                          &delivered->submission, &why);
    if (rc)
        mem_free(delivered);
    else
        session->refs++;
    return rc;
}

/* The mark that the presented cursor means in one conversation. */
static enum err record_one(struct interest *interest, struct reader *reader,
                           lsn at)
{
    const struct person *who = &interest->session->who;
    conv_no conv = interest->stint.conv;
    struct marks marks;
    bool news = false;
    uint64_t seq;
    enum err rc = reader_seq_at(reader, conv, at, &seq);

    if (!rc && interest->delivered == DELIVERED_UNKNOWN) {
        rc = reader_marks(reader, span_of(who->app), span_of(who->user), conv,
                          &marks);
        if (!rc)
            interest->delivered = marks.delivered_seq;
    }
    if (rc || seq <= interest->delivered || seq < interest->stint.from_seq)
        return rc;
    rc = is_news(interest, reader, seq, &news);
    if (!rc && news)
        rc = store_mark(interest, reader, seq);
    if (!rc)
        interest->delivered = seq;
    return rc;
}

/* *all: nothing is left for another time. */
static enum err record_all(struct session *session, lsn at, bool *all)
{
    struct reader *reader = session->hub->worker->reader;
    unsigned looked = 0;
    enum err rc = reader_begin(reader);

    *all = true;
    if (rc)
        return rc;
    for (size_t i = 0; !rc && *all && i < session->interest_count; i++) {
        struct interest *interest = session->interests[i];

        if (!interest->watch || interest->watch->latest <= interest->recorded ||
            interest->recorded >= at)
            continue;
        *all = looked++ < MARKS_AT_ONCE;
        if (!*all)
            break;
        rc = record_one(interest, reader, at);
        if (!rc)
            interest->recorded = at;
    }
    reader_end(reader);
    return rc;
}

static void record_now(struct session *session)
{
    lsn head = hub_head(session->hub);
    lsn at = session->presenting < head ? session->presenting : head;
    bool all;
    enum err rc = record_all(session, at, &all);

    session->recorded_ms = session->hub->worker->now_ms;
    if (rc)
        trace(TRACE_WARN, "receipts not recorded", "reason=%s", err_code(rc));
    if (rc)
        record_later(session, RETRY_MS);
    else if (!all || at < session->presenting)
        record_later(session, all ? RECORD_MS : 0); /* late_note */
    else
        session->presented = at;
}

void session_record(struct wheel_node *node)
{
    struct session *session = container_of(node, struct session, record);

    session->record_armed = false;
    record_now(session);
    session_put(session); /* the timer's reference */
}

void session_present(struct session *session, lsn at)
{
    struct worker *worker = session->hub->worker;

    if (at <= session->presenting)
        return;
    session->presenting = at;
    if (session->record_armed)
        return;
    if (!session->recorded_ms ||
        worker->now_ms >= session->recorded_ms + RECORD_MS)
        record_now(session);
    else
        record_later(session,
                     session->recorded_ms + RECORD_MS - worker->now_ms);
}
