/* The one part of the random numbers that is a loop. */
#include "base/rng.h"

void th_rng_permute(uint64_t seed, th_rng_purpose purpose, uint32_t step, int64_t n, int64_t *order) {
    for (int64_t i = 0; i < n; i++) {
        th_rng_block b = th_philox(seed, (uint32_t)purpose, step, (uint64_t)i);
        uint64_t word = (uint64_t)b.word[0] << 32 | b.word[1];
        int64_t j = (int64_t)(word % (uint64_t)(i + 1)); /* bias below n / 2^64 */
        order[i] = order[j];
        order[j] = i;
    }
}
