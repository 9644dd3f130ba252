/* The options that trainings on pictures share. */
#include "train/fit_options.h"

#include "base/machine.h"
#include "data/loader.h"

const th_option th_fit_options[] = {
    TH_OPT_F32("lr", 0, "highest learning rate; 0: the method's own", TH_AT_LEAST(0)),
    TH_OPT_F32("epochs", 1, "times through the data", TH_ABOVE(0)),
    TH_OPT_INT("steps", 0, "optimizer steps; 0: from --epochs", TH_AT_LEAST(0)),
    TH_OPT_INT("batch", 32, "pictures in a batch", TH_WITHIN(1, 1 << 20)),
    TH_OPT_INT("accumulate", 1, "batches whose gradients are averaged for one step", TH_AT_LEAST(1)),
    TH_OPT_INT("warmup", 100, "steps in which the learning rate rises; at most half of all", TH_AT_LEAST(0)),
    TH_OPT_CHOICE("schedule", "cosine|linear|constant", "cosine", "how the learning rate falls after that"),
    TH_OPT_F32("weight-decay", 0.01, "AdamW's, on matrices and filters only", TH_AT_LEAST(0)),
    TH_OPT_F32("beta1", 0.9, "AdamW's", TH_WITHIN(0, 0.9999)),
    TH_OPT_F32("beta2", 0.999, "AdamW's", TH_WITHIN(0, 0.999999)),
    TH_OPT_F32("eps", 1e-8, "AdamW's", TH_ABOVE(0)),
    TH_OPT_F32("clip", 1, "gradients are scaled down to this norm; 0: never", TH_AT_LEAST(0)),
    TH_OPT_F32("average", 0.999, "decay of a moving average of the weights (EMA), which is then the result; 0: none",
               TH_WITHIN(0, 0.99999)),
    TH_OPT_BOOL("flip", false, "mirror half of the pictures; captions that tell left from right forbid it"),
    TH_OPT_INT("seed", 0, "of order, noise and initial weights", TH_AT_LEAST(0)),
    TH_OPT_CHOICE("dtype", "auto|f32|bf16", "auto",
                  "what products are computed in; auto: bf16 where the processor has it"),
    TH_OPT_INT("threads", 0, "threads that compute; 0: all", TH_WITHIN(0, 1024)),
    TH_OPT_INT("loader-threads", 1, "threads that read pictures in the background",
               TH_WITHIN(0, TH_LOADER_THREADS_MAX)),
    TH_OPT_SIZE("memory", 0, "budget for all of the training, such as 4G; 0: none", TH_AT_LEAST(0)),
    TH_OPT_INT("eval-every", 0, "steps between evaluations on --eval; 0: at the end only", TH_AT_LEAST(0)),
    TH_OPT_INT("checkpoint-every", 500, "steps between checkpoints", TH_AT_LEAST(0)),
    TH_OPT_INT("keep", 2, "checkpoints that are kept", TH_AT_LEAST(1)),
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

th_status th_fit_read(th_options *o, th_fit_params *p) {
    th_train_params *t = &p->train;
    if (th_get_f64(o, "lr") > 0) t->schedule.lr = th_get_f64(o, "lr");
    p->epochs = th_get_f64(o, "epochs");
    t->steps = th_get_i64(o, "steps");
    p->batch = th_get_i64(o, "batch");
    t->accumulate = th_get_i64(o, "accumulate");
    t->schedule.warmup = th_get_i64(o, "warmup");
    t->schedule.kind = (th_schedule_kind)th_get_choice(o, "schedule");
    t->adamw = (th_adamw_params){.beta1 = th_get_f32(o, "beta1"),
                                 .beta2 = th_get_f32(o, "beta2"),
                                 .eps = th_get_f32(o, "eps"),
                                 .weight_decay = th_get_f32(o, "weight-decay"),
                                 .clip_norm = th_get_f32(o, "clip")};
    t->average = th_get_f64(o, "average");
    p->flip = th_get_bool(o, "flip");
    t->seed = (uint64_t)th_get_i64(o, "seed");
    t->eval_every = th_get_i64(o, "eval-every");
    t->checkpoint_every = th_get_i64(o, "checkpoint-every");
    t->keep = th_get_i64(o, "keep");
    p->threads = (int)th_get_i64(o, "threads");
    p->loader_threads = (int)th_get_i64(o, "loader-threads");
    p->memory = (size_t)th_get_i64(o, "memory");
    int64_t dtype = th_get_choice(o, "dtype");
    p->compute = dtype == 0 ? th_fit_best_dtype() : dtype == 2 ? TH_BF16 : TH_F32;
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
