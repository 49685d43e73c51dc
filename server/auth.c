/* A token becomes an identity. The claims are read first, unbelieved, only to
 * learn whose keys to try; each key knows its one algorithm, and a token whose
 * header names another is not even tried with it. */
#include "server/auth.h"
#include "server/base/clock.h"
#include "server/base/mem.h"
#include "server/token_cache.h"
#include "store/name.h"

#include <assert.h>
#include <jansson.h>
#include <jwt.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_MAX_BYTES 8192
#define RSA_MIN_BITS 2048
#define EXP_MAX_S (UINT64_C(9007199254740991) / 1000)

struct auth {
    struct config *config; /* a reference */
    uint64_t checked;
    struct token_cache known;
};

/* A token taken apart; every span points into it. */
struct parts {
    struct span head, claims, signature; /* base64url */
    struct span covered;                 /* head "." claims */
};

static const char not_a_token[] = "token: is not a JWT";

enum err identity_choose_device(struct identity *who, struct span device,
                                struct failure *why)
{
    if (!device.data || who->device[0])
        return ERR_NONE;
    if (!name_ok(device))
        return fail(why, ERR_BAD_REQUEST, "'device' must be " NAME_ACCEPTED);
    memcpy(who->device, device.data, device.size);
    who->device[device.size] = '\0';
    return ERR_NONE;
}

/* ---- base64url ------------------------------------------------------------
 */

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* Into `out`, which has room for text.size bytes; false: not base64url, or
 * with bits set that carry nothing. */
static bool decode(unsigned char *out, size_t *size, struct span text)
{
    uint32_t bits = 0;
    unsigned held = 0;

    *size = 0;
    for (size_t i = 0; i < text.size; i++) {
        int value = value_of(text.data[i]);

        if (value < 0)
            return false;
        bits = (bits << 6 | (uint32_t)value) & 0xffff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[(*size)++] = (unsigned char)(bits >> held);
        }
    }
    return held < 6 && (bits & ((1u << held) - 1)) == 0;
}

/* ---- taking a token apart -------------------------------------------------
 */

static bool split(struct parts *parts, struct span token)
{
    const char *end = token.data + token.size;
    const char *first, *second;

    if (token.size == 0 || token.size > TOKEN_MAX_BYTES)
        return false;
    first = memchr(token.data, '.', token.size);
    if (!first)
        return false;
    second = memchr(first + 1, '.', (size_t)(end - first - 1));
    if (!second)
        return false;
    parts->head = (struct span){token.data, (size_t)(first - token.data)};
    parts->claims = (struct span){first + 1, (size_t)(second - first - 1)};
    parts->signature = (struct span){second + 1, (size_t)(end - second - 1)};
    parts->covered = (struct span){token.data, (size_t)(second - token.data)};
    return true;
}

/* A part as a JSON object (a new reference), or NULL. */
static json_t *parse_part(struct span part)
{
    unsigned char text[TOKEN_MAX_BYTES];
    size_t size;

    if (!decode(text, &size, part))
        return NULL;

    json_t *json =
        json_loadb((const char *)text, size, JSON_REJECT_DUPLICATES, NULL);

    if (json_is_object(json))
        return json;
    json_decref(json);
    return NULL;
}

/* The header's algorithm; "" when there is none that we would follow. A "crit"
 * names extensions that must be understood: we understand none. */
static void read_alg(char alg[8], struct span head)
{
    json_t *json = parse_part(head);
    const char *named = json_string_value(json_object_get(json, "alg"));

    alg[0] = '\0';
    if (named && strlen(named) < 8 && !json_object_get(json, "crit"))
        memcpy(alg, named, strlen(named) + 1);
    json_decref(json);
}

static enum err read_name(char field[NAME_MAX_BYTES + 1], json_t *claims,
                          const char *claim, bool required, struct failure *why)
{
    json_t *value = json_object_get(claims, claim);
    struct span name = {json_string_value(value), json_string_length(value)};

    if (!value && !required)
        return ERR_NONE;
    if (!name_ok(name))
        return fail(why, ERR_UNAUTHORIZED,
                    "token: claim %s: must be 1 to 64 of A-Z a-z 0-9 _ . @ -",
                    claim);
    memcpy(field, name.data, name.size);
    field[name.size] = '\0';
    return ERR_NONE;
}

/* A NumericDate of RFC 7519: seconds, perhaps with a fraction. */
static bool read_date(json_t *value, uint64_t *seconds)
{
    double date = json_number_value(value);

    if (!json_is_number(value) || !(date >= 0))
        return false;
    *seconds = date < (double)EXP_MAX_S ? (uint64_t)date : EXP_MAX_S;
    return true;
}

static enum err read_times(struct identity *out, json_t *claims,
                           struct failure *why)
{
    json_t *not_before = json_object_get(claims, "nbf");
    uint64_t expires, begins;

