/* The random changes that need no table of operations: flip, crop, noise, erasing. */
#include "data/augment.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "data/augment_parts.h"

/* x with Φ(x) = p, by Newton's steps from the middle; Φ is steep enough there for p in [1e-4, 1 − 1e-4]. */
static double normal_quantile(double p) {
    double x = 0;
    for (int i = 0; i < 60; i++) {
        double off = 0.5 * erfc(-x * 0.70710678118654752) - p, slope = 0.3989422804014327 * exp(-0.5 * x * x);
        double step = off / slope;
        x -= step > 0.5 ? 0.5 : step < -0.5 ? -0.5 : step;
    }
    return x;
}

th_status th_augmenter_new(th_augmenter **out) {
    th_augmenter *a = th_alloc(1, sizeof *a);
    *out = a;
    if (!a) return th_fail_memory();
    for (int i = 0; i < TH_NORMAL_COUNT / 2; i++) {
        a->normal[i] = (float)normal_quantile((i + 0.5) / TH_NORMAL_COUNT);
        a->normal[TH_NORMAL_COUNT - 1 - i] = -a->normal[i];
    }
    return TH_OK;
}

void th_augmenter_free(th_augmenter *a) {
    if (!a) return;
    th_image_free(&a->source);
    th_image_free(&a->cut);
    th_free(a);
}

th_status th_augmenter_keep(th_augmenter *a, const th_image *im) {
    TH_TRY(th_image_new(&a->source, im->width, im->height));
    memcpy(a->source.pixels, im->pixels, th_image_bytes(im));
    return TH_OK;
}

void th_flip_horizontal(th_image *im) {
    for (int32_t y = 0; y < im->height; y++) {
        uint8_t *left = th_image_row(im, y), *right = left + 3 * ((ptrdiff_t)im->width - 1);
        for (; left < right; left += 3, right -= 3) {
            uint8_t kept[3];
            memcpy(kept, left, 3);
            memcpy(left, right, 3);
            memcpy(right, kept, 3);
        }
    }
}

typedef struct {
    int32_t x, y, width, height;
} rectangle;

/* The sides of a rectangle with a random share of the area and a random ratio. */
static void draw_sides(const th_image *im, const float scale[2], const float ratio[2], th_rng *r, double *longer,
                       double *other) {
    double area = (double)im->width * im->height * th_rng_range(r, scale[0], scale[1]);
    double shape = exp(th_rng_range(r, logf(ratio[0]), logf(ratio[1])));
    *longer = rint(sqrt(area * shape)), *other = rint(sqrt(area / shape));
}

/* Moves a rectangle of this size to a random place inside. */
static rectangle drop(const th_image *im, double width, double height, th_rng *r) {
    rectangle c = {0, 0, (int32_t)width, (int32_t)height};
    c.y = (int32_t)th_rng_below(r, (uint32_t)(im->height - c.height) + 1);
    c.x = (int32_t)th_rng_below(r, (uint32_t)(im->width - c.width) + 1);
    return c;
}

static rectangle draw_crop(const th_image *im, const th_random_crop_params *p, th_rng *r) {
    const float scale[2] = {p->scale_min, p->scale_max}, ratio[2] = {p->ratio_min, p->ratio_max};
    double w, h;
    for (int attempt = 0; attempt < 10; attempt++) {
        draw_sides(im, scale, ratio, r, &w, &h);
        if (w >= 1 && w <= im->width && h >= 1 && h <= im->height) return drop(im, w, h, r);
    }
    double shape = (double)im->width / im->height;
    w = im->width, h = im->height;
    if (shape < ratio[0]) h = fmax(1, rint(w / ratio[0]));
    if (shape > ratio[1]) w = fmax(1, rint(h * ratio[1]));
    return (rectangle){(int32_t)(im->width - w) / 2, (int32_t)(im->height - h) / 2, (int32_t)w, (int32_t)h};
}

void th_random_crop_params_init(th_random_crop_params *p, int32_t width, int32_t height) {
    *p = (th_random_crop_params){width, height, 0.08f, 1.0f, 3.0f / 4, 4.0f / 3, TH_RESIZE_BILINEAR};
}

th_status th_random_crop(th_augmenter *a, th_resizer *resizer, th_image *im, const th_random_crop_params *p,
                         th_rng *r) {
    if (!th_image_bytes(im)) return th_fail(TH_E_INPUT, "random crop: the picture is empty");
    if (!(p->scale_min > 0 && p->scale_min <= p->scale_max && p->ratio_min > 0 && p->ratio_min <= p->ratio_max))
        return th_fail(TH_E_USAGE, "random crop: scale %g to %g, ratio %g to %g", (double)p->scale_min,
                       (double)p->scale_max, (double)p->ratio_min, (double)p->ratio_max);
    rectangle c = draw_crop(im, p, r);
    TH_TRY(th_image_new(&a->cut, c.width, c.height));
    for (int32_t y = 0; y < c.height; y++)
        memcpy(th_image_row(&a->cut, y), th_image_row(im, c.y + y) + 3 * (ptrdiff_t)c.x, 3 * (size_t)c.width);
    th_resize_params size;
    th_resize_params_init(&size, p->width, p->height);
    size.filter = p->filter;
    return th_resize(resizer, &a->cut, &size, im);
}

void th_random_erase_params_init(th_random_erase_params *p) {
    *p = (th_random_erase_params){0.005f, 0.01f, 1.0f, 1.0f, {123, 117, 104}};
}

void th_random_erase(th_image *im, const th_random_erase_params *p, th_rng *r) {
    const float scale[2] = {p->scale_min, p->scale_max}, ratio[2] = {p->ratio_min, p->ratio_max};
    for (int attempt = 0; attempt < 10; attempt++) {
        double h, w;
        draw_sides(im, scale, ratio, r, &h, &w);
        if (!(h < im->height && w < im->width)) continue;
        rectangle c = drop(im, w, h, r);
        for (int32_t y = 0; y < c.height; y++)
            for (int32_t x = 0; x < c.width; x++)
                memcpy(th_image_row(im, c.y + y) + 3 * (ptrdiff_t)(c.x + x), p->colour, 3);
        return;
    }
}

static void set_noise(th_augmenter *a, float sigma, bool one_sided) {
    if (a->noise_sigma == sigma && a->noise_one_sided == one_sided) return;
    for (int i = 0; i < TH_NORMAL_COUNT; i++) {
        float levels = a->normal[i] * sigma * 255;
        if (one_sided && levels < 0) levels = 0;
        a->noise[i] = (int16_t)lrintf(fmaxf(-255, fminf(255, levels)));
    }
    a->noise_sigma = sigma, a->noise_one_sided = one_sided;
}

void th_gaussian_noise(th_augmenter *a, th_image *im, float sigma, bool one_sided, th_rng *r) {
    size_t n = th_image_bytes(im);
    set_noise(a, sigma, one_sided);
    uint32_t word = 0;
    for (size_t i = 0; i < n; i++) { /* two numbers of 16 bits a word, of which 12 count */
        word = i & 1 ? word >> 16 : th_rng_u32(r);
        int v = im->pixels[i] + a->noise[word & (TH_NORMAL_COUNT - 1)];
        im->pixels[i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
    }
}
