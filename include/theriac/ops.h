/* The operations. Shapes stand in brackets; "[..., c]" is any rank with c last. Every call records one node (or a few)
 * and returns its tensor; wrong shapes fail the graph. Precision: see docs/architecture.md; the words "f32" and "bf16"
 * never appear in a model's code. */
#ifndef THERIAC_OPS_H
#define THERIAC_OPS_H

#include "theriac/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- elementwise, with NumPy's broadcasting --- */
th_tensor *th_add(th_graph *g, th_tensor *a, th_tensor *b);
th_tensor *th_sub(th_graph *g, th_tensor *a, th_tensor *b);
th_tensor *th_mul(th_graph *g, th_tensor *a, th_tensor *b);
th_tensor *th_div(th_graph *g, th_tensor *a, th_tensor *b);
th_tensor *th_affine(th_graph *g, th_tensor *x, float scale, float shift); /* scale · x + shift */
th_tensor *th_scale(th_graph *g, th_tensor *x, float scale);
th_tensor *th_neg(th_graph *g, th_tensor *x);
th_tensor *th_exp(th_graph *g, th_tensor *x);
th_tensor *th_log(th_graph *g, th_tensor *x);
th_tensor *th_sqrt(th_graph *g, th_tensor *x);
th_tensor *th_square(th_graph *g, th_tensor *x);
th_tensor *th_sigmoid(th_graph *g, th_tensor *x);
th_tensor *th_tanh(th_graph *g, th_tensor *x);
th_tensor *th_erf(th_graph *g, th_tensor *x);
th_tensor *th_relu(th_graph *g, th_tensor *x);
th_tensor *th_step(th_graph *g, th_tensor *x);       /* 1 where x > 0, else 0; gradient zero */
th_tensor *th_gelu(th_graph *g, th_tensor *x);       /* x · Φ(x), by erf (Hendrycks and Gimpel 2016) */
th_tensor *th_quick_gelu(th_graph *g, th_tensor *x); /* x · σ(1.702 x), as OpenAI's CLIP */
th_tensor *th_silu(th_graph *g, th_tensor *x);       /* x · σ(x) */
th_tensor *th_detach(th_graph *g, th_tensor *x);     /* x, with gradient zero */
th_tensor *th_broadcast(th_graph *g, th_tensor *x, th_desc shape);
th_tensor *th_fill(th_graph *g, th_desc shape, float value);

/* --- shape --- */
th_tensor *th_reshape(th_graph *g, th_tensor *x, th_desc shape);    /* free */
th_tensor *th_permute(th_graph *g, th_tensor *x, const int *order); /* dimension i of the result is order[i] of x */
th_tensor *th_transpose(th_graph *g, th_tensor *x);                 /* the last two dimensions */
th_tensor *th_concat(th_graph *g, int axis, int count, th_tensor *const *x);
th_tensor *th_slice(th_graph *g, th_tensor *x, int axis, int64_t begin, int64_t end);
th_tensor *th_pad(th_graph *g, th_tensor *x, int axis, int64_t before, int64_t after); /* with zeros */

/* --- sums --- */
th_tensor *th_sum(th_graph *g, th_tensor *x, unsigned axes);           /* bit i: over dimension i, which stays as 1 */
th_tensor *th_sum_all(th_graph *g, th_tensor *x);                      /* → [] */
th_tensor *th_mean_all(th_graph *g, th_tensor *x);                     /* → [] */
th_tensor *th_sum_to(th_graph *g, th_tensor *x, const th_desc *shape); /* the transpose of broadcasting shape to x's */
th_tensor *th_row_max(th_graph *g, th_tensor *x); /* [..., c] → [..., 1]; has no gradient: detach it */

/* --- products --- */
/* [m, k] · [k, n] → [m, n], or with one leading batch dimension on both; a transposed operand is given as [k, m] or [n,
 * k]. */
th_tensor *th_matmul(th_graph *g, th_tensor *a, th_tensor *b, bool transpose_a, bool transpose_b);
/* x [..., in], w [out, in], bias [out] or NULL → [..., out]: x · wᵀ + bias. */
th_tensor *th_linear(th_graph *g, th_tensor *x, th_tensor *w, th_tensor *bias);
/* x [n, h, w, c], weights [k, c, kh, kw], bias [k] or NULL → [n, oh, ow, k]. */
typedef struct {
    int64_t stride, dilation, pad_top, pad_left, pad_bottom, pad_right;
} th_conv_params;
void th_conv_params_init(th_conv_params *p); /* stride 1, dilation 1, no padding */
th_tensor *th_conv2d(th_graph *g, th_tensor *x, th_tensor *w, th_tensor *bias, const th_conv_params *p);
/* Scaled dot-product attention (Vaswani et al. 2017). q [b, tq, heads · d], k and v [b, tk, heads · d] → [b, tq, heads
 * · d]. Scores are scaled by 1 / √d. causal: position i sees positions up to i (tq = tk). */
th_tensor *th_attention(th_graph *g, th_tensor *q, th_tensor *k, th_tensor *v, int64_t heads, bool causal);

/* --- rows --- */
th_tensor *th_softmax(th_graph *g, th_tensor *x); /* over the last dimension */
/* (x − mean) / √(var + eps) · gamma + beta over the last dimension (Ba et al. 2016). gamma, beta: [c]. */
th_tensor *th_layer_norm(th_graph *g, th_tensor *x, th_tensor *gamma, th_tensor *beta, float eps);
/* x [n, ..., c], its channels in `groups` groups, each normalised with its positions, times gamma plus beta [c] (Wu and
 * He 2018); silu: then x · σ(x), in the same pass. */
th_tensor *th_group_norm(th_graph *g, th_tensor *x, th_tensor *gamma, th_tensor *beta, int64_t groups, float eps,
                         bool silu);
th_tensor *th_geglu(th_graph *g,
                    th_tensor *x); /* [..., 2 d] → [..., d]: first half · gelu(second half) (Shazeer 2020) */
/* The largest of each window of window × window pixels of x [n, h, w, c], by the stride, on `pad` pixels of padding
 * that are never the largest → [n, (h + 2 pad − window) / stride + 1, the same of w, c]. */
th_tensor *th_max_pool2d(th_graph *g, th_tensor *x, int64_t window, int64_t stride, int64_t pad);
/* x [n, h, w, c] → [n, factor h, factor w, c], each pixel repeated. */
th_tensor *th_upsample2d(th_graph *g, th_tensor *x, int64_t factor);
th_tensor *th_l2_normalize(th_graph *g, th_tensor *x); /* rows of unit length */
/* logits [n, m], labels i32 [n] → [n]: −log softmax(logits)[label]. */
th_tensor *th_softmax_cross_entropy(th_graph *g, th_tensor *logits, th_tensor *labels);
/* table [v, d], ids i32 [...] → [..., d]. Ids outside [0, v) read row 0: whoever fills the input checks them. */
th_tensor *th_take_rows(th_graph *g, th_tensor *table, th_tensor *ids);
/* The same where id i is row i − first, and ids outside of the table give zeros: the sum over several tables takes each
 * id from the one that has it. */
th_tensor *th_take_rows_from(th_graph *g, th_tensor *table, th_tensor *ids, int64_t first);
/* x [..., d], ids i32 [...] → [rows, d]: row r is the sum of the rows of x whose id is r. */
th_tensor *th_scatter_rows(th_graph *g, th_tensor *x, th_tensor *ids, int64_t rows);
/* ids i32 [n] → [n, classes]. */
th_tensor *th_one_hot(th_graph *g, th_tensor *ids, int64_t classes);

#ifdef __cplusplus
}
#endif
#endif
