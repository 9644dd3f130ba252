/* Half precision and bfloat16 as bit patterns: scalar conversions without branches, so that loops over them vectorise.
 * Rounding is to the nearest, ties to even. No step works on a subnormal float, so flush-to-zero modes change nothing
 * but what subnormal f32 inputs give (all of them round to zero in half precision anyway). */
#ifndef TH_BASE_HALF_H
#define TH_BASE_HALF_H

#include <stdint.h>
#include <string.h>

#define TH_F16_MAX 65504.0f /* the largest finite half; from 65520 on conversion gives infinity */

static inline uint32_t th_f32_bits(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static inline float th_bits_f32(uint32_t u) {
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* NaN stays NaN (made quiet, the payload's upper bits kept); |f| >= 65520 becomes infinity. */
static inline uint16_t th_f32_to_f16(float f) {
    uint32_t x = th_f32_bits(f), sign = x >> 16 & 0x8000u, a = x & 0x7fffffffu;
    uint32_t normal = (a + 0xc8000fffu + (a >> 13 & 1)) >> 13; /* exponent bias 127 to 15, then round */
    /* 0.5's last bit is 2^-24, that of half's subnormals: the addition rounds there. */
    uint32_t tiny = th_f32_bits(th_bits_f32(a) + 0.5f) - 0x3f000000u;
    uint32_t nan = 0x7e00u | (a >> 13 & 0x3ffu);
    uint32_t h = a < 0x38800000u ? tiny : normal;
    h = a >= 0x47800000u ? 0x7c00u : h;
    h = a > 0x7f800000u ? nan : h;
    return (uint16_t)(sign | h);
}

static inline float th_f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, m = (uint32_t)(h & 0x7fffu) << 13;
    uint32_t tiny = th_f32_bits(th_bits_f32(0x38800000u + m) - 0x1p-14f); /* subnormal: 2^-14 (1 + m) − 2^-14 */
    uint32_t x = m < 0x00800000u ? tiny : m + 0x38000000u;
    x = m >= 0x0f800000u ? m + 0x70000000u : x; /* infinity and NaN */
    return th_bits_f32(sign | x);
}

/* NaN stays NaN (made quiet); above the largest bfloat16 by half a step becomes infinity. */
static inline uint16_t th_f32_to_bf16(float f) {
    uint32_t x = th_f32_bits(f);
    uint32_t round = (x + 0x7fffu + (x >> 16 & 1)) >> 16, nan = x >> 16 | 0x40u;
    return (uint16_t)((x & 0x7fffffffu) > 0x7f800000u ? nan : round);
}

static inline float th_bf16_to_f32(uint16_t b) { return th_bits_f32((uint32_t)b << 16); }

/* Whole rows. */
static inline void th_bf16_read(float *restrict to, const uint16_t *restrict from, int64_t n) {
    for (int64_t i = 0; i < n; i++) to[i] = th_bf16_to_f32(from[i]);
}

static inline void th_bf16_write(uint16_t *restrict to, const float *restrict from, int64_t n) {
    for (int64_t i = 0; i < n; i++) to[i] = th_f32_to_bf16(from[i]);
}

#endif
