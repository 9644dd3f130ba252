/* The pre-norm transformer (Radford et al. 2019) that CLIP's towers are: x + attention(norm(x)), then x + mlp(norm(x)).
 */
#ifndef TH_MODEL_TRANSFORMER_H
#define TH_MODEL_TRANSFORMER_H

#include "model/layers.h"

typedef struct {
    int64_t width, heads, layers, mlp;
    th_activation activation;
    float eps;
    bool causal;
} th_transformer_config;

typedef struct {
    th_norm_layer norm1, norm2;
    th_linear_layer q, k, v, out, fc1, fc2;
} th_transformer_block;

typedef struct {
    th_transformer_config config;
    th_transformer_block *blocks;
} th_transformer;

/* Parameters "PREFIX.layers.N.self_attn.q_proj.weight" and so on, as Hugging Face names them. Free with
 * th_free(t->blocks). */
void th_transformer_init(th_maker *m, th_transformer *t, const char *prefix, const th_transformer_config *config);
/* x [b, t, width] → the same shape. */
th_tensor *th_transformer_apply(th_graph *g, const th_transformer *t, th_tensor *x);
/* Random values as OpenAI's CLIP starts with them: attention N(0, 1/width), outputs of a block smaller by √(2 ·
 * layers), the first MLP layer N(0, 1/(2 width)); norms 1, biases 0. Counts up *which. */
th_status th_transformer_randomize(const th_transformer *t, uint64_t seed, uint32_t *which);

#endif
