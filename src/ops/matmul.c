/* matmul: y = A · B (+ bias) (+ residual), by oneDNN; A and B may be given transposed. With dY: dA = dY · Bᵀ, dB = Aᵀ ·
 * dY, and the same with the roles changed where an operand was transposed. The bias and the residual sum ride on the
 * product's last pass. */
#include "backend/onednn.h"
#include "base/half.h"
#include "ops/rows.h"

typedef struct {
    bool transpose_a, transpose_b, bias, residual;
} matmul_attr;

/* Inputs: a, b, then the bias and the residual where there are. */
static th_tensor *bias_of(const th_node *n) { return ((const matmul_attr *)n->attr)->bias ? n->in[2] : NULL; }
static th_tensor *residual_of(const th_node *n) {
    const matmul_attr *m = n->attr;
    return m->residual ? n->in[m->bias ? 3 : 2] : NULL;
}

static th_dnn_matmul shape_of(const th_node *n) {
    const matmul_attr *m = n->attr;
    const th_desc *a = &n->in[0]->desc, *b = &n->in[1]->desc;
    int r = a->rank;
    return (th_dnn_matmul){
        .batch = r == 3 ? a->dim[0] : 1,
        .m = a->dim[m->transpose_a ? r - 1 : r - 2],
        .k = a->dim[m->transpose_a ? r - 2 : r - 1],
        .n = b->dim[m->transpose_b ? r - 2 : r - 1],
        .transpose_a = m->transpose_a,
        .transpose_b = m->transpose_b,
        .bias = m->bias,
        .residual = m->residual,
        .in = a->dtype,
        .out = n->out[0].desc.dtype,
    };
}

static th_status infer(th_node *n) {
    const matmul_attr *m = n->attr;
    const th_desc *a = &n->in[0]->desc, *b = &n->in[1]->desc;
    char s[TH_DESC_TEXT], t[TH_DESC_TEXT];
    bool fits = a->rank == b->rank && (a->rank == 2 || (a->rank == 3 && a->dim[0] == b->dim[0]));
    if (fits) {
        int r = a->rank;
        fits = a->dim[m->transpose_a ? r - 2 : r - 1] == b->dim[m->transpose_b ? r - 1 : r - 2];
    }
    if (!fits)
        return th_shape_error("%s%s times %s%s", th_desc_text(a, s), m->transpose_a ? "ᵀ" : "", th_desc_text(b, t),
                              m->transpose_b ? "ᵀ" : "");
    th_dnn_matmul d = shape_of(n);
    n->out[0].desc = a->rank == 3 ? TH_DESC(TH_F32, d.batch, d.m, d.n) : TH_DESC(TH_F32, d.m, d.n);
    th_tensor *bias = bias_of(n), *residual = residual_of(n);
    if (bias && (bias->desc.rank != 1 || bias->desc.dim[0] != d.n))
        return th_shape_error("the bias is %s, not [%lld]", th_desc_text(&bias->desc, s), (long long)d.n);
    if (residual && !th_desc_same_shape(&residual->desc, &n->out[0].desc))
        return th_shape_error("the residual is %s, not %s", th_desc_text(&residual->desc, s),
                              th_desc_text(&n->out[0].desc, t));
    return TH_OK;
}

static void grad(th_vjp *v) {
    const matmul_attr *m = v->n->attr;
    th_tensor *a = v->n->in[0], *b = v->n->in[1], *dy = v->dy[0];
    bool ta = m->transpose_a, tb = m->transpose_b;
    if (v->want[0]) v->dx[0] = ta ? th_matmul(v->g, b, dy, tb, true) : th_matmul(v->g, dy, b, false, !tb);
    if (v->want[1]) v->dx[1] = tb ? th_matmul(v->g, dy, a, true, ta) : th_matmul(v->g, a, dy, !ta, false);
    if (m->bias && v->want[2]) v->dx[2] = th_sum_to(v->g, dy, &v->n->in[2]->desc);
    int r = m->bias ? 3 : 2;
    if (m->residual && v->want[r]) v->dx[r] = dy;
}

static th_status prepare(th_prepared *p) {
    th_dnn_matmul d = shape_of(p->n);
    th_dnn *made = NULL;
    if (d.batch < 1 || d.m < 1 || d.n < 1 || d.k < 1) return TH_OK; /* oneDNN divides by these */
    TH_TRY(th_dnn_matmul_new(&d, p->threads, &made, &p->scratch));
    p->state = made;
    return TH_OK;
}

