/* One entry as bytes (docs/FORMAT.md, "An entry"). See entry.h. */
#include "store/entry.h"

#include "store/key.h"

/* The one-piece functions cannot fail and allocate nothing, unlike EVP. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <assert.h>
#include <openssl/sha.h>
#include <string.h>
#include <zlib.h>

/* Where things are in the head; the texts follow it, the checksum them. */
enum {
    AT_KIND = 0,
    AT_FLAGS = 1,
    AT_AUDIENCE = 2,
    AT_ZERO = 3,
    AT_TS = 4,
    AT_LSN = 12,
    AT_SEQ = 20,
    AT_CONV = 28,
    AT_MARK = 36,
    AT_MARK_LSN = 44,
    AT_SMALL_SIZES = 52, /* six bytes: app … type */
    AT_BODY_SIZE = 58,
    AT_USERS_SIZE = 62,
    HEAD_BYTES = 66,
    SUM_BYTES = 4,
    SMALL_TEXTS = 6,
    HASH_BODY_BYTES = 512, /* a longer body is hashed where it lies */
    HASH_HEAD_BYTES =
        3 * 8 + ENTRY_CONVERSATION_MAX + ENTRY_TEXT_MAX + HASH_BODY_BYTES,
};

#define KNOWN_FLAGS (ENTRY_NO_ECHO | ENTRY_TRIMMED)

static const struct {
    size_t offset;
    size_t max;
} small_texts[SMALL_TEXTS] = {
    {offsetof(struct entry, app), ENTRY_TEXT_MAX},
    {offsetof(struct entry, conversation), ENTRY_CONVERSATION_MAX},
    {offsetof(struct entry, from), ENTRY_TEXT_MAX},
    {offsetof(struct entry, device), ENTRY_TEXT_MAX},
    {offsetof(struct entry, client_msg_id), ENTRY_TEXT_MAX},
    {offsetof(struct entry, type), ENTRY_TEXT_MAX},
};

static struct span *text_of(struct entry *entry, int i)
{
    return (struct span *)(void *)((char *)entry + small_texts[i].offset);
}

static const struct span *text_in(const struct entry *entry, int i)
{
    return (const struct span *)(const void *)((const char *)entry +
                                               small_texts[i].offset);
}

enum err entry_bounds(const struct entry *entry)
{
    for (int i = 0; i < SMALL_TEXTS; i++)
        if (text_in(entry, i)->size > small_texts[i].max)
            return ERR_TOO_LARGE;
    if (entry->body.size > ENTRY_BODY_MAX ||
        entry->users.size > ENTRY_USERS_MAX)
        return ERR_TOO_LARGE;
    return ERR_NONE;
}

static uint32_t checksum(const char *bytes, size_t size)
{
    return (uint32_t)crc32_z(0, (const unsigned char *)bytes, size);
}

void entry_encode(struct buf *out, const struct entry *entry)
{
    unsigned char head[HEAD_BYTES] = {0}, sum[SUM_BYTES];
    size_t start = out->size;

    assert(entry_bounds(entry) == ERR_NONE);
    head[AT_KIND] = (unsigned char)entry->kind;
    head[AT_FLAGS] = (unsigned char)entry->flags;
    head[AT_AUDIENCE] = (unsigned char)entry->audience;
    u64_put(head + AT_TS, entry->ts);
    u64_put(head + AT_LSN, entry->lsn);
    u64_put(head + AT_SEQ, entry->seq);
    u64_put(head + AT_CONV, entry->conv);
    u64_put(head + AT_MARK, entry->mark);
    u64_put(head + AT_MARK_LSN, entry->mark_lsn);
    for (int i = 0; i < SMALL_TEXTS; i++)
        head[AT_SMALL_SIZES + i] = (unsigned char)text_in(entry, i)->size;
    u32_put(head + AT_BODY_SIZE, (uint32_t)entry->body.size);
    u32_put(head + AT_USERS_SIZE, (uint32_t)entry->users.size);

    buf_append(out, head, sizeof(head));
    for (int i = 0; i < SMALL_TEXTS; i++)
        buf_append_span(out, *text_in(entry, i));
    buf_append_span(out, entry->body);
    buf_append_span(out, entry->users);
    if (out->failed)
        return;
    u32_put(sum, checksum(out->data + start, out->size - start));
    buf_append(out, sum, sizeof(sum));
}

bool entry_intact(struct span bytes)
{
    if (bytes.size < HEAD_BYTES + SUM_BYTES)
        return false;
    return checksum(bytes.data, bytes.size - SUM_BYTES) ==
           u32_get(bytes.data + bytes.size - SUM_BYTES);
}

