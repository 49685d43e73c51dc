/* Token buckets: so many per second, bursts of twice that.
 *
 * Units    rate in requests per second, now_us in microseconds (monotonic).
 * Threads  one at a time. Memory: plain data, zeroed = full.
 */
#ifndef RUNG_LIMITS_H
#define RUNG_LIMITS_H

#include <stdint.h>

struct bucket {
    uint64_t full_at_us; /* when it would be full again; 0: it is */
};

/* Spend one. 0: allowed; else how many milliseconds until one is there. `rate`
 * is at least 1; one above a million costs nothing. */
uint32_t bucket_spend(struct bucket *bucket, uint64_t rate, uint64_t now_us);

#endif
