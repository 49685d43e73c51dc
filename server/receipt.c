/* Recording what was received: a presented cursor becomes `delivered` marks.
 *
 * Marks are positions, so they may be late but never wrong. A user's first
 * comes with the next tick of the wheel, so that the marks of many users share
 * a commit; the next are gathered for RECORD_MS and only the newest is stored.
 * A mark is stored only where it newly covers a message by somebody else; so
 * the receipts themselves, and one's own messages, cause none.
 *
 * pace_note: where very many receive at once, their marks are spread over time,
 * each user's gathered for the longer: receipts must not take from the messages
 * what these need.
 *
 * late_note: what could not be stored now (the store refuses, the queue is
 * full, too many at once, a cursor ahead of what this worker has heard of) is
 * tried again by the timer: the client may never present anything newer.
 *
 * heard_note: who presents the newest that this worker has heard of in a
 * conversation, which is the rule where people talk, is answered from what the
 * watch knows of that entry. The store is read for the others only.
 */
#include "server/base/clock.h"
#include "server/base/mem.h"
#include "server/base/trace.h"
#include "server/watch.h"

#include <string.h>

#define RECORD_MS 1000
#define RETRY_MS 5000
#define MARK_US 1000    /* of the time of all users of a worker, for each … */
#define MARKS_FREE 1000 /* … when that many were in the last second … */
#define MARK_LATE_MS 10000 /* … but no user's later than that */
#define MARKS_AT_ONCE 256  /* of one user: then the others get their turn */
#define LOOK_BACK 256      /* that many in a row are hardly all one's own */

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
        if (interest->presented < submission->entry.mark)
            interest->presented = submission->entry.mark;
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

/* A read transaction, begun when the first of a session's conversations needs
 * it. */
struct lookup {
    struct reader *reader;
    bool begun;
};

static enum err need_reader(struct lookup *lookup)
{
    enum err rc = lookup->begun ? ERR_NONE : reader_begin(lookup->reader);

    lookup->begun = !rc;
    return rc;
}

static enum err seq_at(const struct interest *interest, struct lookup *lookup,
                       lsn at, uint64_t *seq)
{
    const struct conversation_watch *watch = interest->watch;
    enum err rc;

    *seq = watch->heard_seq;
    if (watch->heard_seq && watch->heard_lsn <= at)
        return ERR_NONE; /* heard_note */
    rc = need_reader(lookup);
    return rc ? rc : reader_seq_at(lookup->reader, watch->no, at, seq);
}

static enum err need_delivered(struct interest *interest, struct lookup *lookup)
{
    const struct person *who = &interest->session->who;
    struct marks marks;
    enum err rc;

    if (interest->delivered != DELIVERED_UNKNOWN)
        return ERR_NONE;
    rc = need_reader(lookup);
    if (!rc)
        rc = reader_marks(lookup->reader, span_of(who->app), span_of(who->user),
                          interest->stint.conv, &marks);
    if (rc)
        return rc;
    interest->delivered = marks.delivered_seq;
    return ERR_NONE;
}

/* Whether one of these is a message that is surely by somebody else; false:
 * not known. */
static bool heard_from_other(const struct interest *interest, uint64_t from,
                             uint64_t to)
{
    const struct conversation_watch *watch = interest->watch;
    const char *user = interest->session->who.user;
    uint64_t seq = watch->said_by == author_hash(span_of(user))
                       ? watch->other_seq
                       : watch->said_seq;

    return seq >= from && seq <= to;
}

/* Whether storing `seq` as the mark would say something new: whether one of
 * those it newly covers is by somebody else. */
static enum err is_news(const struct interest *interest, struct lookup *lookup,
                        uint64_t seq, bool *news)
{
    const struct person *who = &interest->session->who;
    uint64_t from = interest->delivered + 1, unread = 0;
    enum err rc;

    if (from < interest->stint.from_seq)
        from = interest->stint.from_seq;
    *news = seq - from >= LOOK_BACK || heard_from_other(interest, from, seq);
    if (*news)
        return ERR_NONE;
    rc = need_reader(lookup);
    if (!rc)
        rc = reader_count_unread(lookup->reader, span_of(who->app),
                                 span_of(who->user), interest->stint.conv, from,
                                 seq, &unread);
    *news = unread > 0;
    return rc;
}

/* The watch keeps the name for the next mark. */
static enum err need_name(const struct interest *interest,
                          struct lookup *lookup)
{
    struct conversation_watch *watch = interest->watch;
    struct conversation conversation;
    enum err rc;

