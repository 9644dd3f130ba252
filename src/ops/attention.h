/* What attention's two directions share: a head's operands, brought to the forms in which small products want them. All
 * are made of words (backend/tile.h), floats or, where the operands are bf16 and the processor multiplies those, pairs
 * of bf16; one structure of loops does for both.
 *
 * Scores are kept transposed, [keys, queries]: softmax then goes down columns, so that its sums need no sums across a
 * vector, and no dimension but the queries is filled up to whole vectors. */
#ifndef TH_OPS_ATTENTION_H
#define TH_OPS_ATTENTION_H

#include "backend/simd.h"
#include "backend/tile.h"
#include "base/half.h"
#include "ops/rows.h"

#define TH_QUERIES 64 /* of a block; keys of a block are an even number */

typedef struct {
    int64_t heads;
    bool causal;
} th_attention_attr;

typedef struct {
    int64_t b, heads, tq, tk, d;
    bool causal, pairs;
    float scale;
    int64_t words; /* of a row of d */
    int64_t row;   /* from one row of words to the next */
    int64_t wide;  /* d, rounded up to whole vectors */
} th_attention_shape;

/* Of a node whose inputs from `first` on are q, k and v. */
th_attention_shape th_attention_shape_of(const th_node *n, int first);

/* The next `words` of scratch; with no scratch they are only counted. What is read in whole vectors may go up to 15
 * words beyond its end, which are counted too. */
th_word *th_take_words(th_word *base, size_t *taken, int64_t words);

/* Rows [begin, end) of one head → rows [..., row] of words, neighbours of d in a pair. */
void th_head_read(const th_attention_shape *s, const th_desc *desc, const void *data, int64_t unit, int64_t begin,
                  int64_t end, th_word *to);
/* Rows of words → sums over rows: where words are pairs, [⌈rows / 2⌉, wide] with neighbouring rows in a pair. Floats
 * stay as they are: a place of its own is not needed. */
void th_head_pair(const th_attention_shape *s, int64_t rows, const th_word *from, th_word *to);
/* Rows [begin, end) of one head from dense rows with a stride of `wide`. */
void th_head_write(const th_attention_shape *s, const th_desc *desc, void *data, int64_t unit, int64_t begin,
                   int64_t end, const float *from);
/* to[i] = Σ x y for row i of a head. */
void th_head_dot(const th_attention_shape *s, const th_desc *xd, const void *x, const th_desc *yd, const void *y,
                 int64_t unit, float *to);

typedef uint16_t __attribute__((may_alias)) th_half_word;

/* How many words n things that are summed over take. */
static inline int64_t th_words_of(const th_attention_shape *s, int64_t n) { return s->pairs ? (n + 1) / 2 : n; }

/* An operand: element (i, p) lies at at[i · row + p · step]; of right operands, step is not used. */
typedef struct {
    const th_word *at;
    int64_t row, step;
} th_operand;
/* c[m, n] (+)= a[m, k] · b[k, n], k in words. */
void th_head_multiply(const th_attention_shape *s, int64_t m, int64_t n, int64_t k, th_operand a, th_operand b,
                      float *c, int64_t c_row, bool add);

/* What lies in the future, to −∞. Scores [keys, TH_QUERIES] of the queries from q0 and the keys from k0 on. */
void th_head_hide(const th_attention_shape *s, float *scores, int64_t q0, int64_t columns, int64_t k0, int64_t keys);

/* The bits of a float rounded to bf16, in the upper half; away from zero where it lies in the middle. */
static inline uint32_t th_upper(float x) { return (th_f32_bits(x) + 0x8000u) & 0xffff0000u; }

/* Both directions in simpler operations. */
void th_attention_expand(th_graph *g, th_node *n, th_tensor **y);
void th_attention_expand_bwd(th_graph *g, th_node *n, th_tensor **out);

#define TH_LOG2_E 1.4426950408889634f

#endif
