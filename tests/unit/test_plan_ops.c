/* Every operation, from one table: its gradient against finite differences (of the reference kernels, in double
 * precision), its second derivative likewise, and the plan's kernels in f32 and bf16, fused and not, against the
 * reference. */
#include "test.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/rng.h"
#include "graph/graph.h"
#include "ops/rows.h"
#include "plan/reference.h"
#include "theriac/ops.h"
#include "theriac/plan.h"

#define MAX_IN 5

typedef struct {
    const char *name;
    th_tensor *(*build)(th_graph *g, th_tensor **x);
    th_desc in[MAX_IN]; /* rank 0 and dim[0] 0 end the list; i32 inputs are ids below limit */
    int n_in;
    int32_t limit;
    float low, high;  /* of the f32 values */
    double tolerance; /* of the f32 kernels, relative to the norm; 0: 2e-6 */
    bool no_bf16;
} row;

static th_tensor *b_add(th_graph *g, th_tensor **x) { return th_add(g, x[0], x[1]); }
static th_tensor *b_sub(th_graph *g, th_tensor **x) { return th_sub(g, x[0], x[1]); }
static th_tensor *b_mul(th_graph *g, th_tensor **x) { return th_mul(g, x[0], x[1]); }
static th_tensor *b_div(th_graph *g, th_tensor **x) { return th_div(g, x[0], x[1]); }
static th_tensor *b_affine(th_graph *g, th_tensor **x) { return th_affine(g, x[0], -2.5f, 0.75f); }
static th_tensor *b_exp(th_graph *g, th_tensor **x) { return th_exp(g, x[0]); }
static th_tensor *b_log(th_graph *g, th_tensor **x) { return th_log(g, x[0]); }
static th_tensor *b_sqrt(th_graph *g, th_tensor **x) { return th_sqrt(g, x[0]); }
static th_tensor *b_square(th_graph *g, th_tensor **x) { return th_square(g, x[0]); }
static th_tensor *b_sigmoid(th_graph *g, th_tensor **x) { return th_sigmoid(g, x[0]); }
static th_tensor *b_tanh(th_graph *g, th_tensor **x) { return th_tanh(g, x[0]); }
static th_tensor *b_erf(th_graph *g, th_tensor **x) { return th_erf(g, x[0]); }
static th_tensor *b_relu(th_graph *g, th_tensor **x) { return th_relu(g, x[0]); }
static th_tensor *b_gelu(th_graph *g, th_tensor **x) { return th_gelu(g, x[0]); }
static th_tensor *b_quick_gelu(th_graph *g, th_tensor **x) { return th_quick_gelu(g, x[0]); }
static th_tensor *b_silu(th_graph *g, th_tensor **x) { return th_silu(g, x[0]); }
static th_tensor *b_broadcast(th_graph *g, th_tensor **x) { return th_broadcast(g, x[0], TH_DESC(TH_F32, 5, 4, 3)); }
static th_tensor *b_reshape(th_graph *g, th_tensor **x) { return th_reshape(g, x[0], TH_DESC(TH_F32, 6, 4)); }
static th_tensor *b_permute(th_graph *g, th_tensor **x) { return th_permute(g, x[0], (int[]){2, 0, 3, 1}); }
static th_tensor *b_transpose(th_graph *g, th_tensor **x) { return th_transpose(g, x[0]); }
static th_tensor *b_concat(th_graph *g, th_tensor **x) { return th_concat(g, 1, 3, x); }
static th_tensor *b_slice(th_graph *g, th_tensor **x) { return th_slice(g, x[0], 1, 2, 5); }
static th_tensor *b_pad(th_graph *g, th_tensor **x) { return th_pad(g, x[0], 0, 1, 2); }
static th_tensor *b_sum_last(th_graph *g, th_tensor **x) { return th_sum(g, x[0], 4u); }
static th_tensor *b_sum_first(th_graph *g, th_tensor **x) { return th_sum(g, x[0], 3u); }
static th_tensor *b_sum_split(th_graph *g, th_tensor **x) { return th_sum(g, x[0], 5u); }
static th_tensor *b_mean(th_graph *g, th_tensor **x) { return th_mean_all(g, x[0]); }
static th_tensor *b_matmul(th_graph *g, th_tensor **x) { return th_matmul(g, x[0], x[1], false, false); }
static th_tensor *b_matmul_ta(th_graph *g, th_tensor **x) { return th_matmul(g, x[0], x[1], true, false); }
static th_tensor *b_matmul_tb(th_graph *g, th_tensor **x) { return th_matmul(g, x[0], x[1], false, true); }
static th_tensor *b_matmul_tt(th_graph *g, th_tensor **x) { return th_matmul(g, x[0], x[1], true, true); }
static th_tensor *b_linear(th_graph *g, th_tensor **x) { return th_linear(g, x[0], x[1], x[2]); }
static th_tensor *b_residual(th_graph *g, th_tensor **x) { return th_add(g, x[3], th_linear(g, x[0], x[1], x[2])); }
static th_tensor *b_softmax(th_graph *g, th_tensor **x) { return th_softmax(g, x[0]); }
static th_tensor *b_layer_norm(th_graph *g, th_tensor **x) { return th_layer_norm(g, x[0], x[1], x[2], 1e-5f); }
static th_tensor *b_pre_norm(th_graph *g, th_tensor **x) { /* a residual around a norm, as in a transformer */
    return th_add(g, x[0], th_gelu(g, th_layer_norm(g, x[0], x[1], x[2], 1e-5f)));
}
static th_tensor *b_group_norm(th_graph *g, th_tensor **x) {
    return th_group_norm(g, x[0], x[1], x[2], 3, 1e-5f, false);
}
static th_tensor *b_group_norm_silu(th_graph *g, th_tensor **x) {
    return th_group_norm(g, x[0], x[1], x[2], 2, 1e-6f, true);
}
static th_tensor *b_geglu(th_graph *g, th_tensor **x) { return th_geglu(g, x[0]); }
static th_tensor *b_upsample2d(th_graph *g, th_tensor **x) { return th_upsample2d(g, x[0], 2); }
static th_tensor *b_max_pool(th_graph *g, th_tensor **x) { return th_max_pool2d(g, x[0], 2, 2, 0); }
static th_tensor *b_max_pool_over(th_graph *g, th_tensor **x) { return th_max_pool2d(g, x[0], 3, 2, 1); }
static th_tensor *b_max_pool_curved(th_graph *g, th_tensor **x) { /* what comes back depends on what went in */
    return th_square(g, th_max_pool2d(g, th_mul(g, x[0], x[1]), 2, 2, 0));
}
static th_tensor *b_l2(th_graph *g, th_tensor **x) { return th_l2_normalize(g, x[0]); }
static th_tensor *b_ce(th_graph *g, th_tensor **x) { return th_softmax_cross_entropy(g, x[0], x[1]); }
static th_tensor *b_take(th_graph *g, th_tensor **x) { return th_take_rows(g, x[0], x[1]); }
static th_tensor *b_take_from(th_graph *g, th_tensor **x) { return th_take_rows_from(g, x[0], x[1], 2); }
static th_tensor *b_scatter(th_graph *g, th_tensor **x) { return th_scatter_rows(g, x[0], x[1], 6); }
static th_tensor *b_attention(th_graph *g, th_tensor **x) { return th_attention(g, x[0], x[1], x[2], 2, false); }
static th_tensor *b_causal(th_graph *g, th_tensor **x) { return th_attention(g, x[0], x[1], x[2], 3, true); }
static th_tensor *b_attention_one(th_graph *g, th_tensor **x) { return th_attention(g, x[0], x[1], x[2], 1, false); }
static th_tensor *b_attention_three(th_graph *g, th_tensor **x) { return th_attention(g, x[0], x[1], x[2], 3, false); }
/* Operands that products made, which are bf16 where that is computed in. */
static th_tensor *b_attention_low(th_graph *g, th_tensor **x) {
    th_tensor *q = th_linear(g, x[0], x[2], NULL), *k = th_linear(g, x[1], x[3], NULL);
    return th_linear(g, th_attention(g, q, k, th_linear(g, x[1], x[2], NULL), 2, false), x[4], NULL);
}
static th_tensor *b_causal_low(th_graph *g, th_tensor **x) {
    th_tensor *q = th_linear(g, x[0], x[1], NULL), *k = th_linear(g, x[0], x[2], NULL);
    return th_attention(g, q, k, th_linear(g, x[0], x[3], NULL), 3, true);
}
static th_tensor *b_conv(th_graph *g, th_tensor **x) {
    th_conv_params p;
    th_conv_params_init(&p);
    p.pad_top = p.pad_left = p.pad_bottom = p.pad_right = 1;
    return th_conv2d(g, x[0], x[1], x[2], &p);
}
static th_tensor *b_conv_stride(th_graph *g, th_tensor **x) { /* the one-sided padding of diffusion's downsampling */
    th_conv_params p;
    th_conv_params_init(&p);
    p.stride = 2, p.pad_bottom = p.pad_right = 1;
    return th_conv2d(g, x[0], x[1], NULL, &p);
}
static th_tensor *b_conv_dilated(th_graph *g, th_tensor **x) {
    th_conv_params p;
    th_conv_params_init(&p);
    p.dilation = 2, p.pad_top = p.pad_left = p.pad_bottom = p.pad_right = 2;
    return th_conv2d(g, x[0], x[1], NULL, &p);
}
static th_tensor *b_chain(th_graph *g, th_tensor **x) { /* long enough to be cut into several fused ones */
    th_tensor *y = x[0];
    for (int i = 0; i < 9; i++) y = th_mul(g, th_sigmoid(g, th_add(g, y, x[1])), th_affine(g, y, 0.9f, 0.1f));
    return th_mul(g, y, x[2]);
}

