/* The UNet of Stable Diffusion 1.x and 2.x (Rombach et al. 2022), as diffusers' UNet2DConditionModel: it sees noisy
 * latents, the time and the states of a text, and predicts the noise (or the velocity). Parameters bear the names of
 * the file. */
#ifndef TH_MODEL_UNET_H
#define TH_MODEL_UNET_H

#include "model/layers.h"

#define TH_UNET_MOST_LEVELS 8
#define TH_UNET_MOST_LAYERS 16 /* of a block */

typedef struct {
    int64_t sample_size, in_channels, out_channels;
    int levels;
    int64_t channels[TH_UNET_MOST_LEVELS]; /* block_out_channels */
    bool attends_down[TH_UNET_MOST_LEVELS],
        attends_up[TH_UNET_MOST_LEVELS];                   /* CrossAttn… blocks; up: as the file lists */
    int64_t heads[TH_UNET_MOST_LEVELS];                    /* which diffusers' files call attention_head_dim */
    int64_t layers_per_block, cross_attention_dim, groups; /* norm_num_groups */
    float eps;                                             /* norm_eps */
    bool linear_projection, upcast_attention, flip_sin_to_cos;
    float freq_shift;
} th_unet_config;

typedef struct th_unet th_unet;

/* The sizes of SD 1.5. */
void th_unet_config_init(th_unet_config *c);
/* DIR/config.json. What a file asks for and this cannot do (an unknown block type, a class embedding, …) is TH_E_INPUT
 * that names the field. */
th_status th_unet_read_config(const char *dir, th_unet_config *c);
th_status th_unet_write_config(const th_unet_config *c, const char *dir);

/* A model without values. */
th_status th_unet_new(const th_unet_config *config, th_unet **out);
void th_unet_free(th_unet *u); /* NULL is allowed */
const th_unet_config *th_unet_get_config(const th_unet *u);
th_params *th_unet_params(const th_unet *u);
/* Random values to train from, as PyTorch's layers start; conv_out starts at zero. */
th_status th_unet_randomize(th_unet *u, uint64_t seed);
/* Values from DIR, of this variant ("fp16"; NULL: none), and back in "f32", "f16" or "bf16". */
th_status th_unet_load(th_unet *u, const char *dir, const char *variant);
th_status th_unet_save(const th_unet *u, const char *dir, const char *dtype);

/* The sinusoids of n times (Vaswani et al. 2017, with diffusers' order and shift) into out [n, channels[0]]. */
void th_unet_embed_times(const th_unet_config *c, const float *times, int64_t n, float *out);
/* Sides of latents must be multiples of this. */
int64_t th_unet_multiple(const th_unet_config *c);
/* x [n, h, w, in], times [n, channels[0]] from th_unet_embed_times, states [n, t, cross_attention_dim] → [n, h, w,
 * out]. */
th_tensor *th_unet_apply(th_graph *g, const th_unet *u, th_tensor *x, th_tensor *times, th_tensor *states);

/* Whether graphs recorded from now on pass no gradient to the keys and values of a text's first token, as custom
 * diffusion trains (Kumari et al. 2023). */
void th_unet_hold_first_token(th_unet *u, bool hold);

/* Low-rank additions (Hu et al. 2022) to the projections of every attention: y = W x + alpha / rank · B A x, A random
 * and B zero to begin with. They are parameters of a set of their own, with the names that diffusers gives them
 * ("down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight"). Once for each model. */
typedef struct {
    int64_t rank;
    float alpha;
    uint64_t seed;
} th_lora_params;
th_status th_unet_add_lora(th_unet *u, const th_lora_params *p);
th_params *th_unet_lora(const th_unet *u); /* NULL: there are none */

#endif
