/* What must be true of a run, whatever happened in it. */
#include "tests/simulate/model.h"

#include "store/env.h"
#include "store/store.h"
#include "tests/simulate/house.h"
#include "tests/simulate/story.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 64
#define MEMBERS_MAX 16

struct fact { /* one entry of the log */
    uint64_t lsn, seq, mark, ts_ms;
    enum entry_kind kind;
    const char *conversation, *from, *id;
    const char *members[MEMBERS_MAX]; /* who may see it */
    size_t member_count;
};

struct told { /* one receipt that a client was shown */
    const char *conversation, *user;
    bool read;
    uint64_t seq, presented;
    unsigned era;
};

struct gap { /* what a client was told that retention took */
    const struct peer *peer;
    const char *conversation;
    uint64_t from, to;
};

struct room {
    const char *name, *members[MEMBERS_MAX];
    size_t member_count;
    uint64_t last_seq, trimmed_seq;
};

static const char *names[4096];
static size_t name_count;
static struct fact *facts;
static size_t fact_count;
static struct told *tolds;
static size_t told_count;
static uint64_t heads[64]; /* of the backups restored, one an era */
static struct gap *gaps;
static size_t gap_count;
static uint64_t digest = UINT64_C(14695981039346656037);

static struct position {
    const char *user, *conversation; /* NULL: a cursor */
    uint64_t most;
} positions[NAMES_MAX];
static size_t position_count;

static struct seen {
    const struct peer *peer;
    const char *conversation, *user;
    bool read;
    uint64_t seq;
} seens[512];
static size_t seen_count;

const char *model_name(const char *name)
{
    for (size_t i = 0; i < name_count; i++)
        if (strcmp(names[i], name) == 0)
            return names[i];
    if (name_count == sizeof names / sizeof *names)
        abort();
    return names[name_count++] = strdup(name);
}

static void *grown(void *list, size_t count, size_t size)
{
    if (count & (count - 1))
        return list;
    list = realloc(list, (count * 2 + 1) * size);
    if (!list)
        abort();
    return list;
}

/* --- during the run ------------------------------------------------------- */

static struct position *position_of(const char *user, const char *conversation)
{
    user = model_name(user);
    conversation = conversation ? model_name(conversation) : NULL;
    for (size_t i = 0; i < position_count; i++)
        if (positions[i].user == user &&
            positions[i].conversation == conversation)
            return &positions[i];
    if (position_count == NAMES_MAX)
        abort();
    positions[position_count] = (struct position){user, conversation, 0};
    return &positions[position_count++];
}

void model_presented(const char *user, uint64_t at)
{
    struct position *position = position_of(user, NULL);

    if (at > position->most)
        position->most = at;
}

void model_asked_read(const char *user, const char *conversation, uint64_t seq)
{
    struct position *position = position_of(user, conversation);

    if (seq > position->most)
        position->most = seq;
}

void model_restored(uint64_t head)
{
    unsigned era = house_era();

    if (era > sizeof heads / sizeof *heads)
        abort();
    heads[era - 1] = head;
    for (size_t i = 0; i < position_count; i++)
        if (!positions[i].conversation && positions[i].most > head)
            positions[i].most = head;
}

/* What an era's log held up to here, the last one's holds, too. */
static uint64_t kept_of(unsigned era)
{
    uint64_t kept = UINT64_MAX;

    for (; era < house_era(); era++)
        kept = heads[era] < kept ? heads[era] : kept;
    return kept;
}

void model_starts_over(const struct peer *peer)
{
    for (size_t i = 0; i < seen_count; i++)
        if (seens[i].peer == peer)
            seens[i].seq = 0;
    for (size_t i = 0; i < gap_count; i++)
        if (gaps[i].peer == peer)
            gaps[i].peer = NULL;
}

static void grows(const struct peer *peer, const struct told *told)
{
    struct seen *seen = seens;

    while (seen < seens + seen_count &&
           (seen->peer != peer || seen->conversation != told->conversation ||
            seen->user != told->user || seen->read != told->read))
        seen++;
    if (seen == seens + sizeof seens / sizeof *seens)
        abort();
    if (seen == seens + seen_count)
        seens[seen_count++] =
            (struct seen){peer, told->conversation, told->user, told->read, 0};
    if (told->seq < seen->seq)
        story_fail("%s/%s: a receipt of %s in %s goes back from %llu to %llu",
                   peer->user, peer->device, told->user, told->conversation,
                   (unsigned long long)seen->seq,
                   (unsigned long long)told->seq);
    seen->seq = told->seq;
}

