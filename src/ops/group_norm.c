/* group_norm: channels in groups, each normalised over its own channels and all positions of a sample: with μ and σ² of
 * the group, x̂ = (x − μ) / √(σ² + ε) and z = x̂ · γ + β (Wu and He 2018). y = z, or with silu z · σ(z), so that the
 * activation costs no pass of its own. Outputs: y and the statistics [n, groups, 2], μ and 1 / √(σ² + ε).
 *
 * Backward, with g = dy (through silu: dy · σ(z) (1 + z (1 − σ(z)))) and means over the group: dβ = Σ g, dγ = Σ g · x̂,
 * dx = (g γ − mean(g γ) − x̂ · mean(g γ x̂)) / √(σ² + ε). z is found again from x, so nothing but x is kept.
 *
 * A thread does whole samples, or where there are fewer samples than threads, a share of each one's positions. */
#include <omp.h>
#include <string.h>

#include "backend/simd.h"
#include "ops/rows.h"

typedef struct {
    int64_t groups;
    float eps;
    bool silu;
} norm_attr;

typedef struct {
    int64_t n, positions, c, groups, width; /* width: channels of a group */
} shape;

static shape shape_of(const th_desc *x, const norm_attr *a) {
    shape s = {x->dim[0], 1, th_last(x), a->groups, th_last(x) / a->groups};
    for (int i = 1; i + 1 < x->rank; i++) s.positions *= x->dim[i];
    return s;
}

static th_status check(const norm_attr *a, const th_desc *x, const th_desc *gamma) {
    char s[TH_DESC_TEXT], t[TH_DESC_TEXT];
    if (x->rank < 2 || gamma->rank != 1 || gamma->dim[0] != th_last(x) || a->groups < 1 || th_last(x) % a->groups)
        return th_shape_error("%s in %lld groups, with a weight of %s", th_desc_text(x, s), (long long)a->groups,
                              th_desc_text(gamma, t));
    return TH_OK;
}

static th_status infer(th_node *n) {
    const norm_attr *a = n->attr;
    const th_desc *x = &n->in[0]->desc;
    for (int i = 1; i < 3; i++) TH_TRY(check(a, x, &n->in[i]->desc));
    n->out[1].desc = TH_DESC(TH_F32, x->dim[0], a->groups, 2);
    return th_infer_same(n);
}

static void grad(th_vjp *v) {
    const th_node *n = v->n;
    if (v->dy[1]) {
        th_graph_fail(v->g, TH_E_BUG, "group_norm: the gradient of the statistics is not defined");
        return;
    }
    const norm_attr *a = n->attr;
    th_tensor *dx = TH_RECORD(v->g, &th_op_group_norm_bwd, a, v->dy[0], n->in[0], n->in[1], n->in[2], &v->n->out[1]);
    for (int i = 0; i < 3; i++)
        if (v->want[i]) v->dx[i] = th_output_of(dx, i);
}

/* [n, positions, groups, width]: where sums over 1 and 3 are a group's. */
#define OF_GROUP 10u
static th_tensor *grouped(th_graph *g, th_tensor *x, const shape *s) {
    return th_reshape(g, x, TH_DESC(TH_F32, s->n, s->positions, s->groups, s->width));
}

static th_tensor *weights(th_graph *g, th_tensor *w, const shape *s) {
    return th_reshape(g, w, TH_DESC(TH_F32, s->groups, s->width));
}

static th_tensor *mean_of(th_graph *g, th_tensor *x, const shape *s) {
    return th_scale(g, th_sum(g, x, OF_GROUP), 1.0f / (float)(s->positions * s->width));
}

static th_tensor *normalized(th_graph *g, th_tensor *x, const shape *s, float eps, th_tensor **mean, th_tensor **rstd) {
    x = grouped(g, x, s);
    *mean = mean_of(g, x, s);
    th_tensor *centred = th_sub(g, x, *mean), *var = mean_of(g, th_square(g, centred), s);
    th_tensor *one = th_fill(g, (th_desc){.dtype = TH_F32}, 1.0f);
    *rstd = th_div(g, one, th_sqrt(g, th_affine(g, var, 1.0f, eps)));
    return th_mul(g, centred, *rstd);
}

