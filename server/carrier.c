/* Carriers: opened at a cursor, read on from it, handed live bursts when level.
 */
#include "server/base/clock.h"
#include "server/base/mem.h"
#include "server/watch.h"
#include "transports/transport.h"

#include <stdlib.h>
#include <string.h>

#define NOT_IN "you are not in this 'conversation'"
#define LIMIT_DEFAULT 200
#define LIMIT_MAX 1000
#define STINTS_AT_ONCE 64

/* --- what a request asks for -------------------------------------------- */

static enum err parse_number(struct span text, const char *name, uint64_t min,
                             uint64_t max, uint64_t *out, struct failure *why)
{
    uint64_t number = 0;
    bool ok = text.size > 0 && text.size <= 16;

    for (size_t i = 0; ok && i < text.size; i++) {
        ok = text.data[i] >= '0' && text.data[i] <= '9';
        number = number * 10 + (uint64_t)(text.data[i] - '0');
    }
    if (!ok || number < min || number > max)
        return fail(why, ERR_BAD_REQUEST,
                    "'%s' must be a whole number from %llu to %llu", name,
                    (unsigned long long)min, (unsigned long long)max);
    *out = number;
    return ERR_NONE;
}

static char default_device[] = "default"; /* shared: what most are */

static enum err take_device(struct carrier *carrier, const struct identity *who,
                            const struct follow *follow, struct failure *why)
{
    struct span device = follow->device;

    if (device.data && !auth_name_ok(device))
        return fail(why, ERR_BAD_REQUEST,
                    "'device' must be 1 to 64 characters of A-Z a-z 0-9 _ . @ "
                    "-");
    if (!device.data && who->device[0])
        device = span_of(who->device);
    if (device.data)
        carrier->device = mem_strndup(device.data, device.size);
    else
        carrier->device = default_device;
    return carrier->device ? ERR_NONE : fail_plain(why, ERR_NOMEM);
}

static void drop_device(struct carrier *carrier)
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
    return rc ? rc : take_device(carrier, who, follow, why);
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

