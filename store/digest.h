/* Two digests: SHA-256 for comparing contents, CRC-32C for noticing damage.
 *
 * Threads  pure functions; a struct sha256 belongs to one thread at a time.
 */
#ifndef RUNG_STORE_DIGEST_H
#define RUNG_STORE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

struct sha256 {
    uint32_t state[8];
    uint64_t size;
    unsigned char block[64];
};

void sha256_init(struct sha256 *sha);
void sha256_add(struct sha256 *sha, const void *bytes, size_t size);
void sha256_end(struct sha256 *sha, unsigned char out[32]);

uint32_t crc32c(const void *bytes, size_t size);

#endif
