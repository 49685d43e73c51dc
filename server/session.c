/* Sessions in memory: found by name, loaded from the store on first use, kept
 * for a while after their last carrier so that a client that polls every second
 * does not load its conversations every second. */
#include "server/session.h"

#include "server/base/clock.h"
#include "server/watch.h"

#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((element)->hashed = false)
#include <uthash.h>

#define IDLE_MAX 100000 /* idle sessions and their stints, together */
#define KEY_MAX (8 + 2 * (NAME_MAX_BYTES + 1))

struct known_session {
    struct session session;
    bool hashed;
    UT_hash_handle hh;
    size_t key_size;
    char key[]; /* inbox, app, NUL, user; behind it another NUL */
};

struct known_watch {
    struct conversation_watch watch;
    bool hashed;
    UT_hash_handle hh;
};

struct known_name {
    struct conversation_watch *watch;
    uint64_t inbox;
    bool hashed;
    UT_hash_handle hh;
    size_t key_size;
    char key[]; /* app, NUL, the conversation's name */
};

/* --- the names of channels ---------------------------------------------- */

static size_t write_name(char *key, struct span app, struct span name)
{
    memcpy(key, app.data, app.size);
    key[app.size] = 0;
    memcpy(key + app.size + 1, name.data, name.size);
    return app.size + 1 + name.size;
}

struct conversation_watch *
watch_named(struct hub *hub, const struct person *who, struct span name)
{
    char key[NAME_MAX_BYTES + 1 + CONVERSATION_MAX_BYTES];
    struct span app = span_of(who->app);
    struct known_name *known = NULL;
    size_t size;

    if (!hub->names || name.size > CONVERSATION_MAX_BYTES)
        return NULL;
    size = write_name(key, app, name);
    HASH_FIND(hh, hub->names, key, size, known);
    return known && known->inbox == who->inbox ? known->watch : NULL;
}

/* Without memory it stays nameless: the store knows it, too. */
static void remember_name(struct conversation_watch *watch,
                          const struct conversation *conversation)
{
    struct known_name *known = mem_alloc(
        sizeof *known + conversation->app.size + 1 + conversation->name.size);

    if (!known)
        return;
    known->watch = watch;
    known->inbox = conversation->inbox;
    known->key_size =
        write_name(known->key, conversation->app, conversation->name);
    known->hashed = true;
    HASH_ADD_KEYPTR(hh, watch->hub->names, known->key, known->key_size, known);
    if (known->hashed)
        watch->name = known;
    else
        mem_free(known);
}

static void forget_name(struct conversation_watch *watch)
{
    struct known_name *known = watch->name;

    if (known)
        HASH_DELETE(hh, watch->hub->names, known);
    mem_free(known);
}

/* --- conversations ------------------------------------------------------ */

/* FNV-1a. */
uint32_t author_hash(struct span user)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < user.size; i++)
        hash = (hash ^ (unsigned char)user.data[i]) * 16777619u;
    return hash ? hash : 1;
}

struct conversation_watch *watch_find(struct hub *hub, conv_no no)
{
    struct known_watch *known;

    HASH_FIND(hh, hub->watches, &no, sizeof no, known);
    return known ? &known->watch : NULL;
}

struct conversation_watch *watch_get(struct hub *hub,
                                     const struct conversation *conversation)
{
    struct conversation_watch *watch = watch_find(hub, conversation->no);
    struct known_watch *known;

    if (watch)
        return watch;
    known = mem_zalloc(sizeof *known);
    if (!known)
        return NULL;
    watch = &known->watch;
    watch->hub = hub;
    watch->no = conversation->no;
    watch->type = conversation->type;
    watch->latest = conversation->last_lsn > conversation->receipt_lsn
                        ? conversation->last_lsn
                        : conversation->receipt_lsn;
    list_init(&watch->interests);
    list_init(&watch->carriers);
    list_init(&watch->open_link);
    if (conversation->last_lsn <= hub->head) {
        watch->heard_seq = conversation->last_seq;
        watch->heard_lsn = conversation->last_lsn;
    }
    known->hashed = true;
    HASH_ADD(hh, hub->watches, watch.no, sizeof watch->no, known);
    if (!known->hashed) {
        mem_free(known);
        return NULL;
    }
    if (watch->type == CONV_CHANNEL)
        remember_name(watch, conversation);
    return watch;
}

void watch_release(struct conversation_watch *watch)
{
    struct known_watch *known;

    if (!watch || !list_empty(&watch->interests) ||
        !list_empty(&watch->carriers) || watch->burst)
        return;
    known = container_of(watch, struct known_watch, watch);
    forget_name(watch);
    HASH_DELETE(hh, watch->hub->watches, known);
    mem_free(watch->marked_as);
    mem_free(known);
}

