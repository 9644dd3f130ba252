/* The options that every personalisation shares. */
#include <string.h>

#include "base/machine.h"
#include "personalize/personalize.h"
#include "train/fit_options.h"

const th_option th_personal_subject_options[] = {
    TH_OPT_PATH("instances", NULL, "pictures of the subject: a folder, a table, or fashion-scenes?subject=1",
                .argument = "SET", .required = true),
    TH_OPT_STRING("instance-prompt", NULL, "what they show, such as 'a photo of sks bag'", .argument = "TEXT"),
    TH_OPT_INT("size", 0, "side of the pictures in pixels; 0: the model's own", TH_WITHIN(0, 4096)),
    TH_OPT_CHOICE("crop", "auto|random|center|squash", "auto",
                  "how they are made square: the shorter side resized and a part cut out, or both sides resized; "
                  "auto: as the method's authors do"),
    TH_OPT_CHOICE("flip", "auto|on|off", "auto", "mirror half of the views; auto: as the method's authors do"),
    TH_OPT_INT("views", 4, "ways in which a picture is cut and mirrored, where chance has a say; each is encoded once",
               TH_WITHIN(1, 256)),
    TH_OPT_END,
};

const th_option th_personal_class_options[] = {
    TH_OPT_STRING("class-prompt", NULL, "prior preservation: what the class' pictures show, such as 'a photo of a bag'",
                  .argument = "TEXT"),
    TH_OPT_PATH("class-images", NULL, "pictures of the class; where not given, the model draws them first",
                .argument = "SET"),
    TH_OPT_PATH("class-latents", NULL,
                "the class-latents.safetensors of another run of the same autoencoder, instead of pictures",
                .argument = "FILE"),
    TH_OPT_INT("class-count", 200, "pictures of the class; of --class-images the first", TH_WITHIN(1, 100000)),
    TH_OPT_F32("prior-weight", 1, "weight of the class' loss", TH_AT_LEAST(0)),
    TH_OPT_INT("class-steps", 50, "sampling steps of each drawn picture of the class", TH_WITHIN(1, 1000)),
    TH_OPT_F32("class-guidance", 7.5, "guidance of each drawn picture of the class", TH_AT_LEAST(0)),
    TH_OPT_INT("class-batch", 4, "pictures of the class drawn at a time", TH_WITHIN(1, 1024)),
    TH_OPT_END,
};

const th_option th_personal_train_options[] = {
    TH_OPT_F32("lr", 0, "learning rate; 0: the method's own", TH_AT_LEAST(0)),
    TH_OPT_INT("steps", 0, "optimizer steps; 0: the method's own", TH_AT_LEAST(0)),
    TH_OPT_INT("batch", 1, "pictures of the subject in a batch, beside as many of the class", TH_WITHIN(1, 4096)),
    TH_OPT_INT("accumulate", 1, "batches whose gradients are averaged for one step", TH_AT_LEAST(1)),
    TH_OPT_INT("warmup", 0, "steps in which the learning rate rises; at most half of all", TH_AT_LEAST(0)),
    TH_OPT_CHOICE("schedule", "constant|cosine|linear", "constant", "how the learning rate falls after that"),
    TH_OPT_F32("weight-decay", 0.01, "AdamW's, on all that is trained", TH_AT_LEAST(0)),
    TH_OPT_F32("beta1", 0.9, "AdamW's", TH_WITHIN(0, 0.9999)),
    TH_OPT_F32("beta2", 0.999, "AdamW's", TH_WITHIN(0, 0.999999)),
    TH_OPT_F32("eps", 1e-8, "AdamW's", TH_ABOVE(0)),
    TH_OPT_F32("clip", -1, "gradients are scaled down to this norm; 0: never; -1: as the method's authors do",
               TH_AT_LEAST(-1)),
    TH_OPT_F32("min-snr", 0, "γ of min-SNR weighting; 0: all steps of noise count alike", TH_AT_LEAST(0)),
    TH_OPT_INT("seed", 0, "of order, views, times and noise", TH_AT_LEAST(0)),
    TH_OPT_CHOICE("dtype", "auto|f32|bf16", "auto",
                  "what products are computed in; auto: bf16 where the processor has it"),
    TH_OPT_INT("threads", 0, "threads that compute; 0: all", TH_WITHIN(0, 1024)),
    TH_OPT_SIZE("memory", 0, "budget for all of the training, such as 16G; 0: none", TH_AT_LEAST(0)),
    TH_OPT_INT("eval-draws", 0, "measure the losses at so many fixed times and noises, before and after",
               TH_AT_LEAST(0)),
    TH_OPT_INT("checkpoint-every", 0, "steps between checkpoints; 0: at the end only, and where it is interrupted",
               TH_AT_LEAST(0)),
    TH_OPT_INT("keep", 1, "checkpoints that are kept", TH_AT_LEAST(1)),
    TH_OPT_END,
};

static th_schedule_kind schedule_of(th_options *o) {
    th_schedule_kind kind = TH_CONSTANT;
    th_schedule_parse(th_get_str(o, "schedule"), &kind);
    return kind;
}

static th_dtype dtype_of(th_options *o) {
    int64_t dtype = th_get_choice(o, "dtype");
    return dtype == 0 ? th_fit_best_dtype() : dtype == 2 ? TH_BF16 : TH_F32;
}

th_status th_personal_read(th_options *o, const th_personalizer *m, th_personal_params *p) {
    th_train_params *t = &p->train;
    t->schedule = (th_schedule){.kind = schedule_of(o), .lr = th_get_f64(o, "lr"), .warmup = th_get_i64(o, "warmup")};
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
    p->prompt = th_get_str(o, "instance-prompt");
    p->side = th_get_i64(o, "size");
    p->batch = th_get_i64(o, "batch");
    p->min_snr = th_get_f32(o, "min-snr");
    p->threads = (int)th_get_i64(o, "threads");
    p->memory = (size_t)th_get_i64(o, "memory");
    p->compute = dtype_of(o);
    if (m->prior) {
        p->class_prompt = th_get_str(o, "class-prompt");
        p->prior_weight = th_get_f32(o, "prior-weight");
    }
    return th_options_check(o);
}

void th_personal_read_views(th_options *o, const th_personalizer *m, const th_personal_params *p, th_view_params *out) {
    int64_t crop = th_get_choice(o, "crop"), flip = th_get_choice(o, "flip");
    *out = (th_view_params){
        .side = p->side,
        .crop = crop == 0 ? m->recipe.crop : (th_crop)(crop - 1),
        .filter = m->recipe.filter,
        .flip = flip == 0 ? m->recipe.flip : flip == 1,
        .views = th_get_i64(o, "views"),
        .seed = p->train.seed,
        .threads = p->threads,
    };
}
