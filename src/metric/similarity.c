/* Cosines. Means over pairs come from sums of rows: Σᵢⱼ aᵢ · bⱼ = (Σ aᵢ) · (Σ bⱼ), so no matrix of pairs is needed. */
#include "metric/similarity.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "metric/dot.h"

void th_unit_rows(float *rows, int64_t n, int64_t d) {
    for (int64_t i = 0; i < n; i++) {
        float *x = rows + i * d, length = sqrtf(th_dot(x, x, d));
        for (int64_t k = 0; k < d && length > 0; k++) x[k] /= length;
    }
}

static void add_row(double *sum, const float *row, int64_t d) {
    for (int64_t k = 0; k < d; k++) sum[k] += (double)row[k];
}

static double product(const double *a, const double *b, int64_t d) {
    double s = 0;
    for (int64_t k = 0; k < d; k++) s += a[k] * b[k];
    return s;
}

/* --- between two sets --- */

typedef struct {
    const float *a, *b;
    int64_t n, m, d;
    uint64_t seed;
    double *sum; /* [2, d], scratch */
} two_sets;

/* Sums rows drawn with replacement. */
static void draw_rows(const float *rows, int64_t n, int64_t d, th_rng r, double *sum) {
    memset(sum, 0, (size_t)d * sizeof *sum);
    for (int64_t i = 0; i < n; i++) add_row(sum, rows + (int64_t)th_rng_below(&r, (uint32_t)n) * d, d);
}

static double draw_pairs(void *user, uint64_t which) {
    const two_sets *s = user;
    draw_rows(s->a, s->n, s->d, th_rng_at(s->seed, TH_RNG_BOOTSTRAP, 1, which), s->sum);
    draw_rows(s->b, s->m, s->d, th_rng_at(s->seed, TH_RNG_BOOTSTRAP, 2, which), s->sum + s->d);
    return product(s->sum, s->sum + s->d, s->d) / ((double)s->n * (double)s->m);
}

th_status th_pair_similarity(const float *a, int64_t n, const float *b, int64_t m, int64_t d, uint64_t seed,
                             th_estimate *out) {
    two_sets s = {a, b, n, m, d, seed, th_alloc((size_t)d * 2, sizeof(double))};
    if (!s.sum) return th_fail_memory();
    for (int64_t i = 0; i < n; i++) add_row(s.sum, a + i * d, d);
    for (int64_t j = 0; j < m; j++) add_row(s.sum + d, b + j * d, d);
    double mean = product(s.sum, s.sum + d, d) / ((double)n * (double)m);
    th_status status = th_bootstrap(mean, draw_pairs, &s, out);
    th_free(s.sum);
    return status;
}

th_status th_nearest_similarity(const float *a, int64_t n, const float *b, int64_t m, int64_t d, uint64_t seed,
                                th_estimate *out) {
    double *best = th_alloc((size_t)n, sizeof *best);
    if (!best) return th_fail_memory();
    for (int64_t i = 0; i < n; i++) {
        best[i] = -INFINITY;
        for (int64_t j = 0; j < m; j++) best[i] = fmax(best[i], (double)th_dot(a + i * d, b + j * d, d));
    }
    th_status s = th_bootstrap_mean(best, n, seed, out);
    th_free(best);
    return s;
}

th_status th_matched_similarity(const float *a, const float *b, int64_t n, int64_t d, uint64_t seed, th_estimate *out) {
    double *each = th_alloc((size_t)n, sizeof *each);
    if (!each) return th_fail_memory();
    for (int64_t i = 0; i < n; i++) each[i] = (double)th_dot(a + i * d, b + i * d, d);
    th_status s = th_bootstrap_mean(each, n, seed, out);
    th_free(each);
    return s;
}

/* --- within one set --- */

/* The mean cosine of n rows with each other from their sum and the sum of their squares. */
static double pair_mean(const double *sum, double squares, int64_t n, int64_t d) {
    return (product(sum, sum, d) - squares) / ((double)n * (double)(n - 1));
}

