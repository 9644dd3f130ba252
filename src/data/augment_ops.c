/* AutoAugment's operations, with the bytes that Pillow and torchvision give. Where those compute in float or double,
 * the result is truncated to a byte, so the last bit counts: each product is rounded before it is added, whatever the
 * compiler would like to fuse. */
#include <math.h>
#include <string.h>

#include "data/augment_parts.h"

static const double pi = 3.14159265358979323846;

typedef uint8_t table[3][256];

static void apply_table(th_image *im, table t) {
    size_t n = th_image_bytes(im);
    uint8_t *p = im->pixels;
    for (size_t i = 0; i < n; i += 3) {
        p[i] = t[0][p[i]];
        p[i + 1] = t[1][p[i + 1]];
        p[i + 2] = t[2][p[i + 2]];
    }
}

static void count_values(const th_image *im, uint32_t counts[3][256]) {
    size_t n = th_image_bytes(im);
    const uint8_t *p = im->pixels;
    memset(counts, 0, 3 * 256 * sizeof counts[0][0]);
    for (size_t i = 0; i < n; i += 3) counts[0][p[i]]++, counts[1][p[i + 1]]++, counts[2][p[i + 2]]++;
}

static void identity(uint8_t t[256]) {
    for (int i = 0; i < 256; i++) t[i] = (uint8_t)i;
}

static void posterize(th_image *im, int bits) {
    table t;
    for (int i = 0; i < 256; i++) t[0][i] = t[1][i] = t[2][i] = (uint8_t)(i & ~((1 << (8 - bits)) - 1));
    apply_table(im, t);
}

static void solarize(th_image *im, double threshold) {
    table t;
    for (int i = 0; i < 256; i++) t[0][i] = t[1][i] = t[2][i] = (uint8_t)(i < threshold ? i : 255 - i);
    apply_table(im, t);
}

/* Stretches each channel to 0 … 255. */
static void auto_contrast(th_image *im) {
    uint32_t counts[3][256];
    table t;
    count_values(im, counts);
    for (int c = 0; c < 3; c++) {
        int low = 0, high = 255;
        while (low < 255 && !counts[c][low]) low++;
        while (high > 0 && !counts[c][high]) high--;
        identity(t[c]);
        if (high <= low) continue;
        double scale = 255.0 / (high - low), offset = -low * scale;
        for (int i = 0; i < 256; i++) {
            volatile double product = i * scale; /* rounded here, not fused into the sum */
            double v = product + offset;
            t[c][i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
        }
    }
    apply_table(im, t);
}

/* Flattens each channel's histogram; Pillow's steps in whole numbers. */
static void equalize(th_image *im) {
    uint32_t counts[3][256];
    table t;
    count_values(im, counts);
    uint64_t pixels = (uint64_t)im->width * (uint64_t)im->height;
    for (int c = 0; c < 3; c++) {
        int last = 255;
        while (last > 0 && !counts[c][last]) last--;
        uint64_t step = (pixels - counts[c][last]) / 255, sum = step / 2;
        identity(t[c]);
        if (!step) continue; /* also where there is one value only */
        for (int i = 0; i < 256; i++) {
            uint64_t v = sum / step;
            t[c][i] = (uint8_t)(v > 255 ? 255 : v);
            sum += counts[c][i];
        }
    }
    apply_table(im, t);
}

/* Pillow's blend of two bytes: under + factor · difference in float, truncated and clipped. The products are exact in
 * double and so is each sum, which makes the two conversions the only roundings, as in float without fusing. */
static inline uint8_t blend(int under, double factor, int difference) {
    float product = (float)(factor * difference);
    float v = (float)((double)under + (double)product);
    return (uint8_t)(v <= 0 ? 0 : v >= 255 ? 255 : v);
}

/* ITU-R 601 in 1/65536, as Pillow rounds it. */
static inline int grey_of(const uint8_t *p) { return (p[0] * 19595 + p[1] * 38470 + p[2] * 7471 + 0x8000) >> 16; }

static void blend_from(th_image *im, int under, double factor) {
    table t;
    for (int i = 0; i < 256; i++) t[0][i] = t[1][i] = t[2][i] = blend(under, factor, i - under);
    apply_table(im, t);
}

static void contrast(th_image *im, double factor) {
    size_t n = th_image_bytes(im);
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i += 3) sum += (uint64_t)grey_of(im->pixels + i);
    double mean = (double)sum / (double)(n / 3);
    blend_from(im, (int)(mean + 0.5), factor);
}

static void color(th_image *im, double factor) {
    size_t n = th_image_bytes(im);
    for (size_t i = 0; i < n; i += 3) {
        uint8_t *p = im->pixels + i;
        int grey = grey_of(p);
        for (int c = 0; c < 3; c++) p[c] = blend(grey, factor, p[c] - grey);
    }
}

/* The under picture is smoothed by 1 1 1, 1 5 1, 1 1 1 over 13, except on the border, which stays as it is. No sum of
 * bytes over 13 is half-way between two whole numbers, so whole arithmetic rounds as Pillow's float does. */
