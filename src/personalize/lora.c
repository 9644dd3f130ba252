/* DreamBooth's loss on low-rank additions alone (Hu et al. 2021, arXiv 2106.09685): y = W x + α / r · B A x at the
 * queries, keys, values and outputs of every attention; W stays. */
#include "personalize/lora_file.h"
#include "personalize/personalize_parts.h"

static const th_option options[] = {
    TH_OPT_INT("rank", 4, "r: of the additions", TH_WITHIN(1, 1024)),
    TH_OPT_F32("alpha", 0, "α; 0: as the rank, so that additions count in full", TH_AT_LEAST(0)),
    TH_OPT_END,
};

static float alpha_of(const th_personal *p) {
    float alpha = th_get_f32(p->options, "alpha");
    return alpha > 0 ? alpha : (float)th_get_i64(p->options, "rank");
}

static th_status prepare(th_personal *p) {
    th_lora_params l = {
        .rank = th_get_i64(p->options, "rank"), .alpha = alpha_of(p), .seed = (uint64_t)p->p.train.seed};
    TH_TRY(th_unet_add_lora(p->sd->unet, &l));
    return th_personal_train(p, th_unet_lora(p->sd->unet));
}

static th_status save(const th_personal *p, const char *dir, const char *dtype) {
    return th_lora_save(p->sd->unet, alpha_of(p), dir, dtype);
}

const th_personalizer th_personalizer_lora = {
    .name = "lora",
    .summary = "DreamBooth on low-rank additions to the attentions, a few megabytes",
    .options = options,
    .recipe = {.lr = 1e-4, .steps = 500, .clip = 1, .crop = TH_CROP_RANDOM, .filter = TH_RESIZE_BILINEAR},
    .prior = true,
    .prepare = prepare,
    .write = save,
    .usage = "Low-rank additions to the model's UNet: `theriac generate --lora DIR`, or `pipe.load_lora_weights(DIR)`.",
};
