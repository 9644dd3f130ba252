/* The options that every personalisation shares. */
#include <string.h>

#include "personalize/personalize.h"
#include "train/tune_options.h"

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
    TH_OPT_LIST("transform",
                "what is done to the subject's pictures first, in order: jpeg=QUALITY, blur=PIXELS, crop=SHARE of the "
                "sides, flip, noise=DEVIATION; may be given several times",
                .argument = "CHANGE"),
    TH_OPT_END,
};

const th_option th_personal_class_options[] = {
    TH_OPT_STRING("class-prompt", NULL, "prior preservation: what the class' pictures show, such as 'a photo of a bag'",
                  .argument = "TEXT"),
    TH_OPT_F32("prior-weight", 1, "weight of the class' loss", TH_AT_LEAST(0)),
    TH_OPT_END,
};

const th_option th_personal_train_options[] = {
    TH_OPT_INT("batch", 1, "pictures of the subject in a batch, beside as many of the class", TH_WITHIN(1, 4096)),
    TH_OPT_F32("min-snr", 0, "γ of min-SNR weighting; 0: all steps of noise count alike", TH_AT_LEAST(0)),
    TH_OPT_INT("eval-draws", 0, "measure the losses at so many fixed times and noises, before and after",
               TH_AT_LEAST(0)),
    TH_OPT_END,
};

th_status th_personal_read(th_options *o, const th_personalizer *m, th_personal_params *p) {
    th_tune_params tune;
    th_tune_read(o, &p->train, &tune);
    p->threads = tune.threads;
    p->memory = tune.memory;
    p->compute = tune.compute;
    p->prompt = th_get_str(o, "instance-prompt");
    p->side = th_get_i64(o, "size");
    p->batch = th_get_i64(o, "batch");
    p->min_snr = th_get_f32(o, "min-snr");
    if (m->prior) {
        p->class_prompt = th_get_str(o, "class-prompt");
        p->prior_weight = th_get_f32(o, "prior-weight");
    }
    th_list l = th_get_list(o, "transform");
    TH_TRY(th_fail_in(th_transforms_parse(l.items, l.count, &p->transforms), "--transform"));
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
        .transforms = p->transforms,
    };
}