static th_status sharpness(th_augmenter *a, th_image *im, double factor) {
    if (im->width < 3 || im->height < 3) return TH_OK;
    TH_TRY(th_augmenter_keep(a, im));
    ptrdiff_t row = (ptrdiff_t)im->width * 3;
    for (int32_t y = 1; y + 1 < im->height; y++) {
        const uint8_t *p = th_image_row(&a->source, y);
        uint8_t *out = th_image_row(im, y);
        for (ptrdiff_t i = 3; i + 3 < row; i++) {
            const uint8_t *u = p + i - row, *d = p + i + row;
            int sum = u[-3] + u[0] + u[3] + p[i - 3] + 5 * p[i] + p[i + 3] + d[-3] + d[0] + d[3];
            int smooth = (2 * sum + 13) / 26;
            out[i] = blend(smooth, factor, p[i] - smooth);
        }
    }
    return TH_OK;
}

/* From a place (x, y) of the result to the source: (m[0] x + m[1] y + m[2], m[3] x + m[4] y + m[5]). */
typedef struct {
    double m[6];
} affine;

static int64_t fixed(double v) { return (int64_t)floor(v * 65536 + 0.5); }

/* Takes for each pixel the one that its centre falls into, in Pillow's 16-bit fixed point. */
static th_status transform(th_augmenter *a, th_image *im, const affine *t) {
    TH_TRY(th_augmenter_keep(a, im));
    const double *m = t->m;
    int64_t dx = fixed(m[0]), dy = fixed(m[3]), down_x = fixed(m[1]), down_y = fixed(m[4]);
    int64_t left_x = fixed(m[2] + m[0] * 0.5 + m[1] * 0.5), left_y = fixed(m[5] + m[3] * 0.5 + m[4] * 0.5);
    for (int32_t y = 0; y < im->height; y++, left_x += down_x, left_y += down_y) {
        uint8_t *out = th_image_row(im, y);
        int64_t sx = left_x, sy = left_y;
        for (int32_t x = 0; x < im->width; x++, out += 3, sx += dx, sy += dy) {
            int64_t i = sx >> 16, j = sy >> 16;
            bool inside = i >= 0 && i < im->width && j >= 0 && j < im->height;
            static const uint8_t black[3];
            memcpy(out, inside ? th_image_row(&a->source, j) + 3 * i : black, 3);
        }
    }
    return TH_OK;
}

/* By whole pixels; nothing to compute about centres. */
static th_status translate(th_augmenter *a, th_image *im, double right, double down) {
    right = fmax(-im->width, fmin(im->width, trunc(right)));
    down = fmax(-im->height, fmin(im->height, trunc(down)));
    return transform(a, im, &(affine){{1, 0, -right, 0, 1, -down}});
}

/* About the picture's middle. */
static th_status rotate(th_augmenter *a, th_image *im, double degrees) {
    double angle = -degrees * (pi / 180), c = cos(angle), s = sin(angle), cx = im->width / 2.0, cy = im->height / 2.0;
    return transform(a, im, &(affine){{c, s, cx - c * cx - s * cy, -s, c, cy + s * cx - c * cy}});
}

th_status th_augment_apply(th_augmenter *a, th_image *im, th_augment_op op, double magnitude) {
    if (!th_image_bytes(im)) return TH_OK;
    double factor = (float)(1 + magnitude); /* Pillow blends with a float */
    switch (op) {
    case TH_AUGMENT_SHEAR_X: return transform(a, im, &(affine){{1, magnitude, 0, 0, 1, 0}});
    case TH_AUGMENT_SHEAR_Y: return transform(a, im, &(affine){{1, 0, 0, magnitude, 1, 0}});
    case TH_AUGMENT_TRANSLATE_X: return translate(a, im, magnitude, 0);
    case TH_AUGMENT_TRANSLATE_Y: return translate(a, im, 0, magnitude);
    case TH_AUGMENT_ROTATE: return rotate(a, im, magnitude);
    case TH_AUGMENT_BRIGHTNESS: blend_from(im, 0, factor); break;
    case TH_AUGMENT_COLOR: color(im, factor); break;
    case TH_AUGMENT_CONTRAST: contrast(im, factor); break;
    case TH_AUGMENT_SHARPNESS: return sharpness(a, im, factor);
    case TH_AUGMENT_POSTERIZE: posterize(im, magnitude < 1 ? 1 : magnitude > 8 ? 8 : (int)magnitude); break;
    case TH_AUGMENT_SOLARIZE: solarize(im, magnitude); break;
    case TH_AUGMENT_AUTO_CONTRAST: auto_contrast(im); break;
    case TH_AUGMENT_EQUALIZE: equalize(im); break;
    case TH_AUGMENT_INVERT: solarize(im, 0); break;
    default: return th_fail(TH_E_BUG, "there is no augmentation %d", (int)op);
    }
    return TH_OK;
}
