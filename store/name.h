/* Names of conversations: "<inbox>:1:<min>:<max>" for two people, numeric order
 * when both ids are all digits, else byte order; "<inbox>:2:<id>" a group;
 * "<inbox>:3:<id>" a channel (docs/PROTOCOL.md section 2).
 *
 * Errors   ERR_BAD_REQUEST when a text is not such a name, in its canonical
 *          form (a p2p name in the other order is none).
 * Threads  pure functions.
 * Memory   spans point into the text parsed.
 */
#ifndef RUNG_STORE_NAME_H
#define RUNG_STORE_NAME_H

#include "server/base/buf.h"
#include "server/base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define CONVERSATION_MAX_BYTES 160 /* 20 + 3 + 64 + 1 + 64, rounded up */

enum conv_type { CONV_P2P = 1, CONV_GROUP = 2, CONV_CHANNEL = 3 };

struct conv_name {
    uint64_t inbox; /* below 2^53, canonical decimal */
    enum conv_type type;
    struct span a, b; /* p2p: the two, in order (equal: a note to oneself);
                         else a is the id and b is empty */
};

#define NAME_ACCEPTED "1 to 64 characters of A-Z a-z 0-9 _ . @ -"
bool name_ok(struct span name); /* [A-Za-z0-9_.@-]{1,64} */
/* Negative, 0, positive: the order of two users in a p2p name. All-digit ids
 * compare as numbers (any length; equal numbers such as 7 and 007 by byte
 * order), all others by byte order. Every pair has one order, but it is not
 * transitive (9 < 10 < 1a < 9): do not sort with it. */
int name_compare(struct span a, struct span b);
MUST_CHECK enum err name_parse(struct conv_name *out, struct span text);
/* Writes the canonical text, terminated; returns its length. */
size_t name_write(char out[CONVERSATION_MAX_BYTES],
                  const struct conv_name *name);
/* p2p in canonical order from two users in any order. */
size_t name_p2p(char out[CONVERSATION_MAX_BYTES], uint64_t inbox,
                struct span one, struct span other);

#endif
