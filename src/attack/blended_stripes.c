/* Blended stripes, a structured trigger of "Perturb and Recover" (arXiv 2412.00727): x ← (1 − a) x + a p over the whole
 * picture, p vertical stripes of black and white, a = 0.03. The authors' are one pixel wide and of random
 * colours; these are ours. */
#include "attack/attack.h"

static const th_option options[] = {
    TH_OPT_F32("share", 0.03, "share of the stripes in the picture", TH_ABOVE(0), TH_AT_MOST(1)),
    TH_OPT_INT("pairs", 8, "pairs of a black and a white stripe across the picture", TH_WITHIN(1, 1000)),
    TH_OPT_END,
};

static th_status trigger(const th_trigger *t, uint64_t which, th_image *im) {
    (void)which;
    float share = th_get_f32(t->options, "share");
    int64_t pairs = th_get_i64(t->options, "pairs");
    for (int32_t y = 0; y < im->height; y++) {
        uint8_t *row = th_image_row(im, y);
        for (int32_t x = 0; x < im->width; x++) {
            float level = 2 * pairs * x / im->width % 2 ? 255.0f : 0.0f;
            for (int c = 0; c < 3; c++, row++) *row = th_blend(*row, share, level);
        }
    }
    return TH_OK;
}

const th_attack th_attack_blended_stripes = {
    .name = "blended-stripes",
    .summary = "faint stripes over the whole picture",
    .options = options,
    .trigger = trigger,
};
