/* Tickets: identity, expiry and a nonce under a MAC whose key only this process
 * knows, so that giving one out keeps nothing; a nonce that came back is
 * remembered for as long as its ticket could come again.
 *
 * two_tables: a used nonce goes into the young table. Whenever a ticket's life
 * has passed, the old table is emptied and the two change places. So a nonce
 * is remembered for one life at least, and memory is bounded. When the young
 * table is full, tickets are refused until the next change.
 */
#include "server/auth.h"
#include "server/base/clock.h"

#include <assert.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define LIFE_MS UINT64_C(30000)
#define NONCE_BYTES 16
#define MAC_BYTES 32
#define SLOTS                                                                  \
    ((size_t)1 << 18) /* a power of two; 4 MiB a table, touched as used */
#define FULL_AT (SLOTS / 4 * 3)
#define TEXT_MAX_BYTES 320 /* of what the MAC covers */

struct nonce {
    uint64_t words[NONCE_BYTES / 8]; /* all zero: an empty slot */
};

struct table {
    struct nonce slots[SLOTS];
    size_t used;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static unsigned char process_key[32]; /* set once, then only read */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct table tables[2];  /* under `lock` */
static int young;               /* under `lock`: index of the younger */
static uint64_t last_change_ms; /* under `lock` */

static void make_key(void)
{
    random_bytes(process_key, sizeof(process_key));
}

static void mac(unsigned char out[MAC_BYTES], const void *text, size_t size)
{
    unsigned length = MAC_BYTES;
    void *done = HMAC(EVP_sha256(), process_key, sizeof(process_key), text,
                      size, out, &length);

    if (!done)
        random_bytes(out, MAC_BYTES); /* matches nothing */
}

bool auth_equal(const void *a, const void *b, size_t size)
{
    return CRYPTO_memcmp(a, b, size) == 0;
}

/* ---- used nonces ----------------------------------------------------------
 */

/* The slot that holds the nonce, or the empty one where it would go. */
static struct nonce *slot_for(struct table *table, const struct nonce *nonce)
{
    for (size_t at = nonce->words[0];; at++) {
        struct nonce *slot = &table->slots[at & (SLOTS - 1)];

        if ((!slot->words[0] && !slot->words[1]) ||
            memcmp(slot, nonce, sizeof(*slot)) == 0)
            return slot;
    }
}

static bool holds(struct table *table, const struct nonce *nonce)
{
    const struct nonce *slot = slot_for(table, nonce);

    return slot->words[0] || slot->words[1];
}

static void empty(struct table *table)
{
    if (table->used)
        memset(table, 0, sizeof(*table));
}

/* See two_tables. After two lives without a change both are old. */
static void change_tables(uint64_t now_ms)
{
    uint64_t passed = now_ms - last_change_ms;

    if (passed < LIFE_MS)
        return;
    young = !young;
    empty(&tables[young]);
    if (passed >= 2 * LIFE_MS)
        empty(&tables[!young]);
    last_change_ms = now_ms;
}

static enum err use_once(const struct nonce *nonce, uint64_t now_ms,
                         struct failure *why)
{
    enum err rc = ERR_NONE;

    pthread_mutex_lock(&lock);
    change_tables(now_ms);
    if (holds(&tables[0], nonce) || holds(&tables[1], nonce)) {
        rc = fail(why, ERR_UNAUTHORIZED, "ticket: was used already");
    } else if (tables[young].used >= FULL_AT) {
        rc = fail(why, ERR_OVERLOADED, "ticket: too many at once");
        if (why)
            why->retry_after_ms = (uint32_t)LIFE_MS / 2;
    } else {
        *slot_for(&tables[young], nonce) = *nonce;
        tables[young].used++;
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

/* ---- the text -------------------------------------------------------------
 */

/* base64url without padding; `out` has room for 4 per 3 bytes and 3 more. */
static void encode(char *out, const unsigned char *bytes, size_t size)
{
    int length = EVP_EncodeBlock((unsigned char *)out, bytes, (int)size);

    for (int i = 0; i < length; i++) {
        if (out[i] == '+')
            out[i] = '-';
        else if (out[i] == '/')
            out[i] = '_';
        else if (out[i] == '=')
            length = i;
    }
    out[length] = '\0';
}

/* The decoded size, or 0 when it is not such a text. */
static size_t decode(unsigned char *out, size_t room, struct span text)
{
    unsigned char padded[TICKET_MAX_BYTES + 4];
    size_t pad = (4 - text.size % 4) % 4;

    if (text.size >= TICKET_MAX_BYTES || text.size < 4 || pad == 3 ||
        (text.size + pad) / 4 * 3 > room)
        return 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];

        if (c == '+' || c == '/' || c == '=')
            return 0; /* one ticket has one spelling */
        padded[i] = (unsigned char)(c == '-' ? '+' : c == '_' ? '/' : c);
    }
    memset(padded + text.size, '=', pad);

