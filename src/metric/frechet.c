/* The Fréchet distance. (Σa Σb)^½ has the trace Σ √λ over the eigenvalues λ of Σa Σb. With Σa = LᵀL those are the
 * eigenvalues of L Σb Lᵀ, which is symmetric and no larger than the rank of Σa: no square root of a matrix is taken. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "metric/distance.h"
#include "metric/dot.h"
#include "metric/symmetric.h"

/* One set: its mean, and its scatter about that. order: its rows in groups, or NULL. */
typedef struct {
    const float *rows;
    int64_t n;
    int64_t *order;
    double *mean, *scatter; /* [d], [d, d] */
} set;

/* What is left when a group is left out. */
typedef struct {
    int64_t n;
    double *mean, *covariance; /* [d], [d, d] */
} moments;

typedef struct {
    int64_t d;
    set sets[2];
    moments left[2];
    double *l, *t, *values; /* [d, d], [d, d], [d] */
} work;

static bool allocate(work *w) {
    size_t d = (size_t)w->d;
    bool good = true;
    for (int i = 0; i < 2; i++) {
        good &= (w->sets[i].mean = th_alloc(d, sizeof(double))) != NULL;
        good &= (w->sets[i].scatter = th_alloc(d * d, sizeof(double))) != NULL;
        good &= (w->sets[i].order = th_alloc((size_t)w->sets[i].n, sizeof(int64_t))) != NULL;
        good &= (w->left[i].mean = th_alloc(d, sizeof(double))) != NULL;
        good &= (w->left[i].covariance = th_alloc(d * d, sizeof(double))) != NULL;
    }
    good &= (w->l = th_alloc(d * d, sizeof(double))) != NULL;
    good &= (w->t = th_alloc(d * d, sizeof(double))) != NULL;
    return good && (w->values = th_alloc(d, sizeof(double))) != NULL;
}

static void release(work *w) {
    for (int i = 0; i < 2; i++) {
        th_free(w->sets[i].mean);
        th_free(w->sets[i].scatter);
        th_free(w->sets[i].order);
        th_free(w->left[i].mean);
        th_free(w->left[i].covariance);
    }
    th_free(w->l);
    th_free(w->t);
    th_free(w->values);
}

static th_status measure_set(set *s, int64_t d) {
    for (int64_t i = 0; i < s->n; i++)
        for (int64_t k = 0; k < d; k++) s->mean[k] += (double)s->rows[i * d + k] / (double)s->n;
    return th_scatter_add(s->rows, NULL, s->n, d, s->mean, s->scatter);
}

/* Leaves out the rows numbered from `begin` to `end` of the order. Sums are about the mean of all, so those of what
 * stays are the negative of those of what goes. */
static th_status leave_out(const set *s, int64_t d, int64_t begin, int64_t end, moments *m) {
    double *shift = m->mean; /* first the mean of what stays less that of all */
    memset(m->covariance, 0, (size_t)(d * d) * sizeof *m->covariance);
    memset(shift, 0, (size_t)d * sizeof *shift);
    m->n = s->n - (end - begin);
    TH_TRY(th_scatter_add(s->rows, s->order + begin, end - begin, d, s->mean, m->covariance));
    for (int64_t i = begin; i < end; i++)
        for (int64_t k = 0; k < d; k++) shift[k] -= ((double)s->rows[s->order[i] * d + k] - s->mean[k]) / (double)m->n;
    for (int64_t i = 0; i < d; i++)
        for (int64_t j = 0; j < d; j++) {
            double *c = &m->covariance[i * d + j];
            *c = (s->scatter[i * d + j] - *c - (double)m->n * shift[i] * shift[j]) / (double)(m->n - 1);
        }
    for (int64_t k = 0; k < d; k++) m->mean[k] += s->mean[k];
    return TH_OK;
}

static double dot(const double *a, const double *b, int64_t d) {
    double s = 0;
    _Pragma("omp simd reduction(+ : s)") for (int64_t i = 0; i < d; i++) s += a[i] * b[i];
    return s;
}

