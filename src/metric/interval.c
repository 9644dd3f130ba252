/* Intervals. */
#include "metric/interval.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/rng.h"

th_estimate th_share(int64_t hits, int64_t trials) {
    if (trials <= 0) return (th_estimate){NAN, NAN, NAN};
    const double z = 1.959963984540054;
    double n = (double)trials, p = (double)hits / n;
    double centre = (p + z * z / (2 * n)) / (1 + z * z / n);
    double half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    return (th_estimate){p, fmax(0, centre - half), fmin(1, centre + half)};
}

#define DRAWS 2000

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The share in a sample of as many groups, drawn with replacement from those listed. */
static double draw_share(const int64_t *hits, const int64_t *trials, const int64_t *listed, int64_t count,
                         uint64_t which) {
    th_rng r = th_rng_at(0, TH_RNG_BOOTSTRAP, 0, which);
    int64_t hit = 0, of = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t group = listed[th_rng_below(&r, (uint32_t)count)];
        hit += hits[group];
        of += trials[group];
    }
    return (double)hit / (double)of;
}

th_status th_share_of_groups(const int64_t *hits, const int64_t *trials, int64_t groups, th_estimate *out) {
    int64_t *listed = th_alloc((size_t)groups + 1, sizeof *listed), count = 0, hit = 0, of = 0;
    double *shares = th_alloc(DRAWS, sizeof *shares);
    if (!listed || !shares) return th_free(listed), th_free(shares), th_fail_memory();
    for (int64_t i = 0; i < groups; i++) {
        if (trials[i] > 0) listed[count++] = i;
        hit += hits[i];
        of += trials[i];
    }
    bool mixed = hit > 0 && hit < of;
    *out = mixed ? th_share(hit, of) : th_share(hit ? count : 0, count);
    if (mixed && count < of) {
        for (int i = 0; i < DRAWS; i++) shares[i] = draw_share(hits, trials, listed, count, (uint64_t)i);
        qsort(shares, DRAWS, sizeof *shares, ascending);
        out->low = shares[DRAWS / 40 - 1];
        out->high = shares[DRAWS - DRAWS / 40];
    }
    th_free(listed);
    th_free(shares);
    return TH_OK;
}

/* The 97.5 % point of Student's t with so many degrees of freedom; from 30 on by the expansion about the normal one. */
static double t_quantile(int64_t freedom) {
    static const double table[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
                                   2.201,  2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
                                   2.080,  2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045};
    const double z = 1.959963984540054;
    if (freedom < 30) return table[freedom - 1];
    return z + (z * z * z + z) / (4 * (double)freedom);
}

th_estimate th_mean_of(const double *values, int64_t count) {
    if (count <= 0) return (th_estimate){NAN, NAN, NAN};
    double mean = 0, square = 0;
    for (int64_t i = 0; i < count; i++) mean += values[i] / (double)count;
    if (count == 1) return (th_estimate){mean, NAN, NAN};
    for (int64_t i = 0; i < count; i++) square += (values[i] - mean) * (values[i] - mean);
    double half = t_quantile(count - 1) * sqrt(square / (double)(count - 1) / (double)count);
    return (th_estimate){mean, mean - half, mean + half};
}
