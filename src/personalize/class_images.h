/* Pictures of a class that the model draws before it learns a subject, for prior preservation: 000000.png and so on,
 * each a function of the seed and its number, so that drawing goes on where it was stopped. */
#ifndef TH_PERSONALIZE_CLASS_IMAGES_H
#define TH_PERSONALIZE_CLASS_IMAGES_H

#include "diffusion/generate.h"

typedef struct {
    const char *prompt;
    int64_t count, side, steps, batch;
    float guidance;
    uint64_t seed;
    int threads;
    th_dtype compute;
    size_t memory; /* bytes for models and all else; 0: no limit */
} th_class_images_params;

/* What they depend on: these settings, and the weights that `model` names. */
void th_class_images_key(const th_class_images_params *p, const char *model, char out[TH_HASH_TEXT]);
/* How many of them the folder holds. Pictures of another key are removed first, with the folder. */
th_status th_class_images_begin(const th_class_images_params *p, const char *key, const char *dir, int64_t *count);
/* Draws those that the folder does not hold. The model has all its values. */
th_status th_class_images_make(th_sd *sd, const th_class_images_params *p, const char *dir, const th_watch *w);
/* The least time that all of them take. The model may be without values. */
th_status th_class_images_seconds(th_sd *sd, const th_class_images_params *p, const th_ceilings *c, double *seconds);

#endif
