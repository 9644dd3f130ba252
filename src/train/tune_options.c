/* Options of changing a finished model. */
#include "train/tune_options.h"

#include "train/fit_options.h"

const th_option th_tune_options[] = {
    TH_OPT_F32("lr", 0, "learning rate; 0: the method's own", TH_AT_LEAST(0)),
    TH_OPT_INT("steps", 0, "optimizer steps; 0: the method's own", TH_AT_LEAST(0)),
    TH_OPT_INT("accumulate", 1, "batches whose gradients are averaged for one step", TH_AT_LEAST(1)),
    TH_OPT_INT("warmup", 0, "steps in which the learning rate rises; at most half of all", TH_AT_LEAST(0)),
    TH_OPT_CHOICE("schedule", "constant|cosine|linear", "constant", "how the learning rate falls after that"),
    TH_OPT_F32("weight-decay", 0.01, "AdamW's, on all that is trained", TH_AT_LEAST(0)),
    TH_OPT_F32("beta1", 0.9, "AdamW's", TH_WITHIN(0, 0.9999)),
    TH_OPT_F32("beta2", 0.999, "AdamW's", TH_WITHIN(0, 0.999999)),
    TH_OPT_F32("eps", 1e-8, "AdamW's", TH_ABOVE(0)),
    TH_OPT_F32("clip", -1, "gradients are scaled down to this norm; 0: never; -1: as the method's authors do",
               TH_AT_LEAST(-1)),
    TH_OPT_INT("seed", 0, "of order, views, times and noise", TH_AT_LEAST(0)),
    TH_OPT_CHOICE("dtype", "auto|f32|bf16", "auto",
                  "what products are computed in; auto: bf16 where the processor has it"),
    TH_OPT_INT("threads", 0, "threads that compute; 0: all", TH_WITHIN(0, 1024)),
    TH_OPT_SIZE("memory", 0, "budget for all of the training, such as 16G; 0: none", TH_AT_LEAST(0)),
    TH_OPT_INT("checkpoint-every", 0, "steps between checkpoints; 0: at the end only, and where it is interrupted",
               TH_AT_LEAST(0)),
    TH_OPT_INT("keep", 1, "checkpoints that are kept", TH_AT_LEAST(1)),
    TH_OPT_END,
};

void th_tune_read(th_options *o, th_train_params *t, th_tune_params *p) {
    th_schedule_kind kind = TH_CONSTANT;
    th_schedule_parse(th_get_str(o, "schedule"), &kind);
    t->schedule = (th_schedule){.kind = kind, .lr = th_get_f64(o, "lr"), .warmup = th_get_i64(o, "warmup")};
    t->steps = th_get_i64(o, "steps");
    t->accumulate = th_get_i64(o, "accumulate");
    t->adamw = (th_adamw_params){.beta1 = th_get_f32(o, "beta1"),
                                 .beta2 = th_get_f32(o, "beta2"),
                                 .eps = th_get_f32(o, "eps"),
                                 .weight_decay = th_get_f32(o, "weight-decay"),
                                 .clip_norm = th_get_f32(o, "clip")};
    t->seed = (uint64_t)th_get_i64(o, "seed");
    t->checkpoint_every = th_get_i64(o, "checkpoint-every");
    t->keep = th_get_i64(o, "keep");
    p->threads = (int)th_get_i64(o, "threads");
    p->memory = (size_t)th_get_i64(o, "memory");
    p->compute = th_fit_read_dtype(o);
}
