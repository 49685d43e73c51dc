/* Token buckets by the generic cell rate algorithm (ITU-T I.371, appendix I):
 * one number says when the bucket would be full again. */
#include "server/limits.h"

#define SECOND_US 1000000ull
#define BURST_US (2 * SECOND_US) /* two seconds' worth */

uint32_t bucket_spend(struct bucket *bucket, uint64_t rate, uint64_t now_us)
{
    uint64_t cost_us = SECOND_US / rate;
    uint64_t full_at =
        bucket->full_at_us > now_us ? bucket->full_at_us : now_us;

    if (full_at + cost_us > now_us + BURST_US)
        return (uint32_t)((full_at + cost_us - now_us - BURST_US) / 1000 + 1);
    bucket->full_at_us = full_at + cost_us;
    return 0;
}
