/* affine: y = scale · x + shift, both constants. */
#include "backend/simd.h"
#include "ops/map.h"
#include "ops/rows.h"

typedef struct {
    float scale, shift;
} affine_attr;

static void grad(th_vjp *v) { v->dx[0] = th_scale(v->g, v->dy[0], ((const affine_attr *)v->n->attr)->scale); }

static void map(float *y, const float *const *x, int64_t n, const void *attr) {
    const float *a = x[0], scale = ((const affine_attr *)attr)->scale, shift = ((const affine_attr *)attr)->shift;
    TH_SIMD
    for (int64_t i = 0; i < n; i++) y[i] = fmaf(scale, a[i], shift);
}

static double reference(const double *x, const void *attr) {
    const affine_attr *a = attr;
    return (double)a->scale * x[0] + (double)a->shift;
}

const th_op th_op_affine = {
    .name = "affine",
    TH_MAP_ROW(TH_EITHER, TH_EITHER),
    .grad = grad,
    .map = map,
    .map_reference = reference,
    .flops_each = 2,
};

th_tensor *th_affine(th_graph *g, th_tensor *x, float scale, float shift) {
    affine_attr a = {scale, shift};
    return TH_RECORD(g, &th_op_affine, &a, x);
}

th_tensor *th_scale(th_graph *g, th_tensor *x, float scale) { return th_affine(g, x, scale, 0.0f); }
th_tensor *th_neg(th_graph *g, th_tensor *x) { return th_affine(g, x, -1.0f, 0.0f); }
