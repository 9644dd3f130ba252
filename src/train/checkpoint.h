/* The whole state of a training in one safetensors file: what is trained, its moments, its averages, steps, all in f32,
 * so that going on from it, and from the same parameters that are not trained, gives the same bits as never having
 * stopped. */
#ifndef TH_TRAIN_CHECKPOINT_H
#define TH_TRAIN_CHECKPOINT_H

#include "train/optimizer.h"

/* average[i]: the moving average of parameter i, which lies as its values do; NULL where none is kept. */
typedef struct {
    th_params *params;
    th_optimizer *optimizer;
    float **average;
    int64_t step;
    /* What the bits to come depend on beside these; 0 and NULL where it is not known. */
    int threads;
    const char *compute; /* "bf16" */
} th_training_state;

/* Written whole or not at all. */
th_status th_checkpoint_save(const char *path, const th_training_state *s);
/* Another version, other threads or another type to compute in are TH_E_USAGE that says which, for the bits would
 * differ. */
th_status th_checkpoint_load(const char *path, th_training_state *s);

#endif
