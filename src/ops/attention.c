/* attention: softmax(q kᵀ / √d) v for each head, in tiles, so that the scores are never written out (Dao et al. 2022;
 * the running maximum is Milakov and Gimelshein's, 2018). Outputs: y [b, tq, heads · d] and lse [b, heads, tq], the
 * logarithm of each row's sum, from which the backward pass (attention_bwd.c) finds the probabilities again. Both
 * directions keep the tiles of scores transposed: see attention.h.
 *
 * A thread does one head of one picture or text, or some of its queries; operands are brought to dense words first,
 * which costs 1/t of the work. */
#include "ops/attention.h"

#include <math.h>
#include <string.h>

#include "backend/simd.h"

#define KEYS 128    /* of a block */
#define QUERIES 128 /* of a unit of work: whole blocks */

typedef th_attention_shape shape;

static th_status infer(th_node *n) {
    const th_attention_attr *a = n->attr;
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
    th_tensor *dq = TH_RECORD(v->g, &th_op_attention_bwd, (const th_attention_attr *)n->attr, v->dy[0], n->in[0],
                              n->in[1], n->in[2], &v->n->out[0], &v->n->out[1]);
    for (int i = 0; i < 3; i++)
        if (v->want[i]) v->dx[i] = th_output_of(dq, i);
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Scratch of the forward pass: k as rows, v as sums over keys want it; of a block: q both ways, scores, probabilities
 * as words, y transposed and as rows, and of each query the largest score, its like times scale · log2 e, and the sum.
 */
typedef struct {
    th_word *k, *v, *q_rows, *q, *p;
    float *s, *y, *y_rows, *max, *top, *sum;
    size_t words;
} forward_scratch;

static forward_scratch forward_parts(const shape *s, th_word *base) {
    forward_scratch f = {0};
    f.k = th_take_words(base, &f.words, s->tk * s->row);
    f.v = th_take_words(base, &f.words, th_words_of(s, s->tk) * s->wide);
    f.q_rows = th_take_words(base, &f.words, TH_QUERIES * s->wide);
    f.q = th_take_words(base, &f.words, s->words * TH_QUERIES);
    f.s = (float *)th_take_words(base, &f.words, KEYS * TH_QUERIES);
    f.p = s->pairs ? th_take_words(base, &f.words, KEYS / 2 * TH_QUERIES) : (th_word *)f.s;
    f.y = (float *)th_take_words(base, &f.words, s->d * TH_QUERIES);
    f.y_rows = (float *)th_take_words(base, &f.words, TH_QUERIES * s->wide);
    f.max = (float *)th_take_words(base, &f.words, TH_QUERIES);
    f.top = (float *)th_take_words(base, &f.words, TH_QUERIES);
    f.sum = (float *)th_take_words(base, &f.words, TH_QUERIES);
    return f;
}

static th_status prepare(th_prepared *p) {
    shape s = th_attention_shape_of(p->n, 0);
    p->thread_scratch = forward_parts(&s, NULL).words * sizeof(th_word);
    return TH_OK;
}

static void read_keys(const th_kernel_args *a, const shape *s, int64_t unit, forward_scratch *f) {
    const th_node *n = a->n;
    if (s->pairs) { /* v first passes through k's place */
        th_head_read(s, &n->in[2]->desc, a->in[2], unit, 0, s->tk, f->k);
        th_head_pair(s, s->tk, f->k, f->v);
    } else {
        th_head_read(s, &n->in[2]->desc, a->in[2], unit, 0, s->tk, f->v);
    }
    th_head_read(s, &n->in[1]->desc, a->in[1], unit, 0, s->tk, f->k);
}

/* Raises the running maximum to this block's, and brings y and the sums to it. */
static void raise_maximum(const shape *s, forward_scratch *f, int64_t keys, int64_t columns, bool first) {
    float c = s->scale * TH_LOG2_E, shrink[TH_QUERIES], *restrict max = f->max, *restrict top = f->top;
    memcpy(shrink, max, sizeof shrink);
    for (int64_t j = 0; j < keys; j++) {
        const float *restrict row = f->s + j * TH_QUERIES;
        TH_SIMD
        for (int64_t i = 0; i < columns; i++) max[i] = row[i] > max[i] ? row[i] : max[i];
    }
    int raised = 0;
    _Pragma("omp simd reduction(| : raised)") for (int64_t i = 0; i < columns; i++) {
        raised |= max[i] != shrink[i];
        shrink[i] = th_exp2f((shrink[i] - max[i]) * c);
        top[i] = max[i] * c;
    }
    if (first || !raised) return;
    TH_SIMD
    for (int64_t i = 0; i < columns; i++) f->sum[i] *= shrink[i];
    for (int64_t k = 0; k < s->d; k++) {
        float *restrict y = f->y + k * TH_QUERIES;
        TH_SIMD
        for (int64_t i = 0; i < columns; i++) y[i] *= shrink[i];
    }
}

/* Scores become e^(score − maximum), and are added up. */
static void soften(const shape *s, forward_scratch *f, int64_t keys, int64_t columns) {
    float c = s->scale * TH_LOG2_E, *restrict sum = f->sum;
    const float *restrict top = f->top;
    for (int64_t j = 0; j < keys; j++) {
        float *restrict row = f->s + j * TH_QUERIES;
        TH_SIMD
        for (int64_t i = 0; i < columns; i++) {
            row[i] = th_exp2f(row[i] * c - top[i]);
            sum[i] += row[i];
        }
    }
}

/* The same, two keys at a time, into pairs. */
static void soften_pairs(const shape *s, forward_scratch *f, int64_t keys, int64_t columns) {
    float c = s->scale * TH_LOG2_E, *restrict sum = f->sum;
    const float *restrict top = f->top;
    if (keys % 2)
        for (int64_t i = 0; i < columns; i++) f->s[keys * TH_QUERIES + i] = -INFINITY;
    for (int64_t j = 0; j < keys; j += 2) {
        const float *restrict row = f->s + j * TH_QUERIES;
        th_word *restrict p = f->p + j / 2 * TH_QUERIES;
        TH_SIMD
        for (int64_t i = 0; i < columns; i++) {
            float x = th_exp2f(row[i] * c - top[i]), y = th_exp2f(row[TH_QUERIES + i] * c - top[i]);
            sum[i] += x + y;
            p[i] = th_upper(x) >> 16 | th_upper(y);
        }
    }
}

static void finish(const shape *s, forward_scratch *f, int64_t rows, int64_t columns, float *lse) {
    for (int64_t i = 0; i < rows; i++) lse[i] = f->max[i] * s->scale + logf(f->sum[i]);
    for (int64_t i = 0; i < columns; i++) f->sum[i] = 1.0f / f->sum[i];
    for (int64_t k = 0; k < s->d; k++) {
        float *restrict y = f->y + k * TH_QUERIES;
        TH_SIMD
        for (int64_t i = 0; i < columns; i++) y[i] *= f->sum[i];
    }
    th_tile_transpose(s->d, columns, (th_word *)f->y, TH_QUERIES, (th_word *)f->y_rows, s->wide);
}

/* One block of queries against all keys. */
static void forward_block(const th_kernel_args *a, const shape *s, int64_t unit, int64_t q0, forward_scratch *f) {
    const th_node *n = a->n;
    int64_t rows = least(TH_QUERIES, s->tq - q0), columns = th_tile_round(rows);
    int64_t seen = s->causal ? least(s->tk, q0 + rows) : s->tk;
    th_head_read(s, &n->in[0]->desc, a->in[0], unit, q0, q0 + rows, f->q_rows);
    th_tile_transpose(rows, s->words, f->q_rows, s->row, f->q, TH_QUERIES);
    for (int64_t i = 0; i < TH_QUERIES; i++) f->max[i] = -INFINITY, f->sum[i] = 0.0f;
    for (int64_t k0 = 0; k0 < seen; k0 += KEYS) {
        int64_t keys = least(KEYS, seen - k0);
        th_head_multiply(s, keys, columns, s->words, (th_operand){f->k + k0 * s->row, s->row, 1},
                         (th_operand){f->q, TH_QUERIES, 0}, f->s, TH_QUERIES, false);
        th_head_hide(s, f->s, q0, columns, k0, keys);
        raise_maximum(s, f, keys, columns, k0 == 0);
        if (s->pairs)
            soften_pairs(s, f, keys, columns);
        else
            soften(s, f, keys, columns);
        th_head_multiply(s, s->d, columns, th_words_of(s, keys),
                         (th_operand){f->v + th_words_of(s, k0) * s->wide, 1, s->wide},
                         (th_operand){f->p, TH_QUERIES, 0}, f->y, TH_QUERIES, k0 > 0);
    }
    finish(s, f, rows, columns, (float *)a->out[1] + unit * s->tq + q0);
    th_head_write(s, &n->out[0].desc, a->out[0], unit, q0, q0 + rows, f->y_rows);
}

static int64_t parts_of(const shape *s) { return (s->tq + QUERIES - 1) / QUERIES; }

/* Heads, each in parts of its queries. */
static int64_t units(const th_node *n) {
    shape s = th_attention_shape_of(n, 0);
    return s.b * s.heads * parts_of(&s);
}

static void range(const th_kernel_args *a, int64_t begin, int64_t end, char *scratch) {
    shape s = th_attention_shape_of(a->n, 0);
    forward_scratch f = forward_parts(&s, (th_word *)scratch);
    int64_t parts = parts_of(&s), have = -1;
    for (int64_t u = begin; u < end; u++) {
        int64_t unit = u / parts, first = u % parts * QUERIES;
        if (unit != have) read_keys(a, &s, unit, &f);
        have = unit;
        for (int64_t q0 = first; q0 < s.tq && q0 < first + QUERIES; q0 += TH_QUERIES)
            forward_block(a, &s, unit, q0, &f);
    }
}

static double flops(const th_node *n) {
    shape s = th_attention_shape_of(n, 0);
    return 4.0 * (double)s.b * (double)s.heads * (double)s.tq * (double)s.tk * (double)s.d;
}

const th_op th_op_attention = {
    .name = "attention",
    .outputs = 2,
    .infer = infer,
    .grad = grad,
    .expand = th_attention_expand,
    .flops = flops,
    .in_precision = {TH_LOW, TH_LOW, TH_LOW},
    .out_precision = {TH_EITHER, TH_KEEP_F32},
    .cpu = {.range = range, .units = units, .prepare = prepare},
};

th_tensor *th_attention(th_graph *g, th_tensor *q, th_tensor *k, th_tensor *v, int64_t heads, bool causal) {
    th_attention_attr a = {.heads = heads, .causal = causal};
    return TH_RECORD(g, &th_op_attention, &a, q, k, v);
}
