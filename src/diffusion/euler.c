/* Euler's method on the probability-flow equation in σ (Karras et al. 2022, algorithm 1 without churn):
 * x' = x + (σ' − σ) (x − x0) / σ, where x is what other samplers call x / √ᾱ. */
#include <math.h>

#include "base/memory.h"
#include "diffusion/sampler.h"

static void defaults(th_scheduler_config *c) { c->spacing = TH_SPACING_LINSPACE; }

static double sigma_at(const double *training, int64_t n, double t) {
    int64_t low = (int64_t)t, high = low + 1 < n ? low + 1 : low;
    return training[low] + (t - (double)low) * (training[high] - training[low]);
}

static th_status begin(th_sampler *s) {
    int64_t n = s->c.train_steps;
    s->calls = th_space_times(&s->c, s->steps, n, false, s->times);
    for (int64_t i = 0; i < s->calls; i++) s->times[i] = (double)(float)s->times[i];
    if (s->times[0] > (double)(n - 1)) return TH_OK; /* is refused where all are */
    double *training = th_sigmas_of_training(s);
    if (!training) return th_fail_memory();
    th_set_sigmas(s, training, sigma_at(training, n, s->times[0]), sigma_at(training, n, s->times[s->calls - 1]));
    th_free(training);
    double most = s->sigmas[0];
    s->init_sigma = (float)(s->c.spacing == TH_SPACING_LEADING ? sqrt(most * most + 1) : most);
    return TH_OK;
}

static void step(th_sampler *s, int64_t call, const float *output, const float *noise, float *x) {
    (void)noise;
    double from = s->sigmas[call], way = s->sigmas[call + 1] - from, scale = 1 / (from * from + 1);
    double by_x = 1, by_m = way; /* of predicted noise */
    if (s->c.prediction == TH_PREDICT_SAMPLE) by_x = 1 + way / from, by_m = -way / from;
    if (s->c.prediction == TH_PREDICT_V) by_x = 1 + way / from * (1 - scale), by_m = way * sqrt(scale);
    float a = (float)by_x, b = (float)by_m;
    for (int64_t i = 0; i < s->n; i++) x[i] = a * x[i] + b * output[i];
}

const th_scheduler_row th_scheduler_euler = {
    .name = "euler",
    .class_name = "EulerDiscreteScheduler",
    .summary = "Euler's method in sigma, first order",
    .takes = TH_TAKES_ZERO_SNR | TH_TAKES_SIGMAS,
    .defaults = defaults,
    .predicts_sample = true,
    .by_sigma = true,
    .begin = begin,
    .step = step,
};