void model_receipt(const struct peer *peer, const char *conversation,
                   const char *user, bool read, uint64_t seq)
{
    struct told told = {.conversation = model_name(conversation),
                        .user = model_name(user),
                        .read = read,
                        .seq = seq,
                        .presented = position_of(user, NULL)->most,
                        .era = peer->asked_era};

    grows(peer, &told);
    if (read && seq > position_of(user, conversation)->most)
        story_fail("%s/%s is told that %s has read %llu of %s", peer->user,
                   peer->device, user, (unsigned long long)seq, conversation);
    tolds = grown(tolds, told_count, sizeof *tolds);
    tolds[told_count++] = told;
}

void model_gap(const struct peer *peer, const char *conversation, uint64_t from,
               uint64_t to)
{
    gaps = grown(gaps, gap_count, sizeof *gaps);
    gaps[gap_count++] = (struct gap){peer, model_name(conversation), from, to};
}

/* --- the log -------------------------------------------------------------- */

static const char *name_of(struct span span)
{
    char text[512];

    (void)snprintf(text, sizeof text, "%.*s", (int)span.size, span.data);
    return model_name(text);
}

static struct room rooms[NAMES_MAX];
static size_t room_count;

static struct room *room_of(const char *name)
{
    for (size_t i = 0; i < room_count; i++)
        if (rooms[i].name == name)
            return &rooms[i];
    if (room_count == NAMES_MAX)
        abort();
    rooms[room_count].name = name;
    return &rooms[room_count++];
}

static size_t place_of(const struct room *room, const char *user)
{
    size_t i = 0;

    while (i < room->member_count && room->members[i] != user)
        i++;
    return i;
}

static void let_in(struct room *room, const char *user)
{
    if (place_of(room, user) < room->member_count)
        return;
    if (room->member_count == MEMBERS_MAX)
        abort();
    room->members[room->member_count++] = user;
}

static void let_out(struct room *room, const char *user)
{
    size_t i = place_of(room, user);

    if (i < room->member_count)
        room->members[i] = room->members[--room->member_count];
}

static void each_user(struct room *room, struct span users,
                      void (*visit)(struct room *, const char *))
{
    while (users.size) {
        size_t size = strnlen(users.data, users.size);

        visit(room, name_of((struct span){users.data, size}));
        size += size < users.size;
        users = (struct span){users.data + size, users.size - size};
    }
}

static void let_in_pair(struct room *room)
{
    char pair[256], *colon;

    (void)snprintf(pair, sizeof pair, "%s", room->name + strlen("0:1:"));
    colon = strchr(pair, ':');
    if (!colon)
        abort();
    *colon = 0;
    let_in(room, model_name(pair));
    let_in(room, model_name(colon + 1));
}

static void move_members(struct room *room, const struct entry *entry)
{
    char type = room->name[2];

    if (type == '1' && !room->member_count)
        let_in_pair(room);
    if (type != '2')
        return;
    if (entry->kind == ENTRY_CREATE)
        let_in(room, name_of(entry->from));
    if (entry->kind == ENTRY_CREATE || entry->kind == ENTRY_JOIN)
        each_user(room, entry->users, let_in);
}

/* How many a conversation keeps, and for how long; 0: all, for ever. */
static uint64_t keep_count(const struct room *room)
{
    return house_forgets() && strcmp(room->name, KEEPS_ITS_OWN) == 0
               ? OWN_KEEP_COUNT
               : house_options()->keep_count;
}

static uint64_t keep_ms(void)
{
    return house_options()->keep_age_s * UINT64_C(1000);
}

static const struct fact *fact_at(const struct room *room, uint64_t seq)
{
    for (size_t i = 0; i < fact_count; i++)
        if (facts[i].conversation == room->name && facts[i].seq == seq)
            return &facts[i];
    return NULL;
}

/* Was everything that it took too old, or too many? */
static void note_trim(struct room *room, const struct entry *entry)
{
    uint64_t count = keep_count(room), mark = entry->mark;
    const struct fact *last = fact_at(room, mark);
    bool many = count && mark + count <= room->last_seq;
    bool old = last && keep_ms() && last->ts_ms + keep_ms() <= entry->ts;

    if (mark >= room->last_seq || mark <= room->trimmed_seq || (!many && !old))
        story_fail("retention took %llu to %llu of %s, whose last was %llu",
                   (unsigned long long)room->trimmed_seq + 1,
                   (unsigned long long)mark, room->name,
                   (unsigned long long)room->last_seq);
    room->trimmed_seq = mark;
}

/* In the end it took what it should. */
static void check_kept(const struct room *room)
{
    uint64_t count = keep_count(room);

    if (count && room->last_seq > room->trimmed_seq + count)
        story_fail("retention left %llu to %llu of %s",
                   (unsigned long long)room->trimmed_seq + 1,
                   (unsigned long long)room->last_seq, room->name);
}

