/* upsample2d: nearest neighbour, each pixel of x [n, h, w, c] repeated factor × factor times → [n, f h, f w, c]. Its
 * transpose sums each such square, and the gradient of either is the other. */
#include <string.h>

#include "backend/simd.h"
#include "ops/rows.h"

typedef struct {
    int64_t factor;
} up_attr;

static th_status infer(th_node *n) {
    const th_desc *x = &n->in[0]->desc;
    int64_t f = ((const up_attr *)n->attr)->factor;
    char text[TH_DESC_TEXT];
    if (x->rank != 4 || f < 1) return th_shape_error("%s by a factor of %lld", th_desc_text(x, text), (long long)f);
    TH_TRY(th_infer_same(n));
    n->out[0].desc.dim[1] *= f, n->out[0].desc.dim[2] *= f;
    return TH_OK;
}

static void grad(th_vjp *v) {
    const up_attr *a = v->n->attr;
    v->dx[0] = TH_RECORD(v->g, &th_op_upsample2d_bwd, a, v->dy[0]);
}

/* Units are rows of pixels of the output. */
static int64_t units(const th_node *n) { return n->out[0].desc.dim[0] * n->out[0].desc.dim[1]; }

static void range(const th_kernel_args *a, int64_t begin, int64_t end, char *scratch) {
    (void)scratch;
    const th_desc *x = &a->n->in[0]->desc;
    int64_t f = ((const up_attr *)a->n->attr)->factor, w = x->dim[2];
    size_t pixel = (size_t)x->dim[3] * th_dtype_bytes(x->dtype);
    for (int64_t u = begin; u < end; u++) { /* u / f: the row of x, as x has 1 / f of the rows of every picture */
        const char *from = (const char *)a->in[0] + (size_t)(u / f * w) * pixel;
        char *to = (char *)a->out[0] + (size_t)(u * w * f) * pixel;
        for (int64_t i = 0; i < w; i++)
            for (int64_t k = 0; k < f; k++) memcpy(to + (size_t)(i * f + k) * pixel, from + (size_t)i * pixel, pixel);
    }
}

static void reference(const th_reference_args *r) {
    const th_desc *x = &r->n->in[0]->desc;
    int64_t f = ((const up_attr *)r->n->attr)->factor, w = x->dim[2] * f, c = x->dim[3];
    for (int64_t i = 0; i < th_desc_count(&r->n->out[0].desc); i++) {
        int64_t k = i % c, column = i / c % w, row = i / c / w;
        r->out[0][i] = r->in[0][(row / f * x->dim[2] + column / f) * c + k];
    }
}

const th_op th_op_upsample2d = {
    .name = "upsample2d",
    .flags = TH_OP_MOVE,
    .infer = infer,
    .grad = grad,
    .reference = reference,
    .in_precision = {TH_EITHER},
    .out_precision = {TH_EITHER},
    .cpu = {.range = range, .units = units},
};

th_tensor *th_upsample2d(th_graph *g, th_tensor *x, int64_t factor) {
    up_attr a = {factor};
    return TH_RECORD(g, &th_op_upsample2d, &a, x);
}

/* upsample2d_bwd: dy [n, f h, f w, c] → dx [n, h, w, c]. */
static th_status infer_bwd(th_node *n) {
    const th_desc *dy = &n->in[0]->desc;
    int64_t f = ((const up_attr *)n->attr)->factor;
    char text[TH_DESC_TEXT];
    if (dy->rank != 4 || f < 1 || dy->dim[1] % f || dy->dim[2] % f)
        return th_shape_error("%s in squares of %lld", th_desc_text(dy, text), (long long)f);
    TH_TRY(th_infer_same(n));
    n->out[0].desc.dim[1] /= f, n->out[0].desc.dim[2] /= f;
    return TH_OK;
}

static void grad_bwd(th_vjp *v) { v->dx[0] = th_upsample2d(v->g, v->dy[0], ((const up_attr *)v->n->attr)->factor); }

static th_status prepare_bwd(th_prepared *p) {
    p->thread_scratch = 2 * (size_t)th_last(&p->n->in[0]->desc) * sizeof(float);
    return TH_OK;
}

static void range_bwd(const th_kernel_args *a, int64_t begin, int64_t end, char *scratch) {
    const th_desc *dyd = &a->n->in[0]->desc, *dxd = &a->n->out[0].desc;
    int64_t f = ((const up_attr *)a->n->attr)->factor, w = dxd->dim[2], c = dxd->dim[3];
    float *buffer = (float *)scratch;
    for (int64_t u = begin; u < end; u++)
        for (int64_t i = 0; i < w; i++) {
            float *dx = th_row_target(dxd, a->out[0], u * w + i, c, buffer);
            memset(dx, 0, (size_t)c * sizeof *dx);
            for (int64_t k = 0; k < f * f; k++) {
                int64_t row = (u * f + k / f) * w * f + i * f + k % f;
                const float *dy = th_row_read(dyd, a->in[0], row, c, buffer + c);
                TH_SIMD
                for (int64_t j = 0; j < c; j++) dx[j] += dy[j];
            }
            th_row_flush(dxd, a->out[0], u * w + i, c, dx);
        }
}

static void reference_bwd(const th_reference_args *r) {
    const th_desc *dy = &r->n->in[0]->desc, *dx = &r->n->out[0].desc;
    int64_t f = ((const up_attr *)r->n->attr)->factor, w = dy->dim[2], c = dy->dim[3];
    memset(r->out[0], 0, (size_t)th_desc_count(dx) * sizeof(double));
    for (int64_t i = 0; i < th_desc_count(dy); i++) {
        int64_t k = i % c, column = i / c % w, row = i / c / w;
        r->out[0][(row / f * dx->dim[2] + column / f) * c + k] += r->in[0][i];
    }
}

const th_op th_op_upsample2d_bwd = {
    .name = "upsample2d_bwd",
    .infer = infer_bwd,
    .grad = grad_bwd,
    .reference = reference_bwd,
    .flops_each = 4,
    .in_precision = {TH_EITHER},
    .out_precision = {TH_EITHER},
    .cpu = {.range = range_bwd, .units = units, .prepare = prepare_bwd},
};
