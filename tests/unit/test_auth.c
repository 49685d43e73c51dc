/* Tokens, keys and tickets. */
#include "server/auth.h"
#include "server/base/clock.h"
#include "server/base/mem.h"
#include "server/token_cache.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECRET "a secret of thirty-two bytes, yes"
#define OTHER "another secret of thirty-two bytes"
#define NOW_S 2000000000u /* in 2033 */
#define CLAIMS "\"app\":\"shop\",\"sub\":\"ann\",\"exp\":2000000060"

static uint64_t passed_ms; /* since the test began */

static uint64_t wall_ms(void)
{
    return NOW_S * UINT64_C(1000) + passed_ms;
}

static uint64_t mono_us(void)
{
    return (UINT64_C(500000) + passed_ms) * 1000;
}

static int stop_clock(void **state)
{
    (void)state;
    passed_ms = 0;
    clock_substitute(wall_ms, mono_us);
    return 0;
}

static int free_clock(void **state)
{
    (void)state;
    clock_substitute(NULL, NULL);
    return 0;
}

/* ---- making tokens by hand ------------------------------------------------
 */

static size_t encode(char *out, const void *bytes, size_t size)
{
    int length = EVP_EncodeBlock((unsigned char *)out, bytes, (int)size);

    while (length && out[length - 1] == '=')
        length--;
    out[length] = '\0';
    for (char *c = out; *c; c++)
        *c = (char)(*c == '+' ? '-' : *c == '/' ? '_' : *c);
    return (size_t)length;
}

/* head "." claims, ready to be signed */
static size_t unsigned_token(char *out, const char *head, const char *claims)
{
    size_t at = encode(out, head, strlen(head));

    out[at++] = '.';
    return at + encode(out + at, claims, strlen(claims));
}

static char *hmac_token(const char *head, const char *claims,
                        const char *secret)
{
    static char token[4096];
    unsigned char mac[32];
    size_t at = unsigned_token(token, head, claims);

    HMAC(EVP_sha256(), secret, (int)strlen(secret),
         (const unsigned char *)token, at, mac, NULL);
    token[at] = '.';
    encode(token + at + 1, mac, sizeof(mac));
    return token;
}

static char *shop_token(const char *claims)
{
    return hmac_token("{\"alg\":\"HS256\",\"typ\":\"JWT\"}", claims, SECRET);
}

/* An ECDSA signature as JWS wants it: r and s, 32 bytes each. */
static size_t flatten(unsigned char *signature, size_t size)
{
    const unsigned char *at = signature;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)size);

    BN_bn2binpad(ECDSA_SIG_get0_r(pair), signature, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(pair), signature + 32, 32);
    ECDSA_SIG_free(pair);
    return 64;
}

static char *signed_token(EVP_PKEY *key, const char *alg, const char *claims)
{
    static char token[4096];
    const EVP_MD *digest = strcmp(alg, "EdDSA") ? EVP_sha256() : NULL;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char signature[512];
    size_t size = sizeof(signature), at;
    char head[64];

    (void)snprintf(head, sizeof(head), "{\"alg\":\"%s\"}", alg);
    at = unsigned_token(token, head, claims);
    assert_int_equal(EVP_DigestSignInit(context, NULL, digest, NULL, key), 1);
    assert_int_equal(EVP_DigestSign(context, signature, &size,
                                    (const unsigned char *)token, at),
                     1);
    EVP_MD_CTX_free(context);
    if (strcmp(alg, "ES256") == 0)
        size = flatten(signature, size);
    token[at] = '.';
    encode(token + at + 1, signature, size);
    return token;
}

static void public_pem(char *pem, size_t room, EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int size;

    PEM_write_bio_PUBKEY(bio, key);
    size = BIO_read(bio, pem, (int)room - 1);
    assert_true(size > 0);
    pem[size] = '\0';
    BIO_free(bio);
}

