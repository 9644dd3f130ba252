/* Intervals. */
#include "metric/interval.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/rng.h"

th_estimate th_share_as_of(double p, double n) {
    const double z = 1.959963984540054;
    if (!(n > 0)) return (th_estimate){NAN, NAN, NAN};
    double centre = (p + z * z / (2 * n)) / (1 + z * z / n);
    double half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
    return (th_estimate){p, fmax(0, centre - half), fmin(1, centre + half)};
}

th_estimate th_share(int64_t hits, int64_t trials) {
    return th_share_as_of((double)hits / (double)trials, (double)trials);
}

#define DRAWS 2000

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

th_status th_bootstrap(double value, th_draw draw, void *user, th_estimate *out) {
    double *drawn = th_alloc(DRAWS, sizeof *drawn);
    if (!drawn) return th_fail_memory();
    bool finite = true;
    for (uint64_t i = 0; i < DRAWS; i++) finite &= isfinite(drawn[i] = draw(user, i));
    qsort(drawn, DRAWS, sizeof *drawn, ascending);
    *out = (th_estimate){value, finite ? drawn[DRAWS / 40 - 1] : NAN, finite ? drawn[DRAWS - DRAWS / 40] : NAN};
    th_free(drawn);
    return TH_OK;
}

typedef struct {
    const double *values;
    int64_t n;
    uint64_t seed;
} sample;

static double draw_mean(void *user, uint64_t which) {
    const sample *s = user;
    th_rng r = th_rng_at(s->seed, TH_RNG_BOOTSTRAP, 0, which);
    double sum = 0;
    for (int64_t i = 0; i < s->n; i++) sum += s->values[th_rng_below(&r, (uint32_t)s->n)];
    return sum / (double)s->n;
}

th_status th_bootstrap_mean(const double *values, int64_t n, uint64_t seed, th_estimate *out) {
    sample s = {values, n, seed};
    double mean = 0;
    if (n < 2) return *out = (th_estimate){n ? values[0] : NAN, NAN, NAN}, TH_OK;
    for (int64_t i = 0; i < n; i++) mean += values[i] / (double)n;
    return th_bootstrap(mean, draw_mean, &s, out);
}

typedef struct {
    const int64_t *hits, *trials, *listed;
    int64_t count;
} groups_of_trials;

/* The share in a sample of as many groups, drawn with replacement from those listed. */
static double draw_share(void *user, uint64_t which) {
    const groups_of_trials *g = user;
    th_rng r = th_rng_at(0, TH_RNG_BOOTSTRAP, 0, which);
    int64_t hit = 0, of = 0;
    for (int64_t i = 0; i < g->count; i++) {
        int64_t group = g->listed[th_rng_below(&r, (uint32_t)g->count)];
        hit += g->hits[group];
        of += g->trials[group];
    }
    return (double)hit / (double)of;
}

th_status th_share_of_groups(const int64_t *hits, const int64_t *trials, int64_t groups, th_estimate *out) {
    int64_t *listed = th_alloc((size_t)groups + 1, sizeof *listed), count = 0, hit = 0, of = 0;
    if (!listed) return th_fail_memory();
    for (int64_t i = 0; i < groups; i++) {
        if (trials[i] > 0) listed[count++] = i;
        hit += hits[i];
        of += trials[i];
    }
    bool mixed = hit > 0 && hit < of;
    *out = mixed ? th_share(hit, of) : th_share(hit ? count : 0, count);
    groups_of_trials g = {hits, trials, listed, count};
    th_status s = mixed && count < of ? th_bootstrap(out->value, draw_share, &g, out) : TH_OK;
    th_free(listed);
    return s;
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

th_estimate th_jackknife(double value, const double *without, int64_t groups) {
    double mean = 0, square = 0;
    if (groups < 2) return (th_estimate){value, NAN, NAN};
    for (int64_t i = 0; i < groups; i++) mean += without[i] / (double)groups;
    for (int64_t i = 0; i < groups; i++) square += (without[i] - mean) * (without[i] - mean);
    double half = t_quantile(groups - 1) * sqrt(square * (double)(groups - 1) / (double)groups);
    return (th_estimate){value, value - half, value + half};
}

th_estimate th_ratio_of_shares(int64_t hits, int64_t trials, int64_t base_hits, int64_t base_trials) {
    if (!base_hits || !trials) return (th_estimate){NAN, NAN, NAN};
    if (!hits) return (th_estimate){0, NAN, NAN};
    double a = (double)hits, b = (double)base_hits, n = (double)trials, m = (double)base_trials;
    double ratio = a / n / (b / m), spread = 1.959963984540054 * sqrt(1 / a - 1 / n + 1 / b - 1 / m);
    return (th_estimate){ratio, ratio * exp(-spread), ratio * exp(spread)};
}
