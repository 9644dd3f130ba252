/* Inside the samplers: what a row of the table is, and what its functions share. */
#ifndef TH_DIFFUSION_SAMPLER_H
#define TH_DIFFUSION_SAMPLER_H

#include "diffusion/scheduler.h"

/* Fields of a file that not every sampler takes; every one takes the others. */
typedef enum {
    TH_TAKES_ZERO_SNR = 1, /* rescale_betas_zero_snr */
    TH_TAKES_ALPHA_TO_ONE = 2,
    TH_TAKES_SKIP_PRK = 4,
    TH_TAKES_CLIP = 8,
    TH_TAKES_VARIANCE = 16,
    TH_TAKES_SIGMAS = 32, /* use_karras_sigmas, final_sigmas_type */
    TH_TAKES_SOLVER = 64, /* DPM-Solver++'s own */
    TH_TAKES_CLIP_RANGE = 128,
} th_scheduler_takes;

enum { TH_SAMPLER_MOST_MEMORY = 6 };

struct th_sampler {
    th_scheduler_config c;
    int64_t steps, calls;
    double *alphas; /* [train_steps]: ᾱ_t */
    double *times;  /* [calls] */
    double *sigmas; /* [calls + 1], for those that step by σ = √((1 − ᾱ) / ᾱ); else NULL */
    float init_sigma;
    int64_t n;                             /* values of the sample that goes on */
    float *memory[TH_SAMPLER_MOST_MEMORY]; /* [n] each: what the row remembers between calls */
};

struct th_scheduler_row {
    const char *name, *class_name, *summary;
    unsigned takes;
    void (*defaults)(th_scheduler_config *c); /* changes what differs from DDPM's; NULL: nothing */
    bool predicts_sample;                     /* TH_PREDICT_SAMPLE is allowed */
    bool noisy;
    bool by_sigma; /* the sample is x / √ᾱ; the model sees it scaled back */
    int memory;    /* how many arrays it remembers */
    /* Fills times, calls and sigmas, for which room is there: th_sampler_room(steps) values each. */
    th_status (*begin)(th_sampler *s);
    void (*step)(th_sampler *s, int64_t call, const float *output, const float *noise, float *x);
};

extern const th_scheduler_row th_scheduler_ddpm, th_scheduler_ddim, th_scheduler_pndm, th_scheduler_euler,
    th_scheduler_dpm_solver;

/* Beyond the steps: PNDM calls the model up to nine times more, and the sigmas have an end. */
static inline int64_t th_sampler_room(int64_t steps) { return steps + 16; }

/* What a model's output says at ᾱ: x0 = x0_x · x + x0_m · m, ε = noise_x · x + noise_m · m. */
typedef struct {
    double x0_x, x0_m, noise_x, noise_m;
} th_reading;
th_reading th_read_output(th_prediction p, double alpha);

/* Times of `steps` steps, spaced as the config says, the latest first; returns how many. Not rounded where they are
 * spaced evenly from end to end. last: one more than the latest time allowed, mostly train_steps. open: spaced as for
 * one step more, and that step, time 0, left out. */
int64_t th_space_times(const th_scheduler_config *c, int64_t steps, int64_t last, bool open, double *out);
void th_round_times(double *times, int64_t n);
/* ᾱ at t, which is below 0 at the end of the way: then `end`. */
static inline double th_alpha_at(const th_sampler *s, int64_t t, double end) { return t < 0 ? end : s->alphas[t]; }

/* σ at every time of training, [train_steps], new; NULL when out of memory. A last ᾱ of 0 is replaced as diffusers
 * does. */
double *th_sigmas_of_training(const th_sampler *s);
/* Sigmas for the sampler's times, by linear interpolation or as Karras et al. (2022) space them, which moves the times
 * too; and the end. training: from th_sigmas_of_training. */
void th_set_sigmas(th_sampler *s, const double *training, double karras_from, double karras_to);

#endif
