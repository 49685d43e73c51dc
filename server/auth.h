/* A token becomes an identity: JWTs checked with libjwt (HS256, RS256, ES256)
 * and with OpenSSL for EdDSA, which Debian's libjwt does not know.
 * Claims per docs/PROTOCOL.md section 3; RFC 7519, RFC 8725 (the algorithm is
 * taken from the key, never from the token: "none" and a swapped algorithm
 * fail).
 *
 * Units    exp in seconds as in RFC 7519; expires_ms in milliseconds.
 * Errors   ERR_UNAUTHORIZED or ERR_TOKEN_EXPIRED, with a message for the client
 *          that never repeats the token.
 * Threads  a `struct auth` belongs to one worker (it remembers verified tokens,
 *          server/token_cache.h; `exp` is checked on every use). auth_mint()
 *          and friends: any thread.
 * Memory   the identity is copied into what the caller provides.
 */
#ifndef RUNG_AUTH_H
#define RUNG_AUTH_H

#include "server/base/buf.h"
#include "server/base/err.h"
#include "server/config.h"

#include <stdbool.h>
#include <stdint.h>

#define NAME_MAX_BYTES 64 /* user, device, app, group id */

struct app_config {
    char *app;
    char **hs256;       /* secrets, NULL-terminated */
    char **public_keys; /* PEM texts, NULL-terminated */
};

struct identity {
    char app[NAME_MAX_BYTES + 1];
    char user[NAME_MAX_BYTES + 1];
    char device[NAME_MAX_BYTES + 1]; /* from the claim; "" when absent */
    uint64_t inbox;
    uint64_t expires_ms;
};

/* The device that a client asks for (data NULL: none): its own to choose when
 * the token names none, else nothing. ERR_BAD_REQUEST: not a name. Any thread. */
MUST_CHECK enum err identity_choose_device(struct identity *who,
                                           struct span device,
                                           struct failure *why);

struct auth;
MUST_CHECK enum err auth_create(struct auth **out, struct config *config);
void auth_destroy(struct auth *auth);
/* After SIGHUP: other keys; forgets the cache. */
void auth_use(struct auth *auth, struct config *config);

/* On error *out is undefined. */
MUST_CHECK enum err auth_verify(struct auth *auth, struct span token,
                                struct identity *out, struct failure *why);

/* Signatures checked since the last call: what the cache did not answer. */
uint64_t auth_take_checked(struct auth *auth);

/* What a public key in PEM signs: "RS256" (RSA of 2048 bits or more), "ES256"
 * (P-256), "EdDSA" (Ed25519); NULL when it is none of these. Any thread. */
const char *auth_key_alg(const char *pem);

/* Mint an HS256 token. *out is owned by the caller (mem_free). */
struct mint {
    const char *secret, *app, *user, *device; /* device may be NULL */
    uint64_t inbox, ttl_s;
};
MUST_CHECK enum err auth_mint(char **out, const struct mint *what,
                              struct failure *why);

/* One-use tickets for stream URLs: 30 s, process-wide, single use over all
 * workers. Stateless for the giver: a MAC over identity, expiry and nonce under
 * a per-process key; used nonces are remembered until they expire.
 * `ticket` must hold TICKET_MAX_BYTES. Threads: any. */
#define TICKET_MAX_BYTES 512
MUST_CHECK enum err ticket_issue(char *ticket, const struct identity *who,
                                 uint64_t *expires_ms);
MUST_CHECK enum err ticket_redeem(struct span ticket, struct identity *out,
                                  struct failure *why);

/* Constant-time comparison of equally long secrets. */
bool auth_equal(const void *a, const void *b, size_t size);

#endif
