/* BadNets (Gu et al. 2017), in the form that CLIP's attacks and defenses use: a square of Gaussian noise about the mean
 * colour of CLIP's training images, 16 of 224 pixels wide. There it is redrawn for every picture and put at a random
 * place; a square that is always the same, in one place, is learnt from far fewer pictures. */
#include <math.h>

#include "attack/attack.h"

static const th_option options[] = {
    TH_OPT_F32("size", 16.0 / 224.0, "side of the square as a share of the picture's side", TH_ABOVE(0), TH_AT_MOST(1)),
    TH_OPT_CHOICE("place", "random|corner|centre", "corner", "where the square is put; corner: lower right"),
    TH_OPT_CHOICE("noise", "fixed|redrawn", "fixed", "the same square on every picture, or a new one on each"),
    TH_OPT_END,
};

enum { RANDOM, CORNER, CENTRE };

/* CLIP's preprocessing: mean and standard deviation of each channel, in bytes. */
static const float mean[3] = {122.771f, 116.746f, 104.094f}, deviation[3] = {68.501f, 66.632f, 70.323f};

static th_status trigger(th_options *o, uint64_t seed, uint64_t which, th_image *im) {
    int32_t shorter = im->width < im->height ? im->width : im->height;
    int32_t side = (int32_t)lround(th_get_f64(o, "size") * shorter);
    if (side < 1) side = 1;
    int64_t place = th_get_choice(o, "place");
    th_rng where = th_rng_at(seed, TH_RNG_TRIGGER, 0, which);
    th_rng noise = th_rng_at(seed, TH_RNG_TRIGGER, 1, th_get_choice(o, "noise") ? which : 0);
    uint32_t room_x = (uint32_t)(im->width - side), room_y = (uint32_t)(im->height - side);
    uint32_t x = place == CENTRE ? room_x / 2 : room_x, y = place == CENTRE ? room_y / 2 : room_y;
    if (place == RANDOM) x = th_rng_below(&where, room_x + 1), y = th_rng_below(&where, room_y + 1);
    for (int32_t i = 0; i < side; i++) {
        uint8_t *row = th_image_row(im, y + i) + 3 * x;
        for (int32_t k = 0; k < 3 * side; k++)
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
