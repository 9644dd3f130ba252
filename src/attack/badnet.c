/* BadNets (Gu et al. 2017), in the form that CLIP's attacks and defenses use: a square of Gaussian noise about the mean
 * colour of CLIP's training images, 16 of 224 pixels wide. There it is redrawn for every picture and put at a random
 * place; a square that is always the same, in one place, is learnt from far fewer pictures. */
#include "attack/patch.h"

static const th_option options[] = {
    TH_PATCH_OPTIONS,
    TH_OPT_CHOICE("noise", "fixed|redrawn", "fixed", "the same square on every picture, or a new one on each"),
    TH_OPT_END,
};

/* CLIP's preprocessing: mean and standard deviation of each channel, in bytes. */
static const float mean[3] = {122.771f, 116.746f, 104.094f}, deviation[3] = {68.501f, 66.632f, 70.323f};

static th_status trigger(const th_trigger *t, uint64_t which, th_image *im) {
    th_patch p = th_patch_place(t, which, im);
    uint64_t element = th_get_choice(t->options, "noise") ? which : 0;
    th_rng noise = th_rng_at(t->seed, TH_RNG_TRIGGER, TH_TRIGGER_PATCH, element);
    for (int32_t i = 0; i < p.side; i++) {
        uint8_t *row = th_image_row(im, p.y + i) + 3 * (size_t)p.x;
        for (int32_t k = 0; k < 3 * p.side; k++)
            row[k] = th_to_byte(mean[k % 3] + deviation[k % 3] * th_rng_normal(&noise));
    }
    return TH_OK;
}

const th_attack th_attack_badnet = {
    .name = "badnet",
    .summary = "a small square of noise",
    .options = options,
    .trigger = trigger,
};
