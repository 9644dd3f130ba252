/* gelu: y = x · Φ(x), Φ(x) = (1 + erf(x / √2)) / 2 (Hendrycks and Gimpel 2016). dx = dy (Φ(x) + x · e^(−x²/2) / √(2π)).
 */
#include <math.h>

#include "backend/simd.h"
#include "ops/map.h"
#include "ops/rows.h"

/* The gradient needs the input, so the plan keeps x alive; it is worth saving small. */
static void grad(th_vjp *v) { v->dx[0] = TH_RECORD0(v->g, &th_op_gelu_bwd, v->n->in[0], v->dy[0]); }

static void expand(th_graph *g, th_node *n, th_tensor **y) {
    th_tensor *x = n->in[0];
    th_tensor *e = th_erf(g, th_scale(g, x, 0.70710678118654752f));
    y[0] = th_mul(g, x, th_affine(g, e, 0.5f, 0.5f));
}

static void map(float *y, const float *const *x, int64_t n, const void *attr) {
    (void)attr;
    const float *a = x[0];
    TH_SIMD
    for (int64_t i = 0; i < n; i++) y[i] = 0.5f * a[i] * (1.0f + th_erff(0.70710678f * a[i]));
}

static double reference(const double *x, const void *attr) {
    (void)attr;
    return 0.5 * x[0] * (1 + erf(x[0] * M_SQRT1_2));
}

const th_op th_op_gelu = {
    .name = "gelu",
    TH_MAP_ROW(TH_LOW, TH_EITHER),
    .grad = grad,
    .expand = expand,
    .map = map,
    .map_reference = reference,
    .flops_each = 32,
};

th_tensor *th_gelu(th_graph *g, th_tensor *x) { return TH_RECORD0(g, &th_op_gelu, x); }

/* gelu_bwd: x, dy → dx. */
static void expand_bwd(th_graph *g, th_node *n, th_tensor **y) {
    th_tensor *x = n->in[0], *dy = n->in[1];
    th_tensor *phi = th_affine(g, th_erf(g, th_scale(g, x, 0.70710678118654752f)), 0.5f, 0.5f);
    th_tensor *density = th_scale(g, th_exp(g, th_scale(g, th_square(g, x), -0.5f)), 0.39894228040143268f);
    y[0] = th_mul(g, dy, th_add(g, phi, th_mul(g, x, density)));
}

static void map_bwd(float *y, const float *const *x, int64_t n, const void *attr) {
    (void)attr;
    const float *a = x[0], *dy = x[1];
    TH_SIMD
    for (int64_t i = 0; i < n; i++) {
        float phi = 0.5f * (1.0f + th_erff(0.70710678f * a[i]));
        y[i] = dy[i] * (phi + a[i] * 0.39894228f * th_expf(-0.5f * a[i] * a[i]));
    }
}

static double reference_bwd(const double *x, const void *attr) {
    (void)attr;
    double phi = 0.5 * (1 + erf(x[0] * M_SQRT1_2));
    return x[1] * (phi + x[0] * exp(-0.5 * x[0] * x[0]) / sqrt(2 * M_PI));
}

const th_op th_op_gelu_bwd = {
    .name = "gelu_bwd",
    TH_MAP_ROW(TH_LOW, TH_EITHER),
    .expand = expand_bwd,
    .map = map_bwd,
    .map_reference = reference_bwd,
    .flops_each = 38,
};
