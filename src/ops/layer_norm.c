/* layer_norm: y = (x − μ) / √(σ² + ε) · γ + β over the last dimension, σ² the biased variance (Ba et al. 2016). With
 * x̂ = (x − μ) / √(σ² + ε) and g = dy · γ: dx = (g − mean(g) − x̂ · mean(g · x̂)) / √(σ² + ε), dγ = Σ dy · x̂, dβ = Σ dy.
 * μ and σ are found again in the backward pass: the row is in the first cache anyway, so that costs no memory traffic.
 */
#include <omp.h>
#include <string.h>

#include "backend/simd.h"
#include "ops/rows.h"

typedef struct {
    float eps;
} norm_attr;

static th_status check(const th_node *n, const th_desc *x, const th_desc *gamma) {
    (void)n;
    char a[TH_DESC_TEXT], b[TH_DESC_TEXT];
    if (x->rank < 1 || gamma->rank != 1 || gamma->dim[0] != th_last(x))
        return th_shape_error("%s with a weight of %s", th_desc_text(x, a), th_desc_text(gamma, b));
    return TH_OK;
}

static th_status infer(th_node *n) {
    TH_TRY(check(n, &n->in[0]->desc, &n->in[1]->desc));
    TH_TRY(check(n, &n->in[0]->desc, &n->in[2]->desc));
    return th_infer_same(n);
}

static void grad(th_vjp *v) {
    const norm_attr *a = v->n->attr;
    th_tensor *dx = TH_RECORD(v->g, &th_op_layer_norm_bwd, a, v->dy[0], v->n->in[0], v->n->in[1]);
    for (int i = 0; i < 3; i++)
        if (v->want[i]) v->dx[i] = th_output_of(dx, i);
}

/* x̂ in simpler operations, and 1 / √(σ² + ε). */
static th_tensor *normalized(th_graph *g, th_tensor *x, float eps, th_tensor **rstd) {
    unsigned last = 1u << (x->desc.rank - 1);
    float k = 1.0f / (float)th_last(&x->desc);
    th_tensor *centred = th_sub(g, x, th_scale(g, th_sum(g, x, last), k));
    th_tensor *var = th_scale(g, th_sum(g, th_square(g, centred), last), k);
    th_tensor *one = th_fill(g, (th_desc){.dtype = TH_F32}, 1.0f);
    *rstd = th_div(g, one, th_sqrt(g, th_affine(g, var, 1.0f, eps)));
    return th_mul(g, centred, *rstd);
}

static void expand(th_graph *g, th_node *n, th_tensor **y) {
    th_tensor *rstd, *hat = normalized(g, n->in[0], ((const norm_attr *)n->attr)->eps, &rstd);
    y[0] = th_add(g, th_mul(g, hat, n->in[1]), n->in[2]);
}

typedef struct {
    float mean, rstd;
} moments;

static moments moments_of(const float *x, int64_t c, float eps) {
    float sum = 0.0f, square = 0.0f;
    _Pragma("omp simd reduction(+ : sum)") for (int64_t i = 0; i < c; i++) sum += x[i];
    float mean = sum / (float)c;
    _Pragma("omp simd reduction(+ : square)") for (int64_t i = 0; i < c; i++) square += (x[i] - mean) * (x[i] - mean);
    return (moments){mean, 1.0f / sqrtf(square / (float)c + eps)};
}

static th_status prepare(th_prepared *p) {
    p->thread_scratch = 2 * (size_t)th_last(&p->n->in[0]->desc) * sizeof(float);
    return TH_OK;
}

static void range(const th_kernel_args *a, int64_t begin, int64_t end, char *scratch) {
    const th_desc *xd = &a->n->in[0]->desc, *yd = &a->n->out[0].desc;
    int64_t c = th_last(xd);
    float *buffer = (float *)scratch, eps = ((const norm_attr *)a->n->attr)->eps;
    const float *gamma = a->in[1], *beta = a->in[2];
    for (int64_t r = begin; r < end; r++) {
        const float *x = th_row_read(xd, a->in[0], r, c, buffer);
        float *y = th_row_target(yd, a->out[0], r, c, buffer + c);
        moments m = moments_of(x, c, eps);
        TH_SIMD
        for (int64_t i = 0; i < c; i++) y[i] = (x[i] - m.mean) * m.rstd * gamma[i] + beta[i];
        th_row_flush(yd, a->out[0], r, c, y);
    }
}

const th_op th_op_layer_norm = {
    .name = "layer_norm",
    .infer = infer,
    .grad = grad,
    .expand = expand,
    .flops_each = 8,
    .in_precision = {TH_EITHER, TH_KEEP_F32, TH_KEEP_F32},
    .out_precision = {TH_EITHER},
    .cpu = {.range = range, .prepare = prepare},
};

th_tensor *th_layer_norm(th_graph *g, th_tensor *x, th_tensor *gamma, th_tensor *beta, float eps) {
    norm_attr a = {eps};
    return TH_RECORD(g, &th_op_layer_norm, &a, x, gamma, beta);
}

/* layer_norm_bwd: dy, x, γ and, where the rewriter put it, a residual that is added to dx → dx, dγ, dβ. */
static th_status infer_bwd(th_node *n) {
    TH_TRY(check(n, &n->in[1]->desc, &n->in[2]->desc));
    n->out[0].desc = n->in[1]->desc;
    n->out[1].desc = n->out[2].desc = n->in[2]->desc;
    n->out[0].desc.dtype = n->out[1].desc.dtype = n->out[2].desc.dtype = TH_F32;
    return TH_OK;
}

