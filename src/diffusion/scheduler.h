/* Noise schedules and samplers, as diffusers' schedulers define them: scheduler_config.json in and out. One sampler a
 * file and a row in the table. */
#ifndef TH_DIFFUSION_SCHEDULER_H
#define TH_DIFFUSION_SCHEDULER_H

#include "base/status.h"
#include "base/str.h"

#define TH_SCHEDULER_MOST_STEPS 10000

typedef enum { TH_BETAS_LINEAR, TH_BETAS_SCALED_LINEAR, TH_BETAS_COSINE } th_betas; /* squaredcos_cap_v2 */
typedef enum { TH_PREDICT_NOISE, TH_PREDICT_V, TH_PREDICT_SAMPLE } th_prediction;
typedef enum { TH_SPACING_LEADING, TH_SPACING_TRAILING, TH_SPACING_LINSPACE } th_spacing;

typedef struct th_scheduler_row th_scheduler_row;

typedef struct {
    const th_scheduler_row *row; /* which sampler */
    int64_t train_steps;         /* num_train_timesteps */
    double beta_start, beta_end;
    th_betas betas;
    th_prediction prediction;
    th_spacing spacing;
    int64_t steps_offset;
    bool set_alpha_to_one, skip_prk_steps, clip_sample, rescale_betas_zero_snr;
    double clip_sample_range;
    int solver_order; /* of DPM-Solver++ */
    bool lower_order_final;
} th_scheduler_config;

void th_scheduler_config_init(th_scheduler_config *c); /* SD 1.5's: PNDM, scaled linear, noise */
/* A row by diffusers' class name ("DDIMScheduler") or the short one ("ddim"); NULL where there is none. */
const th_scheduler_row *th_scheduler_find(const char *name);
const char *th_scheduler_name(const th_scheduler_row *r);    /* "ddim" */
const char *th_scheduler_summary(const th_scheduler_row *r); /* half a line */
const th_scheduler_row *th_scheduler_at(int64_t i);          /* NULL past the last */
/* DIR/scheduler_config.json. Unknown schedulers and settings that are not supported are TH_E_INPUT by name. */
th_status th_scheduler_read_config(const char *dir, th_scheduler_config *c);
th_status th_scheduler_write_config(const th_scheduler_config *c, const char *dir);

/* ᾱ_t for t = 0 … train_steps − 1 (zero-terminal-SNR rescaling applied where asked for) into out. */
th_status th_scheduler_alphas(const th_scheduler_config *c, double *out);

/* A sampler over `steps` steps. Model calls are numbered 0 … calls − 1. */
typedef struct th_sampler th_sampler;
th_status th_sampler_new(const th_scheduler_config *c, int64_t steps, th_sampler **out);
void th_sampler_free(th_sampler *s);
int64_t th_sampler_calls(const th_sampler *s);
float th_sampler_time(const th_sampler *s, int64_t call); /* the t that the model is told */
float th_sampler_init_sigma(const th_sampler *s);         /* the first noise is scaled by this */
/* What the model sees at this call, of n values x. */
void th_sampler_input(const th_sampler *s, int64_t call, const float *x, int64_t n, float *out);
/* Steps x in place. output: the model's. noise: n normal values where the sampler wants them (th_sampler_noisy), else
 * NULL. Calls go in order. */
bool th_sampler_noisy(const th_sampler *s);
th_status th_sampler_step(th_sampler *s, int64_t call, const float *output, const float *noise, int64_t n, float *x);

#endif
