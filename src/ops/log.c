/* log: y = ln x, x > 0. */
#include <math.h>

#include "backend/simd.h"
#include "ops/map.h"
#include "ops/rows.h"

static void grad(th_vjp *v) { v->dx[0] = th_div(v->g, v->dy[0], v->n->in[0]); }

static void map(float *y, const float *const *x, int64_t n, const void *attr) {
    (void)attr;
    const float *a = x[0];
    TH_SIMD
    for (int64_t i = 0; i < n; i++) y[i] = th_logf(a[i]);
}

static double reference(const double *x, const void *attr) {
    (void)attr;
    return log(x[0]);
}

const th_op th_op_log = {
    .name = "log",
    TH_MAP_ROW(TH_EITHER, TH_EITHER),
    .grad = grad,
    .map = map,
    .map_reference = reference,
    .flops_each = 12,
};

th_tensor *th_log(th_graph *g, th_tensor *x) { return TH_RECORD0(g, &th_op_log, x); }
