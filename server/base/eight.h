/* Eight bytes looked at as one word, for loops that pass over text.
 *
 * borrow_note: each answer has its say in the top bit of each byte, the rest is
 * noise: mask with EIGHT_TOPS. The lowest bit set then is right. Those above it
 * may be wrong, for the subtraction borrows from the byte behind one that it
 * found: ask whether there is any, or which is the first (Warren, Hacker's
 * Delight, 2nd edition, section 6-1).
 *
 * Threads  pure.
 */
#ifndef RUNG_BASE_EIGHT_H
#define RUNG_BASE_EIGHT_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

/* A word of eight such bytes. */
#define EIGHT_OF(byte) (UINT64_C(0x0101010101010101) * (byte))
#define EIGHT_TOPS EIGHT_OF(0x80)

/* The eight bytes at `at`, the first of them the lowest. */
static inline uint64_t eight_load(const char *at)
{
    uint64_t eight;

    memcpy(&eight, at, sizeof(eight));
    return le64toh(eight);
}

/* Bytes below `least`, which is at most 0x80. */
static inline uint64_t eight_below(uint64_t eight, unsigned char least)
{
    return (eight - EIGHT_OF(least)) & ~eight;
}

/* Bytes that are `byte`, which is ASCII. */
static inline uint64_t eight_equal(uint64_t eight, unsigned char byte)
{
    return eight_below(eight ^ EIGHT_OF(byte), 1);
}

#endif
