/* Noise schedules, the table of samplers, and what all samplers share. Where diffusers computes in f32 this does too,
 * since 1 − ᾱ loses digits near t = 0. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "diffusion/sampler.h"

static const th_scheduler_row *const rows[] = {&th_scheduler_ddim, &th_scheduler_ddpm, &th_scheduler_pndm,
                                               &th_scheduler_euler, &th_scheduler_dpm_solver};
enum { ROWS = sizeof rows / sizeof *rows };

const th_scheduler_row *th_scheduler_at(int64_t i) { return i >= 0 && i < ROWS ? rows[i] : NULL; }
const char *th_scheduler_name(const th_scheduler_row *r) { return r->name; }
const char *th_scheduler_summary(const th_scheduler_row *r) { return r->summary; }

const th_scheduler_row *th_scheduler_find(const char *name) {
    for (int i = 0; i < ROWS; i++)
        if (!strcmp(rows[i]->name, name) || !strcmp(rows[i]->class_name, name)) return rows[i];
    return NULL;
}

/* torch.linspace in f32: from both ends towards the middle. */
static float between(float start, float end, int64_t count, int64_t i) {
    float step = count > 1 ? (end - start) / (float)(count - 1) : 0.0f;
    return i < count / 2 || count == 1 ? start + step * (float)i : end - step * (float)(count - 1 - i);
}

/* ᾱ of the cosine schedule (Nichol and Dhariwal 2021) at u in [0, 1]. */
static double cosine(double u) {
    const double pi = 3.14159265358979323846;
    double c = cos((u + 0.008) / 1.008 * pi / 2);
    return c * c;
}

static float beta_at(const th_scheduler_config *c, int64_t t) {
    double n = (double)c->train_steps;
    if (c->betas == TH_BETAS_LINEAR) return between((float)c->beta_start, (float)c->beta_end, c->train_steps, t);
    if (c->betas == TH_BETAS_COSINE) return (float)fmin(1 - cosine((double)(t + 1) / n) / cosine((double)t / n), 0.999);
    float root = between((float)sqrt(c->beta_start), (float)sqrt(c->beta_end), c->train_steps, t);
    return root * root;
}

/* "Common Diffusion Noise Schedules and Sample Steps are Flawed" (Lin et al. 2023), algorithm 1: √ᾱ is shifted so that
 * it ends at 0 and scaled so that it begins where it did. By way of betas, as diffusers goes. */
static void end_at_zero(double *alphas, int64_t n) {
    float first = sqrtf((float)alphas[0]), last = sqrtf((float)alphas[n - 1]), before = 1;
    double product = 1;
    for (int64_t t = 0; t < n; t++) {
        float root = (sqrtf((float)alphas[t]) - last) * (first / (first - last)), now = root * root;
        float beta = 1.0f - now / before;
        before = now;
        product *= (double)(1.0f - beta);
        alphas[t] = (double)(float)product;
    }
}

th_status th_scheduler_alphas(const th_scheduler_config *c, double *out) {
    double product = 1;
    for (int64_t t = 0; t < c->train_steps; t++) {
        product *= (double)(1.0f - beta_at(c, t));
        out[t] = (double)(float)product;
    }
    double last = out[c->train_steps - 1];
    if (!(last > 0 && out[0] < 1))
        return th_fail(TH_E_INPUT, "scheduler: betas from %g to %g over %lld steps leave no noise schedule",
                       c->beta_start, c->beta_end, (long long)c->train_steps);
    if (!c->rescale_betas_zero_snr) return TH_OK;
    if (c->train_steps < 2 || out[0] <= last)
        return th_fail(TH_E_INPUT, "scheduler: rescale_betas_zero_snr wants more than one step of noise");
    end_at_zero(out, c->train_steps);
    return TH_OK;
}

