/* What pictures are measured by, against numpy and scipy (tests/fixtures/image_metrics.py) and on cases whose answer is
 * known. */
#include "test.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/rng.h"
#include "format/safetensors.h"
#include "metric/distance.h"
#include "metric/similarity.h"
#include "metric/symmetric.h"

static th_safetensors *fixture;

/* In double precision, which assert_float_equal is not. */
static void check_near(double found, double want, double within, int line) {
    if (!(fabs(found - want) <= within))
        fail_msg("line %d: %.17g is not within %g of %.17g", line, found, within, want);
}
#define assert_near(found, want, within) check_near(found, want, within, __LINE__)

static int open_fixture(void **state) {
    (void)state;
    return th_safetensors_open(TH_TEST_DATA "/metric/features.safetensors", NULL, &fixture) == TH_OK ? 0 : -1;
}

static int close_fixture(void **state) {
    (void)state;
    th_safetensors_close(fixture);
    return 0;
}

/* Rows in memory of their own. */
static float *rows_of(const char *name, int64_t *n, int64_t *d) {
    const th_st_tensor *t = th_safetensors_find(fixture, name);
    assert_non_null(t);
    float *out = th_alloc((size_t)t->count, sizeof *out);
    assert_non_null(out);
    assert_ok(th_st_to_f32(t, 0, t->count, out));
    *n = t->shape[0], *d = t->shape[1];
    return out;
}

static double *doubles_of(const char *name) {
    const th_st_tensor *t = th_safetensors_find(fixture, name);
    assert_true(t && t->dtype == TH_ST_F64);
    double *out = th_alloc((size_t)t->count, sizeof *out);
    assert_non_null(out);
    memcpy(out, t->data, t->bytes);
    return out;
}

static double value_of(const char *name) {
    double *v = doubles_of(name), value = *v;
    th_free(v);
    return value;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void eigenvalues_are_those_of_lapack(void **state) {
    (void)state;
    enum { N = 30 };
    double *matrix = doubles_of("matrix"), *want = doubles_of("eigenvalues"), found[N];
    assert_ok(th_symmetric_eigenvalues(matrix, N, found));
    qsort(found, N, sizeof *found, ascending);
    for (int i = 0; i < N; i++) assert_near(found[i], want[i], 1e-12);
    th_free(matrix);
    th_free(want);
    double one = 3, two[4] = {1, 2, 2, 1}, none = NAN, out[2];
    assert_ok(th_symmetric_eigenvalues(&one, 1, out));
    assert_near(out[0], 3, 1e-15);
    assert_ok(th_symmetric_eigenvalues(two, 2, out));
    assert_near(fmin(out[0], out[1]), -1, 1e-14);
    assert_ok(th_symmetric_eigenvalues(out, 0, out));
    assert_fails(th_symmetric_eigenvalues(&none, 1, out), TH_E_INPUT, "not finite");
}

/* A sum of two outer products has rank 2, and its factor makes it again. */
static void cholesky_ends_at_the_rank(void **state) {
    (void)state;
    enum { N = 7 };
    double a[N * N], l[N * N], x[2][N];
    int64_t rank;
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < N; i++) x[k][i] = sin(1 + i * 1.7 + k * 5);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) a[i * N + j] = x[0][i] * x[0][j] + x[1][i] * x[1][j];
    assert_ok(th_cholesky_pivoted(a, N, l, &rank));
    assert_int_equal(rank, 2);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) assert_near(l[i] * l[j] + l[N + i] * l[N + j], a[i * N + j], 1e-13);
    memset(a, 0, sizeof a);
    assert_ok(th_cholesky_pivoted(a, N, l, &rank));
    assert_int_equal(rank, 0);
}

static void frechet_distance_is_that_of_scipy(void **state) {
    (void)state;
    int64_t n, m, d;
    float *a = rows_of("a", &n, &d), *b = rows_of("b", &m, &d);
    th_estimate e;
    double plain;
    assert_ok(th_frechet_distance(a, n, b, m, d, &plain));
    assert_near(plain, value_of("frechet"), 1e-9);
    assert_ok(th_frechet_estimate(a, n, b, m, d, 1, &e));
    assert_near(e.value, plain, 1e-12);
    assert_true(e.low < e.value && e.value < e.high);
    assert_ok(th_frechet_distance(a, n, a, n, d, &plain));
    assert_near(plain, 0, 1e-9);
    th_free(a);
    th_free(b);
    a = rows_of("c", &n, &d), b = rows_of("e", &m, &d); /* fewer rows than columns: neither covariance has full rank */
    assert_ok(th_frechet_estimate(a, n, b, m, d, 1, &e));
    assert_near(e.value, value_of("frechet_few"), 1e-6);
    assert_true(isnan(e.low)); /* too few for an interval */
    th_free(a);
    th_free(b);
}