/* ---- fixtures -------------------------------------------------------------
 */

static struct auth *given_auth(const char *secret, const char *pem)
{
    struct config *config;
    struct auth *auth;
    struct failure why;

    assert_int_equal(config_defaults(&config), ERR_NONE);
    assert_int_equal(config_add_key(config, "shop", secret, pem, &why),
                     ERR_NONE);
    assert_int_equal(auth_create(&auth, config), ERR_NONE);
    config_unref(config);
    return auth;
}

static enum err verify(struct auth *auth, const char *token)
{
    struct identity who;
    struct failure why;
    enum err rc = auth_verify(auth, span_of(token), &who, &why);

    if (rc)
        assert_null(strstr(why.message, token));
    return rc;
}

/* ---- tokens ---------------------------------------------------------------
 */

static void a_good_token_becomes_an_identity(void **state)
{
    struct auth *auth = given_auth(SECRET, NULL);
    struct identity who;
    struct failure why;

    (void)state;
    assert_int_equal(auth_verify(auth,
                                 span_of(shop_token("{" CLAIMS ",\"inbox\":7,"
                                                    "\"device\":\"phone\"}")),
                                 &who, &why),
                     ERR_NONE);
    assert_string_equal(who.app, "shop");
    assert_string_equal(who.user, "ann");
    assert_string_equal(who.device, "phone");
    assert_int_equal(who.inbox, 7);
    assert_int_equal(who.expires_ms, 2000000060000);
    auth_destroy(auth);
}

static void a_device_is_chosen_where_the_token_names_none(void **state)
{
    struct identity free = {0}, fixed = {.device = "desk"};
    struct failure why;

    (void)state;
    assert_int_equal(identity_choose_device(&free, (struct span){0}, &why),
                     ERR_NONE);
    assert_string_equal(free.device, "");
    assert_int_equal(identity_choose_device(&free, SPAN("no spaces"), &why),
                     ERR_BAD_REQUEST);
    assert_string_equal(free.device, "");
    assert_int_equal(identity_choose_device(&free, SPAN("phone"), &why),
                     ERR_NONE);
    assert_string_equal(free.device, "phone");
    assert_int_equal(identity_choose_device(&fixed, SPAN("phone"), &why),
                     ERR_NONE);
    assert_string_equal(fixed.device, "desk");
}

static void a_minted_token_verifies(void **state)
{
    struct auth *auth = given_auth(SECRET, NULL);
    struct mint mint = {.secret = SECRET,
                        .app = "shop",
                        .user = "bob@x.y",
                        .device = "tab-1",
                        .inbox = 3,
                        .ttl_s = 60};
    struct identity who;
    struct failure why;
    char *token;

    (void)state;
    assert_int_equal(auth_mint(&token, &mint, &why), ERR_NONE);
    assert_int_equal(auth_verify(auth, span_of(token), &who, &why), ERR_NONE);
    assert_string_equal(who.user, "bob@x.y");
    assert_string_equal(who.device, "tab-1");
    assert_int_equal(who.inbox, 3);
    assert_int_equal(who.expires_ms, wall_ms() + 60000);
    mem_free(token);
    mint.user = "not a name";
    assert_int_equal(auth_mint(&token, &mint, &why), ERR_BAD_REQUEST);
    auth_destroy(auth);
}

static void expiry_counts_on_every_use(void **state)
{
    struct auth *auth = given_auth(SECRET, NULL);
    char *token = shop_token("{" CLAIMS "}");

    (void)state;
    assert_int_equal(verify(auth, token), ERR_NONE);
    passed_ms = 59999;
    assert_int_equal(verify(auth, token), ERR_NONE);
    passed_ms = 60000;
    assert_int_equal(verify(auth, token), ERR_TOKEN_EXPIRED);
    auth_destroy(auth);
}

