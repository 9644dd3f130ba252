/* A head's operands in the forms that products of tiles want: see attention.h. */
#include "ops/attention.h"

#include <math.h>
#include <string.h>

#include "backend/simd.h"

th_attention_shape th_attention_shape_of(const th_node *n, int first) {
    const th_attention_attr *a = n->attr;
    const th_desc *q = &n->in[first]->desc, *k = &n->in[first + 1]->desc, *v = &n->in[first + 2]->desc;
    th_attention_shape s = {.b = q->dim[0],
                            .heads = a->heads,
                            .tq = q->dim[1],
                            .tk = k->dim[1],
                            .d = q->dim[2] / a->heads,
                            .causal = a->causal};
    s.pairs = TH_TILE_PAIRS && q->dtype == TH_BF16 && k->dtype == TH_BF16 && v->dtype == TH_BF16;
    s.scale = 1.0f / sqrtf((float)s.d);
    s.wide = th_tile_round(s.d);
    s.words = th_words_of(&s, s.d);
    s.row = s.pairs ? s.words : s.wide;
    return s;
}

th_word *th_take_words(th_word *base, size_t *taken, int64_t words) {
    th_word *at = base ? base + *taken : NULL;
    *taken += (size_t)th_tile_round(words) + TH_TILE_COLUMNS;
    return at;
}

/* Where row r of a head begins in its tensor. */
static int64_t place(const th_attention_shape *s, const th_desc *desc, int64_t unit, int64_t r) {
    int64_t b = unit / s->heads, head = unit % s->heads;
    return ((b * desc->dim[1] + r) * s->heads + head) * s->d;
}

static void read_pairs(const th_attention_shape *s, const th_desc *desc, const void *data, int64_t at, th_word *to) {
    th_half_word *half = (th_half_word *)to;
    if (desc->dtype == TH_BF16) {
        memcpy(half, (const uint16_t *)data + at, (size_t)s->d * sizeof(uint16_t));
    } else {
        const float *from = (const float *)data + at;
        TH_SIMD
        for (int64_t i = 0; i < s->d; i++) half[i] = (th_half_word)(th_upper(from[i]) >> 16);
    }
    if (s->d % 2) half[s->d] = 0;
}

static void read_floats(const th_attention_shape *s, const th_desc *desc, const void *data, int64_t at, float *to) {
    if (desc->dtype == TH_BF16) {
        const uint16_t *from = (const uint16_t *)data + at;
        TH_SIMD
        for (int64_t i = 0; i < s->d; i++) to[i] = th_bf16_to_f32(from[i]);
    } else {
        memcpy(to, (const float *)data + at, (size_t)s->d * sizeof(float));
    }
    for (int64_t i = s->d; i < s->wide; i++) to[i] = 0.0f;
}

void th_head_read(const th_attention_shape *s, const th_desc *desc, const void *data, int64_t unit, int64_t begin,
                  int64_t end, th_word *to) {
    for (int64_t r = begin; r < end; r++, to += s->row) {
        int64_t at = place(s, desc, unit, r);
        if (s->pairs)
            read_pairs(s, desc, data, at, to);
        else
            read_floats(s, desc, data, at, (float *)to);
    }
}

void th_head_pair(const th_attention_shape *s, int64_t rows, const th_word *from, th_word *to) {
    for (int64_t r = 0; r < rows; r += 2, to += s->wide) {
        const th_half_word *a = (const th_half_word *)(from + r * s->row),
                           *b = (const th_half_word *)(from + (r + 1) * s->row);
        if (r + 1 < rows) {
            TH_SIMD
            for (int64_t i = 0; i < s->d; i++) to[i] = a[i] | (th_word)b[i] << 16;
        } else {
            for (int64_t i = 0; i < s->d; i++) to[i] = a[i];
        }
        for (int64_t i = s->d; i < s->wide; i++) to[i] = 0;
    }
}

void th_head_write(const th_attention_shape *s, const th_desc *desc, void *data, int64_t unit, int64_t begin,
                   int64_t end, const float *from) {
    for (int64_t r = begin; r < end; r++, from += s->wide) {
        int64_t at = place(s, desc, unit, r);
        if (desc->dtype == TH_BF16)
            th_bf16_write((uint16_t *)data + at, from, s->d);
        else
            memcpy((float *)data + at, from, (size_t)s->d * sizeof(float));
    }
}

/* Element by element by dtype: a row is short, and this is 1/t of the work. */
static float dot_bf16(const uint16_t *x, const uint16_t *y, int64_t d) {
    float sum = 0.0f;
    _Pragma("omp simd reduction(+ : sum)") for (int64_t i = 0; i < d; i++) sum +=
        th_bf16_to_f32(x[i]) * th_bf16_to_f32(y[i]);
    return sum;
}

static float dot_mixed(const float *x, const uint16_t *y, int64_t d) {
    float sum = 0.0f;
    _Pragma("omp simd reduction(+ : sum)") for (int64_t i = 0; i < d; i++) sum += x[i] * th_bf16_to_f32(y[i]);
    return sum;
}

static float dot_f32(const float *x, const float *y, int64_t d) {
    float sum = 0.0f;
    _Pragma("omp simd reduction(+ : sum)") for (int64_t i = 0; i < d; i++) sum += x[i] * y[i];
    return sum;
}

void th_head_dot(const th_attention_shape *s, const th_desc *xd, const void *x, const th_desc *yd, const void *y,
                 int64_t unit, float *to) {
    for (int64_t r = 0; r < xd->dim[1]; r++) {
        int64_t at = place(s, xd, unit, r);
        if (xd->dtype == TH_BF16 && yd->dtype == TH_BF16)
            to[r] = dot_bf16((const uint16_t *)x + at, (const uint16_t *)y + at, s->d);
        else if (xd->dtype == TH_BF16)
            to[r] = dot_mixed((const float *)y + at, (const uint16_t *)x + at, s->d);
        else if (yd->dtype == TH_BF16)
            to[r] = dot_mixed((const float *)x + at, (const uint16_t *)y + at, s->d);
        else
            to[r] = dot_f32((const float *)x + at, (const float *)y + at, s->d);
    }
}

void th_head_multiply(const th_attention_shape *s, int64_t m, int64_t n, int64_t k, th_operand a, th_operand b,
                      float *c, int64_t c_row, bool add) {
    if (s->pairs)
        th_tile_multiply_pairs(m, n, k, a.at, a.row, a.step, b.at, b.row, c, c_row, add);
    else
        th_tile_multiply(m, n, k, (const float *)a.at, a.row, a.step, (const float *)b.at, b.row, c, c_row, add);
}

void th_head_hide(const th_attention_shape *s, float *scores, int64_t q0, int64_t columns, int64_t k0, int64_t keys) {
    if (!s->causal || k0 + keys <= q0 + 1) return;
    for (int64_t j = 0; j < keys; j++) {
        int64_t before = k0 + j - q0; /* queries that come before this key */
        for (int64_t i = 0; i < before && i < columns; i++) scores[j * TH_QUERIES + i] = -INFINITY;
    }
}
