/* Attention over the positions of a picture and over a text, as it stands between the residual blocks of Stable
 * Diffusion's UNet (Rombach et al. 2022); names are diffusers' (Transformer2DModel with one BasicTransformerBlock). */
#ifndef TH_MODEL_SPATIAL_TRANSFORMER_H
#define TH_MODEL_SPATIAL_TRANSFORMER_H

#include "model/layers.h"

typedef struct {
    th_linear_layer q, k, v, out; /* to_q, to_k, to_v without bias, to_out.0 */
} th_attention_layer;

typedef struct {
    int64_t channels, heads, context, groups; /* context: width of the text's states */
} th_spatial_config;

typedef struct {
    th_spatial_config config;
    th_norm_layer norm; /* over groups of channels */
    th_linear_layer proj_in, proj_out;
    th_norm_layer norm1, norm2, norm3;
    th_attention_layer self, cross; /* attn1, attn2 */
    th_linear_layer widen, narrow;  /* ff.net.0.proj: to twice 4 · channels, for GEGLU; ff.net.2 */
} th_spatial_transformer;

void th_spatial_init(th_maker *m, th_spatial_transformer *t, const char *prefix, const th_spatial_config *c);
/* x [n, h, w, channels], states [n, t, context] → x's shape. hold_first: no gradient goes through the keys and values
 * of the text's first token. */
th_tensor *th_spatial_apply(th_graph *g, const th_spatial_transformer *t, th_tensor *x, th_tensor *states,
                            bool hold_first);
th_status th_spatial_randomize(const th_spatial_transformer *t, uint64_t seed, uint32_t *which);
/* Low-rank additions to the projections of both attentions, in another maker's set. */
void th_spatial_add_lora(th_maker *m, th_spatial_transformer *t, const char *prefix, int64_t rank, float alpha);

#endif
