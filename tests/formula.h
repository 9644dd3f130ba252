/* Values by a formula, as tests/fixtures/formula.py has it, so that weights and inputs of fixtures need not be stored;
 * and how a fixture's gradients are compared. */
#ifndef TH_FORMULA_H
#define TH_FORMULA_H

#include "test.h"

#include <math.h>
#include <stdlib.h>

#include "format/safetensors.h"
#include "theriac/graph.h"

enum { FORMULA_MOST = 48 }; /* values that are kept of a gradient */

/* Uniform in [−1, 1), a function of the name and the place. */
static inline void formula_numbers(const char *name, int64_t count, float *out) {
    uint32_t seed = 2166136261u;
    for (const char *c = name; *c; c++) seed = (seed ^ (uint8_t)*c) * 16777619u;
    for (int64_t i = 0; i < count; i++) {
        uint32_t x = (uint32_t)i * 0x9E3779B9u + seed;
        x = (x ^ x >> 16) * 0x7FEB352Du;
        x = (x ^ x >> 15) * 0x846CA68Bu;
        x ^= x >> 16;
        out[i] = (float)((double)(x >> 8) / 8388608.0 - 1);
    }
}

static inline void formula_fill(th_param *p) {
    const th_desc *d = th_param_desc(p);
    const char *name = th_param_name(p);
    size_t length = strlen(name);
    int64_t n = th_desc_count(d);
    float *v = malloc((size_t)n * sizeof *v);
    assert_non_null(v);
    formula_numbers(name, n, v);
    bool norm = strstr(name, "norm") && length > 7 && !strcmp(name + length - 7, ".weight");
    float scale = (float)sqrt(3.0 / ((double)n / (double)d->dim[0]));
    if (d->rank == 1) scale = 0.1f;
    if (strstr(name, "embedding")) scale = 0.8f;
    for (int64_t i = 0; i < n; i++) v[i] = norm ? 1 + 0.2f * v[i] : v[i] * scale;
    assert_ok(th_param_set(p, v));
    free(v);
}

static inline void formula_fill_all(const th_params *ps) {
    for (int64_t i = 0; i < th_params_count(ps); i++) formula_fill(th_params_at(ps, i));
}

static inline float *formula_expected(const th_safetensors *f, const char *kind, const char *name, int64_t *count) {
    char full[320];
    snprintf(full, sizeof full, "%s%s", kind, name);
    const th_st_tensor *t = th_safetensors_find(f, full);
    if (!t) fail_msg("the fixture has no '%s'", full);
    float *v = malloc((size_t)t->count * sizeof *v);
    assert_non_null(v);
    assert_ok(th_st_to_f32(t, 0, t->count, v));
    *count = t->count;
    return v;
}

/* The largest difference from what the fixture has under this name; values that are not finite count as infinitely far.
 */
static inline double formula_difference(const th_safetensors *f, const char *name, const float *got, int64_t n) {
    int64_t count;
    double most = 0;
    float *want = formula_expected(f, "", name, &count);
    assert_int_equal(count, n);
    for (int64_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - (double)want[i]);
        if (!(d <= most)) most = isfinite(d) ? d : HUGE_VAL;
    }
    free(want);
    return most;
}

static inline double formula_norm(const float *x, int64_t n) {
    double s = 0;
    for (int64_t i = 0; i < n; i++) s += (double)x[i] * (double)x[i];
    return sqrt(s);
}

/* Gradients by the rule ‖Δg‖ ≤ 1e-4 ‖g‖ + 1e-6 ‖all gradients‖, over the values that were kept, and the norm of each.
 * A key's bias is left out: its gradient is zero plus noise. */
static inline void formula_compare_gradients(const th_safetensors *f, const th_params *ps) {
    double all = 0, worst = 0;
    int64_t count;
    for (int64_t i = 0; i < th_params_count(ps); i++) {
        float *norm = formula_expected(f, "norm.", th_param_name(th_params_at(ps, i)), &count);
        all += (double)norm[0] * (double)norm[0];
        free(norm);
    }
    all = sqrt(all);
    for (int64_t i = 0; i < th_params_count(ps); i++) {
        const th_param *p = th_params_at(ps, i);
        const char *name = th_param_name(p);
        int64_t n = th_desc_count(th_param_desc(p)), step = (n + FORMULA_MOST - 1) / FORMULA_MOST;
        if (strstr(name, "to_k.bias") || strstr(name, "k_proj.bias")) continue;
        float *got = malloc((size_t)n * sizeof *got), *want = formula_expected(f, "grad.", name, &count);
        assert_non_null(got);
        assert_ok(th_param_get_grad(p, got));
        float *norm = formula_expected(f, "norm.", name, &(int64_t){0});
        double off = fabs(formula_norm(got, n) - (double)norm[0]), far = 0;
        for (int64_t k = 0; k < count; k++)
            far += ((double)got[k * step] - (double)want[k]) * ((double)got[k * step] - (double)want[k]);
        far = sqrt(far);
        double kept = formula_norm(want, count), allowed = 1e-4 * kept + 1e-6 * all;
        if (!(far <= allowed) || !(off <= 1e-4 * (double)norm[0] + 1e-6 * all))
            fail_msg("%s: the gradient is off by %.3g of %.3g, its norm by %.3g of %.3g; all together have %.3g", name,
                     far, kept, off, (double)norm[0], all);
        worst = fmax(worst, far / allowed);
        free(got);
        free(want);
        free(norm);
    }
    printf("  gradients use up to %.2f of what is allowed\n", worst);
}

#endif
