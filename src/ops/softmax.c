/* softmax: y = e^(x − max) / Σ e^(x − max) over the last dimension. dx = y (dy − Σ dy · y). */
#include "backend/simd.h"
#include "ops/rows.h"

static void grad(th_vjp *v) {
    th_tensor *y = &v->n->out[0], *p = th_mul(v->g, v->dy[0], y);
    th_tensor *s = th_sum(v->g, p, 1u << (y->desc.rank - 1));
    v->dx[0] = th_mul(v->g, y, th_sub(v->g, v->dy[0], s));
}

static void expand(th_graph *g, th_node *n, th_tensor **y) {
    th_tensor *x = n->in[0], *e = th_exp(g, th_sub(g, x, th_detach(g, th_row_max(g, x))));
    y[0] = th_div(g, e, th_sum(g, e, 1u << (x->desc.rank - 1)));
}

static void range(const th_kernel_args *a, int64_t begin, int64_t end, char *scratch) {
    (void)scratch;
    int64_t c = th_last(&a->n->in[0]->desc);
    for (int64_t r = begin; r < end; r++) {
        const float *x = (const float *)a->in[0] + r * c;
        float *y = (float *)a->out[0] + r * c, m = x[0], s = 0.0f;
        _Pragma("omp simd reduction(max : m)") for (int64_t i = 0; i < c; i++) m = x[i] > m ? x[i] : m;
        _Pragma("omp simd reduction(+ : s)") for (int64_t i = 0; i < c; i++) s += y[i] = th_expf(x[i] - m);
        float k = 1.0f / s;
        TH_SIMD
        for (int64_t i = 0; i < c; i++) y[i] *= k;
    }
}

const th_op th_op_softmax = {
    .name = "softmax",
    .infer = th_infer_same,
    .grad = grad,
    .expand = expand,
    .flops_each = 14,
    .cpu = {.range = range},
};

th_tensor *th_softmax(th_graph *g, th_tensor *x) {
    if (!th_graph_failed(g) && x->desc.rank < 1) return th_graph_fail(g, TH_E_SHAPE, "softmax of a scalar");
    return TH_RECORD0(g, &th_op_softmax, x);
}