/* k = 0: bias and residual are all there is. */
static void no_products(const th_desc *d, const float *bias, const float *residual, void *out) {
    int64_t count = th_desc_count(d), n = th_last(d);
    for (int64_t i = 0; i < count; i++) {
        float y = (bias ? bias[i % n] : 0.0f) + (residual ? residual[i] : 0.0f);
        if (d->dtype == TH_BF16)
            ((uint16_t *)out)[i] = th_f32_to_bf16(y);
        else
            ((float *)out)[i] = y;
    }
}

static th_status run(const th_kernel_args *a) {
    const matmul_attr *m = a->n->attr;
    const void *in[4] = {a->in[0], a->in[1], m->bias ? a->in[2] : NULL, m->residual ? a->in[m->bias ? 3 : 2] : NULL};
    if (a->state) return th_dnn_run(a->state, in, a->out[0], a->scratch);
    no_products(&a->n->out[0].desc, in[2], in[3], a->out[0]);
    return TH_OK;
}

static void reference(const th_reference_args *r) {
    th_dnn_matmul d = shape_of(r->n);
    const double *bias = d.bias ? r->in[2] : NULL, *residual = d.residual ? r->in[d.bias ? 3 : 2] : NULL;
    for (int64_t batch = 0; batch < d.batch; batch++) {
        const double *a = r->in[0] + batch * d.m * d.k, *b = r->in[1] + batch * d.k * d.n;
        for (int64_t i = 0; i < d.m; i++)
            for (int64_t j = 0; j < d.n; j++) {
                int64_t at = (batch * d.m + i) * d.n + j;
                double s = (bias ? bias[j] : 0) + (residual ? residual[at] : 0);
                for (int64_t p = 0; p < d.k; p++)
                    s += a[d.transpose_a ? p * d.m + i : i * d.k + p] * b[d.transpose_b ? j * d.k + p : p * d.n + j];
                r->out[0][at] = s;
            }
    }
}

static double flops(const th_node *n) {
    th_dnn_matmul d = shape_of(n);
    return 2.0 * (double)d.batch * (double)d.m * (double)d.n * (double)d.k;
}

const th_op th_op_matmul = {
    .name = "matmul",
    .infer = infer,
    .grad = grad,
    .reference = reference,
    .flops = flops,
    .in_precision = {TH_MUST_LOW, TH_MUST_LOW, TH_KEEP_F32, TH_KEEP_F32},
    .out_precision = {TH_EITHER},
    .cpu = {.run = run, .prepare = prepare, .release = (void (*)(void *))th_dnn_free},
};

th_tensor *th_matmul(th_graph *g, th_tensor *a, th_tensor *b, bool transpose_a, bool transpose_b) {
    matmul_attr m = {.transpose_a = transpose_a, .transpose_b = transpose_b};
    return TH_RECORD(g, &th_op_matmul, &m, a, b);
}

th_tensor *th_linear(th_graph *g, th_tensor *x, th_tensor *w, th_tensor *bias) {
    if (th_graph_failed(g)) return x;
    matmul_attr m = {.transpose_b = true, .bias = bias != NULL};
    th_desc d = x->desc;
    if (d.rank < 1) return th_graph_fail(g, TH_E_SHAPE, "linear: a scalar has no last dimension");
    th_tensor *flat = th_reshape(g, x, TH_DESC(TH_F32, th_rows(&d), th_last(&d)));
    th_tensor *y = th_record(g, &th_op_matmul, &m, sizeof m, bias ? 3 : 2, (th_tensor *[]){flat, w, bias});
    if (th_graph_failed(g)) return y;
    d.dim[d.rank - 1] = th_last(&y->desc);
    return th_reshape(g, y, d);
}

th_tensor *th_matmul_add_residual(th_graph *g, const th_node *n, th_tensor *const *in, th_tensor *residual) {
    matmul_attr m = *(const matmul_attr *)n->attr;
    th_tensor *all[4];
    if (m.residual) return NULL;
    for (int i = 0; i < n->n_in; i++) all[i] = in[i];
    all[n->n_in] = residual;
    m.residual = true;
    return th_record(g, &th_op_matmul, &m, sizeof m, n->n_in + 1, all);
}