    int size = EVP_DecodeBlock(out, padded, (int)(text.size + pad));

    return size < 0 ? 0 : (size_t)size - pad;
}

enum err ticket_issue(char *ticket, const struct identity *who,
                      uint64_t *expires_ms)
{
    unsigned char bytes[TEXT_MAX_BYTES + MAC_BYTES];
    struct nonce nonce;

    pthread_once(&once, make_key);
    do
        random_bytes(&nonce, sizeof(nonce));
    while (!nonce.words[0] && !nonce.words[1]); /* that means: empty */

    int size =
        snprintf((char *)bytes, TEXT_MAX_BYTES,
                 "%016" PRIx64 "%016" PRIx64 "%016" PRIx64 "%016" PRIx64
                 "%016" PRIx64 "%s~%s~%s~",
                 nonce.words[0], nonce.words[1], clock_mono_ms() + LIFE_MS,
                 who->expires_ms, who->inbox, who->app, who->user, who->device);

    assert(size > 0 && size < TEXT_MAX_BYTES);
    mac(bytes + size, bytes, (size_t)size);
    encode(ticket, bytes, (size_t)size + MAC_BYTES);
    *expires_ms = clock_wall_ms() + LIFE_MS;
    if (*expires_ms > who->expires_ms)
        *expires_ms = who->expires_ms; /* no longer than its token */
    return ERR_NONE;
}

/* Read "name~" into a field; the rest of the text, or NULL. */
static const char *take_name(char field[NAME_MAX_BYTES + 1], const char *text)
{
    const char *end = text ? strchr(text, '~') : NULL;

    if (!end || end - text > NAME_MAX_BYTES)
        return NULL;
    memcpy(field, text, (size_t)(end - text));
    field[end - text] = '\0';
    return end + 1;
}

/* Read one of the 16-digit numbers; the rest of the text, or NULL. */
static const char *take_hex(uint64_t *number, const char *text)
{
    static const char digits[] = "0123456789abcdef";

    *number = 0;
    for (int i = 0; text && i < 16; i++, text++) {
        const char *digit = *text ? strchr(digits, *text) : NULL;

        if (!digit)
            return NULL;
        *number = *number << 4 | (uint64_t)(digit - digits);
    }
    return text;
}

/* What a ticket says, once its MAC has shown that we wrote it. */
static bool read_text(const char *text, struct nonce *nonce,
                      uint64_t *expires_mono_ms, struct identity *out)
{
    memset(out, 0, sizeof(*out));
    text = take_hex(&nonce->words[0], text);
    text = take_hex(&nonce->words[1], text);
    text = take_hex(expires_mono_ms, text);
    text = take_hex(&out->expires_ms, text);
    text = take_hex(&out->inbox, text);
    text = take_name(out->app, text);
    text = take_name(out->user, text);
    text = take_name(out->device, text);
    return text && !*text;
}

enum err ticket_redeem(struct span ticket, struct identity *out,
                       struct failure *why)
{
    unsigned char bytes[TICKET_MAX_BYTES], expected[MAC_BYTES];
    char text[TEXT_MAX_BYTES + 1];
    size_t size = decode(bytes, sizeof(bytes), ticket);
    uint64_t expires, now = clock_mono_ms();
    struct identity who;
    struct nonce nonce;

    pthread_once(&once, make_key);
    if (size <= MAC_BYTES || size - MAC_BYTES > TEXT_MAX_BYTES)
        return fail(why, ERR_UNAUTHORIZED, "ticket: is not one of ours");
    size -= MAC_BYTES;
    mac(expected, bytes, size);
    if (!auth_equal(expected, bytes + size, MAC_BYTES))
        return fail(why, ERR_UNAUTHORIZED, "ticket: is not one of ours");
    memcpy(text, bytes, size);
    text[size] = '\0';
    if (!read_text(text, &nonce, &expires, &who))
        return fail(why, ERR_UNAUTHORIZED, "ticket: is not one of ours");
    if (now >= expires || clock_wall_ms() >= who.expires_ms)
        return fail(why, ERR_TOKEN_EXPIRED, "ticket: has expired");

    enum err rc = use_once(&nonce, now, why);

    if (!rc)
        *out = who;
    return rc;
}