int64_t th_space_times(const th_scheduler_config *c, int64_t steps, int64_t last, bool open, double *out) {
    int64_t n = steps + (open ? 1 : 0);
    if (c->spacing ==
        TH_SPACING_TRAILING) { /* numpy's arange from `last` down, whose count may come out one too many */
        double ratio = (double)c->train_steps / (double)steps, step = ((double)last - ratio) - (double)last;
        int64_t count = (int64_t)ceil((double)last / ratio);
        if (count > steps) count = steps;
        for (int64_t i = 0; i < count; i++) out[i] = rint((double)last + (double)i * step) - 1;
        return count;
    }
    double step = c->spacing == TH_SPACING_LEADING ? (double)(last / n)
                  : n > 1                          ? (double)(last - 1) / (double)(n - 1)
                                                   : 0;
    double offset = c->spacing == TH_SPACING_LEADING ? (double)c->steps_offset : 0;
    for (int64_t i = 0; i < steps; i++) out[i] = (double)(n - 1 - i) * step + offset;
    if (c->spacing == TH_SPACING_LINSPACE && n > 1) out[0] = (double)(last - 1);
    return steps;
}

void th_round_times(double *times, int64_t n) {
    for (int64_t i = 0; i < n; i++) times[i] = rint(times[i]); /* halves to even, as numpy */
}

th_reading th_read_output(th_prediction p, double alpha) {
    double a = sqrt(alpha), s = sqrt(1 - alpha);
    switch (p) {
    case TH_PREDICT_NOISE: return (th_reading){1 / a, -s / a, 0, 1};
    case TH_PREDICT_SAMPLE: return (th_reading){0, 1, 1 / s, -a / s};
    default: return (th_reading){a, -s, s, a}; /* v = √ᾱ ε − √(1 − ᾱ) x0 */
    }
}

double *th_sigmas_of_training(const th_sampler *s) {
    int64_t n = s->c.train_steps;
    double *sigmas = th_alloc((size_t)n, sizeof *sigmas);
    for (int64_t t = 0; sigmas && t < n; t++) {
        float a = (float)s->alphas[t];
        if (t == n - 1 && s->c.rescale_betas_zero_snr) a = 0x1p-24f; /* else σ would be infinite */
        sigmas[t] = (double)sqrtf((1.0f - a) / a);
    }
    return sigmas;
}

/* The time at which training had this σ, by its logarithm. */
static double time_of_sigma(const double *training, int64_t n, double sigma) {
    int64_t low = 0;
    while (low < n - 2 && training[low + 1] <= sigma) low++;
    if (n < 2) return 0;
    double a = log(training[low]), b = log(training[low + 1]), w = (a - log(fmax(sigma, 1e-10))) / (a - b);
    return (double)low + fmin(fmax(w, 0), 1);
}

void th_set_sigmas(th_sampler *s, const double *training, double karras_from, double karras_to) {
    const double rho = 7; /* Karras et al. 2022, equation 5 */
    int64_t n = s->c.train_steps;
    double from = pow(karras_from, 1 / rho), to = pow(karras_to, 1 / rho);
    for (int64_t i = 0; i < s->calls; i++) {
        int64_t low = (int64_t)s->times[i], high = low + 1 < n ? low + 1 : low;
        double w = s->times[i] - (double)low;
        s->sigmas[i] = training[low] + w * (training[high] - training[low]);
        if (!s->c.karras_sigmas) continue;
        double ramp = s->calls > 1 ? (double)i / (double)(s->calls - 1) : 0;
        s->sigmas[i] = pow(from + ramp * (to - from), rho);
        s->times[i] = time_of_sigma(training, n, s->sigmas[i]);
    }
    for (int64_t i = 0; i < s->calls; i++) s->sigmas[i] = (double)(float)s->sigmas[i];
    s->sigmas[s->calls] = s->c.end == TH_END_AT_ZERO ? 0 : training[0];
}

static th_status check_times(const th_sampler *s) {
    for (int64_t i = 0; i < s->calls; i++)
        if (!(s->times[i] >= 0 && s->times[i] <= (double)(s->c.train_steps - 1)))
            return th_fail(TH_E_USAGE,
                           "%lld steps of %s with steps_offset %lld reach time %g, of %lld that the model knows: take "
                           "fewer steps",
                           (long long)s->steps, s->c.row->name, (long long)s->c.steps_offset, s->times[i],
                           (long long)s->c.train_steps);
    return TH_OK;
}