#define D(...) TH_DESC(TH_F32, __VA_ARGS__)
#define I(...) TH_DESC(TH_I32, __VA_ARGS__)

static int make_rows(row *r) {
    int n = 0;
#define UNARY(name_, low_, high_) r[n++] = (row){#name_, b_##name_, {D(3, 1, 259)}, 1, 0, low_, high_, 0, false}
    UNARY(exp, -3, 3);
    UNARY(log, 0.2f, 4);
    UNARY(sqrt, 0.2f, 4);
    UNARY(square, -2, 2);
    UNARY(sigmoid, -6, 6);
    UNARY(tanh, -4, 4);
    UNARY(erf, -3, 3);
    UNARY(relu, -1, 1);
    UNARY(gelu, -4, 4);
    UNARY(quick_gelu, -4, 4);
    UNARY(silu, -4, 4);
    UNARY(affine, -2, 2);
    r[n++] = (row){"add", b_add, {D(3, 5, 200), D(5, 200)}, 2, 0, -1, 1, 0, false};
    r[n++] = (row){"add scalar", b_add, {D(600), (th_desc){.dtype = TH_F32}}, 2, 0, -1, 1, 0, false};
    r[n++] = (row){"sub rows", b_sub, {D(7, 130), D(7, 1)}, 2, 0, -1, 1, 0, false};
    r[n++] = (row){"mul outer", b_mul, {D(9, 1), D(1, 70)}, 2, 0, -1, 1, 0, false};
    r[n++] = (row){"mul middle", b_mul, {D(4, 3, 5), D(4, 1, 5)}, 2, 0, -1, 1, 0, false};
    r[n++] = (row){"mul itself", b_square, {D(700)}, 1, 0, -1, 1, 0, false};
    r[n++] = (row){"div", b_div, {D(3, 300), D(300)}, 2, 0, 0.5f, 2, 0, false};
    r[n++] = (row){"broadcast", b_broadcast, {D(4, 1)}, 1, 0, -1, 1, 0, false};
    r[n++] = (row){"reshape", b_reshape, {D(2, 3, 4)}, 1, 0, -1, 1, 0, false};
    r[n++] = (row){"permute", b_permute, {D(2, 3, 4, 5)}, 1, 0, -1, 1, 0, false};
    r[n++] = (row){"transpose", b_transpose, {D(3, 17, 33)}, 1, 0, -1, 1, 0, false};
    r[n++] = (row){"concat", b_concat, {D(2, 3, 4), D(2, 1, 4), D(2, 5, 4)}, 3, 0, -1, 1, 0, false};
    r[n++] = (row){"slice", b_slice, {D(3, 7, 5)}, 1, 0, -1, 1, 0, false};
    r[n++] = (row){"pad", b_pad, {D(3, 4)}, 1, 0, -1, 1, 0, false};
    r[n++] = (row){"sum last", b_sum_last, {D(3, 5, 2100)}, 1, 0, -1, 1, 0, false};
    r[n++] = (row){"sum first", b_sum_first, {D(40, 5, 300)}, 1, 0, -1, 1, 0, false};
    r[n++] = (row){"sum split", b_sum_split, {D(6, 5, 7)}, 1, 0, -1, 1, 0, false};
    r[n++] = (row){"mean", b_mean, {D(33, 70)}, 1, 0, -1, 1, 0, false};
    r[n++] = (row){"matmul", b_matmul, {D(19, 37), D(37, 23)}, 2, 0, -1, 1, 0, false};
    r[n++] = (row){"matmul AᵀB", b_matmul_ta, {D(37, 19), D(37, 23)}, 2, 0, -1, 1, 0, false};
    r[n++] = (row){"matmul ABᵀ", b_matmul_tb, {D(19, 37), D(23, 37)}, 2, 0, -1, 1, 0, false};
    r[n++] = (row){"matmul AᵀBᵀ", b_matmul_tt, {D(37, 19), D(23, 37)}, 2, 0, -1, 1, 0, false};
    r[n++] = (row){"matmul batched", b_matmul_tb, {D(5, 9, 16), D(5, 7, 16)}, 2, 0, -1, 1, 0, false};
    r[n++] = (row){"linear", b_linear, {D(2, 9, 16), D(24, 16), D(24)}, 3, 0, -1, 1, 0, false};
    r[n++] =
        (row){"linear and residual", b_residual, {D(2, 9, 16), D(24, 16), D(24), D(2, 9, 24)}, 4, 0, -1, 1, 0, false};
    r[n++] = (row){"softmax", b_softmax, {D(5, 3, 77)}, 1, 0, -3, 3, 0, false};
    r[n++] = (row){"layer_norm", b_layer_norm, {D(4, 5, 70), D(70), D(70)}, 3, 0, -1, 1, 0, false};
    r[n++] = (row){"pre-norm block", b_pre_norm, {D(4, 5, 70), D(70), D(70)}, 3, 0, -1, 1, 0, false};
    r[n++] = (row){"group_norm", b_group_norm, {D(5, 4, 3, 24), D(24), D(24)}, 3, 0, -1, 1, 0, false};
    r[n++] = (row){"group_norm, shared", b_group_norm, {D(1, 70, 12), D(12), D(12)}, 3, 0, 4, 6, 3e-6, false};
    r[n++] = (row){"group_norm, silu", b_group_norm_silu, {D(2, 3, 5, 34), D(34), D(34)}, 3, 0, -1, 1, 0, false};
    r[n++] = (row){"geglu", b_geglu, {D(3, 5, 66)}, 1, 0, -3, 3, 0, false};
    r[n++] = (row){"upsample2d", b_upsample2d, {D(2, 3, 2, 19)}, 1, 0, -1, 1, 0, false};
    r[n++] = (row){"max_pool2d", b_max_pool, {D(3, 5, 7, 19)}, 1, 0, -1, 1, 0, false};
    r[n++] = (row){"max_pool2d, overlapping", b_max_pool_over, {D(2, 6, 5, 34)}, 1, 0, -1, 1, 0, false};
    r[n++] = (row){"max_pool2d, curved", b_max_pool_curved, {D(2, 4, 6, 9), D(2, 4, 6, 9)}, 2, 0, -1, 1, 0, false};
    r[n++] = (row){"l2_normalize", b_l2, {D(9, 50)}, 1, 0, -1, 1, 0, false};
    r[n++] = (row){"softmax_cross_entropy", b_ce, {D(9, 13), I(9)}, 2, 13, -3, 3, 0, false};
    r[n++] = (row){"take_rows", b_take, {D(6, 70), I(4, 3)}, 2, 6, -1, 1, 0, false};
    r[n++] = (row){"take_rows_from", b_take_from, {D(3, 70), I(4, 3)}, 2, 6, -1, 1, 0, false};
    r[n++] = (row){"scatter_rows", b_scatter, {D(12, 70), I(12)}, 2, 6, -1, 1, 0, false};
    r[n++] = (row){"attention", b_attention, {D(2, 5, 48), D(2, 9, 48), D(2, 9, 48)}, 3, 0, -2, 2, 0, false};
    r[n++] = (row){"attention, two blocks of keys",
                   b_attention,
                   {D(1, 70, 16), D(1, 150, 16), D(1, 150, 16)},
                   3,
                   0,
                   -2,
                   2,
                   0,
                   false};
    r[n++] = (row){"causal attention", b_causal, {D(2, 7, 60), D(2, 7, 60), D(2, 7, 60)}, 3, 0, -2, 2, 0, false};
    r[n++] =
        (row){"causal attention, long", b_causal, {D(1, 140, 24), D(1, 140, 24), D(1, 140, 24)}, 3, 0, -2, 2, 0, false};
    r[n++] = (row){"attention, a head for several threads",
                   b_attention_one,
                   {D(1, 3, 6), D(1, 150, 6), D(1, 150, 6)},
                   3,
                   0,
                   -2,
                   2,
                   0,
                   false};
    r[n++] = (row){"attention, heads between threads",
                   b_attention_three,
                   {D(1, 2, 9), D(1, 270, 9), D(1, 270, 9)},
                   3,
                   0,
                   -2,
                   2,
                   0,
                   false};
    r[n++] = (row){"attention of products",
                   b_attention_low,
                   {D(2, 70, 6), D(2, 75, 6), D(10, 6), D(10, 6), D(7, 10)},
                   5,
                   0,
                   -1,
                   1,
                   0,
                   false};
    r[n++] = (row){"causal attention of products",
                   b_causal_low,
                   {D(1, 139, 8), D(24, 8), D(24, 8), D(24, 8)},
                   4,
                   0,
                   -1,
                   1,
                   0,
                   false};
    r[n++] = (row){"conv2d", b_conv, {D(2, 6, 5, 3), D(20, 3, 3, 3), D(20)}, 3, 0, -1, 1, 0, false};
    r[n++] = (row){"conv2d, stride 2", b_conv_stride, {D(2, 8, 8, 18), D(7, 18, 3, 3)}, 2, 0, -1, 1, 0, false};
    r[n++] = (row){"conv2d, dilated", b_conv_dilated, {D(1, 7, 7, 16), D(16, 16, 3, 3)}, 2, 0, -1, 1, 0, false};
    r[n++] = (row){"a long chain", b_chain, {D(3, 400), D(400), D(3, 1)}, 3, 0, -1, 1, 1e-5, false};
    return n;
}

