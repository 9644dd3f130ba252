/* attention: softmax(q kᵀ / √d) v for each head, in tiles, so that the scores are never written out (Dao et al. 2022;
 * the running maximum is Milakov and Gimelshein's, 2018). Outputs: y [b, tq, heads · d] and lse [b, heads, tq], the
 * logarithm of each row's sum, from which the backward pass finds the probabilities again.
 *
 * Backward, with P = e^(S − lse) and δ = Σ dy · y: dv = Pᵀ dy, dS = P (dy vᵀ − δ), dq = dS k / √d, dk = dSᵀ q / √d.
 *
 * One thread does one head of one picture or text; operands are brought to dense f32 first, which costs 1/t of the
 * work. */
#include <math.h>
#include <string.h>

#include "backend/simd.h"
#include "backend/tile.h"
#include "ops/rows.h"

typedef struct {
    int64_t heads;
    bool causal;
} attention_attr;

typedef struct {
    int64_t b, heads, tq, tk, d, dp; /* dp: d, rounded up to whole tile columns */
    bool causal;
    float scale;
} shape;

#define Q_ROWS 64
#define K_ROWS 128

static shape shape_of(const th_node *n, int first) {
    const attention_attr *a = n->attr;
    const th_desc *q = &n->in[first]->desc, *k = &n->in[first + 1]->desc;
    shape s = {q->dim[0], a->heads, q->dim[1], k->dim[1], q->dim[2] / a->heads, 0, a->causal, 0};
    s.dp = th_tile_round(s.d);
    s.scale = 1.0f / sqrtf((float)s.d);
    return s;
}

static th_status infer(th_node *n) {
    const attention_attr *a = n->attr;
    const th_desc *q = &n->in[0]->desc, *k = &n->in[1]->desc, *v = &n->in[2]->desc;
    char s[TH_DESC_TEXT], t[TH_DESC_TEXT];
    if (q->rank != 3 || k->rank != 3 || !th_desc_same_shape(k, v) || q->dim[0] != k->dim[0] || q->dim[2] != k->dim[2] ||
        a->heads < 1 || q->dim[2] < 1 || q->dim[2] % a->heads || k->dim[1] < 1 || (a->causal && q->dim[1] != k->dim[1]))
        return th_shape_error("queries %s, keys %s, %lld heads%s", th_desc_text(q, s), th_desc_text(k, t),
                              (long long)a->heads, a->causal ? ", causal" : "");
    n->out[0].desc = TH_DESC(TH_F32, q->dim[0], q->dim[1], q->dim[2]);
    n->out[1].desc = TH_DESC(TH_F32, q->dim[0], a->heads, q->dim[1]);
    return TH_OK;
}

static void grad(th_vjp *v) {
    const th_node *n = v->n;
    if (v->dy[1]) { /* of lse itself: only through the expansion */
        th_graph_fail(v->g, TH_E_BUG, "attention: the gradient of the log-sum-exp output is not defined here");
        return;
    }
    th_tensor *dq = TH_RECORD(v->g, &th_op_attention_bwd, (const attention_attr *)n->attr, v->dy[0], n->in[0], n->in[1],
                              n->in[2], &v->n->out[0], &v->n->out[1]);
    for (int i = 0; i < 3; i++)
        if (v->want[i]) v->dx[i] = th_output_of(dq, i);
}

/* [b, t, heads · d] → [b · heads, t, d]. */
static th_tensor *split_heads(th_graph *g, th_tensor *x, int64_t heads) {
    if (th_graph_failed(g)) return x;
    int64_t b = x->desc.dim[0], t = x->desc.dim[1], d = x->desc.dim[2] / heads;
    th_tensor *y = th_permute(g, th_reshape(g, x, TH_DESC(TH_F32, b, t, heads, d)), (int[]){0, 2, 1, 3});
    return th_reshape(g, y, TH_DESC(TH_F32, b * heads, t, d));
}

static th_tensor *join_heads(th_graph *g, th_tensor *x, int64_t heads) {
    if (th_graph_failed(g)) return x;
    int64_t b = x->desc.dim[0] / heads, t = x->desc.dim[1], d = x->desc.dim[2];
    th_tensor *y = th_permute(g, th_reshape(g, x, TH_DESC(TH_F32, b, heads, t, d)), (int[]){0, 2, 1, 3});
    return th_reshape(g, y, TH_DESC(TH_F32, b, t, heads * d));
}

