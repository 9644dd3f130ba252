/* Pictures of a set as a model sees them: resized, cut to a square in one or several ways, changed by what is asked. */
#ifndef TH_TRAIN_VIEWS_H
#define TH_TRAIN_VIEWS_H

#include "data/dataset.h"
#include "data/resize.h"
#include "data/transform.h"

typedef enum {
    TH_CROP_RANDOM, /* the shorter side is resized, and a square cut out at random */
    TH_CROP_CENTER, /* the same from the middle */
    TH_CROP_SQUASH, /* both sides are resized */
} th_crop;

typedef struct {
    int64_t side; /* pixels of the square */
    th_crop crop;
    th_resize_filter filter;
    bool flip;     /* half of the views are mirrored */
    int64_t views; /* of a picture, where chance has a say in them; else it has one */
    uint64_t seed;
    int threads;
    th_transforms transforms; /* of each view, once it is cut */
} th_view_params;

/* What cutting needs; one a thread. */
typedef struct th_viewer th_viewer;
/* The set and the parameters must outlive it. */
th_status th_viewer_new(th_dataset *d, const th_view_params *p, th_viewer **out);
void th_viewer_free(th_viewer *v); /* NULL is allowed */
/* Reads a picture of the set; *views: how many there are of it. */
th_status th_viewer_read(th_viewer *v, int64_t picture, int64_t *views);
/* A view of the picture that was read last [side, side], valid until the next call: a function of (seed, picture,
 * view). */
th_status th_viewer_cut(th_viewer *v, int64_t view, const th_image **out);

/* Bytes to [−1, 1]. */
void th_view_to_floats(const th_image *im, float *out);

#endif
