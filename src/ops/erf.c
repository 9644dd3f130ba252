/* erf: the error function; dx = dy · (2 / √π) e^(−x²). */
#include <math.h>

#include "backend/simd.h"
#include "ops/map.h"
#include "ops/rows.h"

static void grad(th_vjp *v) {
    th_tensor *e = th_exp(v->g, th_neg(v->g, th_square(v->g, v->n->in[0])));
    v->dx[0] = th_mul(v->g, v->dy[0], th_scale(v->g, e, 1.12837916709551257f));
}

static void map(float *y, const float *const *x, int64_t n, const void *attr) {
    (void)attr;
    const float *a = x[0];
    TH_SIMD
    for (int64_t i = 0; i < n; i++) y[i] = th_erff(a[i]);
}

static double reference(const double *x, const void *attr) {
    (void)attr;
    return erf(x[0]);
}

const th_op th_op_erf = {
    .name = "erf",
    TH_MAP_ROW(TH_EITHER, TH_EITHER),
    .grad = grad,
    .map = map,
    .map_reference = reference,
    .flops_each = 30,
};

th_tensor *th_erf(th_graph *g, th_tensor *x) { return TH_RECORD0(g, &th_op_erf, x); }
