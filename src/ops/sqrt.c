/* sqrt: y = √x, x ≥ 0; dx = dy / (2 y). */
#include <math.h>

#include "backend/simd.h"
#include "ops/map.h"
#include "ops/rows.h"

static void grad(th_vjp *v) { v->dx[0] = th_div(v->g, th_scale(v->g, v->dy[0], 0.5f), &v->n->out[0]); }

static void map(float *y, const float *const *x, int64_t n, const void *attr) {
    (void)attr;
    const float *a = x[0];
    TH_SIMD
    for (int64_t i = 0; i < n; i++) y[i] = sqrtf(a[i]);
}

static double reference(const double *x, const void *attr) {
    (void)attr;
    return sqrt(x[0]);
}

const th_op th_op_sqrt = {
    .name = "sqrt",
    TH_MAP_ROW(TH_EITHER, TH_EITHER),
    .grad = grad,
    .map = map,
    .map_reference = reference,
    .flops_each = 4,
};

th_tensor *th_sqrt(th_graph *g, th_tensor *x) { return TH_RECORD0(g, &th_op_sqrt, x); }