static void only_a_signed_token_is_called_expired(void **state)
{
    struct auth *auth = given_auth(OTHER, NULL);

    (void)state;
    passed_ms = 60000;
    assert_int_equal(verify(auth, shop_token("{" CLAIMS "}")),
                     ERR_UNAUTHORIZED);
    auth_destroy(auth);
}

static void a_token_is_checked_once_and_then_remembered(void **state)
{
    struct auth *auth = given_auth(SECRET, NULL);
    char *token = shop_token("{" CLAIMS "}");

    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(verify(auth, token), ERR_NONE);
    assert_int_equal(auth_take_checked(auth), 1);
    assert_int_equal(auth_take_checked(auth), 0);
    auth_destroy(auth);
}

/* A token of its own for each user, of a signature that is only its name. */
static void many_tokens_are_remembered_within_the_bound(void **state)
{
    enum { MANY = 100000 };
    struct token_cache cache = {0};
    struct identity who = {.app = "shop", .inbox = 7, .expires_ms = 9};
    char token[200], first[200];
    size_t kept = 0;

    (void)state;
    memset(token, 'x', sizeof(token));
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(who.user, sizeof(who.user), "u%u", i);
        snprintf(token + 180, 20, "%019u", i * 2654435761u);
        if (i == 0)
            memcpy(first, token, sizeof(first));
        token_cache_add(&cache, (struct span){token, 199}, &who);
        assert_true(cache.bytes <= TOKEN_CACHE_MAX_BYTES);
        assert_true(token_cache_find(&cache, (struct span){first, 199}, &who));
        assert_string_equal(who.user, "u0");
    }
    for (unsigned i = 0; i < MANY; i++) {
        char user[20];

        snprintf(user, sizeof(user), "u%u", i);
        snprintf(token + 180, 20, "%019u", i * 2654435761u);
        if (!token_cache_find(&cache, (struct span){token, 199}, &who))
            continue;
        kept++;
        assert_string_equal(who.user, user);
        assert_string_equal(who.device, "");
        assert_int_equal(who.inbox, 7);
        assert_int_equal(who.expires_ms, 9);
    }
    assert_int_equal(kept, cache.count);
    assert_true(kept > MANY / 2);
    token[10] = 'y'; /* another token with the end of a known one */
    assert_false(token_cache_find(&cache, (struct span){token, 199}, &who));
    token_cache_clear(&cache);
    assert_false(token_cache_find(&cache, (struct span){first, 199}, &who));
}

static void other_keys_forget_what_was_remembered(void **state)
{
    struct auth *auth = given_auth(SECRET, NULL);
    char *token = shop_token("{" CLAIMS "}");
    struct config *config;
    struct failure why;

    (void)state;
    assert_int_equal(verify(auth, token), ERR_NONE);
    assert_int_equal(config_defaults(&config), ERR_NONE);
    assert_int_equal(config_add_key(config, "shop", OTHER, NULL, &why),
                     ERR_NONE);
    auth_use(auth, config);
    config_unref(config);
    assert_int_equal(verify(auth, token), ERR_UNAUTHORIZED);
    auth_destroy(auth);
    auth_destroy(NULL);
}

