/* Drawing latents from what the autoencoder says of pictures. */
#include <math.h>

#include "base/rng.h"
#include "diffusion/denoise.h"

void th_latents_draw(const th_vae_config *c, const float *moments, int64_t count, const uint64_t *seed, uint32_t step,
                     uint64_t first, float *out) {
    int64_t d = c->latent_channels;
    for (int64_t i = 0; i < count; i++) {
        const float *mean = moments + 2 * d * i, *logvar = mean + d;
        for (int64_t k = 0; k < d; k++) {
            float z = mean[k];
            if (seed) {
                th_rng_block b = th_philox(*seed, TH_RNG_LATENT, step, first + (uint64_t)(d * i + k));
                /* diffusers clamps the logarithm to [−30, 20] */
                z += expf(0.5f * fminf(fmaxf(logvar[k], -30.0f), 20.0f)) * th_normal_f32(b.word[0], b.word[1]);
            }
            out[d * i + k] = c->scaling_factor * (z - c->shift_factor);
        }
    }
}