static void expand(th_graph *g, th_node *n, th_tensor **y) {
    const norm_attr *a = n->attr;
    shape s = shape_of(&n->in[0]->desc, a);
    th_tensor *mean, *rstd, *hat = normalized(g, n->in[0], &s, a->eps, &mean, &rstd);
    th_tensor *z = th_add(g, th_mul(g, hat, weights(g, n->in[1], &s)), weights(g, n->in[2], &s));
    if (a->silu) z = th_silu(g, z);
    y[0] = th_reshape(g, z, n->out[0].desc);
    th_tensor *both = th_concat(g, 3, 2, (th_tensor *[]){mean, rstd});
    y[1] = th_reshape(g, both, n->out[1].desc);
}

/* What one thread works with, in floats: sums by channel, what they make of γ and β, and rows. */
typedef struct {
    float *sum, *square;      /* Σ (x − base), Σ (x − base)²; backward: Σ g, Σ g x̂ */
    float *scale, *shift;     /* z = scale · x + shift */
    float *mean, *rstd;       /* of each channel's group */
    float *flat, *slope;      /* backward: mean(g γ), mean(g γ x̂) of each channel's group */
    float *base, *x, *dy, *y; /* rows */
    float *dgamma, *dbeta;    /* backward: over all samples */
} work;
#define WORK_ROWS 14

static work work_of(float *scratch, int64_t c, int part) {
    float *row[WORK_ROWS];
    for (int i = 0; i < WORK_ROWS; i++) row[i] = scratch + (part * WORK_ROWS + i) * c;
    return (work){row[0], row[1], row[2], row[3],  row[4],  row[5],  row[6],
                  row[7], row[8], row[9], row[10], row[11], row[12], row[13]};
}

static th_status prepare_parts(th_prepared *p, const th_desc *x) {
    p->scratch = (size_t)(WORK_ROWS * p->threads) * (size_t)th_last(x) * sizeof(float);
    return TH_OK;
}

static th_status prepare(th_prepared *p) { return prepare_parts(p, &p->n->in[0]->desc); }

/* One thread's share: samples [first, last) and of each the positions [begin, end); `parts` threads share each. */
typedef struct {
    const th_kernel_args *a;
    shape s;
    int part, parts;
    int64_t first, last, begin, end;
    work own;
} share;

static share share_of(const th_kernel_args *a, const shape *s) {
    int t = omp_get_thread_num(), n = omp_get_num_threads();
    share h = {.a = a, .s = *s, .own = work_of((float *)a->scratch, s->c, t)};
    bool whole = s->n >= n;
    h.part = whole ? 0 : t, h.parts = whole ? 1 : n;
    h.first = whole ? s->n * t / n : 0, h.last = whole ? s->n * (t + 1) / n : s->n;
    h.begin = whole ? 0 : s->positions * t / n, h.end = whole ? s->positions : s->positions * (t + 1) / n;
    return h;
}

/* Until all who share a sample have come here. */
static void meet(const share *h) {
    if (h->parts > 1) {
#pragma omp barrier
    }
}

static work part_of(const share *h, int k) {
    return h->parts > 1 ? work_of((float *)h->a->scratch, h->s.c, k) : h->own;
}

/* Sums from the first position's values on, so that a large mean costs no digits. */
static void add_up(const share *h, const th_desc *xd, const void *data, int64_t sample) {
    const work *w = &h->own;
    int64_t c = h->s.c, at = sample * h->s.positions;
    const float *base = th_row_read(xd, data, at, c, w->base);
    memset(w->sum, 0, 2 * (size_t)c * sizeof(float)); /* square lies behind sum */
    for (int64_t r = at + h->begin; r < at + h->end; r++) {
        const float *x = th_row_read(xd, data, r, c, w->x);
        TH_SIMD
        for (int64_t i = 0; i < c; i++) {
            float d = x[i] - base[i];
            w->sum[i] += d;
            w->square[i] += d * d;
        }
    }
    meet(h);
}

