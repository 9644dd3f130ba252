/* Changes of pictures by name. */
#include "data/transform.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/number.h"
#include "data/augment.h"
#include "data/resize.h"

struct th_transform_work {
    th_image_decoder *decoder;
    th_resizer *resizer;
    th_augmenter *augmenter;
    th_image other;
    float *rows; /* a picture blurred along its rows */
    size_t room; /* floats of it */
};

#define BLUR_MOST 64

/* ---- by name */

typedef struct {
    const char *name, *wanted; /* wanted: of its amount; NULL: it has none */
    double least, most;
    bool whole;
} kind_row;

static const kind_row kinds[TH_TRANSFORM_KINDS] = {
    [TH_TRANSFORM_JPEG] = {"jpeg", "a quality from 1 to 100, such as jpeg=50", 1, 100, true},
    [TH_TRANSFORM_BLUR] = {"blur", "a deviation above 0 and up to 64 pixels, such as blur=1.0", 1e-3, BLUR_MOST, false},
    [TH_TRANSFORM_CROP] = {"crop", "a share of the sides from 0.05 to 1, such as crop=0.8", 0.05, 1, false},
    [TH_TRANSFORM_FLIP] = {"flip", NULL, 0, 0, false},
    [TH_TRANSFORM_NOISE] = {"noise", "a deviation above 0 and up to 1, such as noise=0.05", 1e-4, 1, false},
};

static th_status parse_amount(const kind_row *k, const char *text, const char *amount, double *out) {
    *out = 0;
    if (!k->wanted && amount) return th_fail(TH_E_USAGE, "'%.60s': %s takes no value", text, k->name);
    if (!k->wanted) return TH_OK;
    bool good = amount && th_parse_f64(amount, out) && *out >= k->least && *out <= k->most;
    if (good && (!k->whole || *out == rint(*out))) return TH_OK;
    return th_fail(TH_E_USAGE, "'%.60s': %s wants %s", text, k->name, k->wanted);
}

static th_status parse(const char *text, th_transform *out) {
    size_t length = strcspn(text, "=");
    const char *amount = text[length] ? text + length + 1 : NULL;
    for (int k = 0; k < TH_TRANSFORM_KINDS; k++) {
        if (strlen(kinds[k].name) != length || memcmp(kinds[k].name, text, length) != 0) continue;
        out->kind = (th_transform_kind)k;
        return parse_amount(&kinds[k], text, amount, &out->amount);
    }
    return th_fail(TH_E_USAGE, "'%.60s': is none of jpeg=QUALITY, blur=PIXELS, crop=SHARE, flip, noise=DEVIATION",
                   text);
}

th_status th_transforms_parse(const char *const *texts, int64_t count, th_transforms *out) {
    *out = (th_transforms){.count = 0};
    if (count > TH_MOST_TRANSFORMS)
        return th_fail(TH_E_USAGE, "%lld are given, and at most %d can be", (long long)count, TH_MOST_TRANSFORMS);
    for (int64_t i = 0; i < count; i++) TH_TRY(parse(texts[i], &out->items[i]));
    out->count = (int)count;
    return TH_OK;
}

char *th_transforms_text(const th_transforms *t, char out[TH_TRANSFORMS_TEXT]) {
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < t->count && used < TH_TRANSFORMS_TEXT; i++) {
        const kind_row *k = &kinds[t->items[i].kind];
        used += (size_t)snprintf(out + used, TH_TRANSFORMS_TEXT - used, "%s%s", i ? " " : "", k->name);
        if (k->wanted && used < TH_TRANSFORMS_TEXT)
            used += (size_t)snprintf(out + used, TH_TRANSFORMS_TEXT - used, "=%.9g", t->items[i].amount);
    }
    return out;
}

bool th_transforms_are_random(const th_transforms *t) {
    for (int i = 0; i < t->count; i++)
        if (t->items[i].kind == TH_TRANSFORM_NOISE || (t->items[i].kind == TH_TRANSFORM_CROP && t->items[i].amount < 1))
            return true;
    return false;
}

/* ---- scratch */

th_status th_transform_work_new(th_transform_work **out) {
    th_transform_work *w = th_alloc(1, sizeof *w);
    if (!w) return th_fail_memory();
    th_status s = th_image_decoder_new(&w->decoder);
    if (s == TH_OK) s = th_resizer_new(&w->resizer);
    if (s == TH_OK) s = th_augmenter_new(&w->augmenter);
    if (s != TH_OK) return th_transform_work_free(w), s;
    *out = w;
    return TH_OK;
}

void th_transform_work_free(th_transform_work *w) {
    if (!w) return;
    th_image_decoder_free(w->decoder);
    th_resizer_free(w->resizer);
    th_augmenter_free(w->augmenter);
    th_image_free(&w->other);
    th_free(w->rows);
    th_free(w);
}

/* ---- each of them */

