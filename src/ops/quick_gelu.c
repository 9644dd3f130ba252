/* quick_gelu: y = x · σ(1.702 x), the activation of OpenAI's CLIP. dx = dy · σ (1 + 1.702 x (1 − σ)). */
#include <math.h>

#include "backend/simd.h"
#include "ops/map.h"
#include "ops/rows.h"

/* The gradient needs the input, so the plan keeps x alive; it is worth saving small. */
static void grad(th_vjp *v) { v->dx[0] = TH_RECORD0(v->g, &th_op_quick_gelu_bwd, v->n->in[0], v->dy[0]); }

static void expand(th_graph *g, th_node *n, th_tensor **y) {
    th_tensor *x = n->in[0];
    y[0] = th_mul(g, x, th_sigmoid(g, th_scale(g, x, 1.702f)));
}

static void map(float *y, const float *const *x, int64_t n, const void *attr) {
    (void)attr;
    const float *a = x[0];
    TH_SIMD
    for (int64_t i = 0; i < n; i++) y[i] = a[i] * th_sigmoidf(1.702f * a[i]);
}

static double reference(const double *x, const void *attr) {
    (void)attr;
    return x[0] / (1 + exp(-1.702 * x[0]));
}

const th_op th_op_quick_gelu = {
    .name = "quick_gelu",
    TH_MAP_ROW(TH_LOW, TH_EITHER),
    .grad = grad,
    .expand = expand,
    .map = map,
    .map_reference = reference,
    .flops_each = 14,
};

th_tensor *th_quick_gelu(th_graph *g, th_tensor *x) { return TH_RECORD0(g, &th_op_quick_gelu, x); }

/* quick_gelu_bwd: x, dy → dx. */
static void expand_bwd(th_graph *g, th_node *n, th_tensor **y) {
    th_tensor *x = n->in[0], *dy = n->in[1];
    th_tensor *s = th_sigmoid(g, th_scale(g, x, 1.702f));
    th_tensor *t = th_mul(g, th_scale(g, x, 1.702f), th_affine(g, s, -1.0f, 1.0f));
    y[0] = th_mul(g, dy, th_mul(g, s, th_affine(g, t, 1.0f, 1.0f)));
}

static void map_bwd(float *y, const float *const *x, int64_t n, const void *attr) {
    (void)attr;
    const float *a = x[0], *dy = x[1];
    TH_SIMD
    for (int64_t i = 0; i < n; i++) {
        float s = th_sigmoidf(1.702f * a[i]);
        y[i] = dy[i] * s * (1.0f + 1.702f * a[i] * (1.0f - s));
    }
}

static double reference_bwd(const double *x, const void *attr) {
    (void)attr;
    double s = 1 / (1 + exp(-1.702 * x[0]));
    return x[1] * s * (1 + 1.702 * x[0] * (1 - s));
}

const th_op th_op_quick_gelu_bwd = {
    .name = "quick_gelu_bwd",
    TH_MAP_ROW(TH_LOW, TH_EITHER),
    .expand = expand_bwd,
    .map = map_bwd,
    .map_reference = reference_bwd,
    .flops_each = 20,
};