static enum err attach(struct carrier *carrier, const struct follow *follow,
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

/* --- the beat ----------------------------------------------------------- */

static void arm_beat(struct carrier *carrier)
{
    struct worker *worker = carrier->worker;
    uint64_t wall_ms = clock_wall_ms();
    uint64_t grace_ms = worker->config->token_grace_ms;
    uint64_t beat_ms = worker->config->heartbeat_ms;
    uint64_t at_ms = carrier->deadline_ms;
    uint64_t left_ms = carrier->expires_ms + grace_ms > wall_ms
                           ? carrier->expires_ms + grace_ms - wall_ms
                           : 0;

    if (!at_ms)
        at_ms = worker->now_ms + beat_ms - random_below(beat_ms / 10 + 1);
    if (worker->now_ms + left_ms < at_ms)
        at_ms = worker->now_ms + left_ms;
    wheel_arm(&worker->wheel, &carrier->beat, at_ms);
}

static void beat(struct wheel_node *node)
{
    struct carrier *carrier = container_of(node, struct carrier, beat);
    struct worker *worker = carrier->worker;

    if (clock_wall_ms() >=
        carrier->expires_ms + worker->config->token_grace_ms) {
        struct farewell farewell = {
            .reason = err_code(ERR_TOKEN_EXPIRED),
            .message = err_text(ERR_TOKEN_EXPIRED),
        };
        carrier->via->end(carrier, &farewell);
        return;
    }
    if (!carrier->deadline_ms)
        arm_beat(carrier); /* before the call, which may free the carrier */
    else if (worker->now_ms < carrier->deadline_ms) {
        arm_beat(carrier); /* the expiry moved */
        return;
    }
    if (carrier->level)
        carrier->via->beat(carrier);
}

/* --- open, close -------------------------------------------------------- */

static enum err join_session(struct carrier *carrier,
                             const struct identity *who, struct failure *why)
{
    uint64_t most = carrier->worker->config->max_parked_per_user;

    carrier->session = session_get(carrier->worker, who);
    if (!carrier->session)
        return fail_plain(why, ERR_UNAVAILABLE);
    if (carrier->session->carrier_count >= most) {
        fail(why, ERR_RATE_LIMITED,
             "more than %llu parked polls and streams of this user",
             (unsigned long long)most);
        why->retry_after_ms = 1000;
        return ERR_RATE_LIMITED;
    }
    return ERR_NONE;
}

enum err carrier_open(struct carrier *carrier, struct worker *worker,
                      const struct transport *via, const struct identity *who,
                      const struct follow *follow, struct failure *why)
{
    enum err rc;

    carrier->via = via;
    carrier->worker = worker;
    carrier->expires_ms = who->expires_ms;
    carrier->greeted = !via->stream;
    list_init(&carrier->link);
    list_init(&carrier->all);
    list_init(&carrier->own);
    list_init(&carrier->due);
    list_init(&carrier->leaving);
    wheel_node_init(&carrier->beat, beat);
    rc = join_session(carrier, who, why);
    if (!rc)
        rc = take_options(carrier, who, follow, why);
    if (!rc)
        rc = attach(carrier, follow, why);
    if (rc) {
        drop_device(carrier);
        session_put(carrier->session);
        return rc;
    }
    carrier->open = true;
    list_append(&worker->hub->all, &carrier->all);
    list_append(&carrier->session->own, &carrier->own);
    carrier->session->carrier_count++;
    worker->hub->carriers++;
    metrics_add(worker->metrics.carriers[via->by], 1);
    if (via->stream)
        arm_beat(carrier);
    return ERR_NONE;
}

struct burst *take_touch(struct carrier *carrier)
{
    struct touch *first = &carrier->touch, *next = first->next;
    struct burst *burst = first->burst;

    first->burst = NULL;
    if (next) {
        *first = *next;
        mem_free(next);
    }
    return burst;
}

static void drop_touches(struct carrier *carrier)
{
    struct burst *burst;

    while ((burst = take_touch(carrier)) != NULL)
        burst_unref(burst);
}

void carrier_close(struct carrier *carrier)
{
    struct worker *worker = carrier->worker;

    if (!carrier->open)
        return;
    carrier->open = false;
    wheel_disarm(&carrier->beat);
    drop_touches(carrier);
    list_remove(&carrier->link);
    list_remove(&carrier->all);
    list_remove(&carrier->own);
    list_remove(&carrier->due);
    list_remove(&carrier->leaving);
    watch_release(carrier->watch);
    drop_device(carrier);
    carrier->session->carrier_count--;
    worker->hub->carriers--;
    metrics_sub(worker->metrics.carriers[carrier->via->by], 1);
    session_put(carrier->session);
}

/* --- reading on --------------------------------------------------------- */

struct reading {
    struct carrier *carrier;
    struct burst *burst;
    size_t max_bytes;
    lsn upto;
    lsn passed;    /* single chain: the last entry looked at */
    bool stopped;  /* full */
    bool failed;   /* out of memory */
    bool ended;    /* single chain: what follows is not announced */
    bool personal; /* somebody else would be given something else */
};

static bool take_event(struct reading *reading, struct event *event)
{
    if (!event || !burst_add(reading->burst, event)) {
        reading->failed = true;
        return false;
    }
    reading->stopped = reading->burst->count >= reading->carrier->limit ||
                       reading->burst->json_bytes >= reading->max_bytes;
    return !reading->stopped;
}

static bool echo_of(const struct carrier *carrier, const struct entry *entry)
{
    return (entry->flags & ENTRY_NO_ECHO) &&
           span_is(entry->device, carrier->device) &&
           span_is(entry->from, carrier->session->who.user);
}

static bool take_entry(const struct entry *entry, struct span bytes, void *arg)
{
    struct reading *reading = arg;

    (void)bytes;
    if (entry->flags & ENTRY_NO_ECHO)
        reading->personal = true;
    if (echo_of(reading->carrier, entry))
        return true;
    return take_event(reading, event_of_entry(reading->burst->epoch, entry));
}

static bool take_gap(const struct gap *gap, void *arg)
{
    struct reading *reading = arg;

    return take_event(reading, event_of_gap(reading->burst->epoch, gap));
}

/* A stint that begins behind the head is not there yet (watch_note). */
static bool worth_reading(const struct interest *interest, lsn cursor, lsn head)
{
    if (interest->stint.join_lsn > head)
        return false;
    return interest->watch ? interest->watch->latest > cursor
                           : interest->end > cursor;
}

static enum err read_mixed(struct carrier *carrier, struct reading *reading,
                           bool *more)
{
    const struct session *session = carrier->session;
    struct stint few[STINTS_AT_ONCE], *stints = few;
    size_t count = 0;
    lsn cursor = carrier->cursor;
    enum err rc;

    if (session->interest_count > STINTS_AT_ONCE)
        stints = mem_alloc(session->interest_count * sizeof *stints);
    if (!stints)
        return ERR_NOMEM;
    for (size_t i = 0; i < session->interest_count; i++)
        if (worth_reading(session->interests[i], cursor, reading->upto))
            stints[count++] = session->interests[i]->stint;
    rc = mixed_read(carrier->worker->reader, span_of(session->who.user), stints,
                    count, &cursor, reading->upto, take_entry, take_gap,
                    reading, more);
    if (stints != few)
        mem_free(stints);
    if (!rc && reading->failed)
        rc = ERR_NOMEM;
    if (!rc)
        carrier->cursor = cursor;
    return rc;
}

bool carrier_sees(const struct carrier *carrier, uint64_t seq)
{
    const struct session *session = carrier->session;

    if (carrier->watch->type == CONV_CHANNEL)
        return true;
    for (size_t i = 0; i < session->interest_count; i++) {
        const struct stint *stint = &session->interests[i]->stint;

        if (stint->conv == carrier->conv && seq >= stint->from_seq &&
            (!stint->to_seq || seq <= stint->to_seq))
            return true;
    }
    return false;
}

/* The first seqs from *from on that a carrier of one conversation may see, the
 * last of them in *to; false: none. */
static bool next_sight(const struct carrier *carrier, uint64_t *from,
                       uint64_t *to)
{
    const struct session *session = carrier->session;
    uint64_t first = UINT64_MAX;

    *to = UINT64_MAX;
    if (carrier->watch->type == CONV_CHANNEL)
        return true;
    for (size_t i = 0; i < session->interest_count; i++) {
        const struct stint *stint = &session->interests[i]->stint;
        uint64_t last = stint->to_seq ? stint->to_seq : UINT64_MAX;
        uint64_t begin = stint->from_seq > *from ? stint->from_seq : *from;

        if (stint->conv != carrier->conv || begin > last || begin >= first)
            continue;
        first = begin;
        *to = last;
    }
    *from = first;
    return first != UINT64_MAX;
}

static bool take_link(const struct entry *entry, struct span bytes, void *arg)
{
    struct reading *reading = arg;

    if (entry->lsn > reading->upto) { /* not announced yet: not for now */
        reading->ended = true;
        return false;
    }
    reading->passed = entry->lsn;
    reading->carrier->seq = entry->seq;
    return take_entry(entry, bytes, reading);
}

/* What retention took of what the carrier may see. */
static void take_chain_gap(struct reading *reading,
                           const struct conversation *conversation)
{
    struct carrier *carrier = reading->carrier;
    struct gap gap = {
        .conv = conversation->no,
        .conversation = conversation->name,
        .app = conversation->app,
        .from = carrier->seq + 1,
        .to = conversation->trimmed_seq,
        .at = conversation->trimmed_lsn,
    };
    uint64_t last;

    if (carrier->seq >= gap.to)
        return;
    carrier->seq = gap.to;
    reading->passed = gap.at;
    if (next_sight(carrier, &gap.from, &last) && gap.from <= gap.to)
        (void)take_gap(&gap, reading);
}

static enum err read_chain(struct carrier *carrier, struct reading *reading,
                           bool *more)
{
    struct reader *reader = carrier->worker->reader;
    struct conversation conversation;
    uint64_t began = carrier->seq, from, to;
    enum err rc =
        reader_conversation_no(reader, span_of(carrier->session->who.app),
                               carrier->conv, &conversation);

    if (!rc)
        take_chain_gap(reading, &conversation);
    from = carrier->seq + 1;
    while (!rc && !reading->stopped && !reading->failed && !reading->ended &&
           next_sight(carrier, &from, &to) && from <= conversation.last_seq) {
        if (to > conversation.last_seq)
            to = conversation.last_seq;
        rc = chain_read(reader, carrier->conv, from, to, false, take_link,
                        reading);
        from = to + 1;
    }
    if (!rc && reading->failed)
        rc = ERR_NOMEM;
    if (rc) {
        carrier->seq = began;
        return rc;
    }
    *more = reading->stopped;
    if (reading->passed > carrier->cursor)
        carrier->cursor = reading->passed;
    return ERR_NONE;
}

/* --- reads that are shared ---------------------------------------------- */

void reads_forget(struct hub *hub)
{
    for (size_t i = 0; i < SHARED_READS; i++) {
        burst_unref(hub->reads[i].burst);
        hub->reads[i].burst = NULL;
    }
}

/* Everyone sees the same of a channel. */
static bool sharable(const struct carrier *carrier)
{
    return carrier->conv && carrier->watch->type == CONV_CHANNEL;
}

/* What this carrier would be given now, if somebody was given it before: a
 * reference. */
static struct burst *read_shared(struct carrier *carrier, size_t max_bytes,
                                 bool *more)
{
    const struct hub *hub = carrier->worker->hub;

    for (size_t i = 0; sharable(carrier) && i < SHARED_READS; i++) {
        const struct shared_read *read = &hub->reads[i];

        if (!read->burst || read->conv != carrier->conv ||
            read->from != carrier->seq || read->upto != hub->head ||
            read->limit != carrier->limit || read->max_bytes != max_bytes)
            continue;
        carrier->seq = read->seq;
        if (read->passed > carrier->cursor)
            carrier->cursor = read->passed;
        *more = read->more;
        return burst_ref(read->burst);
    }
    return NULL;
}

static void share_read(const struct reading *reading, uint64_t from, bool more)
{
    const struct carrier *carrier = reading->carrier;
    struct hub *hub = carrier->worker->hub;
    struct shared_read *read = &hub->reads[hub->next_read];

    if (!sharable(carrier) || reading->personal || !reading->burst->count)
        return;
    hub->next_read = (hub->next_read + 1) % SHARED_READS;
    burst_unref(read->burst);
    *read = (struct shared_read){
        .burst = burst_ref(reading->burst),
        .conv = carrier->conv,
        .from = from,
        .upto = reading->upto,
        .limit = carrier->limit,
        .max_bytes = reading->max_bytes,
        .seq = carrier->seq,
        .passed = reading->passed,
        .more = more,
    };
}

static enum err read_log(struct carrier *carrier, struct burst *burst,
                         size_t max_bytes, bool *more, struct failure *why)
{
    struct worker *worker = carrier->worker;
    struct reading reading = {.carrier = carrier,
                              .burst = burst,
                              .max_bytes = max_bytes,
                              .upto = worker->hub->head};
    uint64_t from = carrier->seq;
    enum err rc = reader_begin(worker->reader);

    if (rc)
        return fail_plain(why, rc);
    metrics_add(worker->metrics.log_reads, 1);
    *more = false;
    rc = carrier->conv ? read_chain(carrier, &reading, more)
                       : read_mixed(carrier, &reading, more);
    reader_end(worker->reader);
    if (rc)
        return fail_plain(why, rc);
    share_read(&reading, from, *more);
    return ERR_NONE;
}

/* Nothing more until the next announcement. */
static void now_level(struct carrier *carrier)
{
    carrier->level = true;
    carrier->cursor = carrier_at(carrier);
}

static bool nothing_new(const struct carrier *carrier)
{
    lsn latest =
        carrier->conv ? carrier->watch->latest : carrier->session->latest;

    return carrier->cursor >= carrier->worker->hub->head ||
           latest <= carrier->cursor;
}

/* hello and reset, which come before anything of the log. */
static enum err greet(struct carrier *carrier, struct burst *burst)
{
    const struct config *config = carrier->worker->config;
    struct event *event;

    if (!carrier->greeted) {
        event =
            event_hello(burst->epoch, carrier->cursor, config->heartbeat_ms,
                        clock_wall_ms(), span_of(carrier->session->who.user));
        if (!event || !burst_add(burst, event))
            return ERR_NOMEM;
    }
    if (carrier->reset) {
        event = event_reset(burst->epoch, carrier->cursor, carrier->reset);
        if (!event || !burst_add(burst, event))
            return ERR_NOMEM;
    }
    carrier->greeted = true;
    carrier->reset = NULL;
    return ERR_NONE;
}

enum err carrier_next(struct carrier *carrier, size_t max_bytes,
                      struct burst **out, bool *more, struct failure *why)
{
    bool owes = !carrier->greeted || carrier->reset;
    bool shared;
    struct burst *burst;
    enum err rc = ERR_NONE;

    *out = NULL;
    *more = false;
    if (!owes && (carrier->level || nothing_new(carrier))) {
        now_level(carrier);
        return ERR_NONE;
    }
    burst = owes ? NULL : read_shared(carrier, max_bytes, more);
    shared = burst != NULL;
    if (!burst)
        burst = burst_create(carrier->worker->hub->epoch);
    if (!burst)
        return fail_plain(why, ERR_NOMEM);
    if (owes) {
        rc = greet(carrier, burst);
        *more = !carrier->level && !nothing_new(carrier);
        if (rc)
            fail_plain(why, rc);
    } else if (!shared) {
        rc = read_log(carrier, burst, max_bytes, more, why);
    }
    if (rc || !burst->count) {
        burst_unref(burst);
        burst = NULL;
    }
    if (!rc && !*more)
        now_level(carrier);
    if (burst)
        metrics_add(carrier->worker->metrics.deliveries[carrier->via->by],
                    burst->count);
    *out = burst;
    return rc;
}

/* --- small ones --------------------------------------------------------- */

void carrier_behind(struct carrier *carrier)
{
    carrier->cursor = carrier_at(carrier);
    carrier->level = false;
}

lsn carrier_at(const struct carrier *carrier)
{
    lsn head = carrier->worker->hub->head;

    return carrier->level && head > carrier->cursor ? head : carrier->cursor;
}

uint64_t carrier_seq(const struct carrier *carrier)
{
    return carrier->seq;
}

void carrier_park(struct carrier *carrier, uint64_t wait_ms)
{
    carrier->deadline_ms = carrier->worker->now_ms + wait_ms;
    arm_beat(carrier);
}

void carrier_identity(const struct carrier *carrier, struct identity *out)
{
    const struct person *who = &carrier->session->who;

    *out = (struct identity){.inbox = who->inbox,
                             .expires_ms = carrier->expires_ms};
    memcpy(out->app, who->app, strlen(who->app));
    memcpy(out->user, who->user, strlen(who->user));
    memcpy(out->device, carrier->device, strlen(carrier->device));
}

void carrier_renew(struct carrier *carrier, const struct identity *who)
{
    carrier->expires_ms = who->expires_ms;
    arm_beat(carrier);
}

void hub_renew(struct hub *hub, const struct identity *who)
{
    struct session *session =
        session_find(hub, span_of(who->app), who->inbox, span_of(who->user));

    if (!session)
        return;
    list_each (node, &session->own) {
        struct carrier *carrier = container_of(node, struct carrier, own);

        if (strcmp(carrier->device, who->device) == 0)
            carrier_renew(carrier, who);
    }
}

void carriers_renew(struct worker *worker, const struct identity *who)
{
    const struct server *server = worker->server;

    hub_renew(worker->hub, who);
    for (size_t i = 0; i < server->worker_count; i++)
        if (server->workers[i] != worker)
            worker_renew(server->workers[i], who);
}
