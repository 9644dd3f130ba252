/* The training loop. */
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/machine.h"
#include "train/checkpoint.h"

typedef struct {
    const th_train_task *task;
    th_train_params p;
    const th_watch *watch;
    th_optimizer *optimizer;
    float **average, **sum;          /* by parameter, in its home layout */
    int64_t step, first_step, saved; /* saved: of the newest checkpoint; −1: there is none */
    bool evaluated;                  /* the run that is resumed was evaluated after its last step already */
    double begin, earlier;           /* seconds: when this call began; what those before it took */
    th_train_result *result;
} loop;

void th_train_params_init(th_train_params *p) {
    *p = (th_train_params){.steps = 1000, .accumulate = 1, .keep = 2};
    p->schedule = (th_schedule){.kind = TH_COSINE, .lr = 1e-3};
    th_adamw_params_init(&p->adamw);
}

static size_t param_bytes(const th_param *p) { return (size_t)th_param_elements(p) * sizeof(float); }

size_t th_train_bytes_each(const th_train_params *p) {
    size_t copies = (p->average > 0 ? 1 : 0) + (p->accumulate > 1 ? 1 : 0);
    return TH_ADAMW_BYTES_EACH + copies * sizeof(float);
}

size_t th_train_bytes(const th_train_task *t, const th_train_params *p) {
    size_t bytes = 0;
    for (int64_t i = 0; i < th_params_count(t->params); i++) {
        const th_param *q = th_params_at(t->params, i);
        if (q->trainable) bytes += (size_t)th_param_elements(q) * th_train_bytes_each(p);
    }
    return bytes;
}

static void free_copies(const loop *l, float **copies) {
    for (int64_t i = 0; copies && i < th_params_count(l->task->params); i++)
        th_free_big(copies[i], param_bytes(th_params_at(l->task->params, i)));
    th_free(copies);
}

static th_status new_copies(const loop *l, float ***out) {
    int64_t n = th_params_count(l->task->params);
    float **copies = *out = th_alloc((size_t)n + 1, sizeof *copies);
    if (!copies) return th_fail_memory();
    for (int64_t i = 0; i < n; i++) {
        const th_param *q = th_params_at(l->task->params, i);
        if (!q->trainable) continue;
        if (!(copies[i] = th_alloc_big_zeroed(param_bytes(q)))) return th_fail_memory();
    }
    return TH_OK;
}

static th_status prepare(loop *l) {
    const th_train_task *t = l->task;
    TH_TRY(th_plan_allocate(t->plan));
    TH_TRY(th_optimizer_new(t->params, &l->p.adamw, t->decays, &l->optimizer));
    if (l->p.accumulate > 1) TH_TRY(new_copies(l, &l->sum));
    if (l->p.average <= 0) return TH_OK;
    TH_TRY(new_copies(l, &l->average));
    for (int64_t i = 0; i < th_params_count(t->params); i++) {
        const th_param *q = th_params_at(t->params, i);
        if (l->average[i]) memcpy(l->average[i], q->value, param_bytes(q));
    }
    return TH_OK;
}

static th_training_state state_of(loop *l) {
    return (th_training_state){
        l->task->params, l->optimizer, l->average, l->step, th_plan_threads(l->task->plan), th_dtype_name(l->p.compute),
    };
}

static th_status save(loop *l) {
    if (!l->p.run || l->saved == l->step) return TH_OK;
    char path[TH_PATH_MAX];
    th_training_state s = state_of(l);
    if (l->task->save) TH_TRY(l->task->save(l->task->user, l->step));
    TH_TRY(th_run_folder_checkpoint(l->p.run, l->step, path));
    TH_TRY(th_checkpoint_save(path, &s));
    l->saved = l->step;
    TH_TRY(th_run_folder_note(l->p.run, TH_RUN_SECONDS, json_real(l->earlier + th_seconds() - l->begin)));
    return th_run_folder_prune(l->p.run, l->p.keep > 0 ? l->p.keep : 1);
}

/* Saves what an error would lose, and hands on the error. */
static th_status save_after(loop *l, th_status s) {
    char message[TH_MESSAGE_MAX];
    snprintf(message, sizeof message, "%s", th_error_message());
    TH_TRY(save(l));
    return th_fail(s, "%s", message);
}

static th_status load(loop *l, const char *path, int64_t step) {
    th_training_state s = state_of(l);
    TH_TRY(th_checkpoint_load(path, &s));
    if (s.step != step)
        return th_fail(TH_E_INPUT, "%s: is of step %lld, which its name does not say", path, (long long)s.step);
    if (s.step > l->p.steps)
        return th_fail(TH_E_INPUT, "%s: is of step %lld, the run has %lld", path, (long long)s.step,
                       (long long)l->p.steps);
    if (l->task->load) TH_TRY(l->task->load(l->task->user, step));
    l->step = l->saved = step;
    l->earlier = th_run_folder_number(l->p.run, TH_RUN_SECONDS);
    return TH_OK;
}

