/* Reading on from the cursor: what a carrier that is behind is sent next.
 *
 * A mixed chain is read through the stints of its session, a single one through
 * the seqs that may be seen; both up to the worker's head (read_note). Many who
 * fall behind together in a channel share what the first of them read.
 */
#include "server/base/clock.h"
#include "server/base/mem.h"
#include "server/recorder.h"
#include "server/watch.h"
#include "transports/transport.h"

#define STINTS_AT_ONCE 64

/* --- filling a burst ---------------------------------------------------- */

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

bool carrier_sent(const struct carrier *carrier, const struct entry *entry)
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
    if (carrier_sent(reading->carrier, entry))
        return true;
    return take_event(reading, event_of_entry(reading->burst->epoch, entry));
}

static bool take_gap(const struct gap *gap, void *arg)
{
    struct reading *reading = arg;

    return take_event(reading, event_of_gap(reading->burst->epoch, gap));
}

/* --- the mixed chain ---------------------------------------------------- */

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

/* --- a single chain ----------------------------------------------------- */

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

/* --- what comes next ---------------------------------------------------- */

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

/* It has read up to the head: nothing more until the next announcement. One
 * that was level may be due what lies before the head. */
static void now_level(struct carrier *carrier)
{
    lsn head = carrier->worker->hub->head;

    if (!carrier->level && head > carrier->cursor)
        carrier->cursor = head;
    carrier->level = true;
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
    if (burst && !owes)
        recorder_written(carrier->worker->recorder, carrier, burst);
    *out = burst;
    return rc;
}
