/* The autoencoder of Stable Diffusion, as diffusers' AutoencoderKL: pictures to latents and back. */
#ifndef TH_MODEL_VAE_H
#define TH_MODEL_VAE_H

#include "model/layers.h"

#define TH_VAE_MOST_LEVELS 8

typedef struct {
    int64_t sample_size, in_channels, out_channels, latent_channels;
    int levels;
    int64_t channels[TH_VAE_MOST_LEVELS]; /* block_out_channels */
    int64_t layers_per_block, groups;
    bool quant_conv, post_quant_conv, mid_attention;
    float scaling_factor, shift_factor;
    bool force_upcast; /* kept for the file */
} th_vae_config;

typedef struct th_vae th_vae;

void th_vae_config_init(th_vae_config *c); /* the sizes of SD 1.5 */
th_status th_vae_read_config(const char *dir, th_vae_config *c);
th_status th_vae_write_config(const th_vae_config *c, const char *dir);
th_status th_vae_new(const th_vae_config *config, th_vae **out);
void th_vae_free(th_vae *v);
const th_vae_config *th_vae_get_config(const th_vae *v);
void th_vae_set_scaling(th_vae *v, float factor);
th_params *th_vae_params(const th_vae *v);
th_status th_vae_randomize(th_vae *v, uint64_t seed);
/* Files with the attention's old names (query, key, value, proj_attn) load too. */
th_status th_vae_load(th_vae *v, const char *dir, const char *variant);
th_status th_vae_save(const th_vae *v, const char *dir, const char *dtype);

/* Pixels along a side for each latent: 8 for SD. */
int64_t th_vae_factor(const th_vae_config *c);
/* x [n, h, w, 3] in [−1, 1] → mean and logarithm of the variance, side by side [n, h / f, w / f, 2 · latent_channels];
 * not scaled, not clamped. */
th_tensor *th_vae_encode(th_graph *g, const th_vae *v, th_tensor *x);
/* Both parts [n, h, w, latent_channels] of what th_vae_encode gives, the logarithm clamped to [−30, 20], as diffusers
 * does where it draws. */
typedef struct {
    th_tensor *mean, *logvar;
} th_vae_posterior;
th_vae_posterior th_vae_split(th_graph *g, const th_vae *v, th_tensor *moments);
/* Latents drawn with this noise, of the same shape: mean + e^(½ logvar) noise. */
th_tensor *th_vae_sample(th_graph *g, const th_vae_posterior *p, th_tensor *noise);
/* z [n, h, w, latent_channels], divided by scaling_factor already → [n, f h, f w, 3]. */
th_tensor *th_vae_decode(th_graph *g, const th_vae *v, th_tensor *z);

#endif
