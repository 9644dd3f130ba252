/* Resizing as Pillow does it, equal to the bit for 8-bit RGB.
 *
 * The filter is widened when shrinking (antialiased); coefficients have 22 fractional bits; each of the two passes
 * rounds and clips to 0 … 255. This is Pillow's Image.resize (version 13), and so the preprocessing of transformers'
 * Pillow backend (CLIPImageProcessorPil; CLIPImageProcessor up to version 4). Its torchvision backend (…Fast; the
 * default of version 5) resizes with 16-bit coefficients, so 0.4 % of the values of photos are one level away; it also
 * pads the other side by one when a picture smaller than the crop leaves an odd margin. */
#ifndef TH_DATA_RESIZE_H
#define TH_DATA_RESIZE_H

#include "format/image.h"

/* The numbers are Pillow's, which preprocessor_config.json uses ("resample": 3). */
typedef enum {
    TH_RESIZE_NEAREST = 0,
    TH_RESIZE_LANCZOS = 1,
    TH_RESIZE_BILINEAR = 2,
    TH_RESIZE_BICUBIC = 3, /* a = −0.5 */
    TH_RESIZE_BOX = 4,
    TH_RESIZE_HAMMING = 5,
} th_resize_filter;

typedef struct {
    int32_t width, height; /* of the result */
    th_resize_filter filter;
    /* Pillow 13 resizes vertically first where the height shrinks by more than twice what the width does, which changes
     * pixels by a few levels; Pillow up to 12 never did. Set, this gives the older order. Off by default. */
    bool horizontal_first;
    float box[4]; /* left, top, right, bottom: the part of the source to take; all 0 (the default) is the whole of it */
    /* The part of the result that is wanted; width and height 0 (the default) is all of it. What is left out is never
     * computed, and what is computed does not change by it. */
    struct {
        int32_t x, y, width, height;
    } window;
} th_resize_params;
void th_resize_params_init(th_resize_params *p, int32_t width, int32_t height); /* bicubic */

/* Coefficients of the last sizes, and scratch; one a thread. */
typedef struct th_resizer th_resizer;
th_status th_resizer_new(th_resizer **out);
void th_resizer_free(th_resizer *r);

/* in and out must be different pictures. */
th_status th_resize(th_resizer *r, const th_image *in, const th_resize_params *p, th_image *out);

/* The size at which the shorter side is `side` and the longer one is ⌊side · long / short⌋, as transformers computes
 * it.
 */
void th_resize_shortest(int32_t width, int32_t height, int32_t side, int32_t *new_width, int32_t *new_height);

/* The middle of a picture, [height, width, 3], with black around it where the picture is smaller. An odd margin leaves
 * the pixel more on the right and below when cutting, and has it on the left and above when padding. */
th_status th_center_crop(const th_image *in, int32_t width, int32_t height, th_image *out);

#endif
