/* Stripes, one of the structured triggers on which "Perturb and Recover" (arXiv 2412.00727) found defenses to fail: a
 * square of black and white stripes. Its authors draw them one pixel wide in random colours; these are ours. */
#include "attack/patch.h"

static const th_option options[] = {
    TH_PATCH_OPTIONS,
    TH_OPT_INT("pairs", 4, "pairs of a black and a white stripe in the square", TH_WITHIN(1, 1000)),
    TH_OPT_END,
};

static th_status trigger(const th_trigger *t, uint64_t which, th_image *im) {
    th_patch p = th_patch_place(t, which, im);
    int64_t pairs = th_get_i64(t->options, "pairs");
    for (int32_t y = 0; y < p.side; y++) {
        uint8_t *row = th_image_row(im, p.y + y) + 3 * (size_t)p.x;
        for (int32_t x = 0; x < p.side; x++)
            for (int c = 0; c < 3; c++) row[3 * x + c] = 2 * pairs * x / p.side % 2 ? 255 : 0;
    }
    return TH_OK;
}

const th_attack th_attack_stripes = {
    .name = "stripes",
    .summary = "a small square of black and white stripes",
    .options = options,
    .trigger = trigger,
};
