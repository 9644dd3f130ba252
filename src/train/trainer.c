/* The training loop. */
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "train/checkpoint.h"

typedef struct {
    const th_train_task *task;
    th_train_params p;
    const th_watch *watch;
    th_optimizer *optimizer;
    float **average, **swap, **sum; /* by parameter; row-major, home layout, home layout */
    int64_t step, first_step;
    th_train_result *result;
} loop;

void th_train_params_init(th_train_params *p) {
    *p = (th_train_params){.steps = 1000, .accumulate = 1, .keep = 2};
    p->schedule = (th_schedule){.kind = TH_COSINE, .lr = 1e-3};
    th_adamw_params_init(&p->adamw);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static size_t param_bytes(const th_param *p) { return (size_t)th_param_elements(p) * sizeof(float); }

size_t th_train_bytes(const th_train_task *t, const th_train_params *p) {
    size_t bytes = 0;
    int copies = 2 + (p->average > 0 ? 2 : 0) + (p->accumulate > 1 ? 1 : 0);
    for (int64_t i = 0; i < th_params_count(t->params); i++) {
        const th_param *q = th_params_at(t->params, i);
        if (q->trainable) bytes += (size_t)copies * param_bytes(q);
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
        if (!(copies[i] = th_alloc_big(param_bytes(q)))) return th_fail_memory();
        memset(copies[i], 0, param_bytes(q));
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
    TH_TRY(new_copies(l, &l->swap));
    for (int64_t i = 0; i < th_params_count(t->params); i++)
        if (l->average[i]) TH_TRY(th_param_get(th_params_at(t->params, i), l->average[i]));
    return TH_OK;
}

static th_training_state state_of(loop *l) {
    return (th_training_state){l->task->params, l->optimizer, l->average, l->step};
}

static th_status save(loop *l) {
    if (!l->p.run) return TH_OK;
    char path[TH_PATH_MAX];
    th_training_state s = state_of(l);
    TH_TRY(th_run_folder_checkpoint(l->p.run, l->step, path));
    TH_TRY(th_checkpoint_save(path, &s));
    return th_run_folder_prune(l->p.run, l->p.keep > 0 ? l->p.keep : 1);
}

static th_status resume(loop *l) {
    char path[TH_PATH_MAX];
    int64_t newest = l->p.run && l->p.resume ? th_run_folder_newest(l->p.run, path) : -1;
    if (newest >= 0) {
        th_training_state s = state_of(l);
        TH_TRY(th_checkpoint_load(path, &s));
        l->step = s.step;
    }
    l->first_step = l->step;
    return l->p.run ? th_run_folder_begin_log(l->p.run, newest >= 0 ? l->step : -1) : TH_OK;
}

/* Adds the gradients to the sum, or, after the last part, puts their mean in their place. */
static void accumulate(loop *l, int64_t part) {
    bool last = part == l->p.accumulate - 1;
    float k = 1.0f / (float)l->p.accumulate;
    for (int64_t i = 0; i < th_params_count(l->task->params); i++) {
        const th_param *q = th_params_at(l->task->params, i);
        float *sum = l->sum[i], *grad = q->grad;
        int64_t n = th_param_elements(q);
        if (!sum || !grad) continue;
        for (int64_t e = 0; e < n; e++) {
            float total = (part ? sum[e] : 0.0f) + grad[e];
            sum[e] = total;
            if (last) grad[e] = total * k;
        }
    }
}

static th_status move_average(loop *l) {
    /* Early on the average follows more closely, as the usual ramp (1 + t) / (10 + t) does. */
    double ramp = (1.0 + (double)l->step) / (10.0 + (double)l->step);
    float keep = (float)(l->p.average < ramp ? l->p.average : ramp);
    for (int64_t i = 0; i < th_params_count(l->task->params); i++) {
        const th_param *q = th_params_at(l->task->params, i);
        float *a = l->average[i], *v = l->swap[i];
        if (!a) continue;
        TH_TRY(th_param_get(q, v));
        for (int64_t e = 0, n = th_desc_count(&q->desc); e < n; e++) a[e] = v[e] + keep * (a[e] - v[e]);
    }
    return TH_OK;
}

/* Exchanges the parameters with their average. */
static th_status exchange(loop *l) {
    for (int64_t i = 0; l->average && i < th_params_count(l->task->params); i++) {
        th_param *q = th_params_at(l->task->params, i);
        if (!l->average[i]) continue;
        TH_TRY(th_param_get(q, l->swap[i]));
        TH_TRY(th_param_set(q, l->average[i]));
        memcpy(l->average[i], l->swap[i], (size_t)th_desc_count(&q->desc) * sizeof(float));
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

static th_status log_step(loop *l, double loss, double norm, double lr) {
    th_metric metrics[MAX_METRICS] = {{"loss", loss}, {"grad_norm", norm}, {"lr", lr}};
    int count = 3;
    for (int i = 0; l->task->logged && l->task->logged[i] && count < MAX_METRICS; i++) {
        const float *v = th_plan_output(l->task->plan, l->task->logged[i]);
        if (v) metrics[count++] = (th_metric){l->task->logged[i], (double)*v};
    }
    char detail[96];
    snprintf(detail, sizeof detail, "loss %.4f, lr %.3g", loss, lr);
    th_report(l->watch, "training", l->step, l->p.steps, detail);
    return l->p.run ? th_run_folder_log(l->p.run, l->step, metrics, count) : TH_OK;
}

static th_status one_step(loop *l) {
    double loss = 0, norm = 0, lr = th_schedule_at(&l->p.schedule, l->step);
    for (int64_t part = 0; part < l->p.accumulate; part++) {
        double begin = now();
        int64_t micro = l->step * l->p.accumulate + part;
        TH_TRY(l->task->feed(l->task->user, micro, l->task->plan));
        l->result->waited += now() - begin;
        TH_TRY(th_plan_run(l->task->plan, l->p.seed, (uint32_t)micro));
        loss += (double)*(const float *)th_plan_output(l->task->plan, "loss") / (double)l->p.accumulate;
        if (l->sum) accumulate(l, part);
    }
    if (!isfinite(loss))
        return th_fail(TH_E_INPUT, "step %lld: the loss is not finite; lower --lr", (long long)l->step);
    TH_TRY(
        th_fail_in(th_optimizer_step(l->optimizer, (float)lr, l->p.threads, &norm), "step %lld", (long long)l->step));
    if (l->task->after_step) l->task->after_step(l->task->user);
    if (l->average) TH_TRY(move_average(l));
    if (l->step == l->first_step) l->result->first_loss = loss;
    l->result->last_loss = loss;
    l->step++;
    l->result->steps++;
    return log_step(l, loss, norm, lr);
}

static bool due(int64_t every, int64_t step) { return every > 0 && step % every == 0; }

static th_status go(loop *l) {
    TH_TRY(prepare(l));
    TH_TRY(resume(l));
    while (l->step < l->p.steps) {
        bool stop = th_stopped(l->watch) || (l->p.stop_after > 0 && l->result->steps >= l->p.stop_after);
        if (stop) {
            TH_TRY(save(l));
            return th_fail(TH_E_INTERRUPTED, "stopped after step %lld of %lld%s", (long long)l->step,
                           (long long)l->p.steps, l->p.run ? "; --resume goes on from there" : "");
        }
        TH_TRY(one_step(l));
        if (l->task->evaluate && (due(l->p.eval_every, l->step) || l->step == l->p.steps)) TH_TRY(evaluate(l));
        if (due(l->p.checkpoint_every, l->step) || l->step == l->p.steps) TH_TRY(save(l));
    }
    return exchange(l);
}

th_status th_train(const th_train_task *t, const th_train_params *p, const th_watch *w, th_train_result *result) {
    *result = (th_train_result){0};
    loop l = {.task = t, .p = *p, .watch = w, .result = result};
    l.p.schedule.steps = p->steps;
    if (l.p.accumulate < 1) l.p.accumulate = 1;
    double begin = now();
    th_status s = go(&l);
    result->seconds = now() - begin;
    th_optimizer_free(l.optimizer);
    free_copies(&l, l.average);
    free_copies(&l, l.swap);
    free_copies(&l, l.sum);
    return s;
}