/* Of the rows listed (NULL: all n). sum: [d], scratch; without: [n], the mean without each of them, or NULL. */
static double own_mean(const float *a, const int64_t *listed, int64_t n, int64_t d, double *sum, double *without) {
    double squares = 0;
    memset(sum, 0, (size_t)d * sizeof *sum);
    for (int64_t i = 0; i < n; i++) {
        const float *x = a + (listed ? listed[i] : i) * d;
        add_row(sum, x, d);
        squares += (double)th_dot(x, x, d);
    }
    double square = product(sum, sum, d);
    for (int64_t i = 0; i < n && without; i++) {
        const float *x = a + (listed ? listed[i] : i) * d;
        double own = (double)th_dot(x, x, d), along = 0;
        for (int64_t k = 0; k < d; k++) along += sum[k] * (double)x[k];
        without[i] = (square - 2 * along + own - (squares - own)) / ((double)(n - 1) * (double)(n - 2));
    }
    return pair_mean(sum, squares, n, d);
}

/* One row of three can be left out and still leaves a pair. */
static th_status own_estimate(const float *a, const int64_t *listed, int64_t n, int64_t d, double *sum,
                              th_estimate *out) {
    if (n < 2) return *out = (th_estimate){NAN, NAN, NAN}, TH_OK;
    double *without = n > 2 ? th_alloc((size_t)n, sizeof *without) : NULL;
    if (n > 2 && !without) return th_fail_memory();
    double mean = own_mean(a, listed, n, d, sum, without);
    *out = th_jackknife(mean, without, n > 2 ? n : 0);
    th_free(without);
    return TH_OK;
}

th_status th_own_similarity(const float *a, int64_t n, int64_t d, th_estimate *out) {
    double *sum = th_alloc((size_t)d, sizeof *sum);
    if (!sum) return th_fail_memory();
    th_status s = own_estimate(a, NULL, n, d, sum, out);
    th_free(sum);
    return s;
}

typedef struct {
    int64_t *first, *listed; /* [groups + 1]: where a group's rows begin in listed [n] */
    double *mean, *sum;      /* [groups], [d] */
} by_group;

/* Rows sorted by group, in their order. */
static void sort_groups(const int64_t *group, int64_t n, int64_t groups, by_group *g) {
    for (int64_t i = 0; i < n; i++) g->first[group[i] + 1]++;
    for (int64_t k = 0; k < groups; k++) g->first[k + 1] += g->first[k];
    for (int64_t i = 0; i < n; i++) g->listed[g->first[group[i]]++] = i;
    for (int64_t k = groups; k > 0; k--) g->first[k] = g->first[k - 1];
    g->first[0] = 0;
}

static th_status measure_groups(const float *a, int64_t groups, int64_t d, const by_group *g, th_estimate *out,
                                int64_t *counted) {
    int64_t only = 0;
    *counted = 0;
    for (int64_t k = 0; k < groups; k++) {
        int64_t n = g->first[k + 1] - g->first[k];
        if (n < 2) continue;
        only = k;
        g->mean[(*counted)++] = 1 - own_mean(a, g->listed + g->first[k], n, d, g->sum, NULL);
    }
    if (*counted != 1) return *out = th_mean_of(g->mean, *counted), TH_OK;
    th_estimate own = {0};
    TH_TRY(own_estimate(a, g->listed + g->first[only], g->first[only + 1] - g->first[only], d, g->sum, &own));
    *out = (th_estimate){1 - own.value, 1 - own.high, 1 - own.low};
    return TH_OK;
}

th_status th_diversity(const float *a, const int64_t *group, int64_t n, int64_t groups, int64_t d, th_estimate *out,
                       int64_t *counted) {
    by_group g = {th_alloc((size_t)groups + 1, sizeof *g.first), th_alloc((size_t)n + 1, sizeof *g.listed),
                  th_alloc((size_t)groups + 1, sizeof *g.mean), th_alloc((size_t)d, sizeof *g.sum)};
    th_status s = g.first && g.listed && g.mean && g.sum ? TH_OK : th_fail_memory();
    if (s == TH_OK) {
        sort_groups(group, n, groups, &g);
        s = measure_groups(a, groups, d, &g, out, counted);
    }
    th_free(g.first);
    th_free(g.listed);
    th_free(g.mean);
    th_free(g.sum);
    return s;
}