    if (!read_date(json_object_get(claims, "exp"), &expires))
        return fail(why, ERR_UNAUTHORIZED,
                    "token: claim exp: must be a time in seconds");
    out->expires_ms = expires * 1000;
    if (!not_before)
        return ERR_NONE;
    if (!read_date(not_before, &begins))
        return fail(why, ERR_UNAUTHORIZED,
                    "token: claim nbf: must be a time in seconds");
    if (begins * 1000 > clock_wall_ms())
        return fail(why, ERR_UNAUTHORIZED, "token: is not valid yet");
    return ERR_NONE;
}

static enum err read_inbox(struct identity *out, json_t *claims,
                           struct failure *why)
{
    json_t *value = json_object_get(claims, "inbox");
    json_int_t inbox = json_integer_value(value);

    if (value && (!json_is_integer(value) || inbox < 0 ||
                  inbox > INT64_C(9007199254740991)))
        return fail(why, ERR_UNAUTHORIZED,
                    "token: claim inbox: must be a whole number from 0");
    out->inbox = (uint64_t)inbox;
    return ERR_NONE;
}

static enum err read_claims(struct identity *out, json_t *claims,
                            struct failure *why)
{
    enum err rc;

    memset(out, 0, sizeof(*out));
    rc = read_name(out->app, claims, "app", true, why);
    if (!rc)
        rc = read_name(out->user, claims, "sub", true, why);
    if (!rc)
        rc = read_name(out->device, claims, "device", false, why);
    if (!rc)
        rc = read_inbox(out, claims, why);
    if (!rc)
        rc = read_times(out, claims, why);
    return rc;
}

/* ---- signatures -----------------------------------------------------------
 */

static EVP_PKEY *read_pem(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;

    BIO_free(bio);
    ERR_clear_error(); /* the queue is this thread's, and others read it */
    return key;
}

static bool on_p256(EVP_PKEY *key)
{
    char group[32];
    size_t size;

    return EVP_PKEY_get_group_name(key, group, sizeof(group), &size) == 1 &&
           strcmp(group, "prime256v1") == 0;
}

const char *auth_key_alg(const char *pem)
{
    EVP_PKEY *key = read_pem(pem);
    const char *alg = NULL;

    if (!key)
        return NULL;
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
        alg = EVP_PKEY_get_bits(key) >= RSA_MIN_BITS ? "RS256" : NULL;
        break;
    case EVP_PKEY_EC:
        alg = on_p256(key) ? "ES256" : NULL;
        break;
    case EVP_PKEY_ED25519:
        alg = "EdDSA";
        break;
    default:
        break;
    }
    EVP_PKEY_free(key);
    ERR_clear_error();
    return alg;
}

/* libjwt looks at the token's own "alg", and takes it in any letter case;
 * the caller has compared it with the key's, here it is compared again. */
static bool verify_jwt(struct span token, const char *key, jwt_alg_t alg)
{
    char text[TOKEN_MAX_BYTES + 1];
    jwt_t *jwt = NULL;
    bool good;

    memcpy(text, token.data, token.size);
    text[token.size] = '\0';
    good = jwt_decode(&jwt, text, (const unsigned char *)key,
                      (int)strlen(key)) == 0 &&
           jwt_get_alg(jwt) == alg;
    jwt_free(jwt);
    ERR_clear_error();
    return good;
}

static bool verify_eddsa(const struct parts *parts, const char *pem)
{
    unsigned char signature[TOKEN_MAX_BYTES];
    size_t size;
    EVP_PKEY *key;
    EVP_MD_CTX *context;
    bool good;

    if (!decode(signature, &size, parts->signature))
        return false;
    key = read_pem(pem);
    context = EVP_MD_CTX_new();
    good = key && context &&
           EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
           EVP_DigestVerify(context, signature, size,
                            (const unsigned char *)parts->covered.data,
                            parts->covered.size) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return good;
}

static bool verify_public(struct span token, const struct parts *parts,
                          const char *alg, const char *pem)
{
    const char *key_alg = auth_key_alg(pem);

    if (!key_alg || strcmp(alg, key_alg) != 0)
        return false;
    if (strcmp(alg, "RS256") == 0)
        return verify_jwt(token, pem, JWT_ALG_RS256);
    if (strcmp(alg, "ES256") == 0)
        return verify_jwt(token, pem, JWT_ALG_ES256);
    return verify_eddsa(parts, pem);
}

/* Whether any key of the app signed this token. */
static bool signed_by(const struct app_config *app, struct span token,
                      const struct parts *parts, const char *alg)
{
    for (char **secret = app->hs256; secret && *secret; secret++)
        if (strcmp(alg, "HS256") == 0 &&
            verify_jwt(token, *secret, JWT_ALG_HS256))
            return true;
    for (char **pem = app->public_keys; pem && *pem; pem++)
        if (verify_public(token, parts, alg, *pem))
            return true;
    return false;
}

