/* The kernel distance. Sums of the kernel are kept by the groups of both rows, so that leaving out a group costs
 * nothing more. */
#include <math.h>

#include "base/memory.h"
#include "base/rng.h"
#include "metric/distance.h"
#include "metric/dot.h"

enum { GROUPS = TH_DISTANCE_GROUPS, TILE = 64 }; /* rows that stay in the cache while others pass */

/* Rows in the order in which they are parted into groups: row order[i] is of group i · GROUPS / n. */
typedef struct {
    const float *rows;
    int64_t n, *order;
} set;

static int64_t group_of(const set *s, int64_t i) { return i * GROUPS / s->n; }

/* Adds the kernel between row i of a and a tile of b to sums [GROUPS]; apart: without row i of b. */
static void add_tile(const set *a, int64_t i, const set *b, bool apart, int64_t begin, int64_t end, int64_t d,
                     double *sums) {
    const float *x = a->rows + a->order[i] * d;
    for (int64_t j = begin; j < end; j++) {
        if (apart && i == j) continue;
        double k = (double)th_dot(x, b->rows + b->order[j] * d, d) / (double)d + 1;
        sums[group_of(b, j)] += k * k * k;
    }
}

/* out [GROUPS, GROUPS]: the kernel summed over rows of group g of a and rows of group h of b. */
static th_status sum_kernel(const set *a, const set *b, bool apart, int64_t d, double out[GROUPS][GROUPS]) {
    double *sums = th_alloc((size_t)a->n * GROUPS, sizeof *sums); /* of each row of a */
    if (!sums) return th_fail_memory();
    for (int64_t begin = 0; begin < b->n; begin += TILE) {
        int64_t end = begin + TILE < b->n ? begin + TILE : b->n;
#pragma omp parallel for schedule(static)
        for (int64_t i = 0; i < a->n; i++) add_tile(a, i, b, apart, begin, end, d, sums + i * GROUPS);
    }
    for (int64_t i = 0; i < a->n; i++)
        for (int h = 0; h < GROUPS; h++) out[group_of(a, i)][h] += sums[i * GROUPS + h];
    th_free(sums);
    return TH_OK;
}

typedef struct {
    double aa[GROUPS][GROUPS], bb[GROUPS][GROUPS], ab[GROUPS][GROUPS];
    int64_t in_a[GROUPS], in_b[GROUPS]; /* rows of a group */
    bool paired;
} sums;

/* Without group g; −1: with all. */
static double discrepancy(const sums *s, int g) {
    double aa = 0, bb = 0, ab = 0, n = 0, m = 0;
    for (int i = 0; i < GROUPS; i++) {
        if (i == g) continue;
        n += (double)s->in_a[i], m += (double)s->in_b[i];
        for (int j = 0; j < GROUPS; j++) {
            if (j == g) continue;
            aa += s->aa[i][j], bb += s->bb[i][j], ab += s->ab[i][j];
        }
    }
    return aa / (n * (n - 1)) + bb / (m * (m - 1)) - 2 * ab / (s->paired ? n * (n - 1) : n * m);
}

static th_status measure(const set *a, const set *b, int64_t d, sums *s, bool interval, th_estimate *out) {
    double left[GROUPS];
    TH_TRY(sum_kernel(a, a, true, d, s->aa));
    TH_TRY(sum_kernel(b, b, true, d, s->bb));
    TH_TRY(sum_kernel(a, b, s->paired, d, s->ab));
    for (int64_t i = 0; i < a->n; i++) s->in_a[group_of(a, i)]++;
    for (int64_t i = 0; i < b->n; i++) s->in_b[group_of(b, i)]++;
    for (int g = 0; g < GROUPS && interval; g++) left[g] = discrepancy(s, g);
    *out = th_jackknife(discrepancy(s, -1), left, interval ? GROUPS : 0);
    return TH_OK;
}

static th_status choose(const float *rows, int64_t n, uint64_t seed, uint32_t which, set *s) {
    s->rows = rows;
    s->n = n < TH_KERNEL_ROWS_MOST ? n : TH_KERNEL_ROWS_MOST; /* the first of the order */
    s->order = th_alloc((size_t)n, sizeof *s->order);
    if (!s->order) return th_fail_memory();
    th_rng_permute(seed, TH_RNG_BOOTSTRAP, which, n, s->order);
    return TH_OK;
}

static th_status estimate(const float *a, int64_t n, const float *b, int64_t m, int64_t d, uint64_t seed, bool paired,
                          th_estimate *out) {
    set x = {0}, y = {0};
    sums *s = th_alloc(1, sizeof *s);
    th_status status = s ? choose(a, n, seed, 5, &x) : th_fail_memory();
    if (status == TH_OK) status = choose(b, m, seed, paired ? 5 : 6, &y);
    if (status == TH_OK) {
        s->paired = paired;
        status = measure(&x, &y, d, s, n >= TH_DISTANCE_LEAST && m >= TH_DISTANCE_LEAST, out);
    }
    th_free(x.order);
    th_free(y.order);
    th_free(s);
    return status;
}

th_status th_kernel_estimate(const float *a, int64_t n, const float *b, int64_t m, int64_t d, uint64_t seed,
                             th_estimate *out) {
    return estimate(a, n, b, m, d, seed, false, out);
}

th_status th_kernel_paired_estimate(const float *a, const float *b, int64_t n, int64_t d, uint64_t seed,
                                    th_estimate *out) {
    return estimate(a, n, b, n, d, seed, true, out);
}