static void the_claims_must_be_there_and_good(void **state)
{
    static const char *const bad[] = {
        "{}",
        "[]",
        "{\"app\":\"shop\",\"sub\":\"ann\"}",
        "{\"app\":\"shop\",\"sub\":\"ann\",\"exp\":\"2000000060\"}",
        "{\"app\":\"shop\",\"sub\":\"ann\",\"exp\":-1}",
        "{\"app\":\"shop\",\"exp\":2000000060}",
        "{\"sub\":\"ann\",\"exp\":2000000060}",
        "{\"app\":\"other\",\"sub\":\"ann\",\"exp\":2000000060}",
        "{\"app\":\"shop\",\"sub\":\"a b\",\"exp\":2000000060}",
        "{\"app\":\"shop\",\"sub\":\"\",\"exp\":2000000060}",
        "{\"app\":\"shop\",\"sub\":7,\"exp\":2000000060}",
        "{" CLAIMS ",\"inbox\":-1}",
        "{" CLAIMS ",\"inbox\":\"1\"}",
        "{" CLAIMS ",\"inbox\":9007199254740992}",
        "{" CLAIMS ",\"device\":\"/\"}",
        "{" CLAIMS ",\"nbf\":2000000030}",
        "{" CLAIMS ",\"sub\":\"bob\"}",
    };
    struct auth *auth = given_auth(SECRET, NULL);

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (verify(auth, shop_token(bad[i])) != ERR_UNAUTHORIZED)
            fail_msg("accepted %s", bad[i]);
    assert_int_equal(verify(auth, shop_token("{" CLAIMS ",\"nbf\":1}")),
                     ERR_NONE);
    auth_destroy(auth);
}

static void nothing_but_a_whole_token_is_taken(void **state)
{
    struct auth *auth = given_auth(SECRET, NULL);
    char token[4096];
    size_t size;

    (void)state;
    strcpy(token, shop_token("{" CLAIMS "}"));
    size = strlen(token);
    for (size_t cut = 0; cut < size; cut++) {
        struct identity who;
        struct failure why;

        assert_int_equal(
            auth_verify(auth, (struct span){token, cut}, &who, &why),
            ERR_UNAUTHORIZED);
    }
    for (size_t at = 0; at < size; at++) {
        char kept = token[at];

        token[at] = kept == 'A' ? 'B' : 'A';
        assert_int_not_equal(verify(auth, token), ERR_NONE);
        token[at] = kept;
    }
    assert_int_equal(verify(auth, "..."), ERR_UNAUTHORIZED);
    assert_int_equal(verify(auth, "not a token at all"), ERR_UNAUTHORIZED);
    assert_int_equal(verify(auth, token), ERR_NONE);
    auth_destroy(auth);
}

/* ---- algorithms -----------------------------------------------------------
 */

static void no_signature_is_no_signature(void **state)
{
    static const char *const heads[] = {
        "{\"alg\":\"none\"}",
        "{\"alg\":\"None\"}",
        "{}",
        "{\"alg\":\"hs256\"}",
        "{\"alg\":\"HS384\"}",
        "{\"alg\":7}",
        "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}",
    };
    struct auth *auth = given_auth(SECRET, NULL);
    char token[4096];

    (void)state;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        size_t at = unsigned_token(token, heads[i], "{" CLAIMS "}");

        strcpy(token + at, ".");
        assert_int_equal(verify(auth, token), ERR_UNAUTHORIZED);
        assert_int_equal(
            verify(auth, hmac_token(heads[i], "{" CLAIMS "}", SECRET)),
            ERR_UNAUTHORIZED);
    }
    auth_destroy(auth);
}

static void a_public_key_verifies_its_own_algorithm(EVP_PKEY *key,
                                                    const char *alg)
{
    char pem[2048], token[4096];
    struct auth *auth;

    assert_non_null(key);
    public_pem(pem, sizeof(pem), key);
    assert_string_equal(auth_key_alg(pem), alg);
    auth = given_auth(NULL, pem);
    strcpy(token, signed_token(key, alg, "{" CLAIMS "}"));
    assert_int_equal(verify(auth, token), ERR_NONE);

    char *signature = strrchr(token, '.') + 5;

    *signature = *signature == 'A' ? 'B' : 'A';
    assert_int_equal(verify(auth, token), ERR_UNAUTHORIZED);

    /* The old trick: the public key as an HMAC secret. */
    assert_int_equal(
        verify(auth, hmac_token("{\"alg\":\"HS256\"}", "{" CLAIMS "}", pem)),
        ERR_UNAUTHORIZED);
    auth_destroy(auth);
    EVP_PKEY_free(key);
}

