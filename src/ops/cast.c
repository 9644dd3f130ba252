/* cast: the same values in another dtype. Recorded by the lowering to bf16, which sets the output's dtype. */
#include "backend/simd.h"
#include "ops/map.h"
#include "ops/rows.h"

static void grad(th_vjp *v) { v->dx[0] = v->dy[0]; }

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

const th_op th_op_cast = {
    .name = "cast",
    TH_MAP_ROW(TH_EITHER, TH_EITHER),
    .grad = grad,
    .map = map,
    .map_reference = reference,
    .flops_each = 0,
};