/* A graph of one row: output y, loss = Σ y · w, gradients by every f32 input, and their gradients' loss Σ grad². */
typedef struct {
    th_graph *g;
    th_tensor *x[MAX_IN], *w;
    int n_grads;
    bool of[MAX_IN];
} built;

static const char *const x_names[] = {"x0", "x1", "x2", "x3", "x4"};
static const char *const d_names[] = {"d0", "d1", "d2", "d3", "d4"};
static const char *const h_names[] = {"h0", "h1", "h2", "h3", "h4"};

static built build(const row *r, bool second) {
    built b = {.g = th_graph_new()};
    th_tensor *wrt[MAX_IN], *grad[MAX_IN], *hess[MAX_IN];
    for (int i = 0; i < r->n_in; i++) {
        b.x[i] = th_input(b.g, x_names[i], r->in[i]);
        b.of[i] = r->in[i].dtype == TH_F32;
        if (b.of[i]) wrt[b.n_grads++] = b.x[i];
    }
    th_tensor *y = r->build(b.g, b.x);
    if (th_graph_failed(b.g)) return b;
    b.w = th_input(b.g, "w", y->desc);
    th_tensor *loss = th_sum_all(b.g, th_mul(b.g, y, b.w));
    th_output(b.g, "y", y);
    th_output(b.g, "loss", loss);
    th_grad(b.g, loss, b.n_grads, wrt, grad);
    for (int i = 0, k = 0; i < r->n_in; i++)
        if (b.of[i]) th_output(b.g, d_names[i], grad[k++]);
    if (!second) return b;
    th_tensor *again = NULL;
    for (int k = 0; k < b.n_grads; k++) {
        th_tensor *s = th_sum_all(b.g, th_square(b.g, grad[k]));
        again = again ? th_add(b.g, again, s) : s;
    }
    th_output(b.g, "second", again);
    th_grad(b.g, again, b.n_grads, wrt, hess);
    for (int i = 0, k = 0; i < r->n_in; i++)
        if (b.of[i]) th_output(b.g, h_names[i], hess[k++]);
    return b;
}

