/* One round: walk the entries of the commits in order, hang bursts on the
 * carriers that listen, then hand each of those carriers what it got.
 *
 * burst_note: entries of one conversation that everyone in it may see share one
 * burst, so ten thousand followers share its bytes. Whoever listens is fixed
 * when the burst opens; a join or leave closes it, so that the next entry sees
 * the new listeners. An entry for some only gets a burst of its own.
 */
#include "server/hub.h"

#include "server/base/clock.h"
#include "server/base/mem.h"
#include "server/base/trace.h"
#include "server/recorder.h"
#include "server/watch.h"
#include "transports/transport.h"

#include <stdlib.h>
#include <string.h>

#define STINTS_MAX 64       /* the newest, of one user in one conversation */
#define DELIVER_AT_ONCE 256 /* carriers: about two milliseconds */
#define LIVE_MAX_BYTES (256u << 10) /* more than that is read from the log */

enum err hub_create(struct hub **out, struct worker *worker)
{
    struct hub *hub = mem_zalloc(sizeof *hub);

    if (!hub)
        return ERR_NOMEM;
    hub->worker = worker;
    hub->epoch = store_epoch(worker_store(worker));
    hub->head = store_head(worker_store(worker));
    list_init(&hub->idle);
    list_init(&hub->disowned);
    list_init(&hub->all);
    list_init(&hub->due);
    list_init(&hub->open);
    list_init(&hub->leaving);
    hub->at_once = DELIVER_AT_ONCE;
    *out = hub;
    return ERR_NONE;
}

void hub_destroy(struct hub *hub)
{
    if (!hub)
        return;
    reads_forget(hub);
    sessions_free(hub);
    mem_free(hub);
}

lsn hub_head(const struct hub *hub)
{
    return hub->head;
}

/* --- touching carriers -------------------------------------------------- */

static void now_due(struct hub *hub, struct carrier *carrier)
{
    if (list_empty(&carrier->due))
        list_append(&hub->due, &carrier->due);
}

/* A level carrier stands at the head, wherever its cursor was left: that is
 * fixed here, before the head moves. One that is due already stands where it
 * was fixed. */
static void touch(struct hub *hub, struct carrier *carrier, struct burst *burst)
{
    struct touch *first = &carrier->touch, *touch = first;

    if (!carrier->level)
        return;
    carrier->cursor = carrier_at(carrier);
    if (first->burst)
        touch = mem_alloc(sizeof *touch);
    if (touch) {
        touch->burst = burst_ref(burst);
        if (touch != first) {
            touch->next = first->next;
            first->next = touch;
        }
    } else {
        carrier_behind(carrier); /* it will read this from the log */
    }
    now_due(hub, carrier);
}

static void touch_session(struct session *session, const struct entry *entry,
                          struct burst *burst)
{
    if (entry->lsn > session->latest)
        session->latest = entry->lsn;
    list_each (node, &session->carriers) {
        struct carrier *carrier = container_of(node, struct carrier, link);

        if (!carrier_sent(carrier, entry))
            touch(session->hub, carrier, burst);
    }
}

/* Two stints of a session may seem to last (watch_note): an entry is for the
 * one that had begun. */
static bool is_for(const struct entry *entry, const struct interest *interest)
{
    if (entry->lsn < interest->stint.join_lsn ||
        (entry->seq && entry->seq < interest->stint.from_seq))
        return false;
    return entry->audience != TO_OTHERS ||
           !span_is(entry->from, interest->session->who.user);
}

static void touch_listeners(struct conversation_watch *watch,
                            const struct entry *entry, struct burst *burst)
{
    list_each (node, &watch->interests) {
        struct interest *interest = container_of(node, struct interest, link);

        if (is_for(entry, interest))
            touch_session(interest->session, entry, burst);
    }
    if (!entry->seq)
        return; /* a single chain holds only what has a seq */
    list_each (node, &watch->carriers) {
        struct carrier *carrier = container_of(node, struct carrier, link);

        if (!carrier_sent(carrier, entry) &&
            (!carrier->past || carrier_sees(carrier, entry->seq)))
            touch(watch->hub, carrier, burst);
    }
}

/* --- bursts ------------------------------------------------------------- */

/* Everyone in it has something as new as its newest entry. */
static void spread_latest(struct conversation_watch *watch)
{
    list_each (node, &watch->interests) {
        struct session *session =
            container_of(node, struct interest, link)->session;

        if (watch->latest > session->latest)
            session->latest = watch->latest;
    }
}

