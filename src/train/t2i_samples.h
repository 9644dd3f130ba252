/* Pictures that a model draws while it is trained, on a contact sheet: a row a prompt, a column a seed. */
#ifndef TH_TRAIN_T2I_SAMPLES_H
#define TH_TRAIN_T2I_SAMPLES_H

#include "diffusion/generate.h"

typedef struct {
    const char *const *prompts;
    int64_t count, each; /* prompts; pictures of each, from seeds 0, 1, … */
    int64_t side;        /* pixels */
    int64_t steps;
    float guidance;
    int threads;
    th_dtype compute;
} th_t2i_samples;

/* Bytes that drawing takes beside parameters. */
th_status th_t2i_samples_bytes(th_sd *sd, const th_t2i_samples *s, size_t *bytes);
/* Draws them, and writes DIR/step-000001000.png. */
th_status th_t2i_samples_draw(th_sd *sd, const th_t2i_samples *s, const char *dir, int64_t step, const th_watch *w);

#endif