static void note(const struct entry *entry)
{
    struct fact fact = {.lsn = entry->lsn,
                        .seq = entry->seq,
                        .mark = entry->mark,
                        .ts_ms = entry->ts,
                        .kind = entry->kind,
                        .conversation = name_of(entry->conversation),
                        .from = name_of(entry->from),
                        .id = name_of(entry->client_msg_id)};
    struct room *room = room_of(fact.conversation);

    move_members(room, entry);
    memcpy(fact.members, room->members, sizeof fact.members);
    fact.member_count = room->member_count;
    if (entry->kind == ENTRY_LEAVE) /* who leaves sees that */
        each_user(room, entry->users, let_out);
    if (entry->seq && entry->seq != ++room->last_seq)
        story_fail("the log: %s has seq %llu where %llu should be",
                   fact.conversation, (unsigned long long)entry->seq,
                   (unsigned long long)room->last_seq);
    if (entry->kind == ENTRY_TRIM)
        note_trim(room, entry);
    if (entry->kind == ENTRY_MESSAGE && room->name[2] != '3' &&
        place_of(room, fact.from) == room->member_count)
        story_fail("the log: %s wrote to %s without being in it", fact.from,
                   fact.conversation);
    facts = grown(facts, fact_count, sizeof *facts);
    facts[fact_count++] = fact;
}

static void hash(struct span bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        digest =
            (digest ^ (unsigned char)bytes.data[i]) * UINT64_C(1099511628211);
}

static void read_rows(const struct tx *tx)
{
    struct scan scan;
    enum err err = scan_open(&scan, tx, TABLE_LOG);

    if (!err)
        err = scan_first(&scan);
    while (!err) {
        struct entry entry;

        hash(scan.value);
        err = entry_decode(&entry, scan.value);
        if (!err) {
            note(&entry);
            err = scan_next(&scan);
        }
    }
    if (err != ERR_END)
        story_fail("the log cannot be read: %s", err_text(err));
    scan_close(&scan);
}

static void read_log(const char *dir)
{
    char file[256];
    struct env env = {0};
    struct env_options options = {
        .file = file, .read_only = true, .map_size_bytes = 64u << 20};
    struct tx tx;

    (void)snprintf(file, sizeof file, "%s/rung.mdb", dir);
    if (env_open(&env, &options, NULL) || env_open_tables(&env, false) ||
        tx_begin(&tx, &env, false)) {
        story_fail("the log cannot be opened");
        return;
    }
    read_rows(&tx);
    tx_abort(&tx);
    env_close(&env);
}

uint64_t model_digest(size_t *entries)
{
    *entries = fact_count;
    return digest;
}

/* --- the checks ----------------------------------------------------------- */

static void on_finding(const char *text, void *arg)
{
    (void)arg;
    story_fail("rung check: %s", text);
}

static void check_store(const char *dir)
{
    struct store_options options = {
        .dir = dir, .read_only = true, .map_size_bytes = 64u << 20};
    struct store_check check = {.finding = on_finding};
    struct store *store;
    struct failure why;
    uint64_t found;

    if (store_open(&store, &options, &why)) {
        story_fail("the store does not open: %s", why.message);
        return;
    }
    if (store_verify(store, &check, &found, &why))
        story_fail("the store cannot be checked: %s", why.message);
    store_close(store);
}

static const struct fact *message_of(const char *user, const char *id)
{
    const struct fact *found = NULL;

    user = model_name(user);
    id = model_name(id);
    for (size_t i = 0; i < fact_count; i++) {
        const struct fact *fact = &facts[i];

        if (fact->kind != ENTRY_MESSAGE || fact->from != user || fact->id != id)
            continue;
        if (found)
            story_fail("%s of %s is in the log twice", id, user);
        found = fact;
    }
    return found;
}

/* Whether each call to send it was refused, and asked only once: then nothing
 * can have come of it. */
static bool never_accepted(const struct call *call)
{
    for (size_t i = 0; i < calls_count(); i++) {
        const struct call *other = calls_all(i);

        if (other->deed == SEND && other->by == call->by &&
            strcmp(other->id, call->id) == 0 &&
            (!other->over || other->status == 200 || other->unsure))
            return false;
    }
    return true;
}

/* Answered, and not in the backup that was restored later. */
static bool went_with_the_machine(const struct call *call)
{
    return call->status == 200 && call->lsn > kept_of(call->asked_era);
}

/* An answer is for good, and so is a refusal. */
static void check_call(const struct call *call)
{
    const struct fact *fact;

    if (call->deed != SEND || went_with_the_machine(call))
        return;
    fact = message_of(call->by->user, call->id);
    if (call->status == 200 && !fact)
        story_fail("%s of %s was answered, and is not in the log", call->id,
                   call->by->user);
    else if (call->status == 200 &&
             (fact->seq != call->seq || fact->lsn != call->lsn ||
              fact->conversation != call->conversation))
        story_fail("%s of %s was answered as %llu in %s, and is %llu in %s",
                   call->id, call->by->user, (unsigned long long)call->seq,
                   call->conversation, (unsigned long long)fact->seq,
                   fact->conversation);
    else if (fact && never_accepted(call))
        story_fail("%s of %s was refused (%s), and is in the log", call->id,
                   call->by->user, call->code);
}