/* Values that bf16 can hold, so that a bf16 run starts from the same inputs. */
static float value(const row *r, int input, int64_t i) {
    th_rng_block k = th_philox(7, TH_RNG_TEST, (uint32_t)input, (uint64_t)i);
    uint32_t v;
    float x = r->low + (r->high - r->low) * th_unit_f32(k.word[0]);
    memcpy(&v, &x, 4);
    v &= 0xFFFF0000u;
    memcpy(&x, &v, 4);
    return x;
}

static int32_t id_value(const row *r, int64_t i) {
    return (int32_t)(th_philox(9, TH_RNG_TEST, 0, (uint64_t)i).word[0] % (uint32_t)r->limit);
}

static void fill_reference(const row *r, const built *b, th_reference *ref) {
    for (int i = 0; i < r->n_in; i++) {
        double *v = th_reference_values(ref, x_names[i]);
        for (int64_t k = 0; v && k < th_desc_count(&r->in[i]); k++)
            v[k] = b->of[i] ? (double)value(r, i, k) : (double)id_value(r, k);
    }
    double *w = th_reference_values(ref, "w");
    row unit = {.low = -1, .high = 1};
    for (int64_t k = 0; w && k < th_desc_count(&b->w->desc); k++) w[k] = (double)value(&unit, MAX_IN, k);
}