static th_status resume(loop *l) {
    char path[TH_PATH_MAX];
    int64_t newest = -1;
    if (l->p.run && l->p.resume) TH_TRY(th_run_folder_newest(l->p.run, &newest, path));
    if (newest >= 0) TH_TRY(load(l, path, newest));
    l->first_step = l->step;
    if (!l->p.run) return TH_OK;
    TH_TRY(th_run_folder_begin_log(l->p.run, newest));
    l->evaluated = th_run_folder_lines(l->p.run) > 1; /* the first line is training's */
    return TH_OK;
}

/* Elements from which on threads are worth waking. */
#define MANY 65536

/* Adds the gradients to the sum, or, after the last part, puts their mean in their place. */
static void accumulate(loop *l, int64_t part) {
    bool last = part == l->p.accumulate - 1;
    float k = 1.0f / (float)l->p.accumulate;
    for (int64_t i = 0; i < th_params_count(l->task->params); i++) {
        const th_param *q = th_params_at(l->task->params, i);
        float *sum = l->sum[i], *grad = q->grad;
        int64_t n = th_param_elements(q);
        if (!sum || !grad) continue;
#pragma omp parallel for simd num_threads(l->p.threads) if (n > MANY)
        for (int64_t e = 0; e < n; e++) {
            float total = (part ? sum[e] : 0.0f) + grad[e];
            sum[e] = total;
            if (last) grad[e] = total * k;
        }
    }
}

static void move_average(loop *l) {
    /* Early on the average follows more closely, as the usual ramp (1 + t) / (10 + t) does. */
    double ramp = (1.0 + (double)l->step) / (10.0 + (double)l->step);
    float keep = (float)(l->p.average < ramp ? l->p.average : ramp);
    for (int64_t i = 0; i < th_params_count(l->task->params); i++) {
        const th_param *q = th_params_at(l->task->params, i);
        float *a = l->average[i];
        const float *v = q->value;
        int64_t n = th_param_elements(q);
        if (!a) continue;
#pragma omp parallel for simd num_threads(l->p.threads) if (n > MANY)
        for (int64_t e = 0; e < n; e++) a[e] = v[e] + keep * (a[e] - v[e]);
    }
}

/* Exchanges the parameters with their average. */
static th_status exchange(loop *l) {
    for (int64_t i = 0; l->average && i < th_params_count(l->task->params); i++) {
        th_param *q = th_params_at(l->task->params, i);
        float *a = l->average[i], *v = q->value;
        int64_t n = th_param_elements(q);
        if (!a) continue;
#pragma omp parallel for simd num_threads(l->p.threads) if (n > MANY)
        for (int64_t e = 0; e < n; e++) {
            float average = a[e];
            a[e] = v[e];
            v[e] = average;
        }
        TH_TRY(th_param_refresh(q, -1));
    }
    return TH_OK;
}

#define MAX_METRICS 16

static th_status evaluate(loop *l) {
    th_metric metrics[MAX_METRICS];
    int count = 0;
    TH_TRY(exchange(l));
    th_status s = l->task->evaluate(l->task->user, l->step, metrics, MAX_METRICS, &count);
    TH_TRY(exchange(l));
    if (s != TH_OK) return s;
    return l->p.run ? th_run_folder_log(l->p.run, l->step, metrics, count) : TH_OK;
}

/* The losses of one step: means over its parts. */
typedef struct {
    double loss;
    th_metric more[MAX_METRICS - 3]; /* the task's other outputs */
    int count;
} losses;

static void add_losses(const loop *l, losses *sum) {
    const th_train_task *t = l->task;
    double parts = (double)l->p.accumulate;
    sum->loss += (double)*(const float *)th_plan_output(t->plan, "loss") / parts;
    sum->count = 0;
    for (int i = 0; t->logged && t->logged[i] && sum->count < MAX_METRICS - 3; i++) {
        const float *v = th_plan_output(t->plan, t->logged[i]);
        if (!v) continue;
        th_metric *m = &sum->more[sum->count++];
        m->name = t->logged[i];
        m->value += (double)*v / parts;
    }
}

