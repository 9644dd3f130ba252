/* Pictures cut to a model's size. */
#include "train/views.h"

#include "base/memory.h"
#include "base/rng.h"
#include "data/augment.h"

struct th_viewer {
    th_dataset *set;
    const th_view_params *p;
    th_dataset_reader *reader;
    th_resizer *resizer;
    th_transform_work *work;
    th_image whole, square;
    int64_t picture; /* that was read last */
};

th_status th_viewer_new(th_dataset *d, const th_view_params *p, th_viewer **out) {
    th_viewer *v = th_alloc(1, sizeof *v);
    if (!v) return th_fail_memory();
    *v = (th_viewer){.set = d, .p = p};
    th_status s = th_dataset_reader_new(NULL, &v->reader);
    if (s == TH_OK) s = th_resizer_new(&v->resizer);
    if (s == TH_OK && p->transforms.count) s = th_transform_work_new(&v->work);
    if (s != TH_OK) return th_viewer_free(v), s;
    *out = v;
    return TH_OK;
}

void th_viewer_free(th_viewer *v) {
    if (!v) return;
    th_dataset_reader_free(v->reader);
    th_resizer_free(v->resizer);
    th_transform_work_free(v->work);
    th_image_free(&v->whole);
    th_image_free(&v->square);
    th_free(v);
}

/* The size before cutting. */
static void resized(const th_view_params *p, const th_image *im, int32_t *width, int32_t *height) {
    *width = *height = (int32_t)p->side;
    if (p->crop != TH_CROP_SQUASH) th_resize_shortest(im->width, im->height, (int32_t)p->side, width, height);
}

static int64_t count_views(const th_view_params *p, const th_image *im) {
    int32_t width, height;
    resized(p, im, &width, &height);
    bool free = p->crop == TH_CROP_RANDOM && width != height;
    if (free || th_transforms_are_random(&p->transforms)) return p->views;
    return p->flip && p->views > 1 ? 2 : 1;
}

th_status th_viewer_read(th_viewer *v, int64_t picture, int64_t *views) {
    TH_TRY(th_dataset_read(v->set, v->reader, th_dataset_sample(v->set, picture), &v->whole, NULL));
    v->picture = picture;
    *views = count_views(v->p, &v->whole);
    return TH_OK;
}

/* Where a square is cut out of a longer side. */
static int32_t offset(const th_view_params *p, th_rng *r, int32_t side) {
    int32_t spare = side - (int32_t)p->side;
    return p->crop == TH_CROP_RANDOM ? (int32_t)th_rng_below(r, (uint32_t)spare + 1) : spare / 2;
}

th_status th_viewer_cut(th_viewer *v, int64_t view, const th_image **out) {
    const th_view_params *p = v->p;
    th_rng r = th_rng_at(p->seed, TH_RNG_AUGMENT, (uint32_t)view, (uint64_t)v->picture);
    th_resize_params size;
    int32_t width, height;
    resized(p, &v->whole, &width, &height);
    th_resize_params_init(&size, width, height);
    size.filter = p->filter;
    size.window.x = offset(p, &r, width);
    size.window.y = offset(p, &r, height);
    size.window.width = size.window.height = (int32_t)p->side;
    TH_TRY(th_resize(v->resizer, &v->whole, &size, &v->square));
    if (p->flip && view % 2) th_flip_horizontal(&v->square);
    if (p->transforms.count) TH_TRY(th_transforms_apply(v->work, &p->transforms, &v->square, &r));
    *out = &v->square;
    return TH_OK;
}

void th_view_to_floats(const th_image *im, float *out) {
    size_t n = th_image_bytes(im);
    for (size_t i = 0; i < n; i++) out[i] = (float)im->pixels[i] / 127.5f - 1.0f;
}
