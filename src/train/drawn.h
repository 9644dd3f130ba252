/* Pictures that a model draws before it is trained on them, such as those of a class for prior preservation: 000000.png
 * and so on, each a function of the seed and its number, so that drawing goes on where it was stopped. */
#ifndef TH_TRAIN_DRAWN_H
#define TH_TRAIN_DRAWN_H

#include "diffusion/generate.h"

typedef struct {
    const char *const *prompts; /* [prompt_count]: picture i is of prompt i mod prompt_count */
    int64_t prompt_count;
    int64_t count, side, steps, batch;
    float guidance;
    uint64_t seed;
    int threads;
    th_dtype compute;
    size_t memory; /* bytes for models and all else; 0: no limit */
} th_drawn_params;

/* What they depend on: these settings, and the weights that `model` names. */
void th_drawn_key(const th_drawn_params *p, const char *model, char out[TH_HASH_TEXT]);
/* How many of them the folder holds. Pictures of another key are removed first, with the folder. */
th_status th_drawn_begin(const th_drawn_params *p, const char *key, const char *dir, int64_t *count);
/* Draws those that the folder does not hold. The model has all its values. */
th_status th_drawn_make(th_sd *sd, const th_drawn_params *p, const char *dir, const th_watch *w);
/* The least time that all of them take. The model may be without values. */
th_status th_drawn_seconds(th_sd *sd, const th_drawn_params *p, const th_ceilings *c, double *seconds);

#endif
