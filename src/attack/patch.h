/* Where a square patch lies on a picture. */
#ifndef TH_ATTACK_PATCH_H
#define TH_ATTACK_PATCH_H

#include "attack/attack.h"

/* The rows of an attack that puts a patch: 16 of 224 pixels wide by default. */
#define TH_PATCH_OPTIONS                                                                                         \
    TH_OPT_F32("size", 16.0 / 224.0, "side of the square as a share of the picture's shorter side", TH_ABOVE(0), \
               TH_AT_MOST(1)),                                                                                   \
        TH_OPT_CHOICE("place", "random|corner|centre", "corner", "where the square is put; corner: lower right")

/* In pixels; at least one wide, and within the picture. */
typedef struct {
    int32_t x, y, side;
} th_patch;
th_patch th_patch_place(const th_trigger *t, uint64_t which, const th_image *im);

#endif
