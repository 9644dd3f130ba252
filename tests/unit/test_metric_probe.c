/* Linear probes. */
#include "test.h"

#include "base/memory.h"
#include "base/rng.h"
#include "metric/probe.h"

enum { N = 300, D = 6, CLASSES = 3 };

/* Rows whose class lies in one feature among noise, on a scale and with an offset of its own. */
static void make_rows(float *rows, int32_t *labels, uint64_t seed, float apart) {
    th_rng r = th_rng_at(seed, TH_RNG_TEST, 0, 0);
    for (int i = 0; i < N; i++) {
        labels[i] = (int32_t)th_rng_below(&r, CLASSES);
        for (int k = 0; k < D; k++) rows[i * D + k] = 0.01f * th_rng_normal(&r) + 5.0f;
        rows[i * D + 4] += 0.01f * apart * (float)(labels[i] - 1);
        rows[i * D + 5] += 0.01f * apart * (float)(labels[i] == 1);
    }
}

static double accuracy(const th_probe *p, const float *rows, const int32_t *labels) {
    int32_t said[N];
    int right = 0;
    th_probe_classify(p, rows, N, said);
    for (int i = 0; i < N; i++) right += said[i] == labels[i];
    return (double)right / N;
}

static void what_is_there_is_learnt_and_what_is_not_is_not(void **state) {
    (void)state;
    static float rows[N * D], other[N * D];
    int32_t labels[N], other_labels[N];
    th_probe_params params;
    th_probe_params_init(&params);
    params.threads = 1;
    for (int apart = 0; apart <= 8; apart += 8) {
        th_probe *p;
        make_rows(rows, labels, 1, (float)apart);
        make_rows(other, other_labels, 2, (float)apart);
        assert_ok(th_probe_fit(rows, labels, N, D, CLASSES, &params, NULL, &p));
        double a = accuracy(p, other, other_labels);
        assert_true(apart ? a > 0.98 : a > 0.2 && a < 0.45);
        th_probe_free(p);
    }
}

static void rows_without_a_label_do_not_count(void **state) {
    (void)state;
    static float rows[N * D], other[N * D];
    int32_t labels[N], other_labels[N];
    th_probe_params params;
    th_probe *p;
    th_probe_params_init(&params);
    params.threads = 1;
    make_rows(rows, labels, 1, 8);
    make_rows(other, other_labels, 2, 8);
    for (int i = 0; i < N; i += 2) {
        labels[i] = -1;
        for (int k = 0; k < D; k++) rows[i * D + k] = 1e6f;
    }
    assert_ok(th_probe_fit(rows, labels, N, D, CLASSES, &params, NULL, &p));
    assert_true(accuracy(p, other, other_labels) > 0.98);
    th_probe_free(p);
}

static void too_few_pictures_are_refused(void **state) {
    (void)state;
    static float rows[N * D];
    int32_t labels[N];
    th_probe_params params;
    th_probe *p = NULL;
    th_probe_params_init(&params);
    make_rows(rows, labels, 1, 8);
    assert_fails(th_probe_fit(rows, labels, 5, D, CLASSES, &params, NULL, &p), TH_E_INPUT, "5 pictures are too few");
    assert_null(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_there_is_learnt_and_what_is_not_is_not),
        cmocka_unit_test(rows_without_a_label_do_not_count),
        cmocka_unit_test(too_few_pictures_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
