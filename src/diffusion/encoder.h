/* Pictures to what the autoencoder says of them, a batch at a time. */
#ifndef TH_DIFFUSION_ENCODER_H
#define TH_DIFFUSION_ENCODER_H

#include "model/vae.h"
#include "theriac/plan.h"

typedef struct th_vae_encoder th_vae_encoder;
/* Batches of so many pictures [height, width, 3]; computed in f32, for latents are encoded once and used often. The
 * model must outlive it; changed parameters are seen. Nothing is allocated before the first run. */
th_status th_vae_encoder_new(const th_vae *v, int64_t batch, int64_t height, int64_t width, int threads,
                             th_vae_encoder **out);
void th_vae_encoder_free(th_vae_encoder *e); /* NULL is allowed */
void th_vae_encoder_get_cost(const th_vae_encoder *e, th_plan_cost *cost);
/* Floats of one picture's moments: mean and logarithm of the variance [height / f, width / f, 2 · latent_channels]. */
int64_t th_vae_encoder_size(const th_vae_encoder *e);
/* n pictures in [−1, 1], any number → moments [n, size]. */
th_status th_vae_encoder_run(th_vae_encoder *e, const float *pictures, int64_t n, float *moments);

#endif