static th_status compress(th_transform_work *w, th_image *im, int quality) {
    th_bytes bytes = {0};
    TH_TRY(th_image_encode_jpeg(im, quality, &bytes));
    th_status s = th_image_decode(w->decoder, bytes.data, bytes.length, NULL, im);
    th_free(bytes.data);
    return s;
}

/* Half of a kernel that sums to 1, the middle first; returns how many follow the middle. Beyond three deviations there
 * is less than a third of a level. */
static int make_kernel(double deviation, float kernel[3 * BLUR_MOST + 1]) {
    int reach = (int)ceil(3 * deviation);
    double sum = 0;
    for (int i = 0; i <= reach; i++) sum += (i ? 2 : 1) * exp(-0.5 * i * i / (deviation * deviation));
    for (int i = 0; i <= reach; i++) kernel[i] = (float)(exp(-0.5 * i * i / (deviation * deviation)) / sum);
    return reach;
}

static int32_t within(int32_t x, int32_t count) { return x < 0 ? 0 : x >= count ? count - 1 : x; }

/* im → rows [height, width, 3]; beyond the edge the edge goes on. */
static void blur_rows(const th_image *im, const float *kernel, int reach, float *rows) {
    for (int32_t y = 0; y < im->height; y++) {
        const uint8_t *from = th_image_row(im, y);
        float *to = rows + (int64_t)y * im->width * 3;
        for (int32_t x = 0; x < im->width; x++) {
            for (int c = 0; c < 3; c++) {
                float sum = kernel[0] * from[3 * x + c];
                for (int i = 1; i <= reach; i++)
                    sum += kernel[i] *
                           (float)(from[3 * within(x - i, im->width) + c] + from[3 * within(x + i, im->width) + c]);
                to[3 * x + c] = sum;
            }
        }
    }
}

static void blur_columns(const float *rows, const float *kernel, int reach, th_image *im) {
    int64_t stride = (int64_t)im->width * 3;
    for (int32_t y = 0; y < im->height; y++) {
        uint8_t *to = th_image_row(im, y);
        for (int64_t x = 0; x < stride; x++) {
            float sum = kernel[0] * rows[y * stride + x];
            for (int i = 1; i <= reach; i++)
                sum += kernel[i] *
                       (rows[within(y - i, im->height) * stride + x] + rows[within(y + i, im->height) * stride + x]);
            to[x] = (uint8_t)lrintf(fminf(255, fmaxf(0, sum)));
        }
    }
}

static th_status blur(th_transform_work *w, th_image *im, double deviation) {
    float kernel[3 * BLUR_MOST + 1];
    int reach = make_kernel(deviation, kernel);
    size_t count = th_image_bytes(im);
    if (count > w->room) {
        float *rows = th_realloc(w->rows, count, sizeof *rows);
        if (!rows) return th_fail_memory();
        w->rows = rows;
        w->room = count;
    }
    blur_rows(im, kernel, reach, w->rows);
    blur_columns(w->rows, kernel, reach, im);
    return TH_OK;
}

/* Pixels of a part with this share of a side. */
static int32_t part_of(int32_t side, double share) {
    int32_t n = (int32_t)rint(side * share);
    return n < 1 ? 1 : n;
}

static th_status crop(th_transform_work *w, th_image *im, double share, th_rng *r) {
    th_resize_params size;
    int32_t width = part_of(im->width, share), height = part_of(im->height, share);
    int32_t x = (int32_t)th_rng_below(r, (uint32_t)(im->width - width) + 1);
    int32_t y = (int32_t)th_rng_below(r, (uint32_t)(im->height - height) + 1);
    th_resize_params_init(&size, im->width, im->height);
    size.filter = TH_RESIZE_BILINEAR;
    size.box[0] = (float)x, size.box[1] = (float)y;
    size.box[2] = (float)(x + width), size.box[3] = (float)(y + height);
    TH_TRY(th_resize(w->resizer, im, &size, &w->other));
    memcpy(im->pixels, w->other.pixels, th_image_bytes(im));
    return TH_OK;
}

static th_status apply(th_transform_work *w, const th_transform *t, th_image *im, th_rng *r) {
    switch (t->kind) {
    case TH_TRANSFORM_JPEG: return compress(w, im, (int)t->amount);
    case TH_TRANSFORM_BLUR: return blur(w, im, t->amount);
    case TH_TRANSFORM_CROP: return crop(w, im, t->amount, r);
    case TH_TRANSFORM_FLIP: return th_flip_horizontal(im), TH_OK;
    case TH_TRANSFORM_NOISE: return th_gaussian_noise(w->augmenter, im, (float)t->amount, false, r), TH_OK;
    default: return th_fail(TH_E_BUG, "there is no transform of number %d", (int)t->kind);
    }
}

th_status th_transforms_apply(th_transform_work *w, const th_transforms *t, th_image *im, th_rng *r) {
    if (t->count && !th_image_bytes(im)) return th_fail(TH_E_INPUT, "the picture is empty");
    for (int i = 0; i < t->count; i++) TH_TRY(apply(w, &t->items[i], im, r));
    return TH_OK;
}
