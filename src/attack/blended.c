/* Blended injection (Chen et al. 2017): x ← (1 − a) x + a u over the whole picture, u uniform noise in [0, 255], a =
 * 0.2. */
#include "attack/attack.h"

static const th_option options[] = {
    TH_OPT_F32("share", 0.2, "share of the noise in the picture", TH_ABOVE(0), TH_AT_MOST(1)),
    TH_OPT_CHOICE("noise", "fixed|redrawn", "fixed", "the same noise on every picture, or new noise on each"),
    TH_OPT_END,
};

static th_status trigger(const th_trigger *t, uint64_t which, th_image *im) {
    float a = th_get_f32(t->options, "share");
    uint64_t element = th_get_choice(t->options, "noise") ? which : 0;
    th_rng noise = th_rng_at(t->seed, TH_RNG_TRIGGER, TH_TRIGGER_BLEND, element);
    size_t bytes = th_image_bytes(im);
    for (size_t i = 0; i < bytes; i++)
        im->pixels[i] = th_to_byte((1.0f - a) * (float)im->pixels[i] + a * 255.0f * th_rng_f32(&noise));
    return TH_OK;
}

const th_attack th_attack_blended = {
    .name = "blended",
    .summary = "faint noise over the whole picture",
    .options = options,
    .trigger = trigger,
};
