/* The one training loop. What is trained is a task: parameters, a plan whose run leaves their gradients, a feed that
 * fills the plan's inputs. What the loop adds: learning rate, clipping, accumulation, moving average, logs, evaluation,
 * checkpoints, a clean stop, and going on after one with the same bits. */
#ifndef TH_TRAIN_TRAINER_H
#define TH_TRAIN_TRAINER_H

#include "theriac/plan.h"
#include "train/optimizer.h"
#include "train/run_folder.h"
#include "train/schedule.h"

typedef struct {
    th_params *params;
    th_plan *plan;                    /* makes gradients, and the scalar output "loss" */
    bool (*decays)(const th_param *); /* NULL: weight decay on all */
    const char *const *logged;        /* more scalar outputs of the plan, NULL at the end; may be NULL */
    /* Fills the inputs for a micro-step: step · accumulate + part. */
    th_status (*feed)(void *user, int64_t micro_step, th_plan *plan);
    /* Adds to the parameters' gradients what the plan does not know, once they are all there, and fills up to max
     * metrics for the log; may be NULL. The values may be changed meanwhile, and must be as they were afterwards. */
    th_status (*add_gradients)(void *user, int64_t step, th_metric *metrics, int max, int *count);
    void (*after_step)(void *user); /* such as keeping a parameter in its range; may be NULL */
    /* Called with the number of steps made, first 0, before anything is saved of them: what it does for a step has been
     * done wherever a checkpoint of that step or a later one is there. May be NULL. */
    th_status (*passed)(void *user, int64_t step);
    /* What a task keeps beside the parameters: written before the checkpoint of a step, read when a run goes on from
     * it. May be NULL. */
    th_status (*save)(void *user, int64_t step);
    th_status (*load)(void *user, int64_t step);
    /* Every eval_every steps, with the averaged parameters in place if there are such; fills up to max metrics. May be
     * NULL. */
    th_status (*evaluate)(void *user, int64_t step, th_metric *metrics, int max, int *count);
    void *user;
} th_train_task;

typedef struct {
    int64_t steps, accumulate, eval_every, checkpoint_every, keep; /* 0: never, for the two intervals */
    th_schedule schedule;                                          /* its steps are set by the trainer */
    th_adamw_params adamw;
    double average; /* decay of the parameters' moving average (EMA); 0: none */
    int threads;
    th_dtype compute; /* what the plan computes in: a run goes on in the same only */
    uint64_t seed;
    th_run_folder *run; /* NULL: keep nothing */
    bool resume;        /* go on from the run's newest checkpoint; from the start if it has none yet */
    int64_t stop_after; /* ends after so many steps of this call, as if interrupted; 0: never. For tests. */
} th_train_params;
void th_train_params_init(th_train_params *p);

typedef struct {
    int64_t steps;                                 /* made in this call */
    double first_loss, last_loss, seconds, waited; /* of this call; waited: for the feed */
    double seconds_in_all;                         /* with those of the calls that this one goes on from */
} th_train_result;

/* Bytes that training needs beside the plan's for each element that is trained: moments, averages, accumulated
 * gradients. What a plan for it is told as trained_bytes. */
size_t th_train_bytes_each(const th_train_params *p);
/* The same for all of the task's. */
size_t th_train_bytes(const th_train_task *t, const th_train_params *p);
/* Trains to the end. TH_E_INTERRUPTED after a clean stop, whether the loop, the feed or an evaluation was asked to; a
 * checkpoint is written then, and also where an evaluation fails. An evaluation that was due and is not in the log is
 * made up for when the run goes on. At the end the parameters are the averaged ones, if there are such. */
th_status th_train(const th_train_task *t, const th_train_params *p, const th_watch *w, th_train_result *result);

#endif