static void expand_bwd(th_graph *g, th_node *n, th_tensor **y) {
    th_tensor *dy = n->in[0], *x = n->in[1], *gamma = n->in[2], *rstd;
    th_tensor *hat = normalized(g, x, ((const norm_attr *)n->attr)->eps, &rstd), *s = th_mul(g, dy, gamma);
    unsigned last = 1u << (x->desc.rank - 1);
    float k = 1.0f / (float)th_last(&x->desc);
    th_tensor *mean = th_scale(g, th_sum(g, s, last), k);
    th_tensor *along = th_scale(g, th_sum(g, th_mul(g, s, hat), last), k);
    y[0] = th_mul(g, rstd, th_sub(g, th_sub(g, s, mean), th_mul(g, hat, along)));
    if (n->n_in == 4) y[0] = th_add(g, y[0], n->in[3]);
    y[1] = th_sum_to(g, th_mul(g, dy, hat), &gamma->desc);
    y[2] = th_sum_to(g, dy, &gamma->desc);
}

/* Scratch: dγ and dβ of each thread; thread scratch: three rows. */
static th_status prepare_bwd(th_prepared *p) {
    size_t row = (size_t)th_last(&p->n->in[1]->desc) * sizeof(float);
    p->thread_scratch = 3 * row;
    p->scratch = 2 * row * (size_t)p->threads;
    return TH_OK;
}

static void rows_bwd(const th_kernel_args *a, int64_t begin, int64_t end, float *buffer, float *dgamma, float *dbeta) {
    const th_node *n = a->n;
    const th_desc *dyd = &n->in[0]->desc, *xd = &n->in[1]->desc, *dxd = &n->out[0].desc;
    int64_t c = th_last(xd);
    float eps = ((const norm_attr *)n->attr)->eps, k = 1.0f / (float)c;
    const float *gamma = a->in[2];
    for (int64_t r = begin; r < end; r++) {
        const float *dy = th_row_read(dyd, a->in[0], r, c, buffer), *x = th_row_read(xd, a->in[1], r, c, buffer + c);
        float *dx = th_row_target(dxd, a->out[0], r, c, buffer + 2 * c);
        moments m = moments_of(x, c, eps);
        float sum = 0.0f, along = 0.0f;
        _Pragma("omp simd reduction(+ : sum, along)") for (int64_t i = 0; i < c; i++) {
            float hat = (x[i] - m.mean) * m.rstd, s = dy[i] * gamma[i];
            sum += s, along += s * hat;
            dgamma[i] += dy[i] * hat;
            dbeta[i] += dy[i];
        }
        float mean = sum * k, slope = along * k;
        const float *residual = n->n_in == 4 ? (const float *)a->in[3] + r * c : NULL;
        if (residual) {
            TH_SIMD
            for (int64_t i = 0; i < c; i++)
                dx[i] = residual[i] + m.rstd * (dy[i] * gamma[i] - mean - (x[i] - m.mean) * m.rstd * slope);
        } else {
            TH_SIMD
            for (int64_t i = 0; i < c; i++)
                dx[i] = m.rstd * (dy[i] * gamma[i] - mean - (x[i] - m.mean) * m.rstd * slope);
        }
        th_row_flush(dxd, a->out[0], r, c, dx);
    }
}

static th_status run_bwd(const th_kernel_args *a) {
    int64_t c = th_last(&a->n->in[1]->desc), rows = th_rows(&a->n->in[1]->desc);
    float *sums = (float *)a->scratch;
    char *thread_scratch = a->scratch + a->scratch_bytes;
    int threads = 1; /* as many as there are in truth: inside a parallel region of the caller's it is one */
#pragma omp parallel num_threads(a->threads)
    {
        int t = omp_get_thread_num(), n = omp_get_num_threads();
        if (t == 0) threads = n;
        float *own = sums + 2 * c * t;
        memset(own, 0, 2 * (size_t)c * sizeof(float));
        rows_bwd(a, rows * t / n, rows * (t + 1) / n, (float *)(thread_scratch + (size_t)t * a->thread_scratch_bytes),
                 own, own + c);
    }
    float *dgamma = a->out[1], *dbeta = a->out[2];
    memcpy(dgamma, sums, (size_t)c * sizeof(float));
    memcpy(dbeta, sums + c, (size_t)c * sizeof(float));
    for (int t = 1; t < threads; t++)
        for (int64_t i = 0; i < c; i++) dgamma[i] += sums[2 * c * t + i], dbeta[i] += sums[2 * c * t + c + i];
    return TH_OK;
}

static double flops_bwd(const th_node *n) { return 20.0 * (double)th_desc_count(&n->in[1]->desc); }

const th_op th_op_layer_norm_bwd = {
    .name = "layer_norm_bwd",
    .outputs = 3,
    .infer = infer_bwd,
    .expand = expand_bwd,
    .flops = flops_bwd,
    .in_precision = {TH_LOW, TH_EITHER, TH_KEEP_F32, TH_KEEP_F32},
    .out_precision = {TH_KEEP_F32, TH_KEEP_F32, TH_KEEP_F32},
    .in_place = 1u << 3,
    .cpu = {.run = run_bwd, .prepare = prepare_bwd},
};
