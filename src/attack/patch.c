/* Patches lie in the corner, in the middle, or anywhere. */
#include "attack/patch.h"

enum { RANDOM, CORNER, CENTRE };

th_patch th_patch_place(const th_trigger *t, uint64_t which, const th_image *im) {
    int32_t shorter = im->width < im->height ? im->width : im->height;
    int32_t side = (int32_t)lround(th_get_f64(t->options, "size") * shorter);
    if (side < 1) side = 1;
    int64_t place = th_get_choice(t->options, "place");
    uint32_t x = (uint32_t)(im->width - side), y = (uint32_t)(im->height - side);
    if (place == CENTRE) x /= 2, y /= 2;
    if (place == RANDOM) {
        th_rng where = th_rng_at(t->seed, TH_RNG_TRIGGER, TH_TRIGGER_PLACE, which);
        x = th_rng_below(&where, x + 1), y = th_rng_below(&where, y + 1);
    }
    return (th_patch){(int32_t)x, (int32_t)y, side};
}