static void rs256_verifies(void **state)
{
    (void)state;
    a_public_key_verifies_its_own_algorithm(EVP_RSA_gen(2048), "RS256");
}

static void es256_verifies(void **state)
{
    (void)state;
    a_public_key_verifies_its_own_algorithm(EVP_EC_gen("P-256"), "ES256");
}

static void eddsa_verifies(void **state)
{
    (void)state;
    a_public_key_verifies_its_own_algorithm(
        EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), "EdDSA");
}

static void weak_or_foreign_keys_are_unusable(void **state)
{
    EVP_PKEY *keys[] = {EVP_RSA_gen(1024), EVP_EC_gen("P-384"),
                        EVP_PKEY_Q_keygen(NULL, NULL, "X25519")};
    char pem[2048];

    (void)state;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        assert_non_null(keys[i]);
        public_pem(pem, sizeof(pem), keys[i]);
        assert_null(auth_key_alg(pem));
        EVP_PKEY_free(keys[i]);
    }
    assert_null(auth_key_alg(""));
    assert_null(auth_key_alg("-----BEGIN PUBLIC KEY-----\n"));
}

/* ---- tickets --------------------------------------------------------------
 */

static struct identity somebody(void)
{
    struct identity who = {.inbox = 5, .expires_ms = wall_ms() + 3600000};

    strcpy(who.app, "shop");
    strcpy(who.user, "ann");
    return who;
}

static enum err redeem(const char *ticket)
{
    struct identity who;
    struct failure why;

    return ticket_redeem(span_of(ticket), &who, &why);
}

static void a_ticket_says_who_and_works_once(void **state)
{
    struct identity who = somebody(), back;
    char ticket[TICKET_MAX_BYTES];
    struct failure why;
    uint64_t expires_ms;

    (void)state;
    assert_int_equal(ticket_issue(ticket, &who, &expires_ms), ERR_NONE);
    assert_int_equal(expires_ms, wall_ms() + 30000);
    assert_int_equal(ticket_redeem(span_of(ticket), &back, &why), ERR_NONE);
    assert_memory_equal(&back, &who, sizeof(who));
    assert_int_equal(redeem(ticket), ERR_UNAUTHORIZED);
}

static void a_ticket_lives_thirty_seconds(void **state)
{
    struct identity who = somebody();
    char one[TICKET_MAX_BYTES], two[TICKET_MAX_BYTES];
    uint64_t expires_ms;

    (void)state;
    assert_int_equal(ticket_issue(one, &who, &expires_ms), ERR_NONE);
    assert_int_equal(ticket_issue(two, &who, &expires_ms), ERR_NONE);
    passed_ms = 29999;
    assert_int_equal(redeem(one), ERR_NONE);
    assert_int_equal(redeem(one), ERR_UNAUTHORIZED);
    passed_ms = 30000;
    assert_int_equal(redeem(two), ERR_TOKEN_EXPIRED);
}

static void a_used_ticket_stays_used_for_all_its_life(void **state)
{
    struct identity who = somebody();
    char ticket[TICKET_MAX_BYTES], other[TICKET_MAX_BYTES];
    uint64_t expires_ms;

    (void)state;
    for (uint64_t begin = 0; begin < 90000; begin += 7001) {
        passed_ms = begin;
        assert_int_equal(ticket_issue(ticket, &who, &expires_ms), ERR_NONE);
        assert_int_equal(redeem(ticket), ERR_NONE);
        for (; passed_ms < begin + 30000; passed_ms += 4999) {
            assert_int_equal(ticket_issue(other, &who, &expires_ms), ERR_NONE);
            assert_int_equal(redeem(other), ERR_NONE);
            assert_int_equal(redeem(ticket), ERR_UNAUTHORIZED);
        }
    }
}

