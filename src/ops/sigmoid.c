/* sigmoid: y = 1 / (1 + e⁻ˣ); dx = dy · y (1 − y). */
#include <math.h>

#include "backend/simd.h"
#include "ops/map.h"
#include "ops/rows.h"

static void grad(th_vjp *v) {
    th_tensor *y = &v->n->out[0];
    v->dx[0] = th_mul(v->g, v->dy[0], th_mul(v->g, y, th_affine(v->g, y, -1.0f, 1.0f)));
}

static void map(float *y, const float *const *x, int64_t n, const void *attr) {
    (void)attr;
    const float *a = x[0];
    TH_SIMD
    for (int64_t i = 0; i < n; i++) y[i] = th_sigmoidf(a[i]);
}

static double reference(const double *x, const void *attr) {
    (void)attr;
    return 1 / (1 + exp(-x[0]));
}

const th_op th_op_sigmoid = {
    .name = "sigmoid",
    TH_MAP_ROW(TH_EITHER, TH_EITHER),
    .grad = grad,
    .map = map,
    .map_reference = reference,
    .flops_each = 13,
};

th_tensor *th_sigmoid(th_graph *g, th_tensor *x) { return TH_RECORD0(g, &th_op_sigmoid, x); }
