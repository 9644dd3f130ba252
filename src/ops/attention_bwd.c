/* attention_bwd: dy, q, k, v, y, lse → dq, dk, dv. With P = e^(S − lse) and δ = Σ dy · y: dv = Pᵀ dy, dS = P (dy vᵀ −
 * δ), dq = dS k / √d, dk = dSᵀ q / √d (Dao et al. 2022). Blocks of scores are found again, [keys, queries] as in
 * attention.h; dq is summed as [d, queries] of each block.
 *
 * A unit of work is a head's queries against some of its keys. Where threads share a head, each has its own dq, and the
 * one with the head's first unit adds the others' to it at the end. */
#include "ops/attention.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#include "backend/simd.h"

#define KEYS 64  /* of a block */
#define PART 128 /* keys of a unit: whole blocks */

typedef th_attention_shape shape;

static th_status infer(th_node *n) {
    for (int i = 0; i < 3; i++) {
        n->out[i].desc = n->in[1 + i]->desc;
        n->out[i].desc.dtype = TH_F32;
    }
    return TH_OK;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Scratch of a thread. Of a head: k, v as rows; k for sums over keys; q and dy, in blocks, as [words, queries], and for
 * sums over queries; dq [d, queries] of each block, once for a head that another thread began and once for others; lse
 * · log2 e and δ. Of a block: rows as they are read; P and dS as floats, [keys, queries]; where words are pairs, P and
 * dS along queries and dS along keys; dk and dv. */
typedef struct {
    th_word *k, *v, *k_sums, *q, *dy, *q_sums, *dy_sums, *rows, *p_along, *ds_along, *ds_across;
    float *dq[2], *lse, *delta, *p, *ds, *dk, *dv, *out;
    size_t words;
} scratch;

static int64_t padded(const shape *s) { return (s->tq + TH_QUERIES - 1) / TH_QUERIES * TH_QUERIES; }

static scratch scratch_parts(const shape *s, th_word *base) {
    scratch f = {0};
    int64_t tq = padded(s), tk = s->tk + s->tk % 2;
    f.k = th_take_words(base, &f.words, tk * s->row);
    f.v = th_take_words(base, &f.words, tk * s->row);
    f.q = th_take_words(base, &f.words, tq * s->words);
    f.dy = th_take_words(base, &f.words, tq * s->words);
    f.q_sums = th_take_words(base, &f.words, th_words_of(s, tq) * s->wide);
    f.dy_sums = th_take_words(base, &f.words, th_words_of(s, tq) * s->wide);
    for (int i = 0; i < 2; i++) f.dq[i] = (float *)th_take_words(base, &f.words, tq * s->d);
    f.lse = (float *)th_take_words(base, &f.words, tq);
    f.delta = (float *)th_take_words(base, &f.words, tq);
    f.p = (float *)th_take_words(base, &f.words, KEYS * TH_QUERIES);
    f.ds = (float *)th_take_words(base, &f.words, KEYS * TH_QUERIES);
    f.dk = (float *)th_take_words(base, &f.words, KEYS * s->wide);
    f.dv = (float *)th_take_words(base, &f.words, KEYS * s->wide);
    f.out = (float *)th_take_words(base, &f.words, TH_QUERIES * s->wide);
    f.k_sums = f.k, f.rows = NULL;
    f.p_along = (th_word *)f.p, f.ds_along = f.ds_across = (th_word *)f.ds;
    if (!s->pairs) return f;
    f.k_sums = th_take_words(base, &f.words, tk / 2 * s->wide);
    f.rows = th_take_words(base, &f.words, TH_QUERIES * s->row);
    f.p_along = th_take_words(base, &f.words, KEYS * TH_QUERIES / 2);
    f.ds_along = th_take_words(base, &f.words, KEYS * TH_QUERIES / 2);
    f.ds_across = th_take_words(base, &f.words, KEYS * TH_QUERIES / 2);
    return f;
}

static th_status prepare(th_prepared *p) {
    shape s = th_attention_shape_of(p->n, 1);
    p->scratch = scratch_parts(&s, NULL).words * sizeof(th_word) * (size_t)p->threads;
    return TH_OK;
}

/* q or dy, in both forms. */
static void read_queries(const shape *s, const th_desc *desc, const void *data, int64_t unit, const scratch *f,
                         th_word *across, th_word *sums) {
    for (int64_t q0 = 0; q0 < s->tq; q0 += TH_QUERIES) {
        int64_t rows = least(TH_QUERIES, s->tq - q0);
        th_word *to = sums + th_words_of(s, q0) * s->wide, *at = s->pairs ? f->rows : to;
        th_head_read(s, desc, data, unit, q0, q0 + rows, at);
        th_tile_transpose(rows, s->words, at, s->row, across + q0 * s->words, TH_QUERIES);
        if (s->pairs) th_head_pair(s, rows, at, to);
    }
}

static void read_head(const th_kernel_args *a, const shape *s, int64_t unit, const scratch *f) {
    const th_node *n = a->n;
    const float *lse = (const float *)a->in[5] + unit * s->tq;
    th_head_read(s, &n->in[2]->desc, a->in[2], unit, 0, s->tk, f->k);
    th_head_read(s, &n->in[3]->desc, a->in[3], unit, 0, s->tk, f->v);
    if (s->pairs) th_head_pair(s, s->tk, f->k, f->k_sums);
    read_queries(s, &n->in[1]->desc, a->in[1], unit, f, f->q, f->q_sums);
    read_queries(s, &n->in[0]->desc, a->in[0], unit, f, f->dy, f->dy_sums);
    th_head_dot(s, &n->in[0]->desc, a->in[0], &n->in[4]->desc, a->in[4], unit, f->delta);
    for (int64_t i = 0; i < s->tq; i++) f->lse[i] = lse[i] * TH_LOG2_E;
    for (int64_t i = s->tq; i < padded(s); i++) f->lse[i] = INFINITY, f->delta[i] = 0.0f; /* P = dS = 0 */
}

/* From S and dy vᵀ to P and dS. */
static void differentiate(const shape *s, const scratch *f, int64_t q0, int64_t columns, int64_t keys) {
    float c = s->scale * TH_LOG2_E, scale = s->scale;
    const float *restrict lse = f->lse + q0, *restrict delta = f->delta + q0;
    for (int64_t j = 0; j < keys; j++) {
        float *restrict p = f->p + j * TH_QUERIES, *restrict ds = f->ds + j * TH_QUERIES;
        TH_SIMD
        for (int64_t i = 0; i < columns; i++) {
            p[i] = th_exp2f(p[i] * c - lse[i]);
            ds[i] = p[i] * (ds[i] - delta[i]) * scale;
        }
    }
}

/* The same, two keys at a time, into pairs. */
static void differentiate_pairs(const shape *s, const scratch *f, int64_t q0, int64_t columns, int64_t keys) {
    float c = s->scale * TH_LOG2_E, scale = s->scale;
    const float *restrict lse = f->lse + q0, *restrict delta = f->delta + q0;
    if (keys % 2)
        for (int64_t i = 0; i < columns; i++)
            f->p[keys * TH_QUERIES + i] = -INFINITY, f->ds[keys * TH_QUERIES + i] = 0.0f;
    for (int64_t j = 0; j < keys; j += 2) {
        const float *restrict x = f->p + j * TH_QUERIES, *restrict g = f->ds + j * TH_QUERIES;
        th_half_word *restrict p0 = (th_half_word *)f->p_along + j * TH_QUERIES, *restrict p1 = p0 + TH_QUERIES;
        th_half_word *restrict d0 = (th_half_word *)f->ds_along + j * TH_QUERIES, *restrict d1 = d0 + TH_QUERIES;
        th_word *restrict both = f->ds_across + j / 2 * TH_QUERIES;
        TH_SIMD
        for (int64_t i = 0; i < columns; i++) {
            float u = th_exp2f(x[i] * c - lse[i]), v = th_exp2f(x[TH_QUERIES + i] * c - lse[i]);
            uint32_t du = th_upper(u * (g[i] - delta[i]) * scale);
            uint32_t dv = th_upper(v * (g[TH_QUERIES + i] - delta[i]) * scale);
            p0[i] = (th_half_word)(th_upper(u) >> 16), p1[i] = (th_half_word)(th_upper(v) >> 16);
            d0[i] = (th_half_word)(du >> 16), d1[i] = (th_half_word)(dv >> 16);
            both[i] = du >> 16 | dv;
        }
    }
}

static void block(const shape *s, const scratch *f, float *dq, int64_t q0, int64_t k0, int64_t keys) {
    int64_t rows = least(TH_QUERIES, s->tq - q0), columns = th_tile_round(rows), seen = th_words_of(s, rows);
    int64_t along = th_words_of(s, TH_QUERIES), sums = th_words_of(s, q0) * s->wide;
    th_head_multiply(s, keys, columns, s->words, (th_operand){f->k + k0 * s->row, s->row, 1},
                     (th_operand){f->q + q0 * s->words, TH_QUERIES, 0}, f->p, TH_QUERIES, false);
    th_head_multiply(s, keys, columns, s->words, (th_operand){f->v + k0 * s->row, s->row, 1},
                     (th_operand){f->dy + q0 * s->words, TH_QUERIES, 0}, f->ds, TH_QUERIES, false);
    th_head_hide(s, f->p, q0, columns, k0, keys);
    if (s->pairs)
        differentiate_pairs(s, f, q0, columns, keys);
    else
        differentiate(s, f, q0, columns, keys);
    th_head_multiply(s, keys, s->d, seen, (th_operand){f->p_along, along, 1},
                     (th_operand){f->dy_sums + sums, s->wide, 0}, f->dv, s->wide, true);
    th_head_multiply(s, keys, s->d, seen, (th_operand){f->ds_along, along, 1},
                     (th_operand){f->q_sums + sums, s->wide, 0}, f->dk, s->wide, true);
    th_head_multiply(s, s->d, columns, th_words_of(s, keys),
                     (th_operand){f->k_sums + th_words_of(s, k0) * s->wide, 1, s->wide},
                     (th_operand){f->ds_across, TH_QUERIES, 0}, dq + q0 * s->d, TH_QUERIES, true);
}

/* Keys [begin, end) of a head: their dk and dv, and their part of dq. */
static void part(const th_kernel_args *a, const shape *s, int64_t unit, const scratch *f, float *dq, int64_t begin,
                 int64_t end) {
    const th_node *n = a->n;
    for (int64_t k0 = begin; k0 < end; k0 += KEYS) {
        int64_t keys = least(KEYS, end - k0), first = s->causal ? k0 / TH_QUERIES * TH_QUERIES : 0;
        memset(f->dk, 0, (size_t)(KEYS * s->wide) * sizeof(float));
        memset(f->dv, 0, (size_t)(KEYS * s->wide) * sizeof(float));
        for (int64_t q0 = first; q0 < s->tq; q0 += TH_QUERIES) block(s, f, dq, q0, k0, keys);
        th_head_write(s, &n->out[1].desc, a->out[1], unit, k0, k0 + keys, f->dk);
        th_head_write(s, &n->out[2].desc, a->out[2], unit, k0, k0 + keys, f->dv);
    }
}

static void write_dq(const th_kernel_args *a, const shape *s, int64_t unit, const scratch *f, const float *dq) {
    for (int64_t q0 = 0; q0 < s->tq; q0 += TH_QUERIES) {
        int64_t rows = least(TH_QUERIES, s->tq - q0);
        th_tile_transpose(s->d, rows, (const th_word *)dq + q0 * s->d, TH_QUERIES, (th_word *)f->out, s->wide);
        th_head_write(s, &a->n->out[0].desc, a->out[0], unit, q0, q0 + rows, f->out);
    }
}

/* A thread's units [begin, end), numbered through the parts of all heads. */
typedef struct {
    const th_kernel_args *a;
    shape s;
    int64_t parts, total;
    int thread, threads;
} share;

static int64_t begin_of(const share *h, int thread) { return h->total * thread / h->threads; }

static scratch own_scratch(const share *h, int thread) {
    size_t words = scratch_parts(&h->s, NULL).words;
    return scratch_parts(&h->s, (th_word *)h->a->scratch + (size_t)thread * words);
}

/* dq of a head that another thread began lies in place 0. */
static float *dq_of(const share *h, const scratch *f, int64_t unit) {
    return f->dq[unit * h->parts < begin_of(h, h->thread) ? 0 : 1];
}

static void do_units(const share *h, const scratch *f) {
    int64_t begin = begin_of(h, h->thread), end = begin_of(h, h->thread + 1), have = -1;
    for (int64_t u = begin; u < end; u++) {
        int64_t unit = u / h->parts, k0 = u % h->parts * PART;
        float *dq = dq_of(h, f, unit);
        if (unit != have) {
            read_head(h->a, &h->s, unit, f);
            memset(dq, 0, (size_t)(padded(&h->s) * h->s.d) * sizeof(float));
        }
        have = unit;
        part(h->a, &h->s, unit, f, dq, k0, least(h->s.tk, k0 + PART));
        bool whole = unit * h->parts >= begin && u + 1 == (unit + 1) * h->parts;
        if (whole) write_dq(h->a, &h->s, unit, f, dq);
    }
}

/* The last head of this thread, if the thread began it and others went on. */
static void join(const share *h, const scratch *f) {
    int64_t begin = begin_of(h, h->thread), end = begin_of(h, h->thread + 1), unit = end / h->parts;
    int64_t first = unit * h->parts, count = padded(&h->s) * h->s.d;
    if (end == first || first < begin || first >= end) return;
    float *dq = f->dq[1];
    for (int t = h->thread + 1; t < h->threads && begin_of(h, t) < first + h->parts; t++) {
        if (begin_of(h, t) == begin_of(h, t + 1)) continue;
        const float *other = own_scratch(h, t).dq[0];
        TH_SIMD
        for (int64_t i = 0; i < count; i++) dq[i] += other[i];
    }
    write_dq(h->a, &h->s, unit, f, dq);
}

static th_status run(const th_kernel_args *a) {
    shape s = th_attention_shape_of(a->n, 1);
    int64_t parts = (s.tk + PART - 1) / PART;
#pragma omp parallel num_threads(a->threads)
    {
        share h = {a, s, parts, s.b * s.heads * parts, omp_get_thread_num(), omp_get_num_threads()};
        scratch f = own_scratch(&h, h.thread);
        do_units(&h, &f);
#pragma omp barrier
        join(&h, &f);
    }
    return TH_OK;
}

static double flops(const th_node *n) {
    shape s = th_attention_shape_of(n, 1);
    /* Four products; that which makes the scores again is not counted, as no recomputation is. */
    return 8.0 * (double)s.b * (double)s.heads * (double)s.tq * (double)s.tk * (double)s.d;
}

const th_op th_op_attention_bwd = {
    .name = "attention_bwd",
    .outputs = 3,
    .infer = infer,
    .expand = th_attention_expand_bwd,
    .flops = flops,
    .in_precision = {TH_LOW, TH_LOW, TH_LOW, TH_LOW, TH_LOW, TH_KEEP_F32},
    .out_precision = {TH_EITHER, TH_EITHER, TH_EITHER},
    .cpu = {.run = run, .prepare = prepare},
};
