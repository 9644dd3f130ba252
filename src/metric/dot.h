/* The similarity of two unit rows. */
#ifndef TH_METRIC_DOT_H
#define TH_METRIC_DOT_H

#include <stdint.h>

static inline float th_dot(const float *a, const float *b, int64_t d) {
    float s = 0.0f;
    _Pragma("omp simd reduction(+ : s)") for (int64_t i = 0; i < d; i++) s += a[i] * b[i];
    return s;
}

#endif