/* --- interests ---------------------------------------------------------- */

struct interest *interest_find(const struct session *session, conv_no conv)
{
    for (size_t i = session->interest_count; i-- > 0;)
        if (session->interests[i]->stint.conv == conv &&
            session->interests[i]->watch)
            return session->interests[i];
    return NULL;
}

static bool stint_known(const struct session *session,
                        const struct stint *stint)
{
    for (size_t i = session->interest_count; i-- > 0;)
        if (session->interests[i]->stint.conv == stint->conv &&
            session->interests[i]->stint.join_seq == stint->join_seq)
            return true;
    return false;
}

static struct interest *interest_add(struct session *session,
                                     const struct stint *stint)
{
    struct interest *interest;

    if (session->interest_count == session->interest_room) {
        size_t room = session->interest_room ? session->interest_room * 2 : 2;
        struct interest **grown =
            mem_realloc(session->interests, room * sizeof *grown);

        if (!grown)
            return NULL;
        session->interests = grown;
        session->interest_room = room;
    }
    interest = mem_zalloc(sizeof *interest);
    if (!interest)
        return NULL;
    interest->session = session;
    interest->stint = *stint;
    interest->delivered = DELIVERED_UNKNOWN;
    list_init(&interest->link);
    session->interests[session->interest_count++] = interest;
    return interest;
}

static enum err listen_to(struct interest *interest,
                          const struct conversation *conversation)
{
    struct conversation_watch *watch =
        watch_get(interest->session->hub, conversation);

    if (!watch)
        return ERR_NOMEM;
    interest->watch = watch;
    interest->stint.to_seq = 0;
    interest->end = 0;
    list_append(&watch->interests, &interest->link);
    if (watch->latest > interest->session->latest)
        interest->session->latest = watch->latest;
    return ERR_NONE;
}

enum err interest_open(struct session *session, const struct stint *stint,
                       const struct conversation *conversation)
{
    struct interest *interest;

    if (stint_known(session, stint))
        return ERR_NONE;
    interest = interest_add(session, stint);
    return interest ? listen_to(interest, conversation) : ERR_NOMEM;
}

/* Of the stints that seem to last (watch_note) the one that a leave at `seq`
 * ends: those behind it are known too early. */
static struct interest *interest_before(const struct session *session,
                                        conv_no conv, uint64_t seq)
{
    for (size_t i = session->interest_count; i-- > 0;)
        if (session->interests[i]->stint.conv == conv &&
            session->interests[i]->watch &&
            session->interests[i]->stint.join_seq < seq)
            return session->interests[i];
    return NULL;
}

void interest_close(struct session *session, conv_no conv, uint64_t to_seq,
                    lsn end)
{
    struct interest *interest = interest_before(session, conv, to_seq);
    struct conversation_watch *watch;

    if (!interest)
        return;
    watch = interest->watch;
    list_remove(&interest->link);
    interest->watch = NULL;
    interest->stint.to_seq = to_seq;
    interest->stint.leave_lsn = end;
    interest->end = end;
    watch_release(watch);
}

/* --- loading ------------------------------------------------------------ */

struct loading {
    struct session *session;
    struct reader *reader;
    enum err rc;
};

static enum err load_stint(struct loading *loading, const struct stint *stint)
{
    struct session *session = loading->session;
    struct conversation conversation;
    struct interest *interest;
    enum err rc = reader_conversation_no(
        loading->reader, span_of(session->who.app), stint->conv, &conversation);

    if (rc)
        return rc;
    interest = interest_add(session, stint);
    if (!interest)
        return ERR_NOMEM;
    if (!stint->to_seq)
        return listen_to(interest, &conversation);
    interest->end = stint->leave_lsn;
    if (interest->end > session->hub->head)
        return listen_to(interest, &conversation); /* watch_note */
    if (interest->end > session->latest)
        session->latest = interest->end;
    return ERR_NONE;
}

static bool visit_stint(const struct stint *stint, void *arg)
{
    struct loading *loading = arg;

    if (stint->inbox != loading->session->who.inbox)
        return true;
    loading->rc = load_stint(loading, stint);
    return loading->rc == ERR_NONE;
}

static enum err session_load(struct session *session)
{
    struct reader *reader = session->hub->worker->reader;
    struct loading loading = {.session = session, .reader = reader};
    enum err rc = reader_begin(reader);

    if (rc)
        return rc;
    rc = reader_stints(reader, span_of(session->who.app),
                       span_of(session->who.user), visit_stint, &loading);
    reader_end(reader);
    return rc ? rc : loading.rc;
}

/* --- the table ---------------------------------------------------------- */