/* Mean and 1 / √(σ² + ε) of a group from its channels' sums; the base is that of add_up. */
static void find_moments(const share *h, const th_desc *xd, const void *data, int64_t sample, int64_t group, float eps,
                         float *mean, float *rstd) {
    const float *base = th_row_read(xd, data, sample * h->s.positions, h->s.c, h->own.base);
    double n = (double)h->s.positions, count = n * (double)h->s.width, total = 0, inner = 0, outer = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = group * h->s.width; i < (group + 1) * h->s.width; i++) {
            double sum = 0, square = 0;
            for (int k = 0; k < h->parts; k++) {
                work w = part_of(h, k);
                sum += w.sum[i], square += w.square[i];
            }
            double own = (double)base[i] + sum / n, off = own - total / count;
            if (pass == 0)
                total += n * own;
            else
                inner += square - sum * sum / n, outer += n * off * off;
        }
    double var = (inner + outer) / count;
    *mean = (float)(total / count);
    *rstd = (float)(1.0 / sqrt((var > 0 ? var : 0) + (double)eps));
}

/* z = scale x + shift for each channel, from the groups' statistics [groups, 2]. */
static void set_scales(const share *h, const float *stats, const float *gamma, const float *beta) {
    const work *w = &h->own;
    for (int64_t i = 0; i < h->s.c; i++) {
        const float *m = stats + 2 * (i / h->s.width);
        w->mean[i] = m[0], w->rstd[i] = m[1];
        w->scale[i] = m[1] * gamma[i];
        w->shift[i] = beta[i] - m[0] * w->scale[i];
    }
}

static void write_rows(const share *h, int64_t sample, bool silu) {
    const th_kernel_args *a = h->a;
    const th_desc *xd = &a->n->in[0]->desc, *yd = &a->n->out[0].desc;
    const work *w = &h->own;
    int64_t c = h->s.c, at = sample * h->s.positions;
    for (int64_t r = at + h->begin; r < at + h->end; r++) {
        const float *x = th_row_read(xd, a->in[0], r, c, w->x);
        float *y = th_row_target(yd, a->out[0], r, c, w->y);
        if (silu) {
            TH_SIMD
            for (int64_t i = 0; i < c; i++) {
                float z = x[i] * w->scale[i] + w->shift[i];
                y[i] = z * th_sigmoidf(z);
            }
        } else {
            TH_SIMD
            for (int64_t i = 0; i < c; i++) y[i] = x[i] * w->scale[i] + w->shift[i];
        }
        th_row_flush(yd, a->out[0], r, c, y);
    }
}

static void forward_share(const share *h) {
    const th_kernel_args *a = h->a;
    const norm_attr *attr = a->n->attr;
    const th_desc *xd = &a->n->in[0]->desc;
    for (int64_t n = h->first; n < h->last; n++) {
        float *stats = (float *)a->out[1] + 2 * h->s.groups * n;
        add_up(h, xd, a->in[0], n);
        for (int64_t k = h->part; k < h->s.groups; k += h->parts)
            find_moments(h, xd, a->in[0], n, k, attr->eps, &stats[2 * k], &stats[2 * k + 1]);
        meet(h);
        set_scales(h, stats, a->in[1], a->in[2]);
        write_rows(h, n, attr->silu);
    }
}

static th_status run(const th_kernel_args *a) {
    shape s = shape_of(&a->n->in[0]->desc, a->n->attr);
#pragma omp parallel num_threads(a->threads)
    {
        share h = share_of(a, &s);
        forward_share(&h);
    }
    return TH_OK;
}

static double flops(const th_node *n) {
    return (((const norm_attr *)n->attr)->silu ? 22.0 : 8.0) * (double)th_desc_count(&n->in[0]->desc);
}

const th_op th_op_group_norm = {
    .name = "group_norm",
    .outputs = 2,
    .infer = infer,
    .grad = grad,
    .expand = expand,
    .flops = flops,
    .in_precision = {TH_EITHER, TH_KEEP_F32, TH_KEEP_F32},
    .out_precision = {TH_EITHER, TH_KEEP_F32},
    .cpu = {.run = run, .prepare = prepare},
};

