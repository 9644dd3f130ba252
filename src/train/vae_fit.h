/* Training a variational autoencoder (Kingma and Welling 2014) as latent diffusion wants it (Rombach et al. 2022):
 * pictures come back nearly as they were, and latents are small and about normal. What is left out of Rombach et al.'s
 * loss is the perceptual network and the discriminator; in their place differences between neighbouring pixels count,
 * at two scales, which keeps edges. */
#ifndef TH_TRAIN_VAE_FIT_H
#define TH_TRAIN_VAE_FIT_H

#include "data/dataset.h"
#include "model/vae.h"
#include "train/fit_options.h"

typedef struct {
    th_fit_params fit;
    int64_t side; /* pixels */
    bool l2;      /* squared errors of pixels, else absolute ones */
    float edges;  /* weight of the error of differences between neighbouring pixels; 0: none */
    float kl;     /* weight of KL(latents ‖ N(0, 1)), summed over a picture's latents and divided by its values */
    /* Pictures to measure on, every eval_every steps and at the end; NULL: none. */
    th_dataset *held_out;
} th_vae_fit_params;
void th_vae_fit_params_init(th_vae_fit_params *p);

typedef struct th_vae_fit th_vae_fit;
/* Plans everything; nothing large is allocated yet. Model and data sets must outlive it. */
th_status th_vae_fit_new(th_vae *v, th_dataset *pictures, const th_vae_fit_params *p, th_vae_fit **out);
void th_vae_fit_free(th_vae_fit *f); /* NULL is allowed */

void th_vae_fit_get_cost(const th_vae_fit *f, th_fit_cost *out);
void th_vae_fit_set_run(th_vae_fit *f, th_run_folder *run); /* NULL, the default: nothing is kept */
th_status th_vae_fit_run(th_vae_fit *f, const th_watch *w, th_train_result *result);

/* How well pictures come back from the middle of their latents' distribution. */
typedef struct {
    double psnr;   /* mean over pictures of 10 log10(4 / mean squared error), pixels in [−1, 1] */
    double l1;     /* mean absolute error of a value */
    double kl;     /* nats for each latent */
    int64_t count; /* pictures; 0: not measured */
} th_vae_quality;
th_status th_vae_measure(const th_vae *v, th_dataset *pictures, int64_t side, int64_t limit, int threads,
                         const th_watch *w, th_vae_quality *out);

/* A new model's latents begin with a variance near e^logvar instead of 1. While noise drowns the means nothing can be
 * learnt from them, and hundreds of steps go by until it has fallen by itself. */
th_status th_vae_quieten(th_vae *v, float logvar);

/* Looks at latents of up to `limit` pictures and sets the scaling factor to one over their standard deviation.
 * channels: where the model has both 1×1 convolutions at the latents, each channel is first brought to mean 0 and
 * deviation 1 by changing these two, which leaves what comes of a picture as it was. */
th_status th_vae_settle_latents(th_vae *v, th_dataset *pictures, int64_t side, int64_t limit, bool channels,
                                int threads, const th_watch *w);

extern const th_option th_vae_fit_options[];
/* After th_fit_read. */
th_status th_vae_fit_read(th_options *o, th_vae_fit_params *p);

#endif
