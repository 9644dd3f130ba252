/* Elementary functions in f32 written so that a loop over them becomes vector code: no branches, no calls, no tables.
 * Accuracy, measured against libm's double over the stated ranges: see tests/unit/test_backend_simd.c. */
#ifndef TH_BACKEND_SIMD_H
#define TH_BACKEND_SIMD_H

#include <math.h>

#include "base/half.h"

/* A loop whose rounds do not depend on each other; sums say `reduction`. */
#define TH_SIMD _Pragma("omp simd")

typedef float th_v16 __attribute__((vector_size(64), aligned(4), may_alias));

static inline float th_clampf(float x, float low, float high) { return x < low ? low : x > high ? high : x; }

/* eˣ: 2^n · e^r with n = round(x / ln 2), |r| ≤ ln 2 / 2, and a polynomial of degree 6 for e^r. Below −86.99 it gives 0
 * (no subnormals), above 88.7 infinity; relative error below 2.5e-7. */
static inline float th_expf(float x) {
    float c = th_clampf(x, -88.0f, 89.0f);
    float t = c * 1.44269504089f + 12582912.0f; /* 1.5 · 2^23: now the integer stands in the last bits */
    float n = t - 12582912.0f;
    float r = fmaf(n, -0.693359375f, c);
    r = fmaf(n, 2.12194440e-4f, r);
    float p = fmaf(r, 1.3888889e-3f, 8.3333333e-3f);
    p = fmaf(p, r, 4.1666667e-2f);
    p = fmaf(p, r, 0.16666667f);
    p = fmaf(p, r, 0.5f);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    float half = th_bits_f32((th_f32_bits(t) + 126u) << 23); /* 2^(n−1): 2^128 itself would not fit */
    float y = p * half * 2.0f;
    return x < -87.3f ? 0.0f : x > 88.72f ? INFINITY : y;
}

/* 2ˣ for x up to 127; 0 from −127 down, and between −126 and −127 something below 2^-125. 2^n · 2^r with n = round(x),
 * and a polynomial of degree 5 for 2^r with the least relative error (tests/fixtures/exp2_fit.py), which is below 2e-7.
 * Half the work of th_expf: what softmax wants, where nothing is above 0. */
static inline float th_exp2f(float x) {
    float c = x < -127.0f ? -127.0f : x;
    float n = c + 12582912.0f, r = c - (n - 12582912.0f); /* the integer stands in the last bits of n */
    float p = fmaf(r, 1.3264724e-3f, 9.67151287e-3f);
    p = fmaf(p, r, 5.55073375e-2f);
    p = fmaf(p, r, 2.40222421e-1f);
    p = fmaf(p, r, 6.93146978e-1f);
    p = fmaf(p, r, 1.0f);
    return th_bits_f32(th_f32_bits(p) + (th_f32_bits(n) << 23));
}

/* ln x for normal positive x; x ≤ 0 gives −infinity. The mantissa is brought to [√½, √2), then 2 artanh((m−1)/(m+1)).
 */
static inline float th_logf(float x) {
    uint32_t u = th_f32_bits(x);
    int32_t e = (int32_t)(u - 0x3F3504F3u) >> 23;
    float m = th_bits_f32(u - ((uint32_t)e << 23));
    float z = (m - 1.0f) / (m + 1.0f), w = z * z;
    float p = fmaf(w, 0.2222222f, 0.2857143f);
    p = fmaf(p, w, 0.4f);
    p = fmaf(p, w, 0.66666667f);
    p = fmaf(p * w, z, 2.0f * z);
    float n = (float)e;
    float y = fmaf(n, 0.693359375f, fmaf(n, -2.12194440e-4f, p));
    y = x == INFINITY ? INFINITY : y;
    return x > 0.0f ? y : -INFINITY;
}

static inline float th_sigmoidf(float x) { return 1.0f / (1.0f + th_expf(-x)); }

/* tanh x; the odd polynomial near zero keeps the relative error there. */
static inline float th_tanhf(float x) {
    float e = th_expf(2.0f * th_clampf(x, -15.0f, 15.0f));
    float far = (e - 1.0f) / (e + 1.0f), w = x * x;
    float near = x * fmaf(w, fmaf(w, fmaf(w, -0.053968254f, 0.13333333f), -0.33333333f), 1.0f);
    return fabsf(x) < 0.15f ? near : far;
}

/* The error function. |x| < 1: x · P(x²). Beyond: 1 − e^(−x²) · Q(t), t = 1 / (1 + x/2). P and Q are least-squares fits
 * (tests/fixtures/erf_fit.py); absolute error below 2e-7. */
static inline float th_erff(float x) {
    float w = x * x;
    float p = fmaf(w, 7.88249712e-05f, -0.0008018855f);
    p = fmaf(p, w, 0.00518931194f);
    p = fmaf(p, w, -0.0268543288f);
    p = fmaf(p, w, 0.112835975f);
    p = fmaf(p, w, -0.376126269f);
    p = fmaf(p, w, 1.12837917f);
    float a = th_clampf(fabsf(x), 0.0f, 4.0f), t = 1.0f / fmaf(a, 0.5f, 1.0f);
    float q = fmaf(t, -0.217960584f, 0.602384814f);
    q = fmaf(q, t, -0.0281215775f);
    q = fmaf(q, t, 0.377711958f);
    q = fmaf(q, t, 0.264671479f);
    q = fmaf(q, t, 0.00130932585f);
    float far = copysignf(1.0f - th_expf(-a * a) * q, x);
    return fabsf(x) < 1.0f ? p * x : far;
}

#endif