/* What a device counted stands in the log in that order; that its answer says
 * where it stands was checked. */
static void check_order(const struct call *call)
{
    for (size_t i = 0; i < calls_count(); i++) {
        const struct call *later = calls_all(i);

        if (later->by == call->by && later->status == 200 &&
            !went_with_the_machine(later) &&
            later->conversation == call->conversation &&
            later->counted > call->counted && later->lsn < call->lsn)
            story_fail("%s/%s: %s, counted %llu, was overtaken", call->by->user,
                       call->by->device, call->id,
                       (unsigned long long)call->counted);
    }
}

static bool may_see(const struct peer *peer, const struct fact *fact)
{
    if (!fact->seq)
        return false;
    if (peer->chain)
        return fact->conversation == model_name(peer->chain);
    for (size_t i = 0; i < fact->member_count; i++)
        if (strcmp(fact->members[i], peer->user) == 0)
            return true;
    return false;
}

static bool was_told_gone(const struct peer *peer, const struct fact *fact)
{
    for (size_t i = 0; i < gap_count; i++)
        if (gaps[i].peer == peer &&
            gaps[i].conversation == fact->conversation &&
            gaps[i].from <= fact->seq && fact->seq <= gaps[i].to)
            return true;
    return false;
}

/* What is said to be gone is gone, and was the client's to see. */
static void check_gap(const struct gap *gap)
{
    const struct room *room = room_of(gap->conversation);
    bool right =
        gap->from && gap->from <= gap->to && gap->to <= room->trimmed_seq;

    for (uint64_t seq = gap->from; right && seq <= gap->to; seq++) {
        const struct fact *fact = fact_at(room, seq);

        right = fact && may_see(gap->peer, fact);
    }
    if (!right)
        story_fail("%s/%s was told that %llu to %llu of %s are gone",
                   gap->peer->user, gap->peer->device,
                   (unsigned long long)gap->from, (unsigned long long)gap->to,
                   gap->conversation);
}

static void check_shown(const struct peer *peer)
{
    size_t at = 0;

    if (peer->epoch[0] && (peer->era != house_era() || peer->reloads))
        story_fail("%s/%s was not told of the restored backup", peer->user,
                   peer->device);
    for (size_t i = 0; i < fact_count; i++) {
        const struct fact *fact = &facts[i];
        const struct shown *shown = &peer->shown[at];

        if (!may_see(peer, fact) || fact->lsn <= peer->base)
            continue;
        if (at == peer->shown_count || shown->lsn != fact->lsn ||
            shown->seq != fact->seq ||
            shown->conversation != fact->conversation) {
            if (was_told_gone(peer, fact))
                continue;
            story_fail(
                "%s/%s: entry %zu it was shown should be lsn %llu (%s "
                "%llu), and is %llu",
                peer->user, peer->device, at, (unsigned long long)fact->lsn,
                fact->conversation, (unsigned long long)fact->seq,
                at < peer->shown_count ? (unsigned long long)shown->lsn : 0);
            return;
        }
        at++;
    }
    if (at != peer->shown_count)
        story_fail("%s/%s was shown %zu entries too many", peer->user,
                   peer->device, peer->shown_count - at);
}

static void check_told(const struct told *told)
{
    for (size_t i = 0; i < fact_count; i++)
        if (facts[i].conversation == told->conversation &&
            facts[i].seq == told->seq && facts[i].lsn > told->presented &&
            facts[i].lsn <= kept_of(told->era) && !told->read)
            story_fail("%s was said to have received %llu of %s (lsn %llu) "
                       "when its devices had presented %llu",
                       told->user, (unsigned long long)told->seq,
                       told->conversation, (unsigned long long)facts[i].lsn,
                       (unsigned long long)told->presented);
}

void model_check(const char *dir)
{
    check_store(dir);
    read_log(dir);
    for (size_t i = 0; i < calls_count(); i++)
        check_call(calls_all(i));
    for (size_t i = 0; i < calls_count(); i++)
        if (calls_all(i)->counted && calls_all(i)->status == 200 &&
            !went_with_the_machine(calls_all(i)))
            check_order(calls_all(i));
    for (size_t i = 0; i < room_count; i++)
        check_kept(&rooms[i]);
    for (size_t i = 0; i < gap_count; i++)
        if (gaps[i].peer)
            check_gap(&gaps[i]);
    for (size_t i = 0; i < PEERS; i++)
        check_shown(&peers[i]);
    for (size_t i = 0; i < told_count; i++)
        check_told(&tolds[i]);
}
