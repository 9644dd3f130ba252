/* What every change of a finished model lets people choose, personalising and guarding alike: a constant learning rate,
 * few steps, AdamW. Where the method has its own choice, 0 or −1 stands for it. */
#ifndef TH_TRAIN_TUNE_OPTIONS_H
#define TH_TRAIN_TUNE_OPTIONS_H

#include "base/option.h"
#include "train/trainer.h"

typedef struct {
    int threads;
    th_dtype compute;
    size_t memory; /* bytes for all of it; 0: no limit */
} th_tune_params;

extern const th_option th_tune_options[];
void th_tune_read(th_options *o, th_train_params *train, th_tune_params *p);

#endif
