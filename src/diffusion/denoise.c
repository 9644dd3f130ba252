/* The loss of denoising, and what fills its inputs. */
#include "diffusion/denoise.h"

#include <math.h>

#include "base/memory.h"
#include "base/rng.h"
#include "theriac/ops.h"

struct th_denoiser {
    th_denoiser_params p;
    th_unet_config unet;
    th_prediction prediction;
    int64_t steps;
    double *alphas; /* [steps]: ᾱ */
    float *weights; /* [steps] */
};

/* --- the graph --- */

/* [n] → [n, 1, 1, 1] */
static th_tensor *by_sample(th_graph *g, const char *name, int64_t n) {
    return th_reshape(g, th_input(g, name, TH_DESC(TH_F32, n)), TH_DESC(TH_F32, n, 1, 1, 1));
}

static th_tensor *states_of(th_graph *g, const th_sd *sd, const th_denoise_shape *s) {
    int64_t width = th_unet_get_config(sd->unet)->cross_attention_dim;
    if (s->states) return th_input(g, "states", TH_DESC(TH_F32, s->batch, s->tokens, width));
    return th_text_encoder_apply(g, sd->text, th_input(g, "ids", TH_DESC(TH_I32, s->batch, s->tokens)));
}

th_denoise_question th_denoise_ask(th_graph *g, const th_sd *sd, const th_denoise_shape *s, th_tensor *latents) {
    const th_unet_config *c = th_unet_get_config(sd->unet);
    int64_t n = s->batch;
    th_desc d = TH_DESC(TH_F32, n, s->height, s->width, c->in_channels);
    th_tensor *z = latents ? latents : th_input(g, "latents", d), *noise = th_input(g, "noise", d);
    th_tensor *signal = by_sample(g, "signal", n), *sigma = by_sample(g, "sigma", n);
    th_denoise_question q = {.target = noise};
    q.times = th_input(g, "times", TH_DESC(TH_F32, n, c->channels[0]));
    q.weight = th_input(g, "weight", TH_DESC(TH_F32, n));
    q.states = states_of(g, sd, s);
    th_graph_precise(g, true);
    q.noisy = th_add(g, th_mul(g, signal, z), th_mul(g, sigma, noise));
    if (sd->scheduler.prediction == TH_PREDICT_V) q.target = th_sub(g, th_mul(g, signal, noise), th_mul(g, sigma, z));
    if (sd->scheduler.prediction == TH_PREDICT_SAMPLE) q.target = z;
    th_graph_precise(g, false);
    return q;
}

th_denoise_loss th_denoise_compare(th_graph *g, th_tensor *prediction, th_tensor *target, th_tensor *weight) {
    const int64_t *dim = th_tensor_desc(target)->dim;
    int64_t n = dim[0], values = dim[1] * dim[2] * dim[3];
    th_denoise_loss l = {.prediction = prediction, .target = target};
    th_graph_precise(g, true);
    th_tensor *squares = th_sum(g, th_square(g, th_sub(g, prediction, target)), 1u << 1 | 1u << 2 | 1u << 3);
    l.each = th_scale(g, th_reshape(g, squares, TH_DESC(TH_F32, n)), 1.0f / (float)values);
    l.loss = th_mean_all(g, th_mul(g, weight, l.each));
    th_graph_precise(g, false);
    return l;
}

th_denoise_loss th_denoise_record(th_graph *g, const th_sd *sd, const th_denoise_shape *s) {
    th_denoise_question q = th_denoise_ask(g, sd, s, NULL);
    th_tensor *prediction = th_unet_apply(g, sd->unet, q.noisy, q.times, q.states);
    return th_denoise_compare(g, prediction, q.target, q.weight);
}

/* --- times, noise and weights --- */

/* min-SNR-γ (Hang et al. 2023): min(SNR, γ) for the error of z itself, which is 1 / SNR of ε's and 1 / (SNR + 1) of
 * v's. Where nothing of the picture is left SNR is 0, and ε's weight its limit. */
static double weight_of(th_prediction p, double alpha, double gamma) {
    double snr = alpha / fmax(1 - alpha, 1e-12), least = fmin(snr, gamma);
    if (gamma <= 0) return 1;
    if (p == TH_PREDICT_NOISE) return snr > 0 ? least / snr : 1;
    return p == TH_PREDICT_V ? least / (snr + 1) : least;
}