static void kernel_distance_is_that_of_numpy(void **state) {
    (void)state;
    int64_t n, m, d;
    float *a = rows_of("a", &n, &d), *b = rows_of("b", &m, &d);
    th_estimate e, again;
    assert_ok(th_kernel_estimate(a, n, b, m, d, 1, &e));
    assert_near(e.value, value_of("kernel"), 1e-5 * fabs(value_of("kernel")));
    assert_true(e.low < e.value && e.value < e.high);
    assert_ok(th_kernel_estimate(a, n, b, m, d, 1, &again));
    assert_memory_equal(&e, &again, sizeof e);
    assert_ok(th_kernel_estimate(a, 10, b, 10, d, 1, &e));
    assert_true(isnan(e.low));
    th_free(a);
    th_free(b);
}

/* 0 and 1 against 2 and 0, with (x y + 1)³: 1 + 1 − (k(0, 0) + k(1, 2)) = 2 − 28. */
static void kernel_distance_of_pairs_leaves_out_what_belongs_together(void **state) {
    (void)state;
    const float left[] = {0, 1}, right[] = {2, 0};
    int64_t n, m, d;
    float *a = rows_of("a", &n, &d), *b = rows_of("b", &m, &d);
    th_estimate e, apart;
    assert_ok(th_kernel_paired_estimate(left, right, 2, 1, 0, &e));
    assert_near(e.value, -26, 1e-12);
    assert_true(isnan(e.low));
    assert_ok(th_kernel_paired_estimate(a, a, n, d, 0, &e));
    assert_true(e.value == 0 && e.low == 0 && e.high == 0);
    m = n < m ? n : m;
    for (int64_t i = 0; i < m * d; i++) b[i] = a[i] + 0.01f; /* nearly the same pictures */
    assert_ok(th_kernel_paired_estimate(a, b, m, d, 0, &e));
    assert_ok(th_kernel_estimate(a, m, b, m, d, 0, &apart));
    assert_true(e.high - e.low < 0.2 * (apart.high - apart.low));
    th_free(a);
    th_free(b);
}

static void cosines_are_those_of_numpy(void **state) {
    (void)state;
    int64_t n, m, d;
    float *a = rows_of("a", &n, &d), *b = rows_of("b", &m, &d);
    th_estimate e;
    th_unit_rows(a, n, d);
    th_unit_rows(b, m, d);
    assert_ok(th_pair_similarity(a, n, b, m, d, 0, &e));
    assert_near(e.value, value_of("pairs"), 1e-6);
    assert_true(e.low < e.value && e.value < e.high);
    assert_ok(th_nearest_similarity(a, n, b, m, d, 0, &e));
    assert_near(e.value, value_of("nearest"), 1e-6);
    assert_ok(th_own_similarity(a, n, d, &e));
    assert_near(e.value, value_of("own"), 1e-6);
    assert_true(e.low < e.value && e.value < e.high);
    assert_ok(th_matched_similarity(a, a, n, d, 0, &e));
    assert_near(e.value, 1, 1e-6);
    assert_ok(th_own_similarity(a, 1, d, &e));
    assert_true(isnan(e.value));
    th_free(a);
    th_free(b);
}

/* Four rows on the axes: two prompts with a pair each, one of the same picture twice. */
static void diversity_is_of_a_prompts_pictures(void **state) {
    (void)state;
    const float rows[] = {1, 0, 0, 1, 1, 0, 1, 0, 0, 1};
    const int64_t group[] = {0, 1, 0, 1, 2}; /* the third has one picture, which says nothing */
    th_estimate e;
    int64_t counted;
    assert_ok(th_diversity(rows, group, 5, 3, 2, &e, &counted));
    assert_int_equal(counted, 2);
    assert_near(e.value, 0.5, 1e-6); /* 0 for the first, 1 for the second */
    const int64_t one[] = {0, 0, 0, 0, 0};
    assert_ok(th_diversity(rows, one, 5, 1, 2, &e, &counted));
    assert_int_equal(counted, 1);
    assert_near(e.value, 0.6, 1e-6); /* 6 of 10 pairs */
    assert_true(e.low < 0.6 && e.high > 0.6);
    const int64_t own[] = {0, 1, 2, 3, 4};
    assert_ok(th_diversity(rows, own, 5, 5, 2, &e, &counted));
    assert_true(counted == 0 && isnan(e.value));
}

