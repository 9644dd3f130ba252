/* What attention and its gradient mean, in simpler operations: the reference, and the way to second derivatives. */
#include "ops/attention.h"

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
static th_tensor *scores(th_graph *g, const th_attention_shape *s, th_tensor *q, th_tensor *k) {
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

void th_attention_expand(th_graph *g, th_node *n, th_tensor **y) {
    th_attention_shape s = th_attention_shape_of(n, 0);
    th_tensor *q = split_heads(g, n->in[0], s.heads), *k = split_heads(g, n->in[1], s.heads);
    th_tensor *x = scores(g, &s, q, k), *m = th_detach(g, th_row_max(g, x));
    th_tensor *e = th_exp(g, th_sub(g, x, m)), *sum = th_sum(g, e, 4u);
    y[0] = join_heads(g, th_matmul(g, th_div(g, e, sum), split_heads(g, n->in[2], s.heads), false, false), s.heads);
    y[1] = th_reshape(g, th_add(g, th_log(g, sum), m), n->out[1].desc);
}

void th_attention_expand_bwd(th_graph *g, th_node *n, th_tensor **out) {
    th_attention_shape s = th_attention_shape_of(n, 1);
    th_tensor *dy = split_heads(g, n->in[0], s.heads), *q = split_heads(g, n->in[1], s.heads);
    th_tensor *k = split_heads(g, n->in[2], s.heads), *v = split_heads(g, n->in[3], s.heads);
    th_tensor *p = th_softmax(g, scores(g, &s, q, k)), *dp = th_matmul(g, dy, v, false, true);
    th_tensor *delta = th_sum(g, th_mul(g, dp, p), 4u);
    th_tensor *ds = th_scale(g, th_mul(g, p, th_sub(g, dp, delta)), s.scale);
    out[0] = join_heads(g, th_matmul(g, ds, k, false, false), s.heads);
    out[1] = join_heads(g, th_matmul(g, ds, q, true, false), s.heads);
    out[2] = join_heads(g, th_matmul(g, p, dy, true, false), s.heads);
}