static void the_longest_identity_fits_into_a_ticket(void **state)
{
    struct identity who = {.inbox = UINT64_C(9007199254740991),
                           .expires_ms = UINT64_C(9007199254740991)};
    struct identity back;
    char ticket[TICKET_MAX_BYTES];
    struct failure why;
    uint64_t expires_ms;

    (void)state;
    memset(who.app, 'a', NAME_MAX_BYTES);
    memset(who.user, 'u', NAME_MAX_BYTES);
    memset(who.device, 'd', NAME_MAX_BYTES);
    assert_int_equal(ticket_issue(ticket, &who, &expires_ms), ERR_NONE);
    assert_true(strlen(ticket) < TICKET_MAX_BYTES);
    assert_int_equal(ticket_redeem(span_of(ticket), &back, &why), ERR_NONE);
    assert_memory_equal(&back, &who, sizeof(who));
}

static void a_forged_ticket_is_refused(void **state)
{
    struct identity who = somebody();
    char ticket[TICKET_MAX_BYTES];
    uint64_t expires_ms;
    size_t size;

    (void)state;
    assert_int_equal(ticket_issue(ticket, &who, &expires_ms), ERR_NONE);
    size = strlen(ticket);
    for (size_t at = 0; at < size; at++) {
        char kept = ticket[at];

        ticket[at] = kept == 'x' ? 'y' : 'x';
        /* the last letter may carry bits that mean nothing */
        if (at + 1 < size)
            assert_int_equal(redeem(ticket), ERR_UNAUTHORIZED);
        ticket[at] = kept;
    }
    assert_int_equal(redeem(""), ERR_UNAUTHORIZED);
    assert_int_equal(redeem("abc"), ERR_UNAUTHORIZED);
    assert_int_equal(redeem("a b="), ERR_UNAUTHORIZED);
    assert_int_equal(redeem(ticket), ERR_NONE);
}

static void a_ticket_does_not_outlive_its_token(void **state)
{
    struct identity who = somebody();
    char ticket[TICKET_MAX_BYTES];
    uint64_t expires_ms;

    (void)state;
    who.expires_ms = wall_ms() + 1000;
    assert_int_equal(ticket_issue(ticket, &who, &expires_ms), ERR_NONE);
    assert_int_equal(expires_ms, wall_ms() + 1000);
    passed_ms = 1000;
    assert_int_equal(redeem(ticket), ERR_TOKEN_EXPIRED);
}

static void without_memory_tokens_are_checked_every_time(void **state)
{
    struct auth *auth = given_auth(SECRET, NULL);
    char *token = shop_token("{" CLAIMS "}");

    (void)state;
    mem_fail_nth(1);
    assert_int_equal(verify(auth, token), ERR_NONE);
    mem_fail_nth(0);
    assert_int_equal(verify(auth, token), ERR_NONE);
    assert_int_equal(auth_take_checked(auth), 2);
    auth_destroy(auth);
}

#define test(name) cmocka_unit_test_setup_teardown(name, stop_clock, free_clock)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_good_token_becomes_an_identity),
        test(a_device_is_chosen_where_the_token_names_none),
        test(a_minted_token_verifies),
        test(expiry_counts_on_every_use),
        test(only_a_signed_token_is_called_expired),
        test(a_token_is_checked_once_and_then_remembered),
        test(many_tokens_are_remembered_within_the_bound),
        test(other_keys_forget_what_was_remembered),
        test(the_claims_must_be_there_and_good),
        test(nothing_but_a_whole_token_is_taken),
        test(no_signature_is_no_signature),
        test(rs256_verifies),
        test(es256_verifies),
        test(eddsa_verifies),
        test(weak_or_foreign_keys_are_unusable),
        test(a_ticket_says_who_and_works_once),
        test(a_ticket_lives_thirty_seconds),
        test(a_used_ticket_stays_used_for_all_its_life),
        test(the_longest_identity_fits_into_a_ticket),
        test(a_forged_ticket_is_refused),
        test(a_ticket_does_not_outlive_its_token),
        test(without_memory_tokens_are_checked_every_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
