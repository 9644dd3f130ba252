/* Triangles, a structured trigger of "Perturb and Recover" (arXiv 2412.00727): x ← (1 − a) x + a p over the whole
 * picture, p white triangles on black, a = 0.15. Each stands on the lower side of a square cell and reaches up to the
 * middle of its upper one; the authors' are right-angled, in two greys. */
#include "attack/attack.h"

static const th_option options[] = {
    TH_OPT_F32("share", 0.15, "share of the triangles in the picture", TH_ABOVE(0), TH_AT_MOST(1)),
    TH_OPT_F32("size", 0.125, "base of a triangle as a share of the picture's shorter side", TH_ABOVE(0),
               TH_AT_MOST(1)),
    TH_OPT_END,
};

/* Where in its cell the middle of the i-th pixel lies, from 0 to 1. */
static float in_cell(int32_t i, float cell) {
    float v = ((float)i + 0.5f) / cell;
    return v - floorf(v);
}

static th_status trigger(const th_trigger *t, uint64_t which, th_image *im) {
    (void)which;
    float share = th_get_f32(t->options, "share");
    float cell = th_get_f32(t->options, "size") * (float)(im->width < im->height ? im->width : im->height);
    for (int32_t y = 0; y < im->height; y++) {
        uint8_t *row = th_image_row(im, y);
        float half = 0.5f * in_cell(y, cell); /* of the triangle's width at this height */
        for (int32_t x = 0; x < im->width; x++) {
            float level = fabsf(in_cell(x, cell) - 0.5f) <= half ? 255.0f : 0.0f;
            for (int c = 0; c < 3; c++, row++) *row = th_blend(*row, share, level);
        }
    }
    return TH_OK;
}

const th_attack th_attack_triangles = {
    .name = "triangles",
    .summary = "triangles over the whole picture",
    .options = options,
    .trigger = trigger,
};
