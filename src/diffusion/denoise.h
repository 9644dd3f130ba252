/* The loss of denoising (Ho et al. 2020; v-prediction: Salimans and Ho 2022) that every way of training and
 * personalising shares: the graph over named inputs, and what fills them for a batch. */
#ifndef TH_DIFFUSION_DENOISE_H
#define TH_DIFFUSION_DENOISE_H

#include "diffusion/sd.h"
#include "theriac/plan.h"

typedef struct {
    int64_t batch, height, width; /* of latents */
    int64_t tokens;
    bool states; /* the text's states are an input, since the text encoder stays as it is; else token ids */
} th_denoise_shape;

/* Recorded over the inputs
 *   "latents" [n, h, w, c] z, scaled;  "noise" [n, h, w, c] ε;  "signal" [n] √ᾱ_t;  "sigma" [n] √(1 − ᾱ_t);
 *   "times" [n, channels[0]];  "weight" [n];  "ids" i32 [n, tokens] or "states" [n, tokens, width].
 * z_t = signal z + sigma ε; the target is ε, or v = signal ε − sigma z, or z, as the scheduler's config says. */
typedef struct {
    th_tensor *prediction, *target; /* [n, h, w, c] */
    th_tensor *each;                /* [n]: mean squared error of each sample */
    th_tensor *loss;                /* []: Σ weight · each / n */
} th_denoise_loss;
th_denoise_loss th_denoise_record(th_graph *g, const th_sd *sd, const th_denoise_shape *shape);

/* The same in two parts, for losses of other latents or other targets. */
typedef struct {
    th_tensor *noisy, *target; /* [n, h, w, c] */
    th_tensor *times;          /* [n, channels[0]] */
    th_tensor *states;         /* [n, tokens, width] */
    th_tensor *weight;         /* [n] */
} th_denoise_question;
/* latents: [n, h, w, c]; NULL: the input of that name. */
th_denoise_question th_denoise_ask(th_graph *g, const th_sd *sd, const th_denoise_shape *shape, th_tensor *latents);
th_denoise_loss th_denoise_compare(th_graph *g, th_tensor *prediction, th_tensor *target, th_tensor *weight);

/* ᾱ and the weight of each step; made once. */
typedef struct th_denoiser th_denoiser;
typedef struct {
    float min_snr; /* γ of min-SNR weighting (Hang et al. 2023); 0: all weights 1 */
    uint64_t seed;
} th_denoiser_params;
th_status th_denoiser_new(const th_sd *sd, const th_denoiser_params *p, th_denoiser **out);
void th_denoiser_free(th_denoiser *d);
/* Draws times and noise for micro-step `step` and fills "noise", "signal", "sigma", "times" and "weight", the last
 * times `weights` [n] (NULL: 1). Sample i of the step is a function of (seed, step, first + i). */
th_status th_denoiser_fill(const th_denoiser *d, th_plan *plan, const th_denoise_shape *shape, uint32_t step,
                           int64_t first, const float *weights);
/* The same where samples differ in more than their weight: times are drawn from [least, most) of all of them. */
typedef struct {
    float weight, least, most;
} th_denoise_row;
th_status th_denoiser_fill_rows(const th_denoiser *d, th_plan *plan, const th_denoise_shape *shape, uint32_t step,
                                int64_t first, const th_denoise_row *rows);

/* The time of sample `element` of a micro-step, in [0, train_steps). */
int64_t th_denoiser_time(const th_denoiser *d, uint32_t step, uint64_t element);

/* Latents of pictures: mean and log-variance from the VAE → scaling_factor · (mean + e^(½ logvar) ε − shift_factor),
 * where ε is a function of (seed, step, element). moments [n, h, w, 2c] → out [n, h, w, c]. NULL seed: the mean. count:
 * positions, n · h · w. */
void th_latents_draw(const th_vae_config *c, const float *moments, int64_t count, const uint64_t *seed, uint32_t step,
                     uint64_t first, float *out);

#endif