th_tensor *th_group_norm(th_graph *g, th_tensor *x, th_tensor *gamma, th_tensor *beta, int64_t groups, float eps,
                         bool silu) {
    norm_attr a = {groups, eps, silu};
    return TH_RECORD(g, &th_op_group_norm, &a, x, gamma, beta);
}

/* group_norm_bwd: dy, x, γ, β, statistics → dx, dγ, dβ. */
static th_status infer_bwd(th_node *n) {
    TH_TRY(check(n->attr, &n->in[1]->desc, &n->in[2]->desc));
    n->out[0].desc = n->in[1]->desc;
    n->out[1].desc = n->out[2].desc = n->in[2]->desc;
    n->out[0].desc.dtype = n->out[1].desc.dtype = n->out[2].desc.dtype = TH_F32;
    return TH_OK;
}

/* The statistics are found again: they depend on x. */
static void expand_bwd(th_graph *g, th_node *n, th_tensor **y) {
    const norm_attr *a = n->attr;
    shape s = shape_of(&n->in[1]->desc, a);
    th_tensor *mean, *rstd, *hat = normalized(g, n->in[1], &s, a->eps, &mean, &rstd), *dy = grouped(g, n->in[0], &s);
    th_tensor *gamma = weights(g, n->in[2], &s);
    if (a->silu) {
        th_tensor *z = th_add(g, th_mul(g, hat, gamma), weights(g, n->in[3], &s)), *sigma = th_sigmoid(g, z);
        th_tensor *t = th_mul(g, z, th_affine(g, sigma, -1.0f, 1.0f));
        dy = th_mul(g, dy, th_mul(g, sigma, th_affine(g, t, 1.0f, 1.0f)));
    }
    th_tensor *v = th_mul(g, dy, gamma), *along = mean_of(g, th_mul(g, v, hat), &s);
    th_tensor *dx = th_mul(g, rstd, th_sub(g, th_sub(g, v, mean_of(g, v, &s)), th_mul(g, hat, along)));
    y[0] = th_reshape(g, dx, n->out[0].desc);
    y[1] = th_reshape(g, th_sum_to(g, th_mul(g, dy, hat), &gamma->desc), n->out[1].desc);
    y[2] = th_reshape(g, th_sum_to(g, dy, &gamma->desc), n->out[2].desc);
}

static th_status prepare_bwd(th_prepared *p) { return prepare_parts(p, &p->n->in[1]->desc); }

/* g of one row: dy itself, or what comes through silu, in w->y. */
static const float *through_silu(const work *w, const float *x, const float *dy, int64_t c, bool silu) {
    if (!silu) return dy;
    float *g = w->y;
    TH_SIMD
    for (int64_t i = 0; i < c; i++) {
        float z = x[i] * w->scale[i] + w->shift[i], s = th_sigmoidf(z);
        g[i] = dy[i] * s * (1.0f + z * (1.0f - s));
    }
    return g;
}

static void add_up_bwd(const share *h, int64_t sample, bool silu) {
    const th_kernel_args *a = h->a;
    const th_desc *dyd = &a->n->in[0]->desc, *xd = &a->n->in[1]->desc;
    const work *w = &h->own;
    int64_t c = h->s.c, at = sample * h->s.positions;
    memset(w->sum, 0, 2 * (size_t)c * sizeof(float));
    for (int64_t r = at + h->begin; r < at + h->end; r++) {
        const float *x = th_row_read(xd, a->in[1], r, c, w->x), *dy = th_row_read(dyd, a->in[0], r, c, w->dy);
        const float *g = through_silu(w, x, dy, c, silu);
        TH_SIMD
        for (int64_t i = 0; i < c; i++) {
            w->sum[i] += g[i];
            w->square[i] += g[i] * (x[i] - w->mean[i]) * w->rstd[i];
        }
    }
    for (int64_t i = 0; i < c; i++) w->dbeta[i] += w->sum[i], w->dgamma[i] += w->square[i];
    meet(h);
}

