/* The options that every way of training CLIP shares. */
#include "data/loader.h"
#include "train/clip_fit.h"
#include "train/fit_options.h"

const th_option th_clip_fit_options[] = {
    TH_FIT_OPTION_LR,
    TH_OPT_F32("epochs", 0, "times through the data; 0: the method's own", TH_AT_LEAST(0)),
    TH_FIT_OPTION_STEPS,
    TH_OPT_INT("batch", 64, "pairs in a batch", TH_WITHIN(2, 1 << 20)),
    TH_FIT_OPTION_ACCUMULATE,
    TH_FIT_OPTION_WARMUP(50),
    TH_OPT_F32("weight-decay", 0.1, "AdamW's, on matrices only", TH_AT_LEAST(0)),
    TH_FIT_OPTIONS_ADAMW(0, 0),
    TH_OPT_F32("crop", 1, "random crops show at least this share of a picture; 1: no cropping", TH_ABOVE(0),
               TH_AT_MOST(1)),
    TH_OPT_CLEAN,
    TH_OPT_INT("text-tokens", 0, "cut texts to so many tokens; 0: as the longest of them needs", TH_AT_LEAST(0)),
    TH_OPT_INT("seed", 0, "of order, augmentation and initial weights", TH_AT_LEAST(0)),
    TH_FIT_OPTIONS_RUN(2),
    TH_OPT_END,
};

th_status th_clip_fit_read(th_options *o, th_clip_fit_params *p) {
    th_fit_read_train(o, &p->train);
    if (th_get_f64(o, "epochs") > 0) p->epochs = th_get_f64(o, "epochs");
    p->batch = th_get_i64(o, "batch");
    p->crop = th_get_f32(o, "crop");
    p->cleaning = (th_text_cleaning)th_get_choice(o, "clean");
    p->text_tokens = th_get_i64(o, "text-tokens");
    p->threads = (int)th_get_i64(o, "threads");
    p->loader_threads = (int)th_get_i64(o, "loader-threads");
    p->memory = (size_t)th_get_i64(o, "memory");
    p->compute = th_fit_read_dtype(o);
    p->options = o;
    return th_options_check(o);
}