/* ---- verifying ------------------------------------------------------------
 */

static enum err check_fresh(struct auth *auth, struct span token,
                            struct identity *out, struct failure *why)
{
    const struct app_config *app;
    struct parts parts;
    json_t *claims;
    char alg[8];
    enum err rc;

    if (!split(&parts, token))
        return fail(why, ERR_UNAUTHORIZED, not_a_token);
    read_alg(alg, parts.head);
    claims = parse_part(parts.claims);
    if (!claims)
        return fail(why, ERR_UNAUTHORIZED, not_a_token);
    rc = read_claims(out, claims, why);
    json_decref(claims);
    if (rc)
        return rc;

    /* An unknown app must look like a wrong signature. */
    auth->checked++;
    app = config_app(auth->config, out->app);
    if (!app || !signed_by(app, token, &parts, alg))
        return fail(why, ERR_UNAUTHORIZED,
                    "token: no key of its app verifies its signature");
    return ERR_NONE;
}

enum err auth_verify(struct auth *auth, struct span token, struct identity *out,
                     struct failure *why)
{
    if (token.size == 0)
        return fail_plain(why, ERR_UNAUTHORIZED);
    if (!token_cache_find(&auth->known, token, out)) {
        enum err rc = check_fresh(auth, token, out, why);

        if (rc)
            return rc;
        token_cache_add(&auth->known, token, out);
    }
    if (clock_wall_ms() >= out->expires_ms)
        return fail_plain(why, ERR_TOKEN_EXPIRED);
    return ERR_NONE;
}

uint64_t auth_take_checked(struct auth *auth)
{
    uint64_t checked = auth->checked;

    auth->checked = 0;
    return checked;
}

enum err auth_create(struct auth **out, struct config *config)
{
    struct auth *auth = mem_zalloc(sizeof(*auth));

    if (!auth)
        return ERR_NOMEM;
    auth->config = config_ref(config);
    *out = auth;
    return ERR_NONE;
}

void auth_use(struct auth *auth, struct config *config)
{
    struct config *old = auth->config;

    auth->config = config_ref(config);
    config_unref(old);
    token_cache_clear(&auth->known);
}

void auth_destroy(struct auth *auth)
{
    if (!auth)
        return;
    token_cache_clear(&auth->known);
    config_unref(auth->config);
    mem_free(auth);
}

/* ---- minting --------------------------------------------------------------
 */

static bool add_claims(jwt_t *jwt, const struct mint *what)
{
    uint64_t now = clock_wall_ms() / 1000;
    uint64_t ttl =
        what->ttl_s < EXP_MAX_S - now ? what->ttl_s : EXP_MAX_S - now;

    return !jwt_add_grant(jwt, "app", what->app) &&
           !jwt_add_grant(jwt, "sub", what->user) &&
           !jwt_add_grant_int(jwt, "iat", (long)now) &&
           !jwt_add_grant_int(jwt, "exp", (long)(now + ttl)) &&
           (!what->device || !jwt_add_grant(jwt, "device", what->device)) &&
           (!what->inbox ||
            !jwt_add_grant_int(jwt, "inbox", (long)what->inbox)) &&
           !jwt_set_alg(jwt, JWT_ALG_HS256, (const unsigned char *)what->secret,
                        (int)strlen(what->secret));
}

static enum err check_mint(const struct mint *what, struct failure *why)
{
    static const char accepted[] = "1 to 64 of A-Z a-z 0-9 _ . @ -";

    if (!name_ok(span_of(what->app)))
        return fail(why, ERR_BAD_REQUEST, "app: must be %s", accepted);
    if (!name_ok(span_of(what->user)))
        return fail(why, ERR_BAD_REQUEST, "user: must be %s", accepted);
    if (what->device && !name_ok(span_of(what->device)))
        return fail(why, ERR_BAD_REQUEST, "device: must be %s", accepted);
    if (!*what->secret)
        return fail(why, ERR_BAD_REQUEST, "secret: must not be empty");
    return ERR_NONE;
}

enum err auth_mint(char **out, const struct mint *what, struct failure *why)
{
    enum err rc = check_mint(what, why);
    jwt_t *jwt = NULL;
    char *text = NULL;

    if (rc)
        return rc;
    if (jwt_new(&jwt) == 0 && add_claims(jwt, what))
        text = jwt_encode_str(jwt);
    jwt_free(jwt);
    if (text)
        *out = mem_strndup(text, strlen(text));
    if (!text || !*out)
        rc = fail_plain(why, ERR_NOMEM);
    free(text); /* libjwt's, from malloc() */
    return rc;
}