static void check_gradient(const row *r, const built *b, th_reference *ref, const char *loss,
                           const char *const *names) {
    double *total = th_reference_output(ref, loss), norm = 0;
    for (int i = 0; i < r->n_in; i++) {
        if (!b->of[i]) continue;
        double *d = th_reference_output(ref, names[i]);
        for (int64_t k = 0; k < th_desc_count(&r->in[i]); k++) norm = fmax(norm, fabs(d[k]));
    }
    for (int i = 0; i < r->n_in; i++) {
        if (!b->of[i]) continue;
        double *x = th_reference_values(ref, x_names[i]), *d = th_reference_output(ref, names[i]);
        th_reference_run(ref); /* the gradients at the point itself */
        int64_t count = th_desc_count(&r->in[i]);
        double *kept = malloc((size_t)count * sizeof *kept);
        assert_non_null(kept);
        memcpy(kept, d, (size_t)count * sizeof *kept);
        int64_t stride = count > 5 ? count / 5 : 1;
        for (int64_t k = 0; k < count; k += stride) {
            const double h = 1e-5;
            double own = x[k], got = kept[k];
            x[k] = own + h;
            th_reference_run(ref);
            double up = *total;
            x[k] = own - h;
            th_reference_run(ref);
            double down = *total;
            x[k] = own;
            double want = (up - down) / (2 * h);
            if (fabs(got - want) > 2e-5 * norm + 1e-7)
                fail_msg("%s: %s of %s, element %lld: %.9g, finite differences give %.9g", r->name, names[i], loss,
                         (long long)k, got, want);
        }
        free(kept);
    }
}

