/* Scatter, Cholesky, eigenvalues. */
#include "metric/symmetric.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"

#define ROWS 8 /* of x at once: out is walked through once for so many */

static void add_rows(const double *rows, int64_t count, int64_t d, double *out) {
#pragma omp parallel for schedule(static, 8)
    for (int64_t i = 0; i < d; i++) {
        double *to = out + i * d;
        for (int64_t r = 0; r < count; r++) {
            const double *x = rows + r * d, own = x[i];
            _Pragma("omp simd") for (int64_t j = 0; j < d; j++) to[j] += own * x[j];
        }
    }
}

th_status th_scatter_add(const float *x, const int64_t *listed, int64_t n, int64_t d, const double *mean, double *out) {
    double *rows = th_alloc((size_t)d * ROWS, sizeof *rows);
    if (!rows) return th_fail_memory();
    for (int64_t i = 0; i < n; i += ROWS) {
        int64_t count = n - i < ROWS ? n - i : ROWS;
        for (int64_t r = 0; r < count; r++) {
            const float *from = x + (listed ? listed[i + r] : i + r) * d;
            for (int64_t k = 0; k < d; k++) rows[r * d + k] = (double)from[k] - mean[k];
        }
        add_rows(rows, count, d, out);
    }
    th_free(rows);
    return TH_OK;
}

/* The place of the largest of n values. */
static int64_t find_largest(const double *v, int64_t n) {
    int64_t at = 0;
    for (int64_t i = 1; i < n; i++)
        if (v[i] > v[at]) at = i;
    return at;
}

/* Row k of L from the pivot's row of a, less what the rows before it explain. left: [n], of the diagonal. */
static void cholesky_row(const double *a, int64_t n, const double *l, int64_t k, int64_t pivot, double *left,
                         double *row) {
    memcpy(row, a + pivot * n, (size_t)n * sizeof *row);
    for (int64_t i = 0; i < k; i++) {
        const double *before = l + i * n, own = before[pivot];
        _Pragma("omp simd") for (int64_t j = 0; j < n; j++) row[j] -= own * before[j];
    }
    double scale = 1 / sqrt(left[pivot]);
    for (int64_t j = 0; j < n; j++) {
        row[j] *= scale;
        left[j] -= row[j] * row[j];
    }
    left[pivot] = 0;
}

th_status th_cholesky_pivoted(const double *a, int64_t n, double *l, int64_t *rank) {
    double *left = th_alloc((size_t)n + 1, sizeof *left), most = 0;
    if (!left) return th_fail_memory();
    for (int64_t i = 0; i < n; i++) left[i] = a[i * n + i], most = fmax(most, left[i]);
    double least = most * (double)n * DBL_EPSILON;
    for (*rank = 0; *rank < n; ++*rank) {
        int64_t pivot = find_largest(left, n);
        if (!(left[pivot] > least)) break;
        cholesky_row(a, n, l, *rank, pivot, left, l + *rank * n);
    }
    th_free(left);
    return TH_OK;
}

/* --- eigenvalues --- */

/* The part of row k behind the diagonal is turned onto its first element by H = 1 − v vᵀ / h, and the rest of the
 * matrix becomes H A H = A − v wᵀ − w vᵀ. v: m values, a: the rest [m, m] of rows that are n long. */
static void reflect(double *a, int64_t n, int64_t m, const double *v, double h, double *w) {
    double along = 0;
#pragma omp parallel for schedule(static) if (m > 64)
    for (int64_t i = 0; i < m; i++) {
        const double *row = a + i * n;
        double s = 0;
        _Pragma("omp simd reduction(+ : s)") for (int64_t j = 0; j < m; j++) s += row[j] * v[j];
        w[i] = s / h;
    }
    for (int64_t i = 0; i < m; i++) along += w[i] * v[i];
    for (int64_t i = 0; i < m; i++) w[i] -= along / (2 * h) * v[i];
#pragma omp parallel for schedule(static) if (m > 64)
    for (int64_t i = 0; i < m; i++) {
        double *row = a + i * n, vi = v[i], wi = w[i];
        _Pragma("omp simd") for (int64_t j = 0; j < m; j++) row[j] -= vi * w[j] + wi * v[j];
    }
}

/* diagonal [n], below [n]: below[k] stands under diagonal[k], the last is 0. v, w: [n], scratch. */
static void make_tridiagonal(double *a, int64_t n, double *diagonal, double *below, double *v, double *w) {
    for (int64_t k = 0; k < n; k++) {
        int64_t m = n - k - 1;
        double square = 0;
        diagonal[k] = a[k * n + k];
        for (int64_t i = 0; i < m; i++) v[i] = a[k * n + k + 1 + i], square += v[i] * v[i];
        below[k] = 0;
        if (m == 0) continue;
        double length = sqrt(square), rest = square - v[0] * v[0];
        if (!(rest > 0)) {
            below[k] = v[0];
            continue;
        }
        below[k] = v[0] > 0 ? -length : length;
        double h = square - v[0] * below[k]; /* ½ |v|² of the v below */
        v[0] -= below[k];
        reflect(a + (k + 1) * n + k + 1, n, m, v, h, w);
    }
}

/* One step on the block from first to last, between which no e is zero: a rotation by the shift at its beginning makes
 * an element beside the three diagonals, which further rotations of neighbours push out at the end. */
static void step(double *d, double *e, int64_t first, int64_t last) {
    double half = (d[last - 1] - d[last]) / 2, beside = e[last - 1];
    double shift = d[last] - beside * beside / (half + copysign(hypot(half, beside), half));
    double x = d[first] - shift, z = e[first];
    for (int64_t k = first; k < last; k++) {
        double r = hypot(x, z), c = r > 0 ? x / r : 1, s = r > 0 ? z / r : 0;
        double upper = d[k], between = e[k], lower = d[k + 1];
        if (k > first) e[k - 1] = r;
        d[k] = c * c * upper + 2 * c * s * between + s * s * lower;
        d[k + 1] = s * s * upper - 2 * c * s * between + c * c * lower;
        e[k] = c * s * (lower - upper) + (c * c - s * s) * between;
        if (k + 1 == last) break;
        x = e[k];
        z = s * e[k + 1];
        e[k + 1] *= c;
    }
}

#define STEPS_MAX 60 /* for one eigenvalue; two or three are usual */

static bool is_small(const double *d, const double *e, int64_t k) {
    return fabs(e[k]) <= DBL_EPSILON * (fabs(d[k]) + fabs(d[k + 1]));
}

static th_status diagonalise(double *d, double *e, int64_t n) {
    int tried = 0;
    for (int64_t last = n - 1; last > 0;) {
        if (is_small(d, e, last - 1)) {
            last--, tried = 0;
            continue;
        }
        int64_t first = last - 1;
        while (first > 0 && !is_small(d, e, first - 1)) first--;
        if (tried++ == STEPS_MAX) return th_fail(TH_E_INPUT, "the eigenvalues of a matrix could not be found");
        step(d, e, first, last);
    }
    return TH_OK;
}

th_status th_symmetric_eigenvalues(double *a, int64_t n, double *out) {
    double *scratch = th_alloc((size_t)n * 3 + 1, sizeof *scratch);
    if (!scratch) return th_fail_memory();
    make_tridiagonal(a, n, out, scratch, scratch + n, scratch + 2 * n);
    th_status s = diagonalise(out, scratch, n);
    for (int64_t i = 0; i < n && s == TH_OK; i++)
        if (!isfinite(out[i])) s = th_fail(TH_E_INPUT, "an eigenvalue of a matrix is not finite");
    th_free(scratch);
    return s;
}