th_status th_denoiser_new(const th_sd *sd, const th_denoiser_params *p, th_denoiser **out) {
    th_denoiser *d = th_alloc(1, sizeof *d);
    if (!d) return th_fail_memory();
    *d = (th_denoiser){.p = *p, .unet = *th_unet_get_config(sd->unet)};
    d->prediction = sd->scheduler.prediction;
    d->steps = sd->scheduler.train_steps;
    d->alphas = th_alloc((size_t)d->steps, sizeof *d->alphas);
    d->weights = th_alloc((size_t)d->steps, sizeof *d->weights);
    th_status s = d->alphas && d->weights ? th_scheduler_alphas(&sd->scheduler, d->alphas) : th_fail_memory();
    if (s != TH_OK) return th_denoiser_free(d), s;
    for (int64_t t = 0; t < d->steps; t++)
        d->weights[t] = (float)weight_of(d->prediction, d->alphas[t], (double)p->min_snr);
    *out = d;
    return TH_OK;
}

void th_denoiser_free(th_denoiser *d) {
    if (!d) return;
    th_free(d->alphas);
    th_free(d->weights);
    th_free(d);
}

int64_t th_denoiser_time(const th_denoiser *d, uint32_t step, uint64_t element) {
    uint32_t word = th_philox(d->p.seed, TH_RNG_TIME, step, element).word[0];
    return (int64_t)(((uint64_t)word * (uint64_t)d->steps) >> 32);
}

/* Two values of a block of four words; a sample begins with a block of its own. */
static void draw_noise(uint64_t seed, uint32_t step, uint64_t sample, int64_t count, float *out) {
    uint64_t first = sample * (uint64_t)((count + 1) / 2);
    for (int64_t i = 0; i < count; i += 2) {
        th_rng_block b = th_philox(seed, TH_RNG_NOISE, step, first + (uint64_t)(i / 2));
        out[i] = th_normal_f32(b.word[0], b.word[1]);
        if (i + 1 < count) out[i + 1] = th_normal_f32(b.word[2], b.word[3]);
    }
}

/* A half is added, so that with all times each remains itself. */
static int64_t time_within(const th_denoiser *d, const th_denoise_row *row, int64_t t) {
    double least = (double)row->least * (double)d->steps, most = (double)row->most * (double)d->steps;
    int64_t at = (int64_t)(least + (most - least) * ((double)t + 0.5) / (double)d->steps);
    return at < 0 ? 0 : at < d->steps ? at : d->steps - 1;
}

typedef struct {
    float *noise, *signal, *sigma, *times, *weight;
} fields;

static th_status find_fields(th_plan *plan, fields *f) {
    *f = (fields){th_plan_input(plan, "noise"), th_plan_input(plan, "signal"), th_plan_input(plan, "sigma"),
                  th_plan_input(plan, "times"), th_plan_input(plan, "weight")};
    if (f->noise && f->signal && f->sigma && f->times && f->weight) return TH_OK;
    return th_fail(TH_E_BUG, "the plan is not one of denoising: an input is missing");
}

/* weights and rows: one of them, or neither. */
static th_status fill(const th_denoiser *d, th_plan *plan, const th_denoise_shape *shape, uint32_t step, int64_t first,
                      const float *weights, const th_denoise_row *rows) {
    int64_t n = shape->batch, count = shape->height * shape->width * d->unet.in_channels;
    fields f;
    TH_TRY(find_fields(plan, &f));
    float *told = th_alloc((size_t)n, sizeof *told);
    if (!told) return th_fail_memory();
    for (int64_t i = 0; i < n; i++) {
        uint64_t sample = (uint64_t)(first + i);
        int64_t t = th_denoiser_time(d, step, sample);
        if (rows) t = time_within(d, &rows[i], t);
        draw_noise(d->p.seed, step, sample, count, f.noise + i * count);
        told[i] = (float)t;
        f.signal[i] = (float)sqrt(d->alphas[t]);
        f.sigma[i] = (float)sqrt(1 - d->alphas[t]);
        f.weight[i] = d->weights[t] * (rows ? rows[i].weight : weights ? weights[i] : 1.0f);
    }
    th_unet_embed_times(&d->unet, told, n, f.times);
    th_free(told);
    return TH_OK;
}

th_status th_denoiser_fill(const th_denoiser *d, th_plan *plan, const th_denoise_shape *shape, uint32_t step,
                           int64_t first, const float *weights) {
    return fill(d, plan, shape, step, first, weights, NULL);
}

th_status th_denoiser_fill_rows(const th_denoiser *d, th_plan *plan, const th_denoise_shape *shape, uint32_t step,
                                int64_t first, const th_denoise_row *rows) {
    return fill(d, plan, shape, step, first, NULL, rows);
}
