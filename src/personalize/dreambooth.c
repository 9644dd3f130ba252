/* DreamBooth (Ruiz et al. 2023, arXiv 2208.12242): the whole UNet, and the text encoder where asked for, learn that a
 * rare word beside a class noun means this subject; pictures of the class keep the class as it was. */
#include "personalize/personalize_parts.h"

static const th_option options[] = {
    TH_OPT_BOOL("train-text-encoder", false, "train the text encoder too"),
    TH_OPT_END,
};

static th_status prepare(th_personal *p) {
    th_params *unet = th_unet_params(p->sd->unet), *text = th_text_encoder_params(p->sd->text);
    th_params_set_trainable(unet, true);
    TH_TRY(th_personal_train(p, unet));
    p->text_trained = th_get_bool(p->options, "train-text-encoder");
    if (!p->text_trained) return TH_OK;
    th_params_set_trainable(text, true);
    return th_personal_train(p, text);
}

static th_status save(const th_personal *p, const char *dir, const char *dtype) {
    unsigned same = TH_SD_VAE | (p->text_trained ? 0 : TH_SD_TEXT);
    return th_sd_save(p->sd, dir, dtype, same);
}

const th_personalizer th_personalizer_dreambooth = {
    .name = "dreambooth",
    .summary = "fine-tune the whole UNet on a few pictures of a subject",
    .options = options,
    .recipe = {.lr = 5e-6,
               .lr_with_text = 2e-6,
               .steps = 400,
               .steps_with_prior = 800,
               .clip = 1,
               .crop = TH_CROP_RANDOM,
               .filter = TH_RESIZE_BILINEAR},
    .prior = true,
    .prepare = prepare,
    .write = save,
    .usage = "A whole Stable Diffusion folder: `theriac generate --model DIR`, or "
             "`StableDiffusionPipeline.from_pretrained(DIR)`.",
};
