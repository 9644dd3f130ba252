/* AutoAugment's ImageNet policy (Cubuk et al., "AutoAugment: Learning Augmentation Strategies from Data", CVPR 2019,
 * table 9) with torchvision's ten magnitudes an operation. */
#include <math.h>

#include "data/augment_parts.h"

#define STEP(op, probability, bin) \
    { TH_AUGMENT_##op, probability, bin }

const th_autoaugment_step th_autoaugment_imagenet[TH_AUTOAUGMENT_PAIRS][2] = {
    {STEP(POSTERIZE, 0.4f, 8), STEP(ROTATE, 0.6f, 9)},  {STEP(SOLARIZE, 0.6f, 5), STEP(AUTO_CONTRAST, 0.6f, 0)},
    {STEP(EQUALIZE, 0.8f, 0), STEP(EQUALIZE, 0.6f, 0)}, {STEP(POSTERIZE, 0.6f, 7), STEP(POSTERIZE, 0.6f, 6)},
    {STEP(EQUALIZE, 0.4f, 0), STEP(SOLARIZE, 0.2f, 4)}, {STEP(EQUALIZE, 0.4f, 0), STEP(ROTATE, 0.8f, 8)},
    {STEP(SOLARIZE, 0.6f, 3), STEP(EQUALIZE, 0.6f, 0)}, {STEP(POSTERIZE, 0.8f, 5), STEP(EQUALIZE, 1.0f, 0)},
    {STEP(ROTATE, 0.2f, 3), STEP(SOLARIZE, 0.6f, 8)},   {STEP(EQUALIZE, 0.6f, 0), STEP(POSTERIZE, 0.4f, 6)},
    {STEP(ROTATE, 0.8f, 8), STEP(COLOR, 0.4f, 0)},      {STEP(ROTATE, 0.4f, 9), STEP(EQUALIZE, 0.6f, 0)},
    {STEP(EQUALIZE, 0.0f, 0), STEP(EQUALIZE, 0.8f, 0)}, {STEP(INVERT, 0.6f, 0), STEP(EQUALIZE, 1.0f, 0)},
    {STEP(COLOR, 0.6f, 4), STEP(CONTRAST, 1.0f, 8)},    {STEP(ROTATE, 0.8f, 8), STEP(COLOR, 1.0f, 2)},
    {STEP(COLOR, 0.8f, 8), STEP(SOLARIZE, 0.8f, 7)},    {STEP(SHARPNESS, 0.4f, 7), STEP(INVERT, 0.6f, 0)},
    {STEP(SHEAR_X, 0.6f, 5), STEP(EQUALIZE, 1.0f, 0)},  {STEP(COLOR, 0.4f, 0), STEP(EQUALIZE, 0.6f, 0)},
    {STEP(EQUALIZE, 0.4f, 0), STEP(SOLARIZE, 0.2f, 4)}, {STEP(SOLARIZE, 0.6f, 5), STEP(AUTO_CONTRAST, 0.6f, 0)},
    {STEP(INVERT, 0.6f, 0), STEP(EQUALIZE, 1.0f, 0)},   {STEP(COLOR, 0.6f, 4), STEP(CONTRAST, 1.0f, 8)},
    {STEP(EQUALIZE, 0.8f, 0), STEP(EQUALIZE, 0.6f, 0)},
};

/* Ten numbers from first to last as torch.linspace gives them: a float step, the upper half counted from its end, each
 * rounded to a float once (it fuses the product into the sum; in double both are exact). */
static double even(double first, double last, int bin) {
    float a = (float)first, b = (float)last, step = (b - a) / 9;
    return (float)(bin < 5 ? (double)a + (double)step * bin : (double)b - (double)step * (9 - bin));
}

double th_autoaugment_magnitude(th_augment_op op, int bin, int32_t width, int32_t height, bool *is_signed) {
    *is_signed = op <= TH_AUGMENT_SHARPNESS;
    switch (op) {
    case TH_AUGMENT_SHEAR_X:
    case TH_AUGMENT_SHEAR_Y: return even(0, 0.3, bin);
    case TH_AUGMENT_TRANSLATE_X: return even(0, 150.0 / 331.0 * width, bin);
    case TH_AUGMENT_TRANSLATE_Y: return even(0, 150.0 / 331.0 * height, bin);
    case TH_AUGMENT_ROTATE: return even(0, 30, bin);
    case TH_AUGMENT_BRIGHTNESS:
    case TH_AUGMENT_COLOR:
    case TH_AUGMENT_CONTRAST:
    case TH_AUGMENT_SHARPNESS: return even(0, 0.9, bin);
    case TH_AUGMENT_POSTERIZE: return 8 - (bin * 4 + 4) / 9; /* the nearest to bin · 4 / 9 */
    case TH_AUGMENT_SOLARIZE: return even(255, 0, bin);
    default: return 0;
    }
}

th_status th_autoaugment_apply(th_augmenter *a, th_image *im, th_rng *r) {
    const th_autoaugment_step *pair = th_autoaugment_imagenet[th_rng_below(r, TH_AUTOAUGMENT_PAIRS)];
    float chance[2] = {th_rng_f32(r), 0};
    chance[1] = th_rng_f32(r);
    bool minus[2] = {th_rng_u32(r) >> 31, 0};
    minus[1] = th_rng_u32(r) >> 31;
    for (int k = 0; k < 2; k++) {
        if (!(chance[k] < pair[k].probability)) continue;
        bool is_signed;
        double magnitude = th_autoaugment_magnitude(pair[k].op, pair[k].bin, im->width, im->height, &is_signed);
        TH_TRY(th_augment_apply(a, im, pair[k].op, is_signed && minus[k] ? -magnitude : magnitude));
    }
    return TH_OK;
}