    if (watch->marked_as)
        return ERR_NONE;
    rc = need_reader(lookup);
    if (!rc)
        rc = reader_conversation_no(lookup->reader,
                                    span_of(interest->session->who.app),
                                    watch->no, &conversation);
    if (rc)
        return rc;
    watch->marked_as =
        mem_strndup(conversation.name.data, conversation.name.size);
    return watch->marked_as ? ERR_NONE : ERR_NOMEM;
}

static enum err store_mark(struct interest *interest, struct lookup *lookup,
                           uint64_t seq)
{
    struct session *session = interest->session;
    struct delivered *delivered;
    struct failure why;
    enum err rc = need_name(interest, lookup);

    if (rc)
        return rc;
    delivered =
        delivered_create(interest, span_of(interest->watch->marked_as), seq);
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

static enum err record_seq(struct interest *interest, struct lookup *lookup,
                           uint64_t seq)
{
    bool news = false;
    enum err rc = need_delivered(interest, lookup);

    if (rc || seq <= interest->delivered || seq < interest->stint.from_seq)
        return rc;
    rc = is_news(interest, lookup, seq, &news);
    if (!rc && news)
        rc = store_mark(interest, lookup, seq);
    if (!rc)
        interest->delivered = seq;
    return rc;
}

/* What was presented of one conversation, and the mark that the presented
 * cursor means in it. */
static enum err record_one(struct interest *interest, struct lookup *lookup,
                           lsn at)
{
    uint64_t seq = interest->presented;
    enum err rc = seq ? record_seq(interest, lookup, seq) : ERR_NONE;

    if (!rc)
        interest->presented = 0;
    if (rc || interest->watch->latest <= interest->recorded ||
        interest->recorded >= at)
        return rc;
    rc = seq_at(interest, lookup, at, &seq);
    if (!rc)
        rc = record_seq(interest, lookup, seq);
    if (!rc)
        interest->recorded = at;
    return rc;
}

static bool has_news(const struct interest *interest, lsn at)
{
    return interest->watch && (interest->presented ||
                               (interest->watch->latest > interest->recorded &&
                                interest->recorded < at));
}

/* *all: nothing is left for another time. */
static enum err record_all(struct session *session, lsn at, bool *all)
{
    struct lookup lookup = {.reader = session->hub->worker->reader};
    unsigned looked = 0;
    enum err rc = ERR_NONE;

    *all = true;
    for (size_t i = 0; !rc && *all && i < session->interest_count; i++) {
        struct interest *interest = session->interests[i];

        if (!has_news(interest, at))
            continue;
        *all = looked++ < MARKS_AT_ONCE;
        if (*all)
            rc = record_one(interest, &lookup, at);
    }
    if (lookup.begun)
        reader_end(lookup.reader);
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
}

void session_store_marks(struct session *session)
{
    record_now(session);
}

void session_record(struct wheel_node *node)
{
    struct session *session = container_of(node, struct session, record);

    session->record_armed = false;
    record_now(session);
    session_put(session); /* the timer's reference */
}

/* When it is the turn of another user's marks: pace_note (the generic cell rate
 * algorithm, ITU-T I.371). */
static uint64_t next_turn_ms(struct hub *hub, uint64_t now_ms)
{
    uint64_t free_us = (now_ms + MARK_LATE_MS) * 1000;
    uint64_t burst_us = (uint64_t)MARKS_FREE * MARK_US;

    if (hub->marks_until_us < now_ms * 1000)
        hub->marks_until_us = now_ms * 1000;
    if (hub->marks_until_us < free_us)
        hub->marks_until_us += MARK_US;
    return hub->marks_until_us < now_ms * 1000 + burst_us
               ? now_ms
               : (hub->marks_until_us - burst_us) / 1000;
}

static void record_soon(struct session *session)
{
    uint64_t now = session->hub->worker->now_ms;
    uint64_t due, turn;

    if (session->record_armed)
        return;
    due = session->recorded_ms ? session->recorded_ms + RECORD_MS : now;
    turn = next_turn_ms(session->hub, now);
    if (due < turn)
        due = turn;
    record_later(session, due > now ? due - now : 0);
}

void session_present(struct session *session, lsn at)
{
    if (at <= session->presenting)
        return;
    session->presenting = at;
    record_soon(session);
}

void session_present_in(struct session *session, conv_no conv, uint64_t seq)
{
    struct interest *interest = interest_find(session, conv);

    if (!interest || seq <= interest->presented ||
        (interest->delivered != DELIVERED_UNKNOWN &&
         seq <= interest->delivered))
        return;
    interest->presented = seq;
    record_soon(session);
}
