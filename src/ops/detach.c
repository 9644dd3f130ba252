/* detach: x itself, held constant by gradients. */
#include "backend/simd.h"
#include "ops/map.h"
#include "ops/rows.h"

static void grad(th_vjp *v) { v->dx[0] = NULL; }

static void map(float *y, const float *const *x, int64_t n, const void *attr) {
    (void)attr;
    const float *a = x[0];
    TH_SIMD
    for (int64_t i = 0; i < n; i++) y[i] = a[i];
}

static double reference(const double *x, const void *attr) {
    (void)attr;
    return x[0];
}

const th_op th_op_detach = {
    .name = "detach",
    TH_MAP_ROW(TH_EITHER, TH_EITHER),
    .grad = grad,
    .map = map,
    .map_reference = reference,
    .flops_each = 0,
};

th_tensor *th_detach(th_graph *g, th_tensor *x) { return TH_RECORD0(g, &th_op_detach, x); }