/* Scaled scores, with what lies in the future at −10⁹ so that its exponential is zero. */
static th_tensor *scores(th_graph *g, const shape *s, th_tensor *q, th_tensor *k) {
    th_tensor *x = th_scale(g, th_matmul(g, q, k, false, true), s->scale);
    if (!s->causal) return x;
    float *mask = th_alloc((size_t)(s->tq * s->tk), sizeof *mask);
    if (!mask) return th_graph_fail(g, TH_E_MEMORY, "out of memory");
    for (int64_t i = 0; i < s->tq; i++)
        for (int64_t j = i + 1; j < s->tk; j++) mask[i * s->tk + j] = -1e9f;
    x = th_add(g, x, th_constant(g, TH_DESC(TH_F32, s->tq, s->tk), mask));
    th_free(mask);
    return x;
}

static void expand(th_graph *g, th_node *n, th_tensor **y) {
    shape s = shape_of(n, 0);
    th_tensor *q = split_heads(g, n->in[0], s.heads), *k = split_heads(g, n->in[1], s.heads);
    th_tensor *x = scores(g, &s, q, k), *m = th_detach(g, th_row_max(g, x));
    th_tensor *e = th_exp(g, th_sub(g, x, m)), *sum = th_sum(g, e, 4u);
    y[0] = join_heads(g, th_matmul(g, th_div(g, e, sum), split_heads(g, n->in[2], s.heads), false, false), s.heads);
    y[1] = th_reshape(g, th_add(g, th_log(g, sum), m), n->out[1].desc);
}

/* Rows [begin, end) of one head as dense f32, times scale; columns from d to dp are zero. */
static void read_head(const shape *s, const th_desc *desc, const void *data, int64_t b, int64_t head, int64_t begin,
                      int64_t end, float scale, float *to) {
    int64_t width = s->heads * s->d, t = desc->dim[1];
    for (int64_t r = begin; r < end; r++, to += s->dp) {
        int64_t at = (b * t + r) * width + head * s->d;
        if (desc->dtype == TH_BF16) {
            const uint16_t *from = (const uint16_t *)data + at;
            TH_SIMD
            for (int64_t i = 0; i < s->d; i++) to[i] = th_bf16_to_f32(from[i]) * scale;
        } else {
            const float *from = (const float *)data + at;
            TH_SIMD
            for (int64_t i = 0; i < s->d; i++) to[i] = from[i] * scale;
        }
        for (int64_t i = s->d; i < s->dp; i++) to[i] = 0.0f;
    }
}