/* mean(g γ) and mean(g γ x̂) of every group, for its channels. */
static void set_means(const share *h, const float *gamma) {
    const work *own = &h->own;
    double k = 1.0 / (double)(h->s.positions * h->s.width);
    for (int64_t group = 0; group < h->s.groups; group++) {
        int64_t from = group * h->s.width, to = from + h->s.width;
        double flat = 0, slope = 0;
        for (int part = 0; part < h->parts; part++) {
            work w = part_of(h, part);
            for (int64_t i = from; i < to; i++)
                flat += (double)gamma[i] * w.sum[i], slope += (double)gamma[i] * w.square[i];
        }
        for (int64_t i = from; i < to; i++) own->flat[i] = (float)(flat * k), own->slope[i] = (float)(slope * k);
    }
    meet(h);
}

static void write_rows_bwd(const share *h, int64_t sample, bool silu) {
    const th_kernel_args *a = h->a;
    const th_desc *dyd = &a->n->in[0]->desc, *xd = &a->n->in[1]->desc, *dxd = &a->n->out[0].desc;
    const work *w = &h->own;
    const float *gamma = a->in[2];
    int64_t c = h->s.c, at = sample * h->s.positions;
    for (int64_t r = at + h->begin; r < at + h->end; r++) {
        const float *x = th_row_read(xd, a->in[1], r, c, w->x), *dy = th_row_read(dyd, a->in[0], r, c, w->dy);
        const float *g = through_silu(w, x, dy, c, silu);
        float *dx = th_row_target(dxd, a->out[0], r, c, w->base);
        TH_SIMD
        for (int64_t i = 0; i < c; i++)
            dx[i] = w->rstd[i] * (g[i] * gamma[i] - w->flat[i] - (x[i] - w->mean[i]) * w->rstd[i] * w->slope[i]);
        th_row_flush(dxd, a->out[0], r, c, dx);
    }
}

static void backward_share(const share *h) {
    const th_kernel_args *a = h->a;
    bool silu = ((const norm_attr *)a->n->attr)->silu;
    memset(h->own.dgamma, 0, 2 * (size_t)h->s.c * sizeof(float)); /* dbeta lies behind dgamma */
    for (int64_t n = h->first; n < h->last; n++) {
        set_scales(h, (const float *)a->in[4] + 2 * h->s.groups * n, a->in[2], a->in[3]);
        add_up_bwd(h, n, silu);
        set_means(h, a->in[2]);
        write_rows_bwd(h, n, silu);
    }
}

static th_status run_bwd(const th_kernel_args *a) {
    shape s = shape_of(&a->n->in[1]->desc, a->n->attr);
    int threads = 1;
#pragma omp parallel num_threads(a->threads)
    {
        share h = share_of(a, &s);
        if (omp_get_thread_num() == 0) threads = omp_get_num_threads();
        backward_share(&h);
    }
    float *dgamma = a->out[1], *dbeta = a->out[2];
    memset(dgamma, 0, (size_t)s.c * sizeof(float));
    memset(dbeta, 0, (size_t)s.c * sizeof(float));
    for (int t = 0; t < threads; t++) {
        work w = work_of((float *)a->scratch, s.c, t);
        for (int64_t i = 0; i < s.c; i++) dgamma[i] += w.dgamma[i], dbeta[i] += w.dbeta[i];
    }
    return TH_OK;
}

static double flops_bwd(const th_node *n) {
    return (((const norm_attr *)n->attr)->silu ? 60.0 : 20.0) * (double)th_desc_count(&n->in[1]->desc);
}

const th_op th_op_group_norm_bwd = {
    .name = "group_norm_bwd",
    .outputs = 3,
    .infer = infer_bwd,
    .expand = expand_bwd,
    .flops = flops_bwd,
    .in_precision = {TH_LOW, TH_EITHER, TH_KEEP_F32},
    .out_precision = {TH_KEEP_F32, TH_KEEP_F32, TH_KEEP_F32},
    .cpu = {.run = run_bwd, .prepare = prepare_bwd},
};