/* At ᾱ = 0 there is only noise: predicted noise says nothing of the picture. */
static th_status check_first(const th_sampler *s) {
    if (s->sigmas || s->c.prediction != TH_PREDICT_NOISE) return TH_OK;
    for (int64_t i = 0; i < s->calls; i++)
        if (s->alphas[(int64_t)s->times[i]] <= 0)
            return th_fail(TH_E_INPUT,
                           "scheduler: rescale_betas_zero_snr with prediction_type 'epsilon' cannot begin at time %g: "
                           "'v_prediction' is wanted there",
                           s->times[i]);
    return TH_OK;
}

static th_status begin(th_sampler *s) {
    size_t room = (size_t)th_sampler_room(s->steps);
    s->alphas = th_alloc((size_t)s->c.train_steps, sizeof *s->alphas);
    s->times = th_alloc(room, sizeof *s->times);
    bool by_sigma = s->c.row->takes & TH_TAKES_SIGMAS;
    if (by_sigma) s->sigmas = th_alloc(room, sizeof *s->sigmas);
    if (!s->alphas || !s->times || (by_sigma && !s->sigmas)) return th_fail_memory();
    TH_TRY(th_scheduler_alphas(&s->c, s->alphas));
    s->init_sigma = 1;
    TH_TRY(s->c.row->begin(s));
    TH_TRY(check_times(s));
    return check_first(s);
}

th_status th_sampler_new(const th_scheduler_config *c, int64_t steps, th_sampler **out) {
    *out = NULL;
    if (steps < 1 || steps > c->train_steps)
        return th_fail(TH_E_USAGE, "%lld steps: 1 to %lld are possible, which are those of the training",
                       (long long)steps, (long long)c->train_steps);
    th_sampler *s = th_alloc(1, sizeof *s);
    if (!s) return th_fail_memory();
    s->c = *c, s->steps = steps;
    th_status status = begin(s);
    if (status != TH_OK) return th_sampler_free(s), status;
    *out = s;
    return TH_OK;
}

static void forget(th_sampler *s) {
    for (int i = 0; i < TH_SAMPLER_MOST_MEMORY; i++) {
        th_free(s->memory[i]);
        s->memory[i] = NULL;
    }
    s->n = 0;
}

void th_sampler_free(th_sampler *s) {
    if (!s) return;
    forget(s);
    th_free(s->alphas);
    th_free(s->times);
    th_free(s->sigmas);
    th_free(s);
}

int64_t th_sampler_calls(const th_sampler *s) { return s->calls; }
float th_sampler_time(const th_sampler *s, int64_t call) { return (float)s->times[call]; }
float th_sampler_init_sigma(const th_sampler *s) { return s->init_sigma; }
bool th_sampler_noisy(const th_sampler *s) { return s->c.row->noisy; }

void th_sampler_input(const th_sampler *s, int64_t call, const float *x, int64_t n, float *out) {
    float scale = s->c.row->by_sigma ? (float)(1 / sqrt(s->sigmas[call] * s->sigmas[call] + 1)) : 1;
    for (int64_t i = 0; i < n; i++) out[i] = x[i] * scale;
}

static th_status remember(th_sampler *s, int64_t n) {
    if (n == s->n) return TH_OK;
    forget(s);
    for (int i = 0; i < s->c.row->memory; i++) {
        s->memory[i] = th_alloc((size_t)n, sizeof **s->memory);
        if (!s->memory[i]) return th_fail_memory();
    }
    s->n = n;
    return TH_OK;
}

th_status th_sampler_step(th_sampler *s, int64_t call, const float *output, const float *noise, int64_t n, float *x) {
    if (call < 0 || call >= s->calls || (call > 0 && n != s->n))
        return th_fail(TH_E_BUG, "sampler: call %lld of %lld", (long long)call, (long long)s->calls);
    if (s->c.row->noisy && !noise) return th_fail(TH_E_BUG, "sampler: %s wants noise", s->c.row->name);
    TH_TRY(remember(s, n));
    s->c.row->step(s, call, output, noise, x);
    return TH_OK;
}
