/* Decide: may this entry be appended, and as what? See decide.h. */
#include "store/decide.h"

#include "store/reader.h"

#include <string.h>

/* What one decision works with. */
struct situation {
    const struct tx *tx;
    struct arena *arena;
    struct entry *entry;
    struct decision *decision;
    struct conv_name name;
    struct conv_row conv; /* when exists, and of use: needs_settings() */
    bool exists;
    uint64_t last_seq;
    lsn last_lsn;
};

static enum err refuse(struct situation *s, enum err err, const char *words)
{
    s->decision->applied->err = err;
    s->decision->applied->words = words;
    return ERR_NONE;
}

static enum err accept(struct situation *s)
{
    s->decision->write = true;
    return ERR_NONE;
}

/* Success, and nothing to write. */
static enum err nothing(struct situation *s)
{
    s->decision->applied->conv = s->entry->conv;
    return ERR_NONE;
}

static const char *shape_fault(const struct entry *entry,
                               struct conv_name *name)
{
    if (entry->app.size == 0 || memchr(entry->app.data, '\0', entry->app.size))
        return "app: 1 to 64 bytes, none of them NUL";
    if (name_parse(name, entry->conversation))
        return "conversation: \"<inbox>:1:<min>:<max>\", \"<inbox>:2:<id>\" "
               "or \"<inbox>:3:<id>\"";
    if (entry->kind != ENTRY_TRIM && !name_ok(entry->from))
        return "user: 1 to 64 of A-Z a-z 0-9 _ . @ -";
    if (entry->client_msg_id.size > 0 && entry->kind != ENTRY_MESSAGE)
        return "client_msg_id: only a message has one";
    return NULL;
}

/* Whoever is in a group, or one of two, may write there. */
static bool needs_settings(const struct situation *s)
{
    return s->entry->kind != ENTRY_MESSAGE || s->name.type == CONV_CHANNEL;
}

static enum err find_conversation(struct situation *s)
{
    struct entry *entry = s->entry;
    enum err err =
        conv_no_find(s->tx, entry->app, entry->conversation, &entry->conv);

    if (err == ERR_NOT_FOUND) {
        entry->conv = 0;
        return ERR_NONE;
    }
    if (!err && needs_settings(s))
        err = conv_row_find(s->tx, entry->conv, &s->conv);
    if (!err)
        err = chain_tail(s->tx, entry->conv, &s->last_seq, &s->last_lsn);
    s->exists = !err;
    return err == ERR_NOT_FOUND ? ERR_DAMAGED : err;
}

static enum err know_sender(struct situation *s)
{
    struct user_row row;
    enum err err = user_row_find(s->tx, s->entry->app, s->entry->from, &row);

    if (err == ERR_NOT_FOUND)
        return ERR_NONE;
    if (!err)
        s->decision->from_no = row.no;
    return err;
}

static bool one_of_two(const struct situation *s)
{
    return span_equal(s->entry->from, s->name.a) ||
           span_equal(s->entry->from, s->name.b);
}

/* May `from` speak for themselves in this group or p2p conversation? */
static enum err is_in(struct situation *s, bool *in)
{
    struct member_row row;
    enum err err;

    if (s->name.type == CONV_P2P) {
        *in = one_of_two(s);
        return ERR_NONE;
    }
    err = member_row_find(s->tx, s->entry->conv, s->entry->from, &row);
    *in = !err;
    return err == ERR_NOT_FOUND ? ERR_NONE : err;
}

/* --- MESSAGE ------------------------------------------------------------- */

/* *known: the answer is there already, the first one or a conflict. */
static enum err answer_retry(struct situation *s, bool *known)
{
    struct applied *applied = s->decision->applied;
    unsigned char hash[ENTRY_HASH_BYTES];
    struct dedup_row first;
    enum err err;

    *known = false;
    if (s->entry->client_msg_id.size == 0 || s->decision->from_no == 0)
        return ERR_NONE;
    err = dedup_row_find(s->tx, s->entry->client_msg_id, s->decision->from_no,
                         &first);
    if (err)
        return err == ERR_NOT_FOUND ? ERR_NONE : err;
    *known = true;
    entry_content_hash(hash, s->entry);
    if (memcmp(hash, first.hash, sizeof(hash)) != 0)
        return refuse(s, ERR_CONFLICT,
                      "client_msg_id: already used for another message");
    applied->duplicate = true;
    applied->lsn = first.lsn;
    applied->seq = first.seq;
    applied->conv = first.conv;
    applied->ts = first.ts;
    return ERR_NONE;
}