/* The share of 95 % intervals that hold the true value, over samples of normal numbers. */
static void intervals_hold_the_truth_about_as_often_as_they_say(void **state) {
    (void)state;
    enum { TRIES = 200, N = 40, D = 4 };
    int boot = 0, kernel = 0;
    for (int t = 0; t < TRIES; t++) {
        double values[N];
        float a[N * D], b[N * D];
        th_estimate e;
        for (int i = 0; i < N * D; i++) {
            th_rng_block r = th_philox((uint64_t)t, TH_RNG_TEST, 0, (uint64_t)i);
            a[i] = th_normal_f32(r.word[0], r.word[1]);
            b[i] = th_normal_f32(r.word[2], r.word[3]);
            if (i < N) values[i] = (double)a[i];
        }
        assert_ok(th_bootstrap_mean(values, N, (uint64_t)t, &e));
        boot += e.low < 0 && e.high > 0;
        assert_ok(th_kernel_estimate(a, N, b, N, D, (uint64_t)t, &e));
        kernel += e.low < 0 && e.high > 0; /* both sets are of one kind, and there is no bias */
    }
    assert_in_range(boot, TRIES * 89 / 100, TRIES * 99 / 100);
    assert_in_range(kernel, TRIES * 88 / 100, TRIES);
}

static void jackknife_of_a_mean_is_its_standard_error(void **state) {
    (void)state;
    const double v[] = {1, 2, 4, 9};
    double without[4], mean = 4;
    for (int i = 0; i < 4; i++) without[i] = (16 - v[i]) / 3;
    th_estimate e = th_jackknife(mean, without, 4), want = th_mean_of(v, 4);
    assert_near(e.low, want.low, 1e-12);
    assert_near(e.high, want.high, 1e-12);
    assert_true(isnan(th_jackknife(1, without, 1).low));
}

/* 20 of 40 against 30 of 40: ln(2/3) ± 1.96 √(1/20 − 1/40 + 1/30 − 1/40). */
static void ratios_have_katzs_interval(void **state) {
    (void)state;
    th_estimate e = th_ratio_of_shares(20, 40, 30, 40);
    assert_near(e.value, 2.0 / 3, 1e-12);
    assert_near(log(e.high / e.value), 1.959964 * sqrt(1.0 / 30), 1e-6);
    assert_near(log(e.value / e.low), 1.959964 * sqrt(1.0 / 30), 1e-6);
    assert_true(th_ratio_of_shares(0, 40, 30, 40).value == 0);
    assert_true(isnan(th_ratio_of_shares(20, 40, 0, 40).value));
}

static void failed_allocations_lose_nothing(void **state) {
    (void)state;
    int64_t n, m, d;
    float *a = rows_of("a", &n, &d), *b = rows_of("b", &m, &d);
    int64_t group[60] = {0};
    th_estimate e;
    int64_t counted;
    double plain;
    size_t before = th_bytes_in_use();
    for (int64_t at = 1, failed = 5; failed; at++) {
        failed = 0;
        th_alloc_fail_at(at, false);
        failed += th_frechet_distance(a, n, b, m, d, &plain) != TH_OK;
        th_alloc_fail_at(at, false);
        failed += th_kernel_estimate(a, n, b, m, d, 0, &e) != TH_OK;
        th_alloc_fail_at(at, false);
        failed += th_pair_similarity(a, n, b, m, d, 0, &e) != TH_OK;
        th_alloc_fail_at(at, false);
        failed += th_own_similarity(a, n, d, &e) != TH_OK;
        th_alloc_fail_at(at, false);
        failed += th_diversity(a, group, n, 1, d, &e, &counted) != TH_OK;
        th_alloc_fail_at(0, false);
        assert_int_equal(th_bytes_in_use(), before);
    }
    th_free(a);
    th_free(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eigenvalues_are_those_of_lapack),
        cmocka_unit_test(cholesky_ends_at_the_rank),
        cmocka_unit_test(frechet_distance_is_that_of_scipy),
        cmocka_unit_test(kernel_distance_is_that_of_numpy),
        cmocka_unit_test(kernel_distance_of_pairs_leaves_out_what_belongs_together),
        cmocka_unit_test(cosines_are_those_of_numpy),
        cmocka_unit_test(diversity_is_of_a_prompts_pictures),
        cmocka_unit_test(intervals_hold_the_truth_about_as_often_as_they_say),
        cmocka_unit_test(jackknife_of_a_mean_is_its_standard_error),
        cmocka_unit_test(ratios_have_katzs_interval),
        cmocka_unit_test(failed_allocations_lose_nothing),
    };
    return cmocka_run_group_tests_name("measures of pictures", tests, open_fixture, close_fixture);
}
