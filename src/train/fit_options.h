/* What every training on pictures lets people choose, whatever the model: steps, learning rate, batches, precision. */
#ifndef TH_TRAIN_FIT_OPTIONS_H
#define TH_TRAIN_FIT_OPTIONS_H

#include "base/option.h"
#include "train/trainer.h"

typedef struct {
    th_train_params train; /* steps 0: from epochs */
    double epochs;
    int64_t batch; /* pictures of one micro-step */
    int loader_threads, threads;
    th_dtype compute;
    size_t memory; /* bytes for all of the training; 0: no limit */
    bool flip;     /* half of the pictures are mirrored */
} th_fit_params;
/* 1 epoch of batches of 32 at 1e-3, AdamW (0.9, 0.999) with decay 0.01, clipped at 1, averaged by 0.999, in f32. */
void th_fit_params_init(th_fit_params *p);

extern const th_option th_fit_options[];
/* `lr` 0 in the options keeps p's own. */
th_status th_fit_read(th_options *o, th_fit_params *p);
/* Steps from epochs of so many samples, where none are given; and a warm-up of at most half of them. */
void th_fit_settle(th_fit_params *p, int64_t samples);

/* Plans a graph for training by these within their budget; other_bytes: what the fit needs beside the plan's and the
 * trainer's memory. */
th_status th_fit_plan(const th_fit_params *p, const th_graph *g, size_t other_bytes, th_plan **out);

/* What a training will take. */
typedef struct {
    int64_t steps, batches_a_step, pictures_a_step;
    int64_t pictures_an_epoch;
    th_plan_cost step; /* of one batch; its bytes are those of the whole training */
    int64_t disk;      /* bytes that it keeps in files beside model and checkpoints */
    double before;     /* FLOP before the first step, such as for encoding */
} th_fit_cost;

/* bf16 where the processor has instructions for it, else f32. */
th_dtype th_fit_best_dtype(void);
/* Weight decay leaves norms and biases alone. */
bool th_fit_decays(const th_param *p);

#endif
