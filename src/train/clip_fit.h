/* Training a CLIP model on pairs by a method: the graph of a batch, the batches themselves, and the trainer between
 * them. */
#ifndef TH_TRAIN_CLIP_FIT_H
#define TH_TRAIN_CLIP_FIT_H

#include "data/dataset.h"
#include "data/subtext.h"
#include "train/clip_bundle.h"
#include "train/clip_method.h"
#include "train/trainer.h"

typedef struct {
    th_train_params train; /* steps 0: from epochs */
    double epochs;
    int64_t batch;             /* pairs of one micro-step */
    th_text_cleaning cleaning; /* of the bundle's texts, from th_clip_fit_new on */
    int64_t text_tokens;       /* texts are cut to so many; 0: as many as the longest of them needs */
    int loader_threads, threads;
    th_dtype compute;
    size_t memory;       /* bytes for all of the training; 0: no limit */
    float crop;          /* least share of a picture that a random crop shows; 1: no cropping */
    th_options *options; /* of the method */
    /* Of the data set's samples, for methods that need them. NULL: only the cost is asked for. */
    const th_subtexts *subtexts;
    /* As in th_train_task; called with `user`. May be NULL. */
    th_status (*evaluate)(void *user, int64_t step, th_metric *metrics, int max, int *count);
    void *user;
    int64_t evaluate_batch; /* pictures that it embeds at a time, in f32; the memory for that is counted. 64 */
} th_clip_fit_params;
void th_clip_fit_params_init(th_clip_fit_params *p);

typedef struct th_clip_fit th_clip_fit;

/* Plans everything; nothing large is allocated yet. The bundle, data set, sub-texts and options must outlive it. */
th_status th_clip_fit_new(th_clip_bundle *b, const th_clip_method *m, th_dataset *pairs, const th_clip_fit_params *p,
                          const th_watch *w, th_clip_fit **out);
void th_clip_fit_free(th_clip_fit *f);

typedef struct {
    int64_t steps, steps_an_epoch;        /* of the optimizer; those of an epoch are rounded up */
    int64_t batches_a_step, pairs_a_step; /* a step averages the gradients of so many batches */
    int64_t text_tokens;
    th_plan_cost step; /* of one batch */
    size_t bytes;      /* of the whole training: tensors, parameters, gradients, moments, batches, evaluations */
} th_clip_fit_cost;
void th_clip_fit_get_cost(const th_clip_fit *f, th_clip_fit_cost *out);

/* Where logs and checkpoints go; NULL, the default: nowhere. */
void th_clip_fit_set_run(th_clip_fit *f, th_run_folder *run);
th_status th_clip_fit_run(th_clip_fit *f, const th_watch *w, th_train_result *result);

/* Options that every way of training shares, and what they say; method tables are added by the caller. */
extern const th_option th_clip_fit_options[];
/* Learning rate, epochs and the like differ from method to method: `lr` 0 and `epochs` 0 in the options keep p's own.
 */
th_status th_clip_fit_read(th_options *o, th_clip_fit_params *p);

#endif
