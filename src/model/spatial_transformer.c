/* x + out(block(in(norm(x)))), where the block is self-attention, attention to the text, and an MLP, each behind a norm
 * and beside a shortcut. */
#include "model/spatial_transformer.h"

#include <stdio.h>

#include "base/status.h"

#define OUTER_EPS 1e-6f /* of the norm over groups, whatever the model's other norms have */
#define INNER_EPS 1e-5f

#define NAME 240

static void join(char out[NAME], const char *prefix, const char *name) {
    snprintf(out, NAME, "%.200s.%.38s", prefix, name);
}

static void make_attention(th_maker *m, th_attention_layer *a, const char *prefix, int64_t c, int64_t context) {
    char name[NAME];
    join(name, prefix, "to_q"), th_linear_init(m, &a->q, name, c, c, false);
    join(name, prefix, "to_k"), th_linear_init(m, &a->k, name, context, c, false);
    join(name, prefix, "to_v"), th_linear_init(m, &a->v, name, context, c, false);
    join(name, prefix, "to_out.0"), th_linear_init(m, &a->out, name, c, c, true);
}

void th_spatial_init(th_maker *m, th_spatial_transformer *t, const char *prefix, const th_spatial_config *config) {
    char at[NAME], name[NAME];
    int64_t c = config->channels;
    *t = (th_spatial_transformer){.config = *config};
    join(name, prefix, "norm"), th_norm_init(m, &t->norm, name, c, OUTER_EPS);
    join(name, prefix, "proj_in"), th_linear_init(m, &t->proj_in, name, c, c, true);
    snprintf(at, sizeof at, "%.200s.transformer_blocks.0", prefix);
    join(name, at, "norm1"), th_norm_init(m, &t->norm1, name, c, INNER_EPS);
    join(name, at, "attn1"), make_attention(m, &t->self, name, c, c);
    join(name, at, "norm2"), th_norm_init(m, &t->norm2, name, c, INNER_EPS);
    join(name, at, "attn2"), make_attention(m, &t->cross, name, c, config->context);
    join(name, at, "norm3"), th_norm_init(m, &t->norm3, name, c, INNER_EPS);
    join(name, at, "ff.net.0.proj"), th_linear_init(m, &t->widen, name, c, 8 * c, true);
    join(name, at, "ff.net.2"), th_linear_init(m, &t->narrow, name, 4 * c, c, true);
    join(name, prefix, "proj_out"), th_linear_init(m, &t->proj_out, name, c, c, true);
}

/* x [n, t, c] with its first token detached. */
static th_tensor *hold(th_graph *g, th_tensor *x) {
    int64_t tokens = th_tensor_desc(x)->dim[1];
    th_tensor *first = th_detach(g, th_slice(g, x, 1, 0, 1));
    return tokens < 2 ? first : th_concat(g, 1, 2, (th_tensor *[]){first, th_slice(g, x, 1, 1, tokens)});
}

static th_tensor *attend(th_graph *g, const th_attention_layer *a, th_tensor *x, th_tensor *to, int64_t heads,
                         bool hold_first) {
    th_tensor *q = th_linear_apply(g, &a->q, x), *k = th_linear_apply(g, &a->k, to), *v = th_linear_apply(g, &a->v, to);
    if (hold_first) k = hold(g, k), v = hold(g, v);
    return th_linear_apply(g, &a->out, th_attention(g, q, k, v, heads, false));
}

th_tensor *th_spatial_apply(th_graph *g, const th_spatial_transformer *t, th_tensor *x, th_tensor *states,
                            bool hold_first) {
    const th_spatial_config *c = &t->config;
    th_desc d = *th_tensor_desc(x);
    th_tensor *h = th_group_norm_apply(g, &t->norm, x, c->groups, false);
    if (d.rank == 4) h = th_reshape(g, h, TH_DESC(TH_F32, d.dim[0], d.dim[1] * d.dim[2], d.dim[3]));
    h = th_linear_apply(g, &t->proj_in, h);
    th_tensor *y = th_norm_apply(g, &t->norm1, h);
    h = th_add(g, h, attend(g, &t->self, y, y, c->heads, false));
    y = th_norm_apply(g, &t->norm2, h);
    h = th_add(g, h, attend(g, &t->cross, y, states, c->heads, hold_first));
    y = th_geglu(g, th_linear_apply(g, &t->widen, th_norm_apply(g, &t->norm3, h)));
    h = th_add(g, h, th_linear_apply(g, &t->narrow, y));
    return th_add(g, x, th_reshape(g, th_linear_apply(g, &t->proj_out, h), d));
}

th_status th_spatial_randomize(const th_spatial_transformer *t, uint64_t seed, uint32_t *which) {
    const th_linear_layer *linears[] = {&t->proj_in,   &t->self.q,  &t->self.k,  &t->self.v,
                                        &t->self.out,  &t->cross.q, &t->cross.k, &t->cross.v,
                                        &t->cross.out, &t->widen,   &t->narrow,  &t->proj_out};
    const th_norm_layer *norms[] = {&t->norm, &t->norm1, &t->norm2, &t->norm3};
    for (size_t i = 0; i < sizeof linears / sizeof *linears; i++) TH_TRY(th_linear_randomize(linears[i], seed, which));
    for (size_t i = 0; i < sizeof norms / sizeof *norms; i++) TH_TRY(th_norm_randomize(norms[i]));
    return TH_OK;
}

static void add_lora(th_maker *m, th_attention_layer *a, const char *prefix, int64_t rank, float alpha) {
    char name[NAME];
    join(name, prefix, "to_q"), th_lora_init(m, &a->q, name, rank, alpha);
    join(name, prefix, "to_k"), th_lora_init(m, &a->k, name, rank, alpha);
    join(name, prefix, "to_v"), th_lora_init(m, &a->v, name, rank, alpha);
    join(name, prefix, "to_out.0"), th_lora_init(m, &a->out, name, rank, alpha);
}

void th_spatial_add_lora(th_maker *m, th_spatial_transformer *t, const char *prefix, int64_t rank, float alpha) {
    char name[NAME];
    join(name, prefix, "transformer_blocks.0.attn1"), add_lora(m, &t->self, name, rank, alpha);
    join(name, prefix, "transformer_blocks.0.attn2"), add_lora(m, &t->cross, name, rank, alpha);
}