static void close_burst(struct conversation_watch *watch)
{
    if (!watch || !watch->burst)
        return;
    if (watch->burst->count > 1) /* of the first they know: touch_session() */
        spread_latest(watch);
    burst_unref(watch->burst);
    watch->burst = NULL;
    list_remove(&watch->open_link);
    watch_release(watch); /* whoever listened may be gone */
}

static bool anyone_listens(const struct conversation_watch *watch)
{
    if (!list_empty(&watch->carriers))
        return true;
    list_each (node, &watch->interests) {
        const struct interest *interest =
            container_of(node, struct interest, link);

        if (!list_empty(&interest->session->carriers))
            return true;
    }
    return false;
}

static void now_behind(struct hub *hub, struct carrier *carrier)
{
    carrier_behind(carrier);
    now_due(hub, carrier);
}

static void session_behind(struct session *session)
{
    list_each (node, &session->carriers)
        now_behind(session->hub, container_of(node, struct carrier, link));
}

/* Without memory nobody may miss it: everyone who listens reads the log. */
static void all_behind(struct conversation_watch *watch)
{
    spread_latest(watch);
    list_each (node, &watch->carriers)
        now_behind(watch->hub, container_of(node, struct carrier, link));
    list_each (node, &watch->interests)
        session_behind(container_of(node, struct interest, link)->session);
}

static void hear_author(struct conversation_watch *watch,
                        const struct entry *entry)
{
    uint32_t author = author_hash(entry->from);

    if (author != watch->said_by)
        watch->other_seq = watch->said_seq;
    watch->said_by = author;
    watch->said_seq = entry->seq;
}

static void deliver_entry(struct conversation_watch *watch,
                          const struct entry *entry)
{
    struct hub *hub = watch->hub;
    bool shareable = entry->seq && !(entry->flags & ENTRY_NO_ECHO);
    struct burst *burst;
    struct event *event;

    watch->latest = entry->lsn > watch->latest ? entry->lsn : watch->latest;
    if (entry->seq) {
        watch->heard_seq = entry->seq;
        watch->heard_lsn = entry->lsn;
    }
    if (entry->kind == ENTRY_MESSAGE)
        hear_author(watch, entry);
    if (!anyone_listens(watch)) {
        spread_latest(watch);
        return;
    }
    event = event_of_entry(hub->epoch, entry);
    if (event && shareable && watch->burst) {
        if (!burst_add(watch->burst, event))
            all_behind(watch);
        return;
    }
    burst = burst_of(hub->epoch, event);
    if (!burst) {
        all_behind(watch);
        return;
    }
    touch_listeners(watch, entry, burst);
    if (!shareable) {
        burst_unref(burst);
        return;
    }
    watch->burst = burst;
    list_append(&hub->open, &watch->open_link);
}

/* A receipt for the reader's own devices only. */
static void deliver_to_own(struct hub *hub, const struct entry *entry)
{
    struct conversation_watch *watch = watch_find(hub, entry->conv);
    struct session *session;
    struct conv_name name;
    struct burst *burst;

    if (!watch || entry->kind == ENTRY_DELIVERED ||
        name_parse(&name, entry->conversation))
        return;
    watch->latest = entry->lsn > watch->latest ? entry->lsn : watch->latest;
    session = session_find(hub, entry->app, name.inbox, entry->from);
    if (!session)
        return;
    if (entry->lsn > session->latest)
        session->latest = entry->lsn;
    burst = burst_of(hub->epoch, event_of_entry(hub->epoch, entry));
    if (burst)
        touch_session(session, entry, burst);
    else
        session_behind(session);
    burst_unref(burst);
}

/* --- membership --------------------------------------------------------- */

/* The stint that began with `entry`, as it was then. */
static bool find_stint(struct hub *hub, const struct entry *entry,
                       struct span user, struct stint *out)
{
    struct stint stints[STINTS_MAX];
    size_t count = 0;

    if (reader_stints_in(hub->worker->reader, entry->app, user, entry->conv,
                         stints, STINTS_MAX, &count))
        return false;
    while (count-- > 0) {
        if (stints[count].join_seq != entry->seq)
            continue;
        *out = stints[count];
        out->to_seq = 0; /* it may have ended since: that will be announced */
        out->leave_lsn = 0;
        return true;
    }
    return false;
}

