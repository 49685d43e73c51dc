/* Recording what was received: a presented cursor becomes `delivered` marks.
 *
 * Marks are positions, so they may be late but never wrong: the first comes at
 * once, the next are gathered for RECORD_MS and only the newest is stored. A mark
 * is stored only where it newly covers a message by somebody else; so the
 * receipts themselves, and one's own messages, cause none.
 */
#include "server/base/clock.h"
#include "server/base/trace.h"
#include "server/watch.h"

#include <string.h>

#define RECORD_MS 1000

struct delivered {
    struct submission submission;
    char names[]; /* app, user, conversation */
};

static void delivered_done(struct submission *submission)
{
    mem_free(container_of(submission, struct delivered, submission));
}

static struct delivered *delivered_create(const struct session *session,
                                          struct span conversation,
                                          uint64_t seq)
{
    struct span app = span_of(session->who.app);
    struct span user = span_of(session->who.user);
    struct delivered *delivered =
        mem_zalloc(sizeof *delivered + app.size + user.size +
                   conversation.size);
    char *name;

    if (!delivered)
        return NULL;
    name = delivered->names;
    memcpy(name, app.data, app.size);
    memcpy(name + app.size, user.data, user.size);
    memcpy(name + app.size + user.size, conversation.data, conversation.size);
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

/* The mark that the presented cursor means in one conversation, when storing it
 * would say something new; else 0. */
static enum err new_mark(struct interest *interest, struct reader *reader,
                         lsn at, uint64_t *mark)
{
    const struct identity *who = &interest->session->who;
    struct span app = span_of(who->app), user = span_of(who->user);
    conv_no conv = interest->stint.conv;
    uint64_t seq, unread = 0;
    struct marks marks;
    enum err rc = reader_seq_at(reader, conv, at, &seq);

    *mark = 0;
    if (!rc && interest->delivered == DELIVERED_UNKNOWN) {
        rc = reader_marks(reader, app, user, conv, &marks);
        if (!rc)
            interest->delivered = marks.delivered_seq;
    }
    if (rc || seq <= interest->delivered || seq < interest->stint.from_seq)
        return rc;
    rc = reader_count_unread(reader, app, user, conv, interest->delivered + 1,
                             seq, &unread);
    if (rc)
        return rc;
    interest->delivered = seq;
    if (unread)
        *mark = seq;
    return ERR_NONE;
}

static enum err record_one(struct interest *interest, struct reader *reader,
                           lsn at)
{
    struct session *session = interest->session;
    struct conversation conversation;
    struct delivered *delivered;
    struct failure why;
    uint64_t mark;
    enum err rc = new_mark(interest, reader, at, &mark);

    if (rc || !mark)
        return rc;
    rc = reader_conversation_no(reader, span_of(session->who.app),
                                interest->stint.conv, &conversation);
    if (rc)
        return rc;
    delivered = delivered_create(session, conversation.name, mark);
    if (!delivered)
        return ERR_NOMEM;
    rc = sequencer_submit(session->hub->worker->server->sequencer,
                          &delivered->submission, &why);
    if (rc) {
        mem_free(delivered);
        interest->delivered = DELIVERED_UNKNOWN; /* the next cursor tries */
    }
    return rc;
}

static enum err record_all(struct session *session, lsn at)
{
    struct reader *reader = session->hub->worker->reader;
    enum err rc = reader_begin(reader);

    if (rc)
        return rc;
    for (size_t i = 0; !rc && i < session->interest_count; i++) {
        struct interest *interest = session->interests[i];

        if (!interest->watch || interest->watch->latest <= interest->recorded)
            continue;
        rc = record_one(interest, reader, at);
        if (!rc)
            interest->recorded = at;
    }
    reader_end(reader);
    return rc;
}

static void record_now(struct session *session)
{
    enum err rc = record_all(session, session->presenting);

    session->recorded_ms = session->hub->worker->now_ms;
    if (rc)
        trace(TRACE_WARN, "receipts not recorded", "reason=%s", err_code(rc));
    else
        session->presented = session->presenting;
}

void session_record(struct wheel_node *node)
{
    struct session *session = container_of(node, struct session, record);

    record_now(session);
    session->record_armed = false;
    session_put(session); /* the armed timer's reference */
}

void session_present(struct session *session, lsn at)
{
    struct worker *worker = session->hub->worker;

    if (at <= session->presenting)
        return;
    session->presenting = at;
    if (session->record_armed)
        return;
    if (worker->now_ms >= session->recorded_ms + RECORD_MS ||
        !session->recorded_ms) {
        record_now(session);
        return;
    }
    session->refs++;
    session->record_armed = true;
    wheel_arm(&worker->wheel, &session->record,
              session->recorded_ms + RECORD_MS);
}