static void check_plan(const row *r, const built *b, th_reference *ref, th_dtype compute, bool no_fusion) {
    th_plan_params params;
    th_plan_params_init(&params);
    params.compute = compute;
    params.no_fusion = no_fusion;
    th_plan *plan;
    assert_ok(th_plan_new(b->g, &params, &plan));
    for (int i = 0; i < r->n_in; i++) {
        void *v = th_plan_input(plan, x_names[i]);
        for (int64_t k = 0; v && k < th_desc_count(&r->in[i]); k++) {
            if (b->of[i])
                ((float *)v)[k] = value(r, i, k);
            else
                ((int32_t *)v)[k] = id_value(r, k);
        }
    }
    float *w = th_plan_input(plan, "w");
    row unit = {.low = -1, .high = 1};
    for (int64_t k = 0; w && k < th_desc_count(&b->w->desc); k++) w[k] = value(&unit, MAX_IN, k);
    assert_ok(th_plan_run(plan, 0, 0));
    assert_ok(th_plan_run(plan, 0, 0)); /* nothing may depend on what the block held before */
    double tolerance = compute == TH_BF16 ? 3e-2 : r->tolerance > 0 ? r->tolerance : 2e-6;
    for (int64_t o = 0; o < b->g->n_outputs; o++) {
        const char *name = b->g->outputs[o].name;
        if (!strcmp(name, "loss") || (compute == TH_BF16 && name[0] == 'h')) continue;
        const float *got = th_plan_output(plan, name);
        const double *want = th_reference_output(ref, name);
        int64_t count = th_desc_count(&b->g->outputs[o].tensor->desc), worst = 0;
        double norm = 0, off = 0, most = 0;
        for (int64_t k = 0; k < count; k++) {
            double e = (double)got[k] - want[k];
            norm += want[k] * want[k];
            off += e * e;
            if (!(fabs(e) <= most)) most = fabs(e), worst = k;
        }
        double bound = tolerance * (name[0] == 'h' || name[0] == 's' ? 20 : 1);
        if (!(sqrt(off) <= bound * sqrt(norm) + 1e-6))
            fail_msg("%s in %s%s: %s off by %.3g of its norm; worst at %lld: %.9g, the reference gives %.9g", r->name,
                     th_dtype_name(compute), no_fusion ? ", not fused" : "", name, sqrt(off / norm), (long long)worst,
                     (double)got[worst], want[worst]);
    }
    th_plan_free(plan);
}

