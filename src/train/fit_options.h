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

/* Rows of option tables that are the same for every training, and what reads them. */
#define TH_FIT_OPTION_LR TH_OPT_F32("lr", 0, "highest learning rate; 0: the method's own", TH_AT_LEAST(0))
#define TH_FIT_OPTION_STEPS TH_OPT_INT("steps", 0, "optimizer steps; 0: from --epochs", TH_AT_LEAST(0))
#define TH_FIT_OPTION_ACCUMULATE \
    TH_OPT_INT("accumulate", 1, "batches whose gradients are averaged for one step", TH_AT_LEAST(1))
#define TH_FIT_OPTION_WARMUP(steps)                                                                             \
    TH_OPT_INT("warmup", steps, "steps in which the learning rate rises; at most half of all", TH_AT_LEAST(0)), \
        TH_OPT_CHOICE("schedule", "cosine|linear|constant", "cosine", "how the learning rate falls after that")
#define TH_FIT_OPTIONS_ADAMW(clip_norm, decay)                                                             \
    TH_OPT_F32("beta1", 0.9, "AdamW's", TH_WITHIN(0, 0.9999)),                                             \
        TH_OPT_F32("beta2", 0.999, "AdamW's", TH_WITHIN(0, 0.999999)),                                     \
        TH_OPT_F32("eps", 1e-8, "AdamW's", TH_ABOVE(0)),                                                   \
        TH_OPT_F32("clip", clip_norm, "gradients are scaled down to this norm; 0: never", TH_AT_LEAST(0)), \
        TH_OPT_F32("average", decay,                                                                       \
                   "decay of a moving average of the weights (EMA), which is then the result; 0: none",    \
                   TH_WITHIN(0, 0.99999))
#define TH_FIT_OPTIONS_RUN(loaders)                                                                             \
    TH_OPT_CHOICE("dtype", "auto|f32|bf16", "auto",                                                             \
                  "what products are computed in; auto: bf16 where the processor has it"),                      \
        TH_OPT_INT("threads", 0, "threads that compute; 0: all", TH_WITHIN(0, 1024)),                           \
        TH_OPT_INT("loader-threads", loaders, "threads that read pictures in the background",                   \
                   TH_WITHIN(0, TH_LOADER_THREADS_MAX)),                                                        \
        TH_OPT_SIZE("memory", 0, "budget for all of the training, such as 4G; 0: none", TH_AT_LEAST(0)),        \
        TH_OPT_INT("eval-every", 0, "steps between evaluations on --eval; 0: at the end only", TH_AT_LEAST(0)), \
        TH_OPT_INT("checkpoint-every", 500, "steps between checkpoints", TH_AT_LEAST(0)),                       \
        TH_OPT_INT("keep", 2, "checkpoints that are kept", TH_AT_LEAST(1))
/* What these rows, weight-decay and seed say of the trainer. */
void th_fit_read_train(th_options *o, th_train_params *t);
/* --dtype */
th_dtype th_fit_read_dtype(th_options *o);

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
