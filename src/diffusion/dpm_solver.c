/* DPM-Solver++ (Lu et al. 2022, "DPM-Solver++", algorithm 2 "2M"): the predicted pictures of this call and the one
 * before make a step of second order in λ = log(√ᾱ / √(1 − ᾱ)). */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "diffusion/sampler.h"

static void defaults(th_scheduler_config *c) { c->spacing = TH_SPACING_LINSPACE; }

/* λ that is too small is left out, which matters to cosine schedules: the latest time that remains, and one. */
static int64_t last_time(const th_sampler *s, const double *training) {
    int64_t last = s->c.train_steps;
    while (last > 0 && -log(training[last - 1]) < s->c.lambda_min_clipped) last--;
    return last;
}

static th_status begin(th_sampler *s) {
    double *training = th_sigmas_of_training(s);
    if (!training) return th_fail_memory();
    int64_t last = last_time(s, training), n = s->c.train_steps;
    s->calls = last > 0 ? th_space_times(&s->c, s->steps, last, true, s->times) : 0;
    th_round_times(s->times, s->calls);
    if (s->c.karras_sigmas) s->calls = s->steps;
    bool known = s->calls > 0 && s->times[0] <= (double)(n - 1); /* what is later is refused where all are */
    if (known) {
        th_set_sigmas(s, training, training[n - 1], training[0]);
        if (s->c.betas != TH_BETAS_COSINE) th_round_times(s->times, s->calls);
        for (int64_t i = 0; i < s->calls; i++) s->times[i] = trunc(s->times[i]);
    }
    th_free(training);
    return s->calls > 0 ? TH_OK
                        : th_fail(TH_E_INPUT, "scheduler: lambda_min_clipped %g leaves no time to begin at",
                                  s->c.lambda_min_clipped);
}

typedef struct {
    double alpha, sigma, lambda; /* √ᾱ, √(1 − ᾱ), the logarithm of their ratio */
} level;

static level level_at(double sigma) {
    double alpha = 1 / sqrt(sigma * sigma + 1);
    return (level){alpha, sigma * alpha, -log(sigma)};
}

static bool is_first_order(const th_sampler *s, int64_t call) {
    if (call == 0 || s->c.solver_order == 1) return true;
    if (call < s->calls - 1) return false;
    return s->c.end == TH_END_AT_ZERO || s->c.euler_at_final || (s->c.lower_order_final && s->calls < 15);
}

static void step(th_sampler *s, int64_t call, const float *output, const float *noise, float *x) {
    (void)noise;
    level from = level_at(s->sigmas[call]), to = level_at(s->sigmas[call + 1]);
    double h = to.lambda - from.lambda, gain = -expm1(-h);
    double by_x = to.sigma / from.sigma, by_now = to.alpha * gain, by_slope = 0;
    if (!is_first_order(s, call)) {
        double r = (from.lambda - level_at(s->sigmas[call - 1]).lambda) / h;
        by_slope = (s->c.solver == TH_SOLVER_HEUN ? to.alpha * (1 - gain / h) : to.alpha * gain / 2) / r;
    }
    th_reading r = th_read_output(s->c.prediction, from.alpha * from.alpha);
    float x0_x = (float)r.x0_x, x0_m = (float)r.x0_m, a = (float)by_x, b = (float)by_now, d = (float)by_slope;
    float *before = s->memory[0];
    if (call == 0) memset(before, 0, (size_t)s->n * sizeof *before); /* has no weight, but must be a number */
    for (int64_t i = 0; i < s->n; i++) {
        float x0 = x0_x * x[i] + x0_m * output[i];
        x[i] = a * x[i] + b * x0 + d * (x0 - before[i]);
        before[i] = x0;
    }
}

const th_scheduler_row th_scheduler_dpm_solver = {
    .name = "dpm-solver++",
    .class_name = "DPMSolverMultistepScheduler",
    .summary = "second order, multistep: good pictures in 20 to 25 steps",
    .takes = TH_TAKES_ZERO_SNR | TH_TAKES_SIGMAS | TH_TAKES_SOLVER,
    .defaults = defaults,
    .predicts_sample = true,
    .memory = 1,
    .begin = begin,
    .step = step,
};