static size_t write_key(char key[KEY_MAX], struct span app, uint64_t inbox,
                        struct span user)
{
    memcpy(key, &inbox, 8);
    memcpy(key + 8, app.data, app.size);
    key[8 + app.size] = 0;
    memcpy(key + 9 + app.size, user.data, user.size);
    return 9 + app.size + user.size;
}

struct session *session_find(struct hub *hub, struct span app, uint64_t inbox,
                             struct span user)
{
    char key[KEY_MAX];
    size_t size = write_key(key, app, inbox, user);
    struct known_session *known;

    HASH_FIND(hh, hub->sessions, key, size, known);
    return known ? &known->session : NULL;
}

static void session_free(struct session *session)
{
    struct known_session *known =
        container_of(session, struct known_session, session);

    list_remove(&session->idle);
    wheel_disarm(&session->record);
    for (size_t i = 0; i < session->interest_count; i++) {
        list_remove(&session->interests[i]->link);
        watch_release(session->interests[i]->watch);
        mem_free(session->interests[i]);
    }
    mem_free(session->interests);
    if (known->hashed)
        HASH_DELETE(hh, session->hub->sessions, known);
    mem_free(known);
}

static void no_longer_idle(struct session *session)
{
    list_remove(&session->idle);
    session->hub->idle_weight -= session->idle_weight;
}

void session_disown(struct session *session)
{
    struct known_session *known =
        container_of(session, struct known_session, session);

    if (!known->hashed)
        return;
    HASH_DELETE(hh, session->hub->sessions, known);
    known->hashed = false;
    if (session->refs) {
        list_append(&session->hub->disowned, &session->idle);
        return;
    }
    no_longer_idle(session);
    session_free(session);
}

static struct session *session_create(struct hub *hub,
                                      const struct identity *who)
{
    char key[KEY_MAX];
    size_t size =
        write_key(key, span_of(who->app), who->inbox, span_of(who->user));
    struct known_session *known = mem_zalloc(sizeof *known + size + 1);
    struct session *session;

    if (!known)
        return NULL;
    memcpy(known->key, key, size);
    known->key_size = size;
    session = &known->session;
    session->hub = hub;
    session->who.inbox = who->inbox;
    session->who.app = known->key + 8;
    session->who.user = session->who.app + strlen(who->app) + 1;
    list_init(&session->carriers);
    list_init(&session->own);
    list_init(&session->idle);
    wheel_node_init(&session->record, session_record);
    known->hashed = true;
    HASH_ADD_KEYPTR(hh, hub->sessions, known->key, known->key_size, known);
    if (!known->hashed || session_load(session)) {
        session_free(session);
        return NULL;
    }
    return session;
}

static void forget_one(struct hub *hub)
{
    struct session *oldest = container_of(hub->idle.next, struct session, idle);

    no_longer_idle(oldest);
    session_free(oldest);
}

struct session *session_get(struct worker *worker, const struct identity *who)
{
    struct hub *hub = worker->hub;
    struct session *session =
        session_find(hub, span_of(who->app), who->inbox, span_of(who->user));

    if (!session)
        session = session_create(hub, who);
    if (!session)
        return NULL;
    if (session->refs++ == 0 && !list_empty(&session->idle))
        no_longer_idle(session);
    return session;
}

void session_put(struct session *session)
{
    struct hub *hub;

    if (!session || --session->refs > 0)
        return;
    hub = session->hub;
    if (!container_of(session, struct known_session, session)->hashed) {
        session_free(session); /* disowned */
        return;
    }
    list_append(&hub->idle, &session->idle);
    session->idle_weight = 1 + session->interest_count;
    hub->idle_weight += session->idle_weight;
    while (hub->idle_weight > IDLE_MAX)
        forget_one(hub);
}

void hub_store_marks(struct hub *hub)
{
    struct known_session *known, *next;

    HASH_ITER(hh, hub->sessions, known, next)
    if (known->session.record_armed) {
        wheel_disarm(&known->session.record);
        session_store_marks(&known->session);
    }
}

void sessions_free(struct hub *hub)
{
    struct known_session *known, *next;

    HASH_ITER(hh, hub->sessions, known, next)
    session_free(&known->session);
    /* Their marks' timers may still hold references. */
    list_each_safe (node, &hub->disowned)
        session_free(container_of(node, struct session, idle));
}

enum err session_spend(struct session *session, struct failure *why)
{
    uint64_t rate = session->hub->worker->config->user_rate;
    uint32_t wait_ms = bucket_spend(&session->bucket, rate, clock_mono_us());

    if (!wait_ms)
        return ERR_NONE;
    fail(why, ERR_RATE_LIMITED,
         "more than %llu requests per second of this user",
         (unsigned long long)rate);
    why->retry_after_ms = wait_ms;
    return ERR_RATE_LIMITED;
}