/* What is in memory about a session is no longer right, for lack of memory or
 * worse: its streams end, to come back with their cursors to one loaded anew.
 * At once, before they are handed anything of this commit: what they would have
 * missed lies in it. */
static void drop_session(struct session *session)
{
    struct farewell dropped = {
        .reason = err_code(ERR_UNAVAILABLE),
        .message = err_text(ERR_UNAVAILABLE),
        .retry_after_ms = 1000,
        .come_back = true,
    };

    trace(TRACE_ERROR, "session dropped", "reason=unavailable");
    list_each_safe (node, &session->own) {
        struct carrier *carrier = container_of(node, struct carrier, own);

        carrier->via->end(carrier, &dropped);
    }
    session_disown(session);
}

/* `conversation` is NULL when it could not be looked up. */
static void let_in(struct hub *hub, const struct conversation *conversation,
                   uint64_t inbox, struct span user, const struct entry *entry)
{
    struct session *session = session_find(hub, entry->app, inbox, user);
    struct stint stint;

    if (session && (!conversation || !find_stint(hub, entry, user, &stint) ||
                    interest_open(session, &stint, conversation)))
        drop_session(session);
}

/* Sessions on this worker whose users an entry lets in begin to listen. */
static void admit(struct hub *hub, const struct entry *entry)
{
    struct reader *reader = hub->worker->reader;
    struct conversation found, *conversation = NULL;
    struct conv_name name;
    struct span user = {0};
    bool begun;

    if (!hub->sessions || name_parse(&name, entry->conversation) ||
        name.type == CONV_CHANNEL)
        return;
    begun = !reader_begin(reader);
    if (begun &&
        !reader_conversation_no(reader, entry->app, entry->conv, &found))
        conversation = &found;
    if (name.type == CONV_P2P) {
        let_in(hub, conversation, name.inbox, name.a, entry);
        let_in(hub, conversation, name.inbox, name.b, entry);
    }
    while (entry_user(entry, &user))
        let_in(hub, conversation, name.inbox, user, entry);
    if (entry->kind == ENTRY_CREATE)
        let_in(hub, conversation, name.inbox, entry->from, entry);
    if (begun)
        reader_end(reader);
}

static void see_out(struct hub *hub, const struct entry *entry)
{
    struct conversation_watch *watch;
    struct span user = {0};
    struct conv_name name;

    if (name_parse(&name, entry->conversation))
        return;
    while (entry_user(entry, &user)) {
        struct session *session =
            session_find(hub, entry->app, name.inbox, user);

        watch = watch_find(hub, entry->conv);
        if (!session || !watch)
            continue;
        list_each (node, &watch->carriers) {
            struct carrier *carrier = container_of(node, struct carrier, link);

            if (carrier->session != session)
                continue;
            carrier->past = true; /* from here on each entry is looked at */
            if (list_empty(&carrier->leaving))
                list_append(&hub->leaving, &carrier->leaving);
        }
        interest_close(session, entry->conv, entry->seq, entry->lsn);
    }
}

static bool lets_in(const struct committed *committed)
{
    return committed->created || committed->entry.kind == ENTRY_CREATE ||
           committed->entry.kind == ENTRY_JOIN;
}

static void announce_entry(struct hub *hub, const struct committed *committed)
{
    const struct entry *entry = &committed->entry;
    struct conversation_watch *watch = watch_find(hub, entry->conv);

    if (lets_in(committed)) {
        close_burst(watch);
        admit(hub, entry);
        watch = watch_find(hub, entry->conv);
    }
    if (entry->audience == TO_OWN_DEVICES) {
        deliver_to_own(hub, entry);
    } else if (watch && entry->kind != ENTRY_TRIM) {
        deliver_entry(watch, entry);
    }
    if (watch && entry->kind == ENTRY_LEAVE) {
        close_burst(watch);
        see_out(hub, entry);
    }
}

/* --- handing over ------------------------------------------------------- */

static int by_position(const void *a, const void *b)
{
    const struct event *const *one = a, *const *other = b;

    return ((*one)->at > (*other)->at) - ((*one)->at < (*other)->at);
}

/* Everything that touched it beyond the cursor, in order; takes the touches.
 * NULL when memory is short. */