/* order_note: of the messages of one device in one conversation that have a
 * client_seq, each follows the one before it, with no gap: one that was
 * overtaken on its way is in time when those behind it have been refused. Who
 * is not known here begins where they like. */
static enum err keep_order(struct situation *s)
{
    struct entry *entry = s->entry;
    struct client_seq_row last;
    enum err err;

    if (!entry->mark || !s->exists || !s->decision->from_no)
        return accept(s);
    err = client_seq_row_find(s->tx, entry->conv, s->decision->from_no,
                              entry->device, &last);
    if (err == ERR_NOT_FOUND)
        return accept(s);
    if (err)
        return err;
    if (entry->mark - 1 == last.client_seq + 1)
        return accept(s);
    s->decision->applied->next_client_seq = last.client_seq + 1;
    return refuse(s, ERR_CONFLICT, NULL);
}

static enum err decide_message(struct situation *s, lsn next)
{
    bool in = false, known;
    enum err err = answer_retry(s, &known);

    if (err || known)
        return err;
    if (!s->exists && s->name.type != CONV_P2P)
        return refuse(s, ERR_NOT_FOUND, "conversation: there is none");
    if (s->name.type == CONV_CHANNEL) {
        if (!s->conv.open && !span_equal(s->conv.creator, s->entry->from))
            return refuse(s, ERR_FORBIDDEN,
                          "only the owner posts in this channel");
    } else {
        err = is_in(s, &in);
        if (err)
            return err;
        if (!in)
            return refuse(s, ERR_NOT_MEMBER, NULL);
    }
    if (!s->exists)
        s->entry->conv = next;
    s->entry->seq = s->last_seq + 1;
    return keep_order(s);
}

/* --- CREATE, JOIN, LEAVE ------------------------------------------------- */

static enum err users_refusal(struct situation *s, enum err err)
{
    if (err == ERR_TOO_LARGE)
        return refuse(s, ERR_TOO_LARGE,
                      "users: a group has at most 10000 members");
    if (err == ERR_BAD_REQUEST)
        return refuse(s, ERR_BAD_REQUEST,
                      "users: each 1 to 64 of A-Z a-z 0-9 _ . @ -");
    return err;
}

static enum err decide_create(struct situation *s, lsn next)
{
    struct conv_settings settings;
    struct span json;
    struct users users = {0};
    enum err err = ERR_NONE;

    if (s->name.type == CONV_P2P)
        return refuse(s, ERR_BAD_REQUEST,
                      "conversation: a group or a channel can be created");
    if (s->exists)
        return refuse(s, ERR_CONFLICT, "conversation: it exists already");
    if (conv_settings_read(&settings, s->entry->body, &json))
        return refuse(s, ERR_BAD_REQUEST, "settings: malformed");
    if (s->name.type == CONV_GROUP)
        err = users_prune(s->arena, s->tx, 0, s->entry->from, s->entry->users,
                          MEMBERS_MAX, &users);
    if (err)
        return users_refusal(s, err);
    if (users.count > MEMBERS_MAX)
        return users_refusal(s, ERR_TOO_LARGE);
    s->entry->users = users.list;
    s->entry->conv = next;
    s->entry->seq = 1;
    return accept(s);
}

static bool only_oneself(const struct entry *entry)
{
    struct span user = {0};

    while (entry_user(entry, &user))
        if (!span_equal(user, entry->from))
            return false;
    return true;
}

static enum err decide_join(struct situation *s)
{
    struct users users;
    bool in;
    enum err err;

    if (!s->exists)
        return refuse(s, ERR_NOT_FOUND, "conversation: there is none");
    if (s->name.type == CONV_P2P)
        return refuse(s, ERR_FORBIDDEN,
                      "a conversation of two people has no room for more");
    if (s->name.type == CONV_CHANNEL)
        return nothing(s);
    err = is_in(s, &in);
    if (err)
        return err;
    if (!in && !only_oneself(s->entry))
        return refuse(s, ERR_NOT_MEMBER, NULL);
    if (!in && !s->conv.joinable)
        return refuse(s, ERR_FORBIDDEN,
                      "a member must let you into this group");
    err = users_prune(s->arena, s->tx, s->entry->conv, (struct span){0},
                      s->entry->users, MEMBERS_MAX, &users);
    if (err)
        return users_refusal(s, err);
    if (users.count == 0)
        return nothing(s);
    if (s->conv.member_count + users.count > MEMBERS_MAX)
        return users_refusal(s, ERR_TOO_LARGE);
    s->entry->users = users.list;
    s->entry->seq = s->last_seq + 1;
    return accept(s);
}

static enum err decide_leave(struct situation *s)
{
    struct users users;
    bool in;
    enum err err;

