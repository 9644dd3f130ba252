/* PNDM (Liu et al. 2022): a linear multistep method over the model's outputs. It starts with three Runge-Kutta steps of
 * four calls each, or, as Stable Diffusion does (skip_prk_steps), with one step of Heun's method. */
#include <math.h>
#include <string.h>

#include "diffusion/sampler.h"

enum { RUNGE_KUTTA_STEPS = 3, RUNGE_KUTTA_CALLS = 12 };
/* The arrays remembered: the last four outputs, in turn; the sample a step began with; a sum of outputs. */
enum { OUTPUTS = 4, BEGAN = 4, SUM = 5, MEMORY = 6 };

static void defaults(th_scheduler_config *c) { c->set_alpha_to_one = false; }

static int64_t stride(const th_sampler *s) { return s->c.train_steps / s->steps; }

/* t0 t1 t1 t2 …: the second call refines the first step. */
static void times_of_heun(th_sampler *s) {
    if (s->calls < 2) return;
    memmove(s->times + 2, s->times + 1, (size_t)(s->calls - 1) * sizeof *s->times);
    s->calls++;
}

/* t0 m0 m0 t1, t1 m1 m1 t2, t2 m2 m2 t3, then t3 t4 …, where m is in the middle. */
static th_status times_of_runge_kutta(th_sampler *s) {
    double half = (double)(stride(s) / 2), t[RUNGE_KUTTA_STEPS + 1];
    if (s->calls <= RUNGE_KUTTA_STEPS)
        return th_fail(TH_E_USAGE, "pndm without skip_prk_steps wants at least %d steps", RUNGE_KUTTA_STEPS + 1);
    memcpy(t, s->times, sizeof t);
    memmove(s->times + RUNGE_KUTTA_CALLS, s->times + RUNGE_KUTTA_STEPS,
            (size_t)(s->calls - RUNGE_KUTTA_STEPS) * sizeof *s->times);
    for (int i = 0; i < RUNGE_KUTTA_STEPS; i++) {
        double *call = s->times + 4 * i;
        call[0] = t[i], call[1] = call[2] = t[i + 1] + half, call[3] = t[i + 1];
    }
    s->calls += RUNGE_KUTTA_CALLS - RUNGE_KUTTA_STEPS;
    return TH_OK;
}

static th_status begin(th_sampler *s) {
    s->calls = th_space_times(&s->c, s->steps, s->c.train_steps, false, s->times);
    th_round_times(s->times, s->calls);
    if (!s->c.skip_prk_steps) return times_of_runge_kutta(s);
    times_of_heun(s);
    return TH_OK;
}

/* Equation 9 from time t to `next`, by the direction m. x may be `from`. */
static void transfer(const th_sampler *s, const float *from, int64_t t, int64_t next, const float *m, float *x) {
    double end = s->c.set_alpha_to_one ? 1 : s->alphas[0], a = s->alphas[t], to = th_alpha_at(s, next, end);
    double by_x = sqrt(to / a), by_m = -(to - a) / (a * sqrt(1 - to) + sqrt(a * (1 - a) * to));
    if (s->c.prediction == TH_PREDICT_V) by_x += by_m * sqrt(1 - a), by_m *= sqrt(a); /* ε = √ᾱ v + √(1 − ᾱ) x */
    float p = (float)by_x, q = (float)by_m;
    for (int64_t i = 0; i < s->n; i++) x[i] = p * from[i] + q * m[i];
}

/* sum = keep · sum + weight · output */
static void gather(float *sum, float keep, float weight, const float *output, int64_t n) {
    for (int64_t i = 0; i < n; i++) sum[i] = (keep == 0 ? 0 : keep * sum[i]) + weight * output[i];
}

static void runge_kutta(th_sampler *s, int64_t call, const float *output, float *x) {
    static const float weights[] = {1.0f / 6, 1.0f / 3, 1.0f / 3, 1.0f / 6};
    int64_t k = call % 4, t = (int64_t)s->times[call - k], next = (int64_t)s->times[call];
    size_t bytes = (size_t)s->n * sizeof *x;
    if (k == 0) {
        memcpy(s->memory[BEGAN], x, bytes);
        memcpy(s->memory[call / 4 % OUTPUTS], output, bytes);
    }
    gather(s->memory[SUM], k == 0 ? 0 : 1, weights[k], output, s->n);
    if (k % 2 == 0) next -= stride(s) / 2;
    transfer(s, s->memory[BEGAN], t, next, k == 3 ? s->memory[SUM] : output, x);
}

/* Adams and Bashforth's weights of the last outputs, the newest first. */
static const float adams[OUTPUTS][OUTPUTS] = {
    {1.0f},
    {3.0f / 2, -1.0f / 2},
    {23.0f / 12, -16.0f / 12, 5.0f / 12},
    {55.0f / 24, -59.0f / 24, 37.0f / 24, -9.0f / 24},
};

/* known: outputs so far, this one among them. */
static void multistep(th_sampler *s, int64_t call, int64_t known, const float *output, float *x) {
    int64_t t = (int64_t)s->times[call], order = known < OUTPUTS ? known : OUTPUTS;
    memcpy(s->memory[(known - 1) % OUTPUTS], output, (size_t)s->n * sizeof *output);
    for (int64_t k = 0; k < order; k++)
        gather(s->memory[SUM], k == 0 ? 0 : 1, adams[order - 1][k], s->memory[(known - 1 - k) % OUTPUTS], s->n);
    transfer(s, x, t, t - stride(s), s->memory[SUM], x);
}

static void step(th_sampler *s, int64_t call, const float *output, const float *noise, float *x) {
    (void)noise;
    if (!s->c.skip_prk_steps) {
        if (call < RUNGE_KUTTA_CALLS)
            runge_kutta(s, call, output, x);
        else
            multistep(s, call, call - RUNGE_KUTTA_CALLS + RUNGE_KUTTA_STEPS + 1, output, x);
    } else if (call == 1) { /* the first step again, by the mean of both ends; this output is not kept */
        int64_t next = (int64_t)s->times[1];
        gather(s->memory[SUM], 0, 0.5f, output, s->n);
        gather(s->memory[SUM], 1, 0.5f, s->memory[0], s->n);
        transfer(s, s->memory[BEGAN], next + stride(s), next, s->memory[SUM], x);
    } else {
        if (call == 0) memcpy(s->memory[BEGAN], x, (size_t)s->n * sizeof *x);
        multistep(s, call, call == 0 ? 1 : call, output, x);
    }
}

const th_scheduler_row th_scheduler_pndm = {
    .name = "pndm",
    .class_name = "PNDMScheduler",
    .summary = "linear multistep, fourth order: what Stable Diffusion 1.5 comes with",
    .takes = TH_TAKES_ALPHA_TO_ONE | TH_TAKES_SKIP_PRK | TH_TAKES_CLIP,
    .defaults = defaults,
    .memory = MEMORY,
    .begin = begin,
    .step = step,
};