static void operations_match_their_reference_and_finite_differences(void **state) {
    (void)state;
    static row rows[96];
    int n = make_rows(rows);
    for (int i = 0; i < n; i++) {
        const row *r = &rows[i];
        built b = build(r, true);
        if (th_graph_status(b.g) != TH_OK) fail_msg("%s: %s", r->name, th_error_message());
        th_reference *ref;
        assert_ok(th_reference_new(b.g, &ref));
        fill_reference(r, &b, ref);
        th_reference_run(ref);
        check_plan(r, &b, ref, TH_F32, false);
        check_plan(r, &b, ref, TH_F32, true);
        if (!r->no_bf16) check_plan(r, &b, ref, TH_BF16, false);
        check_gradient(r, &b, ref, "loss", d_names);
        check_gradient(r, &b, ref, "second", h_names);
        th_reference_free(ref);
        th_graph_free(b.g);
    }
}

/* Every row of the table of operations is reached by the rows above, through gradients, lowering or fusion. */
static void no_operation_is_left_out(void **state) {
    (void)state;
    static row rows[96];
    int n = make_rows(rows);
    bool seen[128] = {false};
    for (int i = 0; i < n; i++) {
        built b = build(&rows[i], true);
        for (int64_t k = 0; k < b.g->n_nodes; k++)
            for (int t = 0; th_op_table[t]; t++) seen[t] |= th_op_table[t] == b.g->nodes[k]->op;
        th_graph_free(b.g);
    }
    static const th_op *const made_by_passes[] = {&th_op_fused, &th_op_cast, &th_op_row_max, &th_op_one_hot,
                                                  &th_op_detach};
    for (int t = 0; th_op_table[t]; t++) {
        for (size_t k = 0; k < sizeof made_by_passes / sizeof *made_by_passes; k++)
            seen[t] |= made_by_passes[k] == th_op_table[t];
        if (!seen[t]) fail_msg("%s: no test records it", th_op_table[t]->name);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_match_their_reference_and_finite_differences),
        cmocka_unit_test(no_operation_is_left_out),
    };
    return cmocka_run_group_tests_name("plan: operations", tests, NULL, NULL);
}
