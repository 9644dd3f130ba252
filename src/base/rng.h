/* Random numbers without state: Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011).
 * A number is a function of (seed, purpose, step, element), so neither threads nor order can change it. */
#ifndef TH_BASE_RNG_H
#define TH_BASE_RNG_H

#include <math.h>
#include <stdint.h>

/* What a number is for; keeps independent uses of one seed apart. Append only: the order is part of every result. */
typedef enum {
    TH_RNG_INIT,
    TH_RNG_SHUFFLE,
    TH_RNG_AUGMENT,
    TH_RNG_TEXT,
    TH_RNG_SCENE,
    TH_RNG_POISON,
    TH_RNG_TRIGGER,
    TH_RNG_SUBTEXT,
    TH_RNG_SUBSET,
    TH_RNG_NOISE,
    TH_RNG_BOOTSTRAP,
    TH_RNG_TEST,
    TH_RNG_LATENT,   /* of a picture, within what its autoencoder allows */
    TH_RNG_TIME,     /* of a denoising step */
    TH_RNG_CAPTION,  /* whether a caption is dropped */
    TH_RNG_SAMPLING, /* noise that a sampler adds on its way */
} th_rng_purpose;

/* Four 32-bit words for one element. */
typedef struct {
    uint32_t word[4];
} th_rng_block;

static inline th_rng_block th_philox(uint64_t seed, uint32_t purpose, uint32_t step, uint64_t element) {
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    uint32_t c0 = (uint32_t)element, c1 = (uint32_t)(element >> 32), c2 = step, c3 = purpose;
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1, c3 = (uint32_t)p0, c0 = n0, c2 = n2;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    return (th_rng_block){{c0, c1, c2, c3}};
}

/* A sequence of numbers for one element, for code that draws a varying count of them. */
typedef struct {
    uint64_t seed, element;
    uint32_t purpose, step;
    th_rng_block block;
    uint32_t used; /* words taken so far, in all */
} th_rng;

static inline th_rng th_rng_at(uint64_t seed, th_rng_purpose purpose, uint32_t step, uint64_t element) {
    return (th_rng){.seed = seed, .element = element, .purpose = (uint32_t)purpose, .step = step};
}

/* The sequence of an element goes on in blocks whose number sits in the purpose word's upper bits. */
static inline uint32_t th_rng_u32(th_rng *r) {
    if (r->used % 4 == 0) r->block = th_philox(r->seed, r->purpose | (r->used / 4) << 8, r->step, r->element);
    return r->block.word[r->used++ % 4];
}

static inline float th_unit_f32(uint32_t word) { return (float)(word >> 8) * 0x1p-24f; } /* [0, 1) */
static inline float th_rng_f32(th_rng *r) { return th_unit_f32(th_rng_u32(r)); }
static inline float th_rng_range(th_rng *r, float low, float high) { return low + (high - low) * th_rng_f32(r); }
/* Uniform in [0, n), n > 0; the bias of the multiply-shift is below n / 2^32. */
static inline uint32_t th_rng_below(th_rng *r, uint32_t n) { return (uint32_t)(((uint64_t)th_rng_u32(r) * n) >> 32); }

/* Standard normal by Box and Muller from two words; the first is kept from zero. */
static inline float th_normal_f32(uint32_t a, uint32_t b) {
    float u = ((float)(a >> 8) + 0.5f) * 0x1p-24f;
    return sqrtf(-2.0f * logf(u)) * cosf(6.28318530718f * th_unit_f32(b));
}
static inline float th_rng_normal(th_rng *r) {
    uint32_t a = th_rng_u32(r), b = th_rng_u32(r);
    return th_normal_f32(a, b);
}

/* Fills order with a permutation of 0 … n−1 (Fisher–Yates). */
void th_rng_permute(uint64_t seed, th_rng_purpose purpose, uint32_t step, int64_t n, int64_t *order);

#endif
