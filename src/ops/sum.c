/* sum: over neighbouring dimensions, which stay with size 1. Threads share out what is left, so every sum is made by
 * one thread in one order; long ones go by blocks of 64 so that the rounding error grows with the square root at most.
 */
#include <string.h>

#include "backend/simd.h"
#include "ops/rows.h"

#define BLOCK 64
#define COLUMNS 128

typedef struct {
    int64_t first, last; /* dimensions [first, last] */
} sum_attr;

static th_status infer(th_node *n) {
    const sum_attr *s = n->attr;
    const th_desc *x = &n->in[0]->desc;
    if (s->first < 0 || s->first > s->last || s->last >= x->rank)
        return th_shape_error("there are no dimensions %lld to %lld", (long long)s->first, (long long)s->last);
    n->out[0].desc = *x;
    for (int64_t i = s->first; i <= s->last; i++) n->out[0].desc.dim[i] = 1;
    n->out[0].desc.dtype = TH_F32;
    return TH_OK;
}

static void grad(th_vjp *v) { v->dx[0] = th_broadcast(v->g, v->dy[0], v->n->in[0]->desc); }

/* x is [outer, count, inner]. */
typedef struct {
    int64_t outer, count, inner, blocks;
} view;

static view view_of(const th_node *n) {
    const sum_attr *s = n->attr;
    const th_desc *x = &n->in[0]->desc;
    view w = {1, 1, 1, 0};
    for (int i = 0; i < x->rank; i++) *(i < s->first ? &w.outer : i <= s->last ? &w.count : &w.inner) *= x->dim[i];
    w.blocks = (w.inner + COLUMNS - 1) / COLUMNS;
    return w;
}

static int64_t units(const th_node *n) {
    view w = view_of(n);
    return w.inner == 1 ? w.outer : w.outer * w.blocks;
}

static float sum_row(const float *x, int64_t n) {
    float total = 0.0f;
    for (int64_t i = 0; i < n; i += BLOCK * 16) {
        int64_t m = n - i < BLOCK * 16 ? n - i : BLOCK * 16;
        float part = 0.0f;
        _Pragma("omp simd reduction(+ : part)") for (int64_t j = 0; j < m; j++) part += x[i + j];
        total += part;
    }
    return total;
}

static void add_row(float *sum, th_dtype t, const void *x, int64_t at, int64_t n) {
    if (t == TH_F32) {
        const float *f = (const float *)x + at;
        TH_SIMD
        for (int64_t i = 0; i < n; i++) sum[i] += f[i];
    } else {
        const uint16_t *h = (const uint16_t *)x + at;
        TH_SIMD
        for (int64_t i = 0; i < n; i++) sum[i] += th_bf16_to_f32(h[i]);
    }
}

static void range(const th_kernel_args *a, int64_t begin, int64_t end, char *scratch) {
    (void)scratch;
    const th_node *n = a->n;
    th_dtype t = n->in[0]->desc.dtype;
    view w = view_of(n);
    float *y = a->out[0], part[COLUMNS];
    for (int64_t u = begin; u < end; u++) {
        if (w.inner == 1 && t == TH_F32) {
            y[u] = sum_row((const float *)a->in[0] + u * w.count, w.count);
            continue;
        }
        if (w.inner == 1) {
            float total = 0.0f;
            for (int64_t i = 0; i < w.count; i += COLUMNS) {
                int64_t m = w.count - i < COLUMNS ? w.count - i : COLUMNS;
                th_bf16_read(part, (const uint16_t *)a->in[0] + u * w.count + i, m);
                total += sum_row(part, m);
            }
            y[u] = total;
            continue;
        }
        int64_t o = u / w.blocks, c = u % w.blocks * COLUMNS, m = w.inner - c < COLUMNS ? w.inner - c : COLUMNS;
        float *out = y + o * w.inner + c;
        memset(out, 0, (size_t)m * sizeof(float));
        for (int64_t i = 0; i < w.count; i += BLOCK) {
            memset(part, 0, sizeof part);
            for (int64_t j = i; j < w.count && j < i + BLOCK; j++)
                add_row(part, t, a->in[0], (o * w.count + j) * w.inner + c, m);
            for (int64_t k = 0; k < m; k++) out[k] += part[k];
        }
    }
}

static void reference(const th_reference_args *a) {
    view w = view_of(a->n);
    for (int64_t o = 0; o < w.outer; o++)
        for (int64_t k = 0; k < w.inner; k++) {
            double s = 0;
            for (int64_t i = 0; i < w.count; i++) s += a->in[0][(o * w.count + i) * w.inner + k];
            a->out[0][o * w.inner + k] = s;
        }
}

static double flops(const th_node *n) { return (double)th_desc_count(&n->in[0]->desc); }

const th_op th_op_sum = {
    .name = "sum",
    .infer = infer,
    .grad = grad,
    .reference = reference,
    .flops = flops,
    .in_precision = {TH_EITHER},
    .cpu = {.range = range, .units = units},
};

th_tensor *th_sum(th_graph *g, th_tensor *x, unsigned axes) {
    for (int i = 0; i < TH_MAX_RANK && !th_graph_failed(g); i++) {
        if (!(axes >> i & 1u)) continue;
        sum_attr s = {i, i};
        while (s.last + 1 < TH_MAX_RANK && axes >> (s.last + 1) & 1u) s.last++;
        x = TH_RECORD(g, &th_op_sum, &s, x);
        i = (int)s.last;
    }
    return x;
}

th_tensor *th_sum_to(th_graph *g, th_tensor *x, const th_desc *shape) {
    if (th_graph_failed(g) || th_desc_same_shape(&x->desc, shape)) return x;
    int extra = x->desc.rank - shape->rank;
    unsigned axes = 0;
    for (int i = 0; i < x->desc.rank; i++)
        if (i < extra || (shape->dim[i - extra] == 1 && x->desc.dim[i] != 1)) axes |= 1u << i;
    return th_reshape(g, th_sum(g, x, axes), *shape);
}

th_tensor *th_sum_all(th_graph *g, th_tensor *x) { return th_sum_to(g, x, &(th_desc){.dtype = TH_F32}); }

th_tensor *th_mean_all(th_graph *g, th_tensor *x) {
    if (th_graph_failed(g)) return x;
    return th_scale(g, th_sum_all(g, x), 1.0f / (float)th_desc_count(&x->desc));
}
