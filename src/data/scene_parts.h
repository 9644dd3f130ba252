/* What the parts of the fashion scenes share: how a scene is laid out is decided in scenes.c, painted in scene_paint.c
 * and told in scene_captions.c. Lengths are in 1/256 of a pixel ("q8") and all arithmetic on pixels is integer. */
#ifndef TH_DATA_SCENE_PARTS_H
#define TH_DATA_SCENE_PARTS_H

#include "base/rng.h"
#include "data/scenes.h"

#define TH_GARMENT_SIDE 28 /* of Fashion-MNIST's pictures */
/* The cut-out's rows and columns: 28 with two empty ones before and after, so that sampling needs no edge cases. */
#define TH_CUT_STRIDE 32

typedef struct {
    uint8_t red, green, blue;
} th_rgb8;

/* A garment freed from its black background. */
typedef struct {
    uint16_t texel[TH_CUT_STRIDE * TH_CUT_STRIDE][2]; /* alpha 0…255, alpha × shade (shade 255 is the colour itself) */
    int left, top, right, bottom;                     /* the box of its pixels; right and bottom are one past it */
} th_scene_cut;

/* grey: [28, 28], 0 is background. Cannot fail: a picture without a garment gives an empty cut-out with a box of one
 * pixel. */
void th_scene_cut_out(const uint8_t *grey, th_garment garment, th_scene_cut *out);

typedef struct {
    th_scene_cut cut;
    th_rgb8 colour, second; /* second: of stripes and dots */
    th_pattern pattern;
    bool across; /* stripes run up and down rather than left and right */
    th_pose pose;
    bool mirrored;
    int degrees;
    int32_t x, y, half_width, half_height, side; /* q8; side: what the longer side of the cut-out's box becomes */
    int32_t phase_x, phase_y;                    /* q8, of the pattern */
} th_scene_sprite;

typedef struct {
    int side, count;
    bool catalogue; /* garments are shown for recognition: not small, not lying, without a pattern */
    bool subject;   /* one garment that must be recognised again: not small */
    th_background background;
    th_rgb8 base;             /* of a plain or striped background */
    int direction;            /* of its stripes: 0 level, 1 upright, 2 diagonal */
    int32_t gain;             /* brightness in the middle, 256 is 1 */
    int32_t slope_x, slope_y; /* brightness from the middle to an edge, in 1/256 */
    int32_t noise;            /* standard deviation in 1/16 of a grey level */
    th_scene_sprite sprites[TH_SCENE_GARMENTS_MAX];
} th_scene_drawing;

/* rgb: [side, side, 3]. r gives the textures' and the noise's random numbers. */
void th_scene_paint(const th_scene_drawing *d, th_rng r, uint8_t *rgb);

/* sin of whole degrees in 1/65536. */
int32_t th_scene_sin(int degrees);

/* A whole number in [low, high]. */
static inline int th_scene_draw(th_rng *r, int low, int high) {
    return low + (int)th_rng_below(r, (uint32_t)(high - low + 1));
}
/* True in percent of 100 cases. */
static inline bool th_scene_chance(th_rng *r, int percent) { return (int)th_rng_below(r, 100) < percent; }

/* Writes the caption; r is the variant's own sequence. full: a longer caption leaves nothing out. */
void th_scene_tell(th_scene_info *info, th_rng *r, float noun_share, bool full, char caption[TH_SCENE_CAPTION_MAX]);

#endif
