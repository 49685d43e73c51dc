/* Tokens verified before: chains in a table that grows with them, and a hand
 * that goes round it, second chance, when they take too much. */
#include "server/token_cache.h"
#include "server/base/mem.h"

#include <string.h>

#define FIRST_SLOTS 64
#define KEY_BYTES 16    /* of the end of the signature: 96 bits */
#define SECRET_BYTES 43 /* as many as an HS256 signature has: 256 bits */

struct known_token {
    struct known_token *next;
    uint64_t inbox, expires_ms;
    uint16_t size, app_size, user_size, device_size;
    bool asked_for; /* since the hand was last here */
    char text[];    /* the token, app, user, device */
};

/* --- the table ---------------------------------------------------------- */

static size_t bytes_of(const struct known_token *known)
{
    return sizeof(*known) + known->size + known->app_size + known->user_size +
           known->device_size;
}

/* Each character has six good bits of eight: multiplying gathers them at the
 * top. */
static size_t slot_of(const struct token_cache *cache, struct span token)
{
    uint64_t key[2];

    memcpy(key, token.data + token.size - KEY_BYTES, KEY_BYTES);
    key[0] = (key[0] ^ key[1] >> 7) * UINT64_C(0x9e3779b97f4a7c15) + key[1];
    key[0] *= UINT64_C(0xd6e8feb86659fd93);
    return (size_t)(key[0] >> 32) & (cache->slot_count - 1);
}

static void put(struct token_cache *cache, struct known_token *known)
{
    size_t slot = slot_of(cache, (struct span){known->text, known->size});

    known->next = cache->slots[slot];
    cache->slots[slot] = known;
}

/* Twice the slots; false: no memory for them. */
static bool grow(struct token_cache *cache)
{
    struct known_token **old = cache->slots, *known, *next;
    size_t old_count = cache->slot_count;
    size_t count = old_count ? old_count * 2 : FIRST_SLOTS;
    struct known_token **slots = mem_zalloc(count * sizeof(*slots));

    if (!slots)
        return false;
    cache->slots = slots;
    cache->slot_count = count;
    for (size_t i = 0; i < old_count; i++)
        for (known = old[i]; known; known = next) {
            next = known->next;
            put(cache, known);
        }
    mem_free(old);
    return true;
}

/* --- who has to go ------------------------------------------------------ */

static void drop(struct token_cache *cache, struct known_token **at)
{
    struct known_token *known = *at;

    *at = known->next;
    cache->count--;
    cache->bytes -= bytes_of(known);
    mem_free(known);
}

/* Who was asked for since the hand's last round may stay until its next. */
static void sweep_slot(struct token_cache *cache)
{
    struct known_token **at = &cache->slots[cache->hand];

    while (*at) {
        if ((*at)->asked_for) {
            (*at)->asked_for = false;
            at = &(*at)->next;
        } else {
            drop(cache, at);
        }
    }
    cache->hand = (cache->hand + 1) & (cache->slot_count - 1);
}

/* --- finding and adding ------------------------------------------------- */

/* How long it takes must not tell how much of a signature is right. Who has
 * that much of it right has it all, and the rest is no secret to them. */
static bool is_token(const struct known_token *known, struct span token)
{
    size_t secret = token.size < SECRET_BYTES ? token.size : SECRET_BYTES;
    size_t rest = token.size - secret;

    return known->size == token.size &&
           auth_equal(known->text + rest, token.data + rest, secret) &&
           memcmp(known->text, token.data, rest) == 0;
}

static struct known_token *find(const struct token_cache *cache,
                                struct span token)
{
    struct known_token *known;

    if (!cache->count || token.size < KEY_BYTES)
        return NULL;
    known = cache->slots[slot_of(cache, token)];
    while (known && !is_token(known, token))
        known = known->next;
    return known;
}

static const char *take_name(char *field, const char *text, size_t size)
{
    memcpy(field, text, size);
    field[size] = '\0';
    return text + size;
}

bool token_cache_find(struct token_cache *cache, struct span token,
                      struct identity *out)
{
    struct known_token *known = find(cache, token);
    const char *names;

    if (!known)
        return false;
    known->asked_for = true;
    names = take_name(out->app, known->text + known->size, known->app_size);
    names = take_name(out->user, names, known->user_size);
    (void)take_name(out->device, names, known->device_size);
    out->inbox = known->inbox;
    out->expires_ms = known->expires_ms;
    return true;
}

static struct known_token *known_create(struct span token,
                                        const struct identity *who)
{
    struct span app = span_of(who->app), user = span_of(who->user);
    struct span device = span_of(who->device);
    struct known_token *known = mem_alloc(sizeof(*known) + token.size +
                                          app.size + user.size + device.size);
    char *text;

    if (!known)
        return NULL;
    *known = (struct known_token){
        .inbox = who->inbox,
        .expires_ms = who->expires_ms,
        .size = (uint16_t)token.size,
        .app_size = (uint16_t)app.size,
        .user_size = (uint16_t)user.size,
        .device_size = (uint16_t)device.size,
    };
    text = known->text;
    memcpy(text, token.data, token.size);
    text += token.size;
    memcpy(text, app.data, app.size);
    text += app.size;
    memcpy(text, user.data, user.size);
    memcpy(text + user.size, device.data, device.size);
    return known;
}

void token_cache_add(struct token_cache *cache, struct span token,
                     const struct identity *who)
{
    struct known_token *known;

    if (token.size < KEY_BYTES || token.size > UINT16_MAX)
        return;
    if (cache->count == cache->slot_count && !grow(cache) && !cache->slots)
        return;
    known = known_create(token, who);
    if (!known)
        return;
    put(cache, known);
    cache->count++;
    cache->bytes += bytes_of(known);
    while (cache->bytes > TOKEN_CACHE_MAX_BYTES)
        sweep_slot(cache);
}

void token_cache_clear(struct token_cache *cache)
{
    for (size_t i = 0; i < cache->slot_count; i++)
        while (cache->slots[i])
            drop(cache, &cache->slots[i]);
    mem_free(cache->slots);
    *cache = (struct token_cache){0};
}
