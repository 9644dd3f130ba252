/* sub: y = a − b. */
#include "backend/simd.h"
#include "ops/map.h"
#include "ops/rows.h"

static void grad(th_vjp *v) {
    th_tensor *a = v->n->in[0], *b = v->n->in[1], *dy = v->dy[0];
    if (v->want[0]) v->dx[0] = th_sum_to(v->g, dy, &a->desc);
    if (v->want[1]) v->dx[1] = th_sum_to(v->g, th_neg(v->g, dy), &b->desc);
}

static void map(float *y, const float *const *x, int64_t n, const void *attr) {
    (void)attr;
    const float *a = x[0], *b = x[1];
    TH_SIMD
    for (int64_t i = 0; i < n; i++) y[i] = a[i] - b[i];
}

static double reference(const double *x, const void *attr) {
    (void)attr;
    return x[0] - x[1];
}

const th_op th_op_sub = {
    .name = "sub",
    TH_MAP_ROW(TH_EITHER, TH_KEEP_F32),
    .grad = grad,
    .map = map,
    .map_reference = reference,
    .flops_each = 1,
};

th_tensor *th_sub(th_graph *g, th_tensor *a, th_tensor *b) { return TH_RECORD0(g, &th_op_sub, a, b); }