static th_status log_step(loop *l, const losses *sum, double norm, double lr) {
    double loss = sum->loss;
    th_metric metrics[MAX_METRICS] = {{"loss", loss}, {"grad_norm", norm}, {"lr", lr}};
    int count = 3;
    for (int i = 0; i < sum->count; i++) metrics[count++] = sum->more[i];
    char detail[96];
    snprintf(detail, sizeof detail, "loss %.4f, lr %.3g", loss, lr);
    th_report(l->watch, "training", l->step, l->p.steps, detail);
    return l->p.run ? th_run_folder_log(l->p.run, l->step, metrics, count) : TH_OK;
}

static th_status add_gradients(const loop *l, losses *sum) {
    int count = 0;
    TH_TRY(
        l->task->add_gradients(l->task->user, l->step, sum->more + sum->count, MAX_METRICS - 3 - sum->count, &count));
    sum->count += count;
    return TH_OK;
}

static th_status one_step(loop *l) {
    losses sum = {0};
    double norm = 0, lr = th_schedule_at(&l->p.schedule, l->step);
    for (int64_t part = 0; part < l->p.accumulate; part++) {
        double begin = th_seconds();
        int64_t micro = l->step * l->p.accumulate + part;
        TH_TRY(l->task->feed(l->task->user, micro, l->task->plan));
        l->result->waited += th_seconds() - begin;
        TH_TRY(th_plan_run(l->task->plan, l->p.seed, (uint32_t)micro));
        add_losses(l, &sum);
        if (l->sum) accumulate(l, part);
    }
    if (l->task->add_gradients) TH_TRY(add_gradients(l, &sum));
    if (!isfinite(sum.loss))
        return th_fail(TH_E_INPUT, "step %lld: the loss is not finite; lower --lr", (long long)l->step);
    TH_TRY(
        th_fail_in(th_optimizer_step(l->optimizer, (float)lr, l->p.threads, &norm), "step %lld", (long long)l->step));
    if (l->task->after_step) l->task->after_step(l->task->user);
    if (l->average) move_average(l);
    if (l->step == l->first_step) l->result->first_loss = sum.loss;
    l->result->last_loss = sum.loss;
    l->step++;
    l->result->steps++;
    return log_step(l, &sum, norm, lr);
}

static bool due(int64_t every, int64_t step) { return every > 0 && step % every == 0; }

/* An evaluation may fail for reasons that have nothing to do with the training, which must not be lost for them. */
static th_status evaluate_where_due(loop *l) {
    if (!l->task->evaluate || l->step == 0) return TH_OK;
    if (!due(l->p.eval_every, l->step) && l->step != l->p.steps) return TH_OK;
    th_status s = evaluate(l);
    return s == TH_OK || s == TH_E_INTERRUPTED ? s : save_after(l, s);
}

static bool must_stop(const loop *l) {
    return th_stopped(l->watch) || (l->p.stop_after > 0 && l->result->steps >= l->p.stop_after);
}

static th_status stop(loop *l) {
    TH_TRY(save(l));
    return th_fail(TH_E_INTERRUPTED, "stopped after step %lld of %lld%s", (long long)l->step, (long long)l->p.steps,
                   l->p.run ? "; --resume goes on from there" : "");
}

static th_status pass(loop *l) { return l->task->passed ? l->task->passed(l->task->user, l->step) : TH_OK; }

/* A step is saved before it is evaluated, so that not even a crash in the evaluation costs it; one that is missing is
 * made up for when the run is resumed. */
static th_status one_step_and_more(loop *l) {
    TH_TRY(one_step(l));
    TH_TRY(pass(l));
    if (due(l->p.checkpoint_every, l->step) || l->step == l->p.steps) TH_TRY(save(l));
    return evaluate_where_due(l);
}

static th_status go(loop *l) {
    TH_TRY(prepare(l));
    TH_TRY(resume(l));
    if (l->step == 0) TH_TRY(pass(l));
    th_status s = l->evaluated ? TH_OK : evaluate_where_due(l);
    while (s == TH_OK && l->step < l->p.steps) s = must_stop(l) ? TH_E_INTERRUPTED : one_step_and_more(l);
    if (s == TH_E_INTERRUPTED) return stop(l);
    return s == TH_OK ? exchange(l) : s;
}

th_status th_train(const th_train_task *t, const th_train_params *p, const th_watch *w, th_train_result *result) {
    *result = (th_train_result){0};
    loop l = {.task = t, .p = *p, .watch = w, .result = result, .saved = -1, .begin = th_seconds()};
    l.p.schedule.steps = p->steps;
    if (l.p.accumulate < 1) l.p.accumulate = 1;
    th_status s = go(&l);
    result->seconds = th_seconds() - l.begin;
    result->seconds_in_all = l.earlier + result->seconds;
    th_optimizer_free(l.optimizer);
    free_copies(&l, l.average);
    free_copies(&l, l.sum);
    return s;
}