static struct burst *merge(struct carrier *carrier, const char *epoch)
{
    struct burst *merged = burst_create(epoch), *burst;

    while ((burst = take_touch(carrier)) != NULL) {
        for (size_t i = 0; merged && i < burst->count; i++) {
            if (burst->events[i]->at <= carrier->cursor)
                continue;
            if (!burst_add(merged, event_ref(burst->events[i]))) {
                burst_unref(merged);
                merged = NULL;
            }
        }
        burst_unref(burst);
    }
    if (merged && merged->count) {
        qsort(merged->events, merged->count, sizeof(struct event *),
              by_position);
        merged->first = merged->events[0]->at;
        merged->last = merged->events[merged->count - 1]->at;
    }
    return merged;
}

/* The one burst of a carrier that got just one, all of it new; else a merge. */
static struct burst *take_burst(struct carrier *carrier, const char *epoch)
{
    const struct touch *first = &carrier->touch;

    if (first->next || first->burst->first <= carrier->cursor)
        return merge(carrier, epoch);
    return take_touch(carrier);
}

/* What it may be sent without reading the log. `limit` is a poll's. */
static bool is_live(const struct carrier *carrier, const struct burst *burst)
{
    return carrier->level && burst && burst->json_bytes <= LIVE_MAX_BYTES &&
           (carrier->via->stream || burst->count <= carrier->limit);
}

static void hand_over(struct hub *hub, struct carrier *carrier)
{
    struct burst *burst = NULL;

    if (carrier->touch.burst)
        burst = take_burst(carrier, hub->epoch);
    else if (carrier->level)
        return; /* it was behind, and has read the log meanwhile */
    if (carrier->level && burst &&
        !burst->count) { /* it had presented a newer cursor */
        burst_unref(burst);
        return;
    }
    if (!is_live(carrier, burst)) {
        carrier->level = false; /* its cursor still stands before this commit */
        burst_unref(burst);
        carrier->via->wake(carrier);
        return;
    }
    if (hub->head > carrier->cursor)
        carrier->cursor = hub->head;
    if (carrier->watch)
        carrier->seq = carrier->watch->heard_seq;
    metrics_add(hub->worker->metrics.deliveries[carrier->via->by],
                burst->count);
    recorder_written(hub->worker->recorder, carrier, burst);
    carrier->via->deliver(carrier, burst); /* may free the carrier */
    burst_unref(burst);
}

static void evict(struct hub *hub)
{
    struct farewell left = {
        .reason = err_code(ERR_NOT_MEMBER),
        .message = "you have left this conversation",
    };

    while (!list_empty(&hub->leaving)) {
        struct carrier *carrier =
            container_of(hub->leaving.next, struct carrier, leaving);

        list_remove(&carrier->leaving);
        carrier->via->end(carrier, &left);
    }
}

void hub_announce(struct hub *hub, struct commit *commit)
{
    recorder_announced(hub->worker->recorder, commit);
    for (size_t i = 0; i < commit->count; i++)
        announce_entry(hub, &commit->entries[i]);
    hub->head = commit->head;
    reads_forget(hub); /* nobody will ask for them any more */
}

static void close_bursts(struct hub *hub)
{
    while (!list_empty(&hub->open))
        close_burst(
            container_of(hub->open.next, struct conversation_watch, open_link));
}

bool hub_deliver(struct hub *hub)
{
    /* Who is seen out gets what came before first. */
    size_t left = list_empty(&hub->leaving) ? hub->at_once : SIZE_MAX;

    close_bursts(hub);
    while (left-- > 0 && !list_empty(&hub->due)) {
        struct carrier *carrier =
            container_of(hub->due.next, struct carrier, due);

        list_remove(&carrier->due);
        hand_over(hub, carrier);
    }
    evict(hub);
    return list_empty(&hub->due);
}

/* --- draining ----------------------------------------------------------- */

void hub_drain(struct hub *hub)
{
    uint64_t spread_ms = hub->worker->config->bye_spread_ms;
    struct farewell farewell = {
        .reason = "draining",
        .message = "the server is going away; come back with your cursor",
        .come_back = true,
    };

    while (!list_empty(&hub->all)) {
        struct carrier *carrier =
            container_of(hub->all.next, struct carrier, all);

        farewell.retry_after_ms = (uint32_t)random_below(spread_ms + 1);
        carrier->via->end(carrier, &farewell); /* closes it */
    }
}