static struct span take(const char **at, size_t size)
{
    struct span span = {*at, size};

    *at += size;
    return span;
}

static bool head_ok(const unsigned char *head)
{
    return head[AT_KIND] >= ENTRY_MESSAGE && head[AT_KIND] <= ENTRY_TRIM &&
           (head[AT_FLAGS] & ~KNOWN_FLAGS) == 0 &&
           head[AT_AUDIENCE] <= TO_OTHERS && head[AT_ZERO] == 0;
}

static bool users_ok(struct span users)
{
    return users.size == 0 || users.data[users.size - 1] == '\0';
}

/* A stub's body is the hash of what it was. */
static bool stub_ok(const struct entry *entry)
{
    if (!(entry->flags & ENTRY_TRIMMED))
        return true;
    return entry->kind == ENTRY_MESSAGE && entry->type.size == 0 &&
           entry->body.size == ENTRY_HASH_BYTES;
}

enum err entry_decode(struct entry *out, struct span bytes)
{
    const unsigned char *head = (const unsigned char *)bytes.data;
    struct entry entry = {0};
    uint64_t body, users, total = HEAD_BYTES + SUM_BYTES;
    const char *at;

    if (bytes.size < total || !head_ok(head))
        return ERR_DAMAGED;
    body = u32_get(head + AT_BODY_SIZE);
    users = u32_get(head + AT_USERS_SIZE);
    for (int i = 0; i < SMALL_TEXTS; i++)
        total += head[AT_SMALL_SIZES + i];
    if (total + body + users != bytes.size)
        return ERR_DAMAGED;

    entry.kind = (enum entry_kind)head[AT_KIND];
    entry.flags = head[AT_FLAGS];
    entry.audience = (enum audience)head[AT_AUDIENCE];
    entry.ts = u64_get(head + AT_TS);
    entry.lsn = u64_get(head + AT_LSN);
    entry.seq = u64_get(head + AT_SEQ);
    entry.conv = u64_get(head + AT_CONV);
    entry.mark = u64_get(head + AT_MARK);
    entry.mark_lsn = u64_get(head + AT_MARK_LSN);
    at = bytes.data + HEAD_BYTES;
    for (int i = 0; i < SMALL_TEXTS; i++)
        *text_of(&entry, i) = take(&at, head[AT_SMALL_SIZES + i]);
    entry.body = take(&at, (size_t)body);
    entry.users = take(&at, (size_t)users);
    if (entry_bounds(&entry) || !users_ok(entry.users) || !stub_ok(&entry))
        return ERR_DAMAGED;
    *out = entry;
    return ERR_NONE;
}

bool entry_user(const struct entry *entry, struct span *user)
{
    const char *end = entry->users.data + entry->users.size;
    const char *next, *stop;

    if (entry->users.size == 0)
        return false;
    next = user->data ? user->data + user->size + 1 : entry->users.data;
    if (next >= end)
        return false;
    stop = memchr(next, '\0', (size_t)(end - next));
    if (!stop)
        return false; /* a list that does not end as it should */
    *user = (struct span){next, (size_t)(stop - next)};
    return true;
}

static unsigned char *put_text(unsigned char *to, struct span text)
{
    u64_put(to, text.size);
    if (text.size > 0)
        memcpy(to + 8, text.data, text.size);
    return to + 8 + text.size;
}

void entry_content_hash(unsigned char out[ENTRY_HASH_BYTES],
                        const struct entry *entry)
{
    /* Its beginning in one piece, which for a short message is the whole. */
    unsigned char head[HASH_HEAD_BYTES], *end = head;
    unsigned char full[SHA256_DIGEST_LENGTH];
    struct span rest = entry->body;
    SHA256_CTX sha;

    if (entry->flags & ENTRY_TRIMMED) {
        assert(entry->body.size == ENTRY_HASH_BYTES);
        memcpy(out, entry->body.data, ENTRY_HASH_BYTES);
        return;
    }
    assert(entry_bounds(entry) == ERR_NONE);
    end = put_text(end, entry->conversation);
    end = put_text(end, entry->type);
    if (entry->body.size <= HASH_BODY_BYTES) {
        end = put_text(end, entry->body);
        rest.size = 0;
    } else {
        u64_put(end, entry->body.size);
        end += 8;
    }
    SHA256_Init(&sha);
    SHA256_Update(&sha, head, (size_t)(end - head));
    if (rest.size > 0)
        SHA256_Update(&sha, rest.data, rest.size);
    SHA256_Final(full, &sha);
    memcpy(out, full, ENTRY_HASH_BYTES);
}
