/* Signing in on a new device with the help of one that is signed in: the new
 * one shows a code, the old one reads it and agrees, and the new one gets a
 * token.
 *
 * A code lives LOGIN_LIFE_MS and is good once. Whoever photographs it can ask
 * for nothing with it: what it leads to is given only to who also knows the
 * secret that was handed out beside it. It is kept in memory, in a table of
 * LOGIN_MAX; a restart of the server forgets it, and the page shows another.
 *
 * Errors   enum err with words for the client.
 * Threads  any.
 * Memory   copied into what the caller provides; a token that is handed out is
 *          the caller's (mem_free).
 */
#ifndef RUNG_LOGIN_H
#define RUNG_LOGIN_H

#include "server/auth.h"

#define LOGIN_LIFE_MS 120000
#define LOGIN_MAX 4096
/* Not waited for, or not any more: may make room for another. */
#define LOGIN_IDLE_MS 10000
#define LOGIN_UNWAITED_MS 1000 /* never waited for yet */
#define LOGIN_WORD_BYTES 16    /* of randomness, in a code and in a secret */
#define LOGIN_WORD_ROOM (2 * LOGIN_WORD_BYTES + 1) /* hex, terminated */
#define LOGIN_LABEL_MAX 64 /* bytes; LOGIN_NAME_MAX is POSIX's */

enum login_state {
    LOGIN_NEW,      /* nobody has read the code yet */
    LOGIN_SEEN,     /* somebody has, and is asked */
    LOGIN_APPROVED, /* has agreed */
    LOGIN_REFUSED,  /* has not */
};

struct login_view {
    enum login_state state;
    struct identity who;            /* not LOGIN_NEW: who read it */
    char name[LOGIN_LABEL_MAX + 1]; /* what the new device calls itself */
    uint64_t expires_ms;
    uint64_t waiter; /* counts those that have begun to wait */
};

/* A new code, for a device that calls itself `name` (at most
 * LOGIN_LABEL_MAX bytes; may be empty). ERR_OVERLOADED: there are too many,
 * and devices wait for all of them. */
MUST_CHECK enum err login_begin(struct span name, char code[LOGIN_WORD_ROOM],
                                char secret[LOGIN_WORD_ROOM],
                                uint64_t *expires_ms, struct failure *why);

/* --- the new device --- */

/* Begin to wait: who waited before with this code is to stop, which it sees by
 * another `waiter`. ERR_NOT_FOUND: a code that is not, or not any more, or
 * another secret. */
MUST_CHECK enum err login_wait(struct span code, struct span secret,
                               struct login_view *out, struct failure *why);
/* The same, without beginning. */
MUST_CHECK enum err login_look(struct span code, struct span secret,
                               struct login_view *out, struct failure *why);
/* Approved: the token; refused: NULL. Either way the code is no more. */
char *login_take(struct span code);

/* --- the device that is signed in --- */

/* Read the code: from now on it is this person's to decide. ERR_CONFLICT:
 * somebody else has read it. */
MUST_CHECK enum err login_read(struct span code, const struct identity *who,
                               struct login_view *out, struct failure *why);
/* Decide. `token` (given, also on failure; NULL: refused) is for the new
 * device. ERR_CONFLICT: not this person's, or decided already. */
MUST_CHECK enum err login_decide(struct span code, const struct identity *who,
                                 char *token, struct failure *why);

#endif
