/* Keys as bytes: pure functions, no I/O.
 *
 * Numbers in keys and rows are 8 bytes, big-endian, so that byte order is
 * numeric order; only the log's own key is a native 64-bit integer
 * (MDB_INTEGERKEY).
 */
#ifndef RUNG_STORE_KEY_H
#define RUNG_STORE_KEY_H

#include "server/base/buf.h"

#include <stdint.h>

#define KEY_MAX_BYTES 256 /* app 64 + NUL + conversation 160, rounded up */

struct key {
    size_t size;
    unsigned char bytes[KEY_MAX_BYTES];
};

void u64_put(void *to, uint64_t number);
uint64_t u64_get(const void *from);
void u32_put(void *to, uint32_t number);
uint32_t u32_get(const void *from);

void key_log(struct key *key, uint64_t lsn);
uint64_t key_log_get(struct span key);
void key_number(struct key *key, uint64_t a);
void key_pair(struct key *key, uint64_t a, uint64_t b);
void key_triple(struct key *key, uint64_t a, uint64_t b, uint64_t c);
void key_text(struct key *key, struct span app, struct span name);
void key_member(struct key *key, uint64_t conv, struct span user);
void key_dedup(struct key *key, struct span client_msg_id, uint64_t user_no);
void key_client_seq(struct key *key, uint64_t conv, uint64_t user_no,
                    struct span device);

struct span key_span(const struct key *key);
/* Does `bytes` begin with `number`? */
bool key_begins(struct span bytes, uint64_t number);
uint64_t key_part(struct span bytes, size_t index); /* the index-th number */

#endif
