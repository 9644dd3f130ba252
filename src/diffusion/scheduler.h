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
typedef enum { TH_VARIANCE_SMALL, TH_VARIANCE_SMALL_LOG, TH_VARIANCE_LARGE } th_variance; /* of DDPM; log is the same */
typedef enum { TH_SOLVER_MIDPOINT, TH_SOLVER_HEUN } th_solver;                            /* of DPM-Solver++ */
typedef enum { TH_END_AT_ZERO, TH_END_AT_LEAST_SIGMA } th_end;

typedef struct th_scheduler_row th_scheduler_row;

/* The fields bear the meaning, and mostly the names, of those in diffusers' file. */
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
    th_variance variance;
    int64_t solver_order; /* of DPM-Solver++: 1 or 2 */
    th_solver solver;
    bool lower_order_final, euler_at_final;
    bool karras_sigmas;        /* of Euler and DPM-Solver++ */
    th_end end;                /* final_sigmas_type of these two */
    double lambda_min_clipped; /* of DPM-Solver++ */
    uint32_t left_out; /* fields that the file left out, so that another sampler takes its own defaults for them */
} th_scheduler_config;

void th_scheduler_config_init(th_scheduler_config *c); /* SD 1.5's: PNDM, scaled linear, noise */
/* A row by diffusers' class name ("DDIMScheduler") or the short one ("ddim"); NULL where there is none. */
const th_scheduler_row *th_scheduler_find(const char *name);
const char *th_scheduler_name(const th_scheduler_row *r);    /* "ddim" */
const char *th_scheduler_summary(const th_scheduler_row *r); /* half a line */
const th_scheduler_row *th_scheduler_at(int64_t i);          /* NULL past the last */
/* The same noise with another sampler, as diffusers' from_config: what the file gave stays. */
th_status th_scheduler_become(th_scheduler_config *c, const th_scheduler_row *r);
/* DIR/scheduler_config.json. Unknown schedulers and settings that are not supported are TH_E_INPUT by name. */
th_status th_scheduler_read_config(const char *dir, th_scheduler_config *c);
/* The same from memory; name is for errors. */
th_status th_scheduler_parse_config(const char *name, const char *text, size_t length, th_scheduler_config *c);
th_status th_scheduler_write_config(const th_scheduler_config *c, const char *dir);

/* ᾱ_t for t = 0 … train_steps − 1 (zero-terminal-SNR rescaling applied where asked for) into out. */
th_status th_scheduler_alphas(const th_scheduler_config *c, double *out);

/* A sampler over `steps` steps. Model calls are numbered 0 … calls − 1. */
typedef struct th_sampler th_sampler;
th_status th_sampler_new(const th_scheduler_config *c, int64_t steps, th_sampler **out);
void th_sampler_free(th_sampler *s); /* NULL is allowed */
int64_t th_sampler_calls(const th_sampler *s);
float th_sampler_time(const th_sampler *s, int64_t call); /* the t that the model is told */
float th_sampler_init_sigma(const th_sampler *s);         /* the first noise is scaled by this */
/* What the model sees at this call, of n values x. */
void th_sampler_input(const th_sampler *s, int64_t call, const float *x, int64_t n, float *out);
/* Steps x in place. output: the model's. noise: n normal values where the sampler wants them (th_sampler_noisy), else
 * NULL. Calls go in order; call 0 begins anew, with any n. */
bool th_sampler_noisy(const th_sampler *s);
th_status th_sampler_step(th_sampler *s, int64_t call, const float *output, const float *noise, int64_t n, float *x);

#endif
