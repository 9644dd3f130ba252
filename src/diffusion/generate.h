/* Pictures from texts: a Stable Diffusion model, classifier-free guidance (Ho and Salimans 2022) and a sampler. */
#ifndef TH_DIFFUSION_GENERATE_H
#define TH_DIFFUSION_GENERATE_H

#include "diffusion/sd.h"
#include "format/image.h"
#include "theriac/plan.h"

#define TH_GENERATE_MOST_SIDE 16384 /* pixels */

typedef struct {
    int64_t steps, batch;  /* pictures at a time */
    int64_t width, height; /* pixels; 0: the model's own */
    float guidance;        /* at 1 and below the negative prompt does not matter, and a step costs half */
    float rescale; /* φ of "Common Diffusion Noise Schedules and Sample Steps are Flawed", section 3.4; 0: not at all */
    const th_scheduler_row *scheduler; /* NULL: the model's own */
    int threads;                       /* 0: as many as the process may use */
    th_dtype compute;                  /* of UNet and text encoder; pictures are decoded in f32 */
    size_t memory;                     /* bytes for models and all else; 0: no limit */
    bool tiles;                        /* pictures are decoded in tiles */
    bool release_text;                 /* the text encoder's values are let go once texts are encoded */
} th_generate_params;
void th_generate_params_init(th_generate_params *p); /* 50 steps at guidance 7.5, one picture at a time, f32 */

typedef struct {
    const char *prompt, *negative; /* NULL: "" */
    uint64_t seed;
    const float *noise; /* [h, w, c] of the latents' shape, instead of what the seed gives; NULL: the seed's */
} th_generate_request;

typedef struct {
    int64_t index; /* of the request */
    const th_image *image;
    const float *latents; /* [h, w, c], as the sampler left them */
} th_generated;
/* Gets each picture when it is finished, in the order of the requests; what it returns other than TH_OK ends the run.
 */
typedef th_status (*th_generated_fn)(void *user, const th_generated *picture);

/* Plans for one size and batch. sd must outlive it; changed parameters are seen. Parameters that are not trainable take
 * less memory (th_param_set_trainable). Nothing large is allocated before the first run. Bad sizes are TH_E_USAGE. */
typedef struct th_generator th_generator;
th_status th_generator_new(th_sd *sd, const th_generate_params *p, th_generator **out);
void th_generator_free(th_generator *g); /* NULL is allowed */
/* Pixels of a picture, and the shape of its latents. */
void th_generator_size(const th_generator *g, int64_t *width, int64_t *height);
void th_generator_latents(const th_generator *g, int64_t *height, int64_t *width, int64_t *channels);
/* Draws n pictures. A picture depends on its request, not on the others. States of all texts are held in memory, 0.2 MB
 * each for SD 1.5. Progress is in calls of the UNet, of all batches. TH_E_INTERRUPTED when stopped: finished pictures
 * were handed over. */
th_status th_generator_run(th_generator *g, const th_generate_request *requests, int64_t n, const th_watch *watch,
                           th_generated_fn done, void *user);

typedef struct {
    th_plan_cost text, step, decode; /* of a run of each plan; a step is one call of the UNet for a batch */
    int64_t text_runs, step_runs, decode_runs;
    size_t bytes; /* of memory, at most */
} th_generate_cost;
/* Of n pictures from so many different texts, negative ones among them. */
th_status th_generator_get_cost(const th_generator *g, int64_t n, int64_t texts, th_generate_cost *out);
double th_generate_seconds(const th_generate_cost *c, const th_ceilings *ceilings, int cores);

/* The first noise of a seed, n values of unit variance. */
void th_generate_noise(uint64_t seed, int64_t n, float *out);

#endif
