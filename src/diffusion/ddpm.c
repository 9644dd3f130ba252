/* DDPM (Ho et al. 2020), equations 6 and 7, with strides: x' = μ(x0, x) + σ z. */
#include <math.h>

#include "diffusion/sampler.h"

static th_status begin(th_sampler *s) {
    s->calls = th_space_times(&s->c, s->steps, s->c.train_steps, false, s->times);
    th_round_times(s->times, s->calls);
    return TH_OK;
}

/* Of the noise that is added; none at time 0. */
static double deviation(const th_sampler *s, int64_t t, double from, double to) {
    double beta = 1 - from / to;
    if (t == 0) return 0;
    if (s->c.variance == TH_VARIANCE_LARGE) return sqrt(beta);
    return sqrt(fmax((1 - to) / (1 - from) * beta, 1e-20)); /* the floor is diffusers' */
}

static void step(th_sampler *s, int64_t call, const float *output, const float *noise, float *x) {
    const th_scheduler_config *c = &s->c;
    int64_t t = (int64_t)s->times[call];
    double from = s->alphas[t], to = call + 1 < s->calls ? s->alphas[(int64_t)s->times[call + 1]] : 1;
    double alpha = from / to;
    th_reading r = th_read_output(c->prediction, from);
    float x0_x = (float)r.x0_x, x0_m = (float)r.x0_m, most = c->clip_sample ? (float)c->clip_sample_range : INFINITY;
    float by_x0 = (float)(sqrt(to) * (1 - alpha) / (1 - from)), by_x = (float)(sqrt(alpha) * (1 - to) / (1 - from));
    float by_noise = (float)deviation(s, t, from, to);
    for (int64_t i = 0; i < s->n; i++) {
        float x0 = x0_x * x[i] + x0_m * output[i];
        x0 = x0 < -most ? -most : x0 > most ? most : x0;
        x[i] = by_x0 * x0 + by_x * x[i] + by_noise * noise[i];
    }
}

const th_scheduler_row th_scheduler_ddpm = {
    .name = "ddpm",
    .class_name = "DDPMScheduler",
    .summary = "ancestral: adds noise at every step, wants many",
    .takes = TH_TAKES_ZERO_SNR | TH_TAKES_CLIP | TH_TAKES_CLIP_RANGE | TH_TAKES_VARIANCE,
    .predicts_sample = true,
    .noisy = true,
    .begin = begin,
    .step = step,
};