static void write_head(const shape *s, const th_desc *desc, void *data, int64_t b, int64_t head, int64_t begin,
                       int64_t end, const float *from) {
    int64_t width = s->heads * s->d, t = desc->dim[1];
    for (int64_t r = begin; r < end; r++, from += s->dp) {
        int64_t at = (b * t + r) * width + head * s->d;
        if (desc->dtype == TH_BF16)
            th_bf16_write((uint16_t *)data + at, from, s->d);
        else
            memcpy((float *)data + at, from, (size_t)s->d * sizeof(float));
    }
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* The next n floats of scratch; with no scratch they are only counted. */
static float *take(float *base, size_t *floats, int64_t n) {
    float *at = base ? base + *floats : NULL;
    *floats += (size_t)n;
    return at;
}

/* Scratch of the forward pass, in floats: kᵀ, v, a block of q and of y, a block of scores, maximum and sum of each row.
 */
typedef struct {
    float *kt, *v, *q, *y, *p, *max, *sum;
    int64_t tkp; /* tk, rounded up */
    size_t floats;
} forward_scratch;

static forward_scratch forward_parts(const shape *s, float *base) {
    forward_scratch f = {.tkp = th_tile_round(s->tk)};
    f.kt = take(base, &f.floats, s->dp * f.tkp);
    f.v = take(base, &f.floats, s->tk * s->dp);
    f.q = take(base, &f.floats, Q_ROWS * s->dp);
    f.y = take(base, &f.floats, Q_ROWS * s->dp);
    f.p = take(base, &f.floats, Q_ROWS * K_ROWS);
    f.max = take(base, &f.floats, Q_ROWS);
    f.sum = take(base, &f.floats, Q_ROWS);
    return f;
}

static th_status prepare(th_prepared *p) {
    shape s = shape_of(p->n, 0);
    p->thread_scratch = forward_parts(&s, NULL).floats * sizeof(float);
    return TH_OK;
}

/* p = e^(p − max) row by row against the running maximum, with y and the sums brought to the new one. */
static void soften(const shape *s, forward_scratch *f, int64_t rows, int64_t q0, int64_t k0, int64_t keys) {
    for (int64_t i = 0; i < rows; i++) {
        float *p = f->p + i * K_ROWS, m = f->max[i], sum = 0.0f;
        int64_t seen = s->causal ? least(keys, q0 + i + 1 - k0) : keys;
        if (seen < 0) seen = 0;
        _Pragma("omp simd reduction(max : m)") for (int64_t j = 0; j < seen; j++) m = p[j] > m ? p[j] : m;
        _Pragma("omp simd reduction(+ : sum)") for (int64_t j = 0; j < seen; j++) sum += p[j] = th_expf(p[j] - m);
        for (int64_t j = seen; j < keys; j++) p[j] = 0.0f;
        if (k0 > 0 && m != f->max[i]) {
            float shrink = th_expf(f->max[i] - m), *y = f->y + i * s->dp;
            f->sum[i] *= shrink;
            TH_SIMD
            for (int64_t c = 0; c < s->dp; c++) y[c] *= shrink;
        }
        f->max[i] = m;
        f->sum[i] += sum;
    }
}

static void forward_head(const th_kernel_args *a, const shape *s, int64_t b, int64_t head, float *base) {
    const th_node *n = a->n;
    forward_scratch f = forward_parts(s, base);
    memset(f.kt, 0, (size_t)(s->dp * f.tkp) * sizeof(float));
    read_head(s, &n->in[1]->desc, a->in[1], b, head, 0, s->tk, 1.0f, f.v); /* k first passes through v's place */
    th_tile_transpose(s->tk, s->dp, f.v, s->dp, f.kt, f.tkp);
    read_head(s, &n->in[2]->desc, a->in[2], b, head, 0, s->tk, 1.0f, f.v);
    float *lse = (float *)a->out[1] + (b * s->heads + head) * s->tq;
    for (int64_t q0 = 0; q0 < s->tq; q0 += Q_ROWS) {
        int64_t rows = least(Q_ROWS, s->tq - q0), last = s->causal ? least(s->tk, q0 + rows) : s->tk;
        read_head(s, &n->in[0]->desc, a->in[0], b, head, q0, q0 + rows, s->scale, f.q);
        for (int64_t i = 0; i < rows; i++) f.max[i] = -INFINITY, f.sum[i] = 0.0f;
        for (int64_t k0 = 0; k0 < last; k0 += K_ROWS) {
            int64_t keys = least(K_ROWS, last - k0);
            th_tile_multiply(rows, keys, s->dp, f.q, s->dp, 1, f.kt + k0, f.tkp, f.p, K_ROWS, false);
            soften(s, &f, rows, q0, k0, keys);
            th_tile_multiply(rows, s->dp, keys, f.p, K_ROWS, 1, f.v + k0 * s->dp, s->dp, f.y, s->dp, k0 > 0);
        }
        for (int64_t i = 0; i < rows; i++) {
            float k = 1.0f / f.sum[i], *y = f.y + i * s->dp;
            TH_SIMD
            for (int64_t c = 0; c < s->dp; c++) y[c] *= k;
            lse[q0 + i] = f.max[i] + logf(f.sum[i]);
        }
        write_head(s, &n->out[0].desc, a->out[0], b, head, q0, q0 + rows, f.y);
    }
}

static int64_t units(const th_node *n) { return n->out[1].desc.dim[0] * n->out[1].desc.dim[1]; }

static void range(const th_kernel_args *a, int64_t begin, int64_t end, char *scratch) {
    shape s = shape_of(a->n, 0);
    for (int64_t u = begin; u < end; u++) forward_head(a, &s, u / s.heads, u % s.heads, (float *)scratch);
}

static double flops(const th_node *n) {
    shape s = shape_of(n, 0);
    return 4.0 * (double)s.b * (double)s.heads * (double)s.tq * (double)s.tk * (double)s.d;
}

const th_op th_op_attention = {
    .name = "attention",
    .outputs = 2,
    .infer = infer,
    .grad = grad,
    .expand = expand,
    .flops = flops,
    .in_precision = {TH_LOW, TH_LOW, TH_LOW},
    .out_precision = {TH_EITHER, TH_KEEP_F32},
    .cpu = {.range = range, .units = units, .prepare = prepare},
};

th_tensor *th_attention(th_graph *g, th_tensor *q, th_tensor *k, th_tensor *v, int64_t heads, bool causal) {
    attention_attr a = {.heads = heads, .causal = causal};
    return TH_RECORD(g, &th_op_attention, &a, q, k, v);
}

/* attention_bwd: dy, q, k, v, y, lse → dq, dk, dv. */
static th_status infer_bwd(th_node *n) {
    for (int i = 0; i < 3; i++) {
        n->out[i].desc = n->in[1 + i]->desc;
        n->out[i].desc.dtype = TH_F32;
    }
    return TH_OK;
}

static void expand_bwd(th_graph *g, th_node *n, th_tensor **out) {
    shape s = shape_of(n, 1);
    th_tensor *dy = split_heads(g, n->in[0], s.heads), *q = split_heads(g, n->in[1], s.heads);
    th_tensor *k = split_heads(g, n->in[2], s.heads), *v = split_heads(g, n->in[3], s.heads);
    th_tensor *p = th_softmax(g, scores(g, &s, q, k)), *dp = th_matmul(g, dy, v, false, true);
    th_tensor *delta = th_sum(g, th_mul(g, dp, p), 4u);
    th_tensor *ds = th_scale(g, th_mul(g, p, th_sub(g, dp, delta)), s.scale);
    out[0] = join_heads(g, th_matmul(g, ds, k, false, false), s.heads);
    out[1] = join_heads(g, th_matmul(g, ds, q, true, false), s.heads);
    out[2] = join_heads(g, th_matmul(g, p, dy, true, false), s.heads);
}

/* Scratch, in floats: whole heads of kᵀ, vᵀ, k, q, dy, dq; a block of dk and dv; blocks of P and dS; δ. */
typedef struct {
    float *kt, *vt, *k, *q, *dy, *dq, *dk, *dv, *p, *ds, *delta;
    int64_t tkp;
    size_t floats;
} backward_scratch;

static backward_scratch backward_parts(const shape *s, float *base) {
    backward_scratch f = {.tkp = th_tile_round(s->tk)};
    f.kt = take(base, &f.floats, s->dp * f.tkp);
    f.vt = take(base, &f.floats, s->dp * f.tkp);
    f.k = take(base, &f.floats, s->tk * s->dp);
    f.q = take(base, &f.floats, s->tq * s->dp);
    f.dy = take(base, &f.floats, s->tq * s->dp);
    f.dq = take(base, &f.floats, s->tq * s->dp);
    f.dk = take(base, &f.floats, K_ROWS * s->dp);
    f.dv = take(base, &f.floats, K_ROWS * s->dp);
    f.p = take(base, &f.floats, Q_ROWS * K_ROWS);
    f.ds = take(base, &f.floats, Q_ROWS * K_ROWS);
    f.delta = take(base, &f.floats, th_tile_round(s->tq));
    return f;
}

static th_status prepare_bwd(th_prepared *p) {
    shape s = shape_of(p->n, 1);
    p->thread_scratch = backward_parts(&s, NULL).floats * sizeof(float);
    return TH_OK;
}

static void backward_block(const shape *s, backward_scratch *f, const float *lse, int64_t q0, int64_t rows, int64_t k0,
                           int64_t keys) {
    const float *q = f->q + q0 * s->dp, *dy = f->dy + q0 * s->dp;
    th_tile_multiply(rows, keys, s->dp, q, s->dp, 1, f->kt + k0, f->tkp, f->p, K_ROWS, false);
    th_tile_multiply(rows, keys, s->dp, dy, s->dp, 1, f->vt + k0, f->tkp, f->ds, K_ROWS, false);
    for (int64_t i = 0; i < rows; i++) {
        float *p = f->p + i * K_ROWS, *ds = f->ds + i * K_ROWS, l = lse[q0 + i], delta = f->delta[q0 + i];
        int64_t seen = s->causal ? least(keys, q0 + i + 1 - k0) : keys;
        if (seen < 0) seen = 0;
        TH_SIMD
        for (int64_t j = 0; j < seen; j++) {
            p[j] = th_expf(p[j] * s->scale - l);
            ds[j] = p[j] * (ds[j] - delta) * s->scale;
        }
        for (int64_t j = seen; j < keys; j++) p[j] = ds[j] = 0.0f;
    }
    th_tile_multiply(keys, s->dp, rows, f->p, 1, K_ROWS, dy, s->dp, f->dv, s->dp, true);
    th_tile_multiply(keys, s->dp, rows, f->ds, 1, K_ROWS, q, s->dp, f->dk, s->dp, true);
    th_tile_multiply(rows, s->dp, keys, f->ds, K_ROWS, 1, f->k + k0 * s->dp, s->dp, f->dq + q0 * s->dp, s->dp, true);
}

static void backward_head(const th_kernel_args *a, const shape *s, int64_t b, int64_t head, float *base) {
    const th_node *n = a->n;
    backward_scratch f = backward_parts(s, base);
    const float *lse = (const float *)a->in[5] + (b * s->heads + head) * s->tq;
    memset(f.kt, 0, 2 * (size_t)(s->dp * f.tkp) * sizeof(float));
    read_head(s, &n->in[3]->desc, a->in[3], b, head, 0, s->tk, 1.0f, f.k); /* v passes through k's place */
    th_tile_transpose(s->tk, s->dp, f.k, s->dp, f.vt, f.tkp);
    read_head(s, &n->in[2]->desc, a->in[2], b, head, 0, s->tk, 1.0f, f.k);
    th_tile_transpose(s->tk, s->dp, f.k, s->dp, f.kt, f.tkp);
    read_head(s, &n->in[1]->desc, a->in[1], b, head, 0, s->tq, 1.0f, f.q);
    read_head(s, &n->in[0]->desc, a->in[0], b, head, 0, s->tq, 1.0f, f.dy);
    read_head(s, &n->in[4]->desc, a->in[4], b, head, 0, s->tq, 1.0f, f.dq); /* y, for δ */
    for (int64_t i = 0; i < s->tq; i++) {
        float d = 0.0f;
        const float *y = f.dq + i * s->dp, *dy = f.dy + i * s->dp;
        _Pragma("omp simd reduction(+ : d)") for (int64_t c = 0; c < s->dp; c++) d += y[c] * dy[c];
        f.delta[i] = d;
    }
    memset(f.dq, 0, (size_t)(s->tq * s->dp) * sizeof(float));
    for (int64_t k0 = 0; k0 < s->tk; k0 += K_ROWS) {
        int64_t keys = least(K_ROWS, s->tk - k0), first = s->causal ? k0 / Q_ROWS * Q_ROWS : 0;
        memset(f.dk, 0, 2 * K_ROWS * (size_t)s->dp * sizeof(float));
        for (int64_t q0 = first; q0 < s->tq; q0 += Q_ROWS)
            backward_block(s, &f, lse, q0, least(Q_ROWS, s->tq - q0), k0, keys);
        write_head(s, &n->out[1].desc, a->out[1], b, head, k0, k0 + keys, f.dk);
        write_head(s, &n->out[2].desc, a->out[2], b, head, k0, k0 + keys, f.dv);
    }
    write_head(s, &n->out[0].desc, a->out[0], b, head, 0, s->tq, f.dq);
}

static int64_t units_bwd(const th_node *n) { return n->in[5]->desc.dim[0] * n->in[5]->desc.dim[1]; }

static void range_bwd(const th_kernel_args *a, int64_t begin, int64_t end, char *scratch) {
    shape s = shape_of(a->n, 1);
    for (int64_t u = begin; u < end; u++) backward_head(a, &s, u / s.heads, u % s.heads, (float *)scratch);
}

static double flops_bwd(const th_node *n) {
    shape s = shape_of(n, 1);
    return 10.0 * (double)s.b * (double)s.heads * (double)s.tq * (double)s.tk * (double)s.d;
}

const th_op th_op_attention_bwd = {
    .name = "attention_bwd",
    .outputs = 3,
    .infer = infer_bwd,
    .expand = expand_bwd,
    .flops = flops_bwd,
    .in_precision = {TH_LOW, TH_LOW, TH_LOW, TH_LOW, TH_LOW, TH_KEEP_F32},
    .out_precision = {TH_EITHER, TH_EITHER, TH_EITHER},
    .cpu = {.range = range_bwd, .units = units_bwd, .prepare = prepare_bwd},
};
