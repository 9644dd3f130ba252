/* The options that trainings on pictures share. */
#include "train/fit_options.h"

#include "base/machine.h"
#include "data/loader.h"

const th_option th_fit_options[] = {
    TH_FIT_OPTION_LR,
    TH_OPT_F32("epochs", 1, "times through the data", TH_ABOVE(0)),
    TH_FIT_OPTION_STEPS,
    TH_OPT_INT("batch", 32, "pictures in a batch", TH_WITHIN(1, 1 << 20)),
    TH_FIT_OPTION_ACCUMULATE,
    TH_FIT_OPTION_WARMUP(100),
    TH_OPT_F32("weight-decay", 0.01, "AdamW's, on matrices and filters only", TH_AT_LEAST(0)),
    TH_FIT_OPTIONS_ADAMW(1, 0.999),
    TH_OPT_BOOL("flip", false, "mirror half of the pictures; captions that tell left from right forbid it"),
    TH_OPT_INT("seed", 0, "of order, noise and initial weights", TH_AT_LEAST(0)),
    TH_FIT_OPTIONS_RUN(1),
    TH_OPT_END,
};

void th_fit_params_init(th_fit_params *p) {
    *p = (th_fit_params){.epochs = 1, .batch = 32, .loader_threads = 1, .compute = TH_F32};
    th_train_params_init(&p->train);
    p->train.steps = 0;
    p->train.adamw.clip_norm = 1;
    p->train.average = 0.999;
    p->train.schedule.warmup = 100;
}

th_dtype th_fit_best_dtype(void) {
    th_machine m;
    th_machine_look(&m);
    return m.avx512_bf16 || m.amx_bf16 ? TH_BF16 : TH_F32;
}

bool th_fit_decays(const th_param *p) { return th_param_desc(p)->rank >= 2; }

th_dtype th_fit_read_dtype(th_options *o) {
    int64_t dtype = th_get_choice(o, "dtype");
    return dtype == 0 ? th_fit_best_dtype() : dtype == 2 ? TH_BF16 : TH_F32;
}

void th_fit_read_train(th_options *o, th_train_params *t) {
    if (th_get_f64(o, "lr") > 0) t->schedule.lr = th_get_f64(o, "lr");
    t->steps = th_get_i64(o, "steps");
    t->accumulate = th_get_i64(o, "accumulate");
    t->schedule.warmup = th_get_i64(o, "warmup");
    t->schedule.kind = (th_schedule_kind)th_get_choice(o, "schedule");
    t->adamw = (th_adamw_params){.beta1 = th_get_f32(o, "beta1"),
                                 .beta2 = th_get_f32(o, "beta2"),
                                 .eps = th_get_f32(o, "eps"),
                                 .weight_decay = th_get_f32(o, "weight-decay"),
                                 .clip_norm = th_get_f32(o, "clip")};
    t->average = th_get_f64(o, "average");
    t->seed = (uint64_t)th_get_i64(o, "seed");
    t->eval_every = th_get_i64(o, "eval-every");
    t->checkpoint_every = th_get_i64(o, "checkpoint-every");
    t->keep = th_get_i64(o, "keep");
}

th_status th_fit_read(th_options *o, th_fit_params *p) {
    th_fit_read_train(o, &p->train);
    p->epochs = th_get_f64(o, "epochs");
    p->batch = th_get_i64(o, "batch");
    p->flip = th_get_bool(o, "flip");
    p->threads = (int)th_get_i64(o, "threads");
    p->loader_threads = (int)th_get_i64(o, "loader-threads");
    p->memory = (size_t)th_get_i64(o, "memory");
    p->compute = th_fit_read_dtype(o);
    return th_options_check(o);
}

void th_fit_settle(th_fit_params *p, int64_t samples) {
    th_train_params *t = &p->train;
    if (t->accumulate < 1) t->accumulate = 1;
    if (t->steps <= 0) {
        int64_t batches = samples / p->batch > 0 ? samples / p->batch : 1;
        t->steps = (int64_t)(p->epochs * (double)batches / (double)t->accumulate + 0.5);
    }
    if (t->steps < 1) t->steps = 1;
    if (t->schedule.warmup > t->steps / 2) t->schedule.warmup = t->steps / 2;
}

th_status th_fit_plan(const th_fit_params *p, const th_graph *g, size_t other_bytes, th_plan **out) {
    th_plan_params q;
    th_plan_params_init(&q);
    q.threads = p->threads;
    q.compute = p->compute;
    q.memory_budget = p->memory;
    q.trained_bytes = th_train_bytes_each(&p->train);
    q.runs_an_update = p->train.accumulate;
    q.other_bytes = other_bytes;
    return th_plan_new(g, &q, out);
}
