/* What augment.c and augment_ops.c share. */
#ifndef TH_DATA_AUGMENT_PARTS_H
#define TH_DATA_AUGMENT_PARTS_H

#include "data/augment.h"

#define TH_NORMAL_COUNT 4096

struct th_augmenter {
    th_image source, cut; /* the picture before a change that cannot be made in place; a crop */
    /* The normal distribution's middle quantiles of 4,096 equal parts, in standard deviations. */
    float normal[TH_NORMAL_COUNT];
    int16_t noise[TH_NORMAL_COUNT]; /* the same as whole grey levels, for the sigma below */
    float noise_sigma;
    bool noise_one_sided;
};

/* Copies im into a->source. */
th_status th_augmenter_keep(th_augmenter *a, const th_image *im);

#endif
