/* What people do to pictures before they train on them: compress, blur, cut, mirror, add noise. In place on 8-bit RGB,
 * one after another in the order given; what is random is a function of the caller's random numbers. */
#ifndef TH_DATA_TRANSFORM_H
#define TH_DATA_TRANSFORM_H

#include "base/rng.h"
#include "format/image.h"

typedef enum {
    TH_TRANSFORM_JPEG,  /* written at this quality, 1 to 100, and read again */
    TH_TRANSFORM_BLUR,  /* by a Gaussian of this standard deviation in pixels */
    TH_TRANSFORM_CROP,  /* a random part with this share of both sides, resized to the whole again */
    TH_TRANSFORM_FLIP,  /* left becomes right */
    TH_TRANSFORM_NOISE, /* Gaussian, of this standard deviation; 1 is the range from black to white */
    TH_TRANSFORM_KINDS
} th_transform_kind;

typedef struct {
    th_transform_kind kind;
    double amount; /* 0 for those that have none */
} th_transform;

#define TH_MOST_TRANSFORMS 16

typedef struct {
    th_transform items[TH_MOST_TRANSFORMS];
    int count;
} th_transforms;

/* Texts such as "jpeg=50", "blur=1.0", "crop=0.8", "flip", "noise=0.05". TH_E_USAGE says which of them is wrong. */
th_status th_transforms_parse(const char *const *texts, int64_t count, th_transforms *out);
/* The same as one text, "jpeg=50 flip"; cut off where it does not fit. Returns out. */
#define TH_TRANSFORMS_TEXT 512
char *th_transforms_text(const th_transforms *t, char out[TH_TRANSFORMS_TEXT]);
/* Whether chance has a say in one of them. */
bool th_transforms_are_random(const th_transforms *t);

/* Scratch; one a thread. */
typedef struct th_transform_work th_transform_work;
th_status th_transform_work_new(th_transform_work **out);
void th_transform_work_free(th_transform_work *w); /* NULL is allowed */

th_status th_transforms_apply(th_transform_work *w, const th_transforms *t, th_image *im, th_rng *r);

#endif