/* t [rank, rank] = L b Lᵀ of L [rank, d] and b [d, d]. */
static th_status conjugate(const double *l, int64_t rank, const double *b, int64_t d, double *t) {
    double *lb = th_alloc((size_t)(rank * d) + 1, sizeof *lb);
    if (!lb) return th_fail_memory();
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < rank; i++) {
        double *row = lb + i * d;
        for (int64_t k = 0; k < d; k++) {
            double own = l[i * d + k];
            const double *from = b + k * d;
            _Pragma("omp simd") for (int64_t j = 0; j < d; j++) row[j] += own * from[j];
        }
    }
#pragma omp parallel for schedule(dynamic, 8)
    for (int64_t i = 0; i < rank; i++)
        for (int64_t j = 0; j <= i; j++) t[i * rank + j] = t[j * rank + i] = dot(lb + i * d, l + j * d, d);
    th_free(lb);
    return TH_OK;
}

static th_status distance(work *w, double *out) {
    int64_t d = w->d;
    const moments *a = &w->left[0], *b = &w->left[1];
    double sum = 0;
    int64_t rank;
    TH_TRY(th_cholesky_pivoted(a->covariance, d, w->l, &rank));
    TH_TRY(conjugate(w->l, rank, b->covariance, d, w->t));
    TH_TRY(th_symmetric_eigenvalues(w->t, rank, w->values));
    for (int64_t k = 0; k < d; k++) {
        double apart = a->mean[k] - b->mean[k];
        sum += apart * apart + a->covariance[k * d + k] + b->covariance[k * d + k];
    }
    for (int64_t k = 0; k < rank; k++) sum -= 2 * sqrt(fmax(w->values[k], 0));
    *out = sum;
    return TH_OK;
}

/* Without group g of so many; g < 0: with all. */
static th_status without(work *w, int64_t g, int64_t groups, double *out) {
    for (int i = 0; i < 2; i++) {
        const set *s = &w->sets[i];
        int64_t begin = g < 0 ? 0 : g * s->n / groups, end = g < 0 ? 0 : (g + 1) * s->n / groups;
        TH_TRY(leave_out(s, w->d, begin, end, &w->left[i]));
    }
    return distance(w, out);
}

static th_status estimate(work *w, uint64_t seed, int64_t groups, th_estimate *out) {
    double all, left[TH_DISTANCE_GROUPS];
    for (int i = 0; i < 2; i++) {
        TH_TRY(measure_set(&w->sets[i], w->d));
        th_rng_permute(seed, TH_RNG_BOOTSTRAP, (uint32_t)(3 + i), w->sets[i].n, w->sets[i].order);
    }
    TH_TRY(without(w, -1, 1, &all));
    for (int64_t g = 0; g < groups; g++) TH_TRY(without(w, g, groups, &left[g]));
    *out = th_jackknife(all, left, groups);
    return TH_OK;
}

static th_status measure(const float *a, int64_t n, const float *b, int64_t m, int64_t d, uint64_t seed, int64_t groups,
                         th_estimate *out) {
    work w = {.d = d, .sets = {{.rows = a, .n = n}, {.rows = b, .n = m}}};
    th_status s = allocate(&w) ? estimate(&w, seed, groups, out) : th_fail_memory();
    release(&w);
    return s;
}

th_status th_frechet_distance(const float *a, int64_t n, const float *b, int64_t m, int64_t d, double *out) {
    th_estimate e;
    TH_TRY(measure(a, n, b, m, d, 0, 0, &e));
    *out = e.value;
    return TH_OK;
}

th_status th_frechet_estimate(const float *a, int64_t n, const float *b, int64_t m, int64_t d, uint64_t seed,
                              th_estimate *out) {
    bool enough = n >= TH_DISTANCE_LEAST && m >= TH_DISTANCE_LEAST;
    return measure(a, n, b, m, d, seed, enough ? TH_DISTANCE_GROUPS : 0, out);
}
