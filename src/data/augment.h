/* Random changes of pictures for training. All work in place on 8-bit RGB and take their random numbers from the
 * caller, as a rule th_rng_at(seed, TH_RNG_AUGMENT, epoch, sample), so that neither threads nor order change them.
 *
 * The operations of AutoAugment give the bytes of torchvision's transforms on Pillow pictures (Pillow 13, on x86-64).
 */
#ifndef TH_DATA_AUGMENT_H
#define TH_DATA_AUGMENT_H

#include "base/rng.h"
#include "data/resize.h"
#include "format/image.h"

/* The names are torchvision's and AutoAugment's (Cubuk et al., CVPR 2019); what the magnitude means stands beside. */
typedef enum {
    TH_AUGMENT_SHEAR_X,       /* pixels to the side for each pixel down */
    TH_AUGMENT_SHEAR_Y,       /* pixels down for each pixel to the right */
    TH_AUGMENT_TRANSLATE_X,   /* pixels to the right, fraction dropped */
    TH_AUGMENT_TRANSLATE_Y,   /* pixels down, fraction dropped */
    TH_AUGMENT_ROTATE,        /* degrees counter-clockwise, above -90 and below 90 */
    TH_AUGMENT_BRIGHTNESS,    /* added to the factor 1: -1 is black */
    TH_AUGMENT_COLOR,         /* the same: -1 is grey */
    TH_AUGMENT_CONTRAST,      /* the same: -1 is flat */
    TH_AUGMENT_SHARPNESS,     /* the same: -1 is smoothed */
    TH_AUGMENT_POSTERIZE,     /* bits that stay, 1 to 8 */
    TH_AUGMENT_SOLARIZE,      /* bytes of this value and above are inverted */
    TH_AUGMENT_AUTO_CONTRAST, /* no magnitude, as for the next two */
    TH_AUGMENT_EQUALIZE,
    TH_AUGMENT_INVERT,
    TH_AUGMENT_OP_COUNT
} th_augment_op;

/* Scratch pictures and a table of normal numbers; one a thread. */
typedef struct th_augmenter th_augmenter;
th_status th_augmenter_new(th_augmenter **out);
void th_augmenter_free(th_augmenter *a); /* NULL is allowed */

/* Applies one operation. What an affine one brings in from outside is black; it takes nearest pixels. */
th_status th_augment_apply(th_augmenter *a, th_image *im, th_augment_op op, double magnitude);

/* AutoAugment's policy for ImageNet as torchvision has it: one of 25 pairs of steps, each step with its probability, at
 * one of ten magnitudes, geometric and enhancing ones with a random sign. */
typedef struct {
    th_augment_op op;
    float probability;
    int bin; /* of the ten magnitudes */
} th_autoaugment_step;
#define TH_AUTOAUGMENT_PAIRS 25
extern const th_autoaugment_step th_autoaugment_imagenet[TH_AUTOAUGMENT_PAIRS][2];

/* The magnitude of a bin in 0 … 9, before its sign; *is_signed says whether it gets one. */
double th_autoaugment_magnitude(th_augment_op op, int bin, int32_t width, int32_t height, bool *is_signed);
/* Draws a pair, two probabilities and two signs, five numbers in all, and applies what they say. */
th_status th_autoaugment_apply(th_augmenter *a, th_image *im, th_rng *r);

/* Left becomes right. */
void th_flip_horizontal(th_image *im);

/* A random part of a picture, resized (torchvision's RandomResizedCrop): its area is a share in [scale_min, scale_max]
 * of the picture's, its width over height log-uniform in [ratio_min, ratio_max]. After ten misses it is the largest
 * part in the middle with a permitted ratio. */
typedef struct {
    int32_t width, height; /* of the result */
    float scale_min, scale_max, ratio_min, ratio_max;
    th_resize_filter filter;
} th_random_crop_params;
/* 0.08 to 1, 3/4 to 4/3, bilinear, as torchvision; OpenCLIP trains with 0.9 to 1 and bicubic. */
void th_random_crop_params_init(th_random_crop_params *p, int32_t width, int32_t height);
th_status th_random_crop(th_augmenter *a, th_resizer *resizer, th_image *im, const th_random_crop_params *p, th_rng *r);

/* Adds Gaussian noise of standard deviation sigma, where 1 is the range from black to white, and clips. one_sided
 * leaves out its darkening half, as PAR's public code does (arXiv 2412.00727; sigma 0.2, for half of the pictures). */
void th_gaussian_noise(th_augmenter *a, th_image *im, float sigma, bool one_sided, th_rng *r);

/* Paints a random rectangle in one colour (random erasing, Zhong et al. 2020, as torchvision draws it). Ten misses
 * leave the picture as it is. */
typedef struct {
    float scale_min, scale_max; /* its area as a share of the picture's */
    float ratio_min, ratio_max; /* its height over width, log-uniform */
    uint8_t colour[3];
} th_random_erase_params;
/* PAR's: 0.005 to 0.01, square, in the mean colour of CLIP's preprocessing; torchvision's are 0.02 to 0.33 and 0.3 to
 * 3.3. */
void th_random_erase_params_init(th_random_erase_params *p);
void th_random_erase(th_image *im, const th_random_erase_params *p, th_rng *r);

#endif
