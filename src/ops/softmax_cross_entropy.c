/* softmax_cross_entropy: logits [n, m], labels i32 [n] → [n], log Σ eˣ − x[label]. Its gradient by the logits is
 * (softmax(x) − one_hot(label)) · dy, an operation of its own that never writes the probabilities. A label outside [0,
 * m) adds no x[label]: whoever fills the input checks. */
#include "backend/simd.h"
#include "ops/rows.h"

static th_status check(const th_node *n) {
    const th_desc *x = &n->in[0]->desc, *l = &n->in[1]->desc;
    char a[TH_DESC_TEXT], b[TH_DESC_TEXT];
    if (x->rank != 2 || l->rank != 1 || l->dim[0] != x->dim[0] || l->dtype != TH_I32)
        return th_shape_error("logits %s with %s labels %s", th_desc_text(x, a), th_dtype_name(l->dtype),
                              th_desc_text(l, b));
    return TH_OK;
}

static th_status infer(th_node *n) {
    n->out[0].desc = TH_DESC(TH_F32, n->in[0]->desc.dim[0]);
    return check(n);
}

static void grad(th_vjp *v) {
    if (v->want[0]) v->dx[0] = TH_RECORD0(v->g, &th_op_softmax_cross_entropy_bwd, v->n->in[0], v->n->in[1], v->dy[0]);
}

static void expand(th_graph *g, th_node *n, th_tensor **y) {
    th_tensor *x = n->in[0], *m = th_detach(g, th_row_max(g, x));
    th_tensor *lse = th_add(g, th_log(g, th_sum(g, th_exp(g, th_sub(g, x, m)), 2u)), m);
    th_tensor *own = th_sum(g, th_mul(g, x, th_one_hot(g, n->in[1], x->desc.dim[1])), 2u);
    y[0] = th_reshape(g, th_sub(g, lse, own), n->out[0].desc);
}

static float row_max(const float *x, int64_t c) {
    float m = x[0];
    _Pragma("omp simd reduction(max : m)") for (int64_t i = 0; i < c; i++) m = x[i] > m ? x[i] : m;
    return m;
}

static void range(const th_kernel_args *a, int64_t begin, int64_t end, char *scratch) {
    (void)scratch;
    int64_t c = a->n->in[0]->desc.dim[1];
    const int32_t *label = a->in[1];
    for (int64_t r = begin; r < end; r++) {
        const float *x = (const float *)a->in[0] + r * c;
        float m = row_max(x, c), s = 0.0f;
        _Pragma("omp simd reduction(+ : s)") for (int64_t i = 0; i < c; i++) s += th_expf(x[i] - m);
        bool known = label[r] >= 0 && label[r] < c;
        ((float *)a->out[0])[r] = logf(s) + (m - (known ? x[label[r]] : 0.0f));
    }
}

static int64_t units(const th_node *n) { return n->in[0]->desc.dim[0]; }
static double flops(const th_node *n) { return 14.0 * (double)th_desc_count(&n->in[0]->desc); }

const th_op th_op_softmax_cross_entropy = {
    .name = "softmax_cross_entropy",
    .infer = infer,
    .grad = grad,
    .expand = expand,
    .flops = flops,
    .cpu = {.range = range, .units = units},
};

th_tensor *th_softmax_cross_entropy(th_graph *g, th_tensor *logits, th_tensor *labels) {
    return TH_RECORD0(g, &th_op_softmax_cross_entropy, logits, labels);
}

/* softmax_cross_entropy_bwd: logits, labels, dy [n] → dx [n, m]. */
static th_status infer_bwd(th_node *n) {
    n->out[0].desc = n->in[0]->desc;
    n->out[0].desc.dtype = TH_F32;
    return check(n);
}

static void expand_bwd(th_graph *g, th_node *n, th_tensor **y) {
    th_tensor *x = n->in[0], *hot = th_one_hot(g, n->in[1], x->desc.dim[1]);
    th_tensor *dy = th_reshape(g, n->in[2], TH_DESC(TH_F32, x->desc.dim[0], 1));
    y[0] = th_mul(g, th_sub(g, th_softmax(g, x), hot), dy);
}

static void range_bwd(const th_kernel_args *a, int64_t begin, int64_t end, char *scratch) {
    (void)scratch;
    int64_t c = a->n->in[0]->desc.dim[1];
    const int32_t *label = a->in[1];
    const float *dy = a->in[2];
    for (int64_t r = begin; r < end; r++) {
        const float *x = (const float *)a->in[0] + r * c;
        float *y = (float *)a->out[0] + r * c, m = row_max(x, c), s = 0.0f;
        _Pragma("omp simd reduction(+ : s)") for (int64_t i = 0; i < c; i++) s += y[i] = th_expf(x[i] - m);
        float k = dy[r] / s;
        TH_SIMD
        for (int64_t i = 0; i < c; i++) y[i] *= k;
        if (label[r] >= 0 && label[r] < c) y[label[r]] -= dy[r];
    }
}

const th_op th_op_softmax_cross_entropy_bwd = {
    .name = "softmax_cross_entropy_bwd",
    .infer = infer_bwd,
    .expand = expand_bwd,
    .flops = flops,
    .cpu = {.range = range_bwd, .units = units},
};