    if (!s->exists)
        return refuse(s, ERR_NOT_FOUND, "conversation: there is none");
    if (s->name.type == CONV_P2P)
        return refuse(s, ERR_FORBIDDEN,
                      "a conversation of two people cannot be left");
    if (s->name.type == CONV_CHANNEL)
        return nothing(s);
    err = is_in(s, &in);
    if (err)
        return err;
    if (!in)
        return refuse(s, ERR_NOT_MEMBER, NULL);
    err = users_prune(s->arena, s->tx, 0, s->entry->from, (struct span){0},
                      MEMBERS_MAX, &users);
    if (err)
        return err;
    s->entry->users = users.list;
    s->entry->seq = s->last_seq + 1;
    return accept(s);
}

/* --- READ, DELIVERED, TRIM ----------------------------------------------- */

static enum audience audience_of(const struct situation *s)
{
    bool small = s->conv.member_count <= RECEIPT_MEMBERS;

    if (!small)
        return TO_OWN_DEVICES;
    return s->entry->kind == ENTRY_READ ? TO_MEMBERS : TO_OTHERS;
}

static enum err decide_receipt(struct situation *s)
{
    struct entry *entry = s->entry;
    struct marks_row marks;
    bool in;
    enum err err;

    if (!s->exists)
        return refuse(s, ERR_NOT_FOUND, "conversation: there is none");
    if (s->name.type == CONV_CHANNEL)
        return nothing(s);
    err = is_in(s, &in);
    if (err)
        return err;
    if (!in)
        return refuse(s, ERR_NOT_MEMBER, NULL);
    err = marks_row_find(s->tx, entry->conv, s->decision->from_no, &marks);
    if (err)
        return err;
    if (entry->mark > s->last_seq)
        entry->mark = s->last_seq;
    if (entry->mark <=
        (entry->kind == ENTRY_READ ? marks.read_seq : marks.delivered_seq))
        return nothing(s);
    entry->audience = audience_of(s);
    return accept(s);
}

static enum err decide_trim(struct situation *s)
{
    struct entry *entry = s->entry;
    struct chain_row row;
    enum err err;

    if (!s->exists)
        return refuse(s, ERR_NOT_FOUND, "conversation: there is none");
    if (entry->mark >= s->last_seq)
        entry->mark = s->last_seq - 1;
    if (entry->mark > s->conv.trimmed_seq + TRIM_MAX)
        entry->mark = s->conv.trimmed_seq + TRIM_MAX;
    if (entry->mark <= s->conv.trimmed_seq)
        return nothing(s);
    err = chain_row_find(s->tx, entry->conv, entry->mark, &row);
    if (err)
        return err == ERR_NOT_FOUND ? ERR_DAMAGED : err;
    entry->mark_lsn = row.lsn;
    s->decision->trimmed_seq = s->conv.trimmed_seq;
    return accept(s);
}

/* --- all ----------------------------------------------------------------- */

static enum err decide_kind(struct situation *s, lsn next)
{
    switch (s->entry->kind) {
    case ENTRY_MESSAGE:
        return decide_message(s, next);
    case ENTRY_CREATE:
        return decide_create(s, next);
    case ENTRY_JOIN:
        return decide_join(s);
    case ENTRY_LEAVE:
        return decide_leave(s);
    case ENTRY_READ:
    case ENTRY_DELIVERED:
        return decide_receipt(s);
    case ENTRY_TRIM:
        return decide_trim(s);
    }
    return refuse(s, ERR_BAD_REQUEST, "unknown kind of entry");
}

enum err decide(const struct tx *tx, struct arena *arena, lsn next,
                struct entry *entry, struct decision *decision)
{
    struct situation s = {
        .tx = tx, .arena = arena, .entry = entry, .decision = decision};
    const char *fault;
    enum err err;

    if (entry_bounds(entry))
        return refuse(&s, ERR_TOO_LARGE, "a field is too long");
    fault = shape_fault(entry, &s.name);
    if (fault)
        return refuse(&s, ERR_BAD_REQUEST, fault);
    entry->flags &= ENTRY_NO_ECHO;
    entry->lsn = entry->seq = entry->mark_lsn = 0;
    entry->audience = TO_MEMBERS;
    err = find_conversation(&s);
    if (!err && entry->kind != ENTRY_TRIM)
        err = know_sender(&s);
    if (!err)
        err = decide_kind(&s, next);
    if (err || !decision->write)
        return err;
    entry->lsn = next;
    decision->applied->lsn = next;
    decision->applied->seq = entry->seq;
    decision->applied->conv = entry->conv;
    decision->applied->created = entry->conv == next;
    decision->applied->audience = entry->audience;
    return ERR_NONE;
}
