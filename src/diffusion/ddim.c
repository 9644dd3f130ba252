/* DDIM (Song et al. 2021), equation 12 with η = 0: x' = √ᾱ' x0 + √(1 − ᾱ') ε. */
#include <math.h>

#include "diffusion/sampler.h"

static th_status begin(th_sampler *s) {
    s->calls = th_space_times(&s->c, s->steps, s->c.train_steps, false, s->times);
    th_round_times(s->times, s->calls);
    return TH_OK;
}

/* As in diffusers, ε stays what the model said where x0 is clipped; and the next time is a fixed stride away, whatever
 * the spacing. */
static void step(th_sampler *s, int64_t call, const float *output, const float *noise, float *x) {
    (void)noise;
    const th_scheduler_config *c = &s->c;
    int64_t t = (int64_t)s->times[call], next = t - c->train_steps / s->steps;
    double to = th_alpha_at(s, next, c->set_alpha_to_one ? 1 : s->alphas[0]);
    th_reading r = th_read_output(c->prediction, s->alphas[t]);
    float x0_x = (float)r.x0_x, x0_m = (float)r.x0_m, most = c->clip_sample ? (float)c->clip_sample_range : INFINITY;
    float by_x0 = (float)sqrt(to), by_x = (float)(sqrt(1 - to) * r.noise_x), by_m = (float)(sqrt(1 - to) * r.noise_m);
    for (int64_t i = 0; i < s->n; i++) {
        float x0 = x0_x * x[i] + x0_m * output[i];
        x0 = x0 < -most ? -most : x0 > most ? most : x0;
        x[i] = by_x0 * x0 + by_x * x[i] + by_m * output[i];
    }
}

const th_scheduler_row th_scheduler_ddim = {
    .name = "ddim",
    .class_name = "DDIMScheduler",
    .summary = "deterministic, first order",
    .takes = TH_TAKES_ZERO_SNR | TH_TAKES_ALPHA_TO_ONE | TH_TAKES_SKIP_PRK | TH_TAKES_CLIP | TH_TAKES_CLIP_RANGE,
    .predicts_sample = true,
    .begin = begin,
    .step = step,
};
