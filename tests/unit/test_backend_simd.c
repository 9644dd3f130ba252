/* Elementary functions against libm's double, and products of tiles against three loops. */
#include "backend/simd.h"

#include "backend/tile.h"
#include "base/rng.h"
#include "test.h"

typedef float (*fast_fn)(float x);
typedef double (*exact_fn)(double x);

/* The largest error on [low, high]: relative where `relative`, else absolute. */
static double worst(fast_fn fast, exact_fn exact, double low, double high, bool relative) {
    double most = 0;
    for (int i = 0; i <= 200000; i++) {
        float x = (float)(low + (high - low) * i / 200000);
        double want = exact((double)x), error = fabs((double)fast(x) - want);
        if (relative) error /= fabs(want);
        if (!(error <= most)) most = error;
    }
    return most;
}

#define HOLDS(fast, exact, low, high, relative, bound)                                                              \
    do {                                                                                                            \
        double error = worst(fast, exact, low, high, relative);                                                     \
        if (!(error <= (bound))) fail_msg(#fast ": off by %.3g on [%g, %g]", error, (double)(low), (double)(high)); \
    } while (0)

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

static void elementary_functions_are_as_close_as_they_say(void **state) {
    (void)state;
    HOLDS(th_expf, exp, -86.9, 88.7, true, 2.5e-7);
    HOLDS(th_exp2f, exp2, -125.9, 127, true, 2e-7);
    HOLDS(th_logf, log, 1e-30, 1e-3, true, 2e-7);
    HOLDS(th_logf, log, 1e-3, 0.9, true, 4e-7);
    HOLDS(th_logf, log, 1.1, 1e6, true, 2e-7);
    HOLDS(th_sigmoidf, sigmoid, -80, 80, true, 4e-7);
    HOLDS(th_tanhf, tanh, -12, 12, false, 3e-7);
    HOLDS(th_erff, erf, -6, 6, false, 2e-7);
}

static void exponentials_end_in_zero_and_infinity(void **state) {
    (void)state;
    assert_true(th_expf(-100.0f) == 0.0f && th_expf(-INFINITY) == 0.0f && isinf(th_expf(89.0f)) && isnan(th_expf(NAN)));
    assert_true(th_exp2f(-127.0f) == 0.0f && th_exp2f(-1e30f) == 0.0f && th_exp2f(-INFINITY) == 0.0f);
    assert_true(th_exp2f(0.0f) == 1.0f && isnan(th_exp2f(NAN)));
    for (int i = 0; i <= 1000; i++) {
        float y = th_exp2f(-126.0f - (float)i / 1000.0f);
        assert_true(y >= 0.0f && y <= 0x1p-125f);
    }
}

#define MOST 96

static float number(uint32_t which, int64_t i) {
    return th_unit_f32(th_philox(5, TH_RNG_TEST, which, (uint64_t)i).word[0]) - 0.5f;
}

static void fill(float *x, uint32_t which) {
    for (int64_t i = 0; i < MOST * MOST; i++) x[i] = number(which, i);
}

/* The part of c that is asked for. */
static void expect(int64_t m, int64_t n, const float *got, const double *want) {
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
            if (fabs((double)got[i * MOST + j] - want[i * MOST + j]) > 1e-5)
                fail_msg("[%lld, %lld]: (%lld, %lld) is %g, not %g", (long long)m, (long long)n, (long long)i,
                         (long long)j, (double)got[i * MOST + j], want[i * MOST + j]);
}

static void products_of_tiles_are_products(void **state) {
    (void)state;
    static float a[MOST * MOST], b[MOST * MOST], c[MOST * MOST];
    static double want[MOST * MOST];
    fill(a, 0), fill(b, 1);
    for (int64_t m = 1; m <= 19; m++)
        for (int64_t n = 1; n <= 50; n += 7)
            for (int way = 0; way < 4; way++) { /* a as it is or transposed; stored or added */
                int64_t k = 1 + m * n % 23, row = way & 1 ? 1 : MOST, step = way & 1 ? MOST : 1;
                fill(c, 2);
                for (int64_t i = 0; i < m; i++)
                    for (int64_t j = 0; j < n; j++) {
                        double sum = way & 2 ? (double)c[i * MOST + j] : 0;
                        for (int64_t p = 0; p < k; p++) sum += (double)a[i * row + p * step] * (double)b[p * MOST + j];
                        want[i * MOST + j] = sum;
                    }
                th_tile_multiply(m, n, k, a, row, step, b, MOST, c, MOST, way & 2);
                expect(m, n, c, want);
            }
}

static double half_of(th_word w, int which) { return (double)th_bf16_to_f32((uint16_t)(which ? w >> 16 : w)); }

static void products_of_pairs_are_products(void **state) {
    (void)state;
    if (!TH_TILE_PAIRS) {
        print_message("  no instructions for products of bf16 here\n");
        skip();
    }
    static th_word a[MOST * MOST], b[MOST * MOST];
    static float c[MOST * MOST];
    static double want[MOST * MOST];
    for (int64_t i = 0; i < MOST * MOST; i++) {
        a[i] = (th_word)th_f32_to_bf16(number(3, i)) | (th_word)th_f32_to_bf16(number(4, i)) << 16;
        b[i] = (th_word)th_f32_to_bf16(number(5, i)) | (th_word)th_f32_to_bf16(number(6, i)) << 16;
    }
    for (int64_t m = 1; m <= 19; m++)
        for (int64_t n = 1; n <= 50; n += 7) {
            int64_t k = 1 + m * n % 23;
            for (int64_t i = 0; i < m; i++)
                for (int64_t j = 0; j < n; j++) {
                    double sum = 0;
                    for (int64_t p = 0; p < k; p++)
                        for (int h = 0; h < 2; h++) sum += half_of(a[i + p * MOST], h) * half_of(b[p * MOST + j], h);
                    want[i * MOST + j] = sum;
                }
            th_tile_multiply_pairs(m, n, k, a, 1, MOST, b, MOST, c, MOST, false);
            expect(m, n, c, want);
        }
}

static void tiles_are_turned_and_filled_up_with_zeros(void **state) {
    (void)state;
    static th_word in[MOST * MOST], out[MOST * MOST];
    for (int64_t i = 0; i < MOST * MOST; i++) in[i] = (th_word)i + 1;
    for (int64_t rows = 1; rows <= 40; rows += 3)
        for (int64_t columns = 1; columns <= 40; columns += 3) {
            for (int64_t i = 0; i < MOST * MOST; i++) out[i] = 77;
            th_tile_transpose(rows, columns, in, MOST, out, MOST);
            for (int64_t j = 0; j < MOST; j++)
                for (int64_t i = 0; i < MOST; i++) {
                    bool written = j < columns && i < th_tile_round(rows);
                    th_word want = !written ? 77 : i < rows ? in[i * MOST + j] : 0;
                    assert_int_equal(out[j * MOST + i], want);
                }
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elementary_functions_are_as_close_as_they_say),
        cmocka_unit_test(exponentials_end_in_zero_and_infinity),
        cmocka_unit_test(products_of_tiles_are_products),
        cmocka_unit_test(products_of_pairs_are_products),
        cmocka_unit_test(tiles_are_turned_and_filled_up_with_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
