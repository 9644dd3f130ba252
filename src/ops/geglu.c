/* geglu: y = a · gelu(b), where a and b are the first and second half of the last dimension (Shazeer 2020).
 * da = dy · gelu(b), db = dy · a · gelu'(b). */
#include "backend/simd.h"
#include "ops/rows.h"

static th_status infer(th_node *n) {
    const th_desc *x = &n->in[0]->desc;
    char text[TH_DESC_TEXT];
    if (x->rank < 1 || th_last(x) % 2) return th_shape_error("%s has no halves", th_desc_text(x, text));
    TH_TRY(th_infer_same(n));
    n->out[0].desc.dim[x->rank - 1] = th_last(x) / 2;
    return TH_OK;
}

static void grad(th_vjp *v) { v->dx[0] = TH_RECORD0(v->g, &th_op_geglu_bwd, v->dy[0], v->n->in[0]); }

static th_tensor *half(th_graph *g, th_tensor *x, int which) {
    int64_t d = th_last(&x->desc) / 2;
    return th_slice(g, x, x->desc.rank - 1, which * d, (which + 1) * d);
}

static void expand(th_graph *g, th_node *n, th_tensor **y) {
    y[0] = th_mul(g, half(g, n->in[0], 0), th_gelu(g, half(g, n->in[0], 1)));
}

static th_status prepare(th_prepared *p) {
    p->thread_scratch = 3 * (size_t)th_last(&p->n->out[0].desc) * sizeof(float);
    return TH_OK;
}

static void range(const th_kernel_args *a, int64_t begin, int64_t end, char *scratch) {
    const th_desc *xd = &a->n->in[0]->desc, *yd = &a->n->out[0].desc;
    int64_t d = th_last(yd);
    float *buffer = (float *)scratch;
    for (int64_t r = begin; r < end; r++) {
        const float *x = th_row_read(xd, a->in[0], r, 2 * d, buffer);
        float *y = th_row_target(yd, a->out[0], r, d, buffer + 2 * d);
        TH_SIMD
        for (int64_t i = 0; i < d; i++) {
            float b = x[d + i];
            y[i] = x[i] * 0.5f * b * (1.0f + th_erff(0.70710678f * b));
        }
        th_row_flush(yd, a->out[0], r, d, y);
    }
}

const th_op th_op_geglu = {
    .name = "geglu",
    .infer = infer,
    .grad = grad,
    .expand = expand,
    .flops_each = 33,
    .in_precision = {TH_LOW},
    .out_precision = {TH_EITHER},
    .cpu = {.range = range, .prepare = prepare},
};

th_tensor *th_geglu(th_graph *g, th_tensor *x) { return TH_RECORD0(g, &th_op_geglu, x); }

/* geglu_bwd: dy, x → dx. */
static th_status infer_bwd(th_node *n) {
    th_dtype t = n->out[0].desc.dtype;
    n->out[0].desc = n->in[1]->desc;
    n->out[0].desc.dtype = t;
    return TH_OK;
}

static void expand_bwd(th_graph *g, th_node *n, th_tensor **y) {
    th_tensor *dy = n->in[0], *a = half(g, n->in[1], 0), *b = half(g, n->in[1], 1);
    th_tensor *da = th_mul(g, dy, th_gelu(g, b)), *db = TH_RECORD0(g, &th_op_gelu_bwd, b, th_mul(g, dy, a));
    y[0] = th_concat(g, n->in[1]->desc.rank - 1, 2, (th_tensor *[]){da, db});
}

static th_status prepare_bwd(th_prepared *p) {
    p->thread_scratch = 5 * (size_t)th_last(&p->n->in[0]->desc) * sizeof(float);
    return TH_OK;
}

static void range_bwd(const th_kernel_args *a, int64_t begin, int64_t end, char *scratch) {
    const th_desc *dyd = &a->n->in[0]->desc, *xd = &a->n->in[1]->desc, *dxd = &a->n->out[0].desc;
    int64_t d = th_last(dyd);
    float *buffer = (float *)scratch;
    for (int64_t r = begin; r < end; r++) {
        const float *dy = th_row_read(dyd, a->in[0], r, d, buffer);
        const float *x = th_row_read(xd, a->in[1], r, 2 * d, buffer + d);
        float *dx = th_row_target(dxd, a->out[0], r, 2 * d, buffer + 3 * d);
        TH_SIMD
        for (int64_t i = 0; i < d; i++) {
            float b = x[d + i], phi = 0.5f * (1.0f + th_erff(0.70710678f * b));
            dx[d + i] = dy[i] * x[i] * (phi + b * 0.39894228f * th_expf(-0.5f * b * b));
            dx[i] = dy[i] * b * phi;
        }
        th_row_flush(dxd, a->out[0], r, 2 * d, dx);
    }
}

const th_op th_op_geglu_bwd = {
    .name = "geglu_bwd",
    .infer = infer_bwd,
    .expand = expand_bwd,
    .flops_each = 36,
    .in_precision = {TH_LOW, TH_LOW},
    .out_precision = {TH_EITHER},
    .cpu = {.range = range_bwd, .prepare = prepare_bwd},
};
