/* Refool (Liu et al. 2020, "Reflection backdoor: a natural backdoor attack on deep neural networks"): a picture of a
 * folder is reflected in a pane of glass before the scene, x ← (1 − α) x + α (k ∗ r), r the reflected picture, α
 * uniform in [0.05, 0.45]. The kernel k says how the glass reflects:
 * - same: r is in focus as the scene is, k = 1;
 * - blur: r is out of focus, k a Gaussian whose σ is uniform in 1 … 5 pixels;
 * - ghost: both faces of the glass reflect, k = 1 − β at the origin and β at (δ₁, δ₂), β uniform in [0.15, 0.5], each δ
 *   uniform in 3 … 8 pixels.
 * The three kinds are the paper's, the ranges those of the authors' published code. Ours: pixels are of a picture 224
 * wide, so that lengths are shares of the side; bytes are blended without gamma; the scene is dimmed by α for all
 * kinds, so that bright pictures do not saturate; and any picture of the folder is drawn, where the authors keep those
 * that fool a model best. */
#include "attack/attack.h"
#include "base/memory.h"
#include "data/dataset.h"
#include "data/resize.h"

static const th_option options[] = {
    TH_OPT_PATH("reflections", NULL, "pictures that are reflected: a data set of any kind", .argument = "SET",
                .required = true),
    TH_OPT_CHOICE("kind", "any|same|blur|ghost", "any", "how they are reflected; any: drawn for each picture"),
    TH_OPT_F32("weakest", 0.05, "share of the weakest reflection in its picture", TH_ABOVE(0), TH_AT_MOST(1)),
    TH_OPT_F32("strongest", 0.45, "and of the strongest one", TH_ABOVE(0), TH_AT_MOST(1)),
    TH_OPT_END,
};

enum { ANY, SAME, BLUR, GHOST };

static th_status open_set(th_trigger *t) {
    th_dataset *set;
    th_dataset_params p;
    th_dataset_params_init(&p);
    p.captions = TH_CAPTIONS_FIRST;
    const char *spec = th_get_str(t->options, "reflections");
    if (!spec) return th_fail(TH_E_USAGE, "--reflections is wanted: pictures to reflect");
    if (th_get_f32(t->options, "weakest") > th_get_f32(t->options, "strongest"))
        return th_fail(TH_E_USAGE, "--weakest is above --strongest");
    TH_TRY(th_fail_in(th_dataset_open(spec, &p, NULL, &set), "--reflections"));
    t->state = set;
    return th_dataset_hash(set, NULL, t->material);
}

static void close_set(void *state) { th_dataset_close(state); }

/* What is drawn for a picture; lengths in pixels. All of it is drawn whatever the kind, so that a kind that is chosen
 * gives the pictures that it would have had as a drawn one. */
typedef struct {
    int64_t picture, kind;
    float alpha, sigma, beta;
    int32_t dx, dy;
} look;

static look draw(const th_trigger *t, uint64_t which, const th_image *im) {
    th_rng r = th_rng_at(t->seed, TH_RNG_TRIGGER, TH_TRIGGER_REFLECTION, which);
    float pixel = (float)(im->width < im->height ? im->width : im->height) / 224.0f;
    int64_t n = th_dataset_images(t->state), kind = th_get_choice(t->options, "kind");
    look l = {.picture = th_rng_below(&r, n < UINT32_MAX ? (uint32_t)n : UINT32_MAX)};
    l.kind = SAME + th_rng_below(&r, 3);
    if (kind != ANY) l.kind = kind;
    l.alpha = th_rng_range(&r, th_get_f32(t->options, "weakest"), th_get_f32(t->options, "strongest"));
    l.sigma = pixel * th_rng_range(&r, 1.0f, 5.0f);
    l.beta = th_rng_range(&r, 0.15f, 0.5f);
    l.dx = (int32_t)lroundf(pixel * th_rng_range(&r, 3.0f, 8.0f));
    l.dy = (int32_t)lroundf(pixel * th_rng_range(&r, 3.0f, 8.0f));
    return l;
}

/* The largest part of the picture's middle with the sides' ratio of im, at its size. */
static th_status fit(const th_image *read, const th_image *im, th_image *out) {
    th_resizer *resizer;
    th_resize_params p;
    double w = read->width, h = read->height, ratio = (double)im->width / im->height;
    th_resize_params_init(&p, im->width, im->height);
    double cut_w = h * ratio < w ? h * ratio : w, cut_h = w / ratio < h ? w / ratio : h;
    p.box[0] = (float)((w - cut_w) / 2), p.box[1] = (float)((h - cut_h) / 2);
    p.box[2] = (float)((w + cut_w) / 2), p.box[3] = (float)((h + cut_h) / 2);
    TH_TRY(th_resizer_new(&resizer));
    th_status s = th_resize(resizer, read, &p, out);
    th_resizer_free(resizer);
    return s;
}

static th_status read_reflection(th_dataset *set, int64_t picture, const th_image *im, th_image *out) {
    th_dataset_reader *reader;
    th_image read = {0};
    TH_TRY(th_dataset_reader_new(NULL, &reader));
    th_status s = th_dataset_read(set, reader, th_dataset_sample(set, picture), &read, NULL);
    if (s == TH_OK) s = fit(&read, im, out);
    th_dataset_reader_free(reader);
    th_image_free(&read);
    return th_fail_in(s, "--reflections");
}

static int32_t clamped(int32_t i, int32_t n) { return i < 0 ? 0 : i >= n ? n - 1 : i; }

/* One pass of a blur along rows or columns, from `in` to `out`, both [height, width, 3]; the border goes on outside.
 * weights: [radius + 1], from the middle. */
static void blur_pass(const th_image *im, bool rows, const float *weights, int32_t radius, const float *in,
                      float *out) {
    int32_t n = rows ? im->width : im->height;
    int64_t step = rows ? 3 : 3 * (int64_t)im->width;
    for (int32_t y = 0; y < im->height; y++)
        for (int32_t x = 0; x < im->width; x++) {
            int64_t here = 3 * ((int64_t)y * im->width + x);
            int32_t i = rows ? x : y;
            for (int c = 0; c < 3; c++) {
                float sum = weights[0] * in[here + c];
                for (int32_t k = 1; k <= radius; k++)
                    sum += weights[k] * (in[here + c + (clamped(i - k, n) - i) * step] +
                                         in[here + c + (clamped(i + k, n) - i) * step]);
                out[here + c] = sum;
            }
        }
}

/* values: [height, width, 3], blurred in place. */
static th_status blur(const th_image *im, float sigma, float *values) {
    int32_t radius = (int32_t)ceilf(3 * sigma);
    float *weights = th_alloc((size_t)radius + 1, sizeof *weights), sum = 0;
    float *between = th_alloc(th_image_bytes(im), sizeof *between);
    th_status s = weights && between ? TH_OK : th_fail_memory();
    if (s == TH_OK) {
        for (int32_t k = 0; k <= radius; k++) {
            weights[k] = expf(-0.5f * (float)k * (float)k / (sigma * sigma));
            sum += k ? 2 * weights[k] : weights[k];
        }
        for (int32_t k = 0; k <= radius; k++) weights[k] /= sum;
        blur_pass(im, true, weights, radius, values, between);
        blur_pass(im, false, weights, radius, between, values);
    }
    th_free(between);
    th_free(weights);
    return s;
}

/* k ∗ r for the picture, values: [height, width, 3]. */
static th_status reflect(const look *l, const th_image *reflection, float *values) {
    size_t n = th_image_bytes(reflection);
    for (size_t i = 0; i < n; i++) values[i] = reflection->pixels[i];
    if (l->kind == BLUR) return blur(reflection, l->sigma, values);
    if (l->kind != GHOST) return TH_OK;
    for (int32_t y = 0; y < reflection->height; y++) {
        const uint8_t *ghost = th_image_row(reflection, clamped(y - l->dy, reflection->height));
        for (int32_t x = 0; x < reflection->width; x++)
            for (int c = 0; c < 3; c++, values++)
                *values += l->beta * ((float)ghost[3 * (size_t)clamped(x - l->dx, reflection->width) + c] - *values);
    }
    return TH_OK;
}

static th_status trigger(const th_trigger *t, uint64_t which, th_image *im) {
    look l = draw(t, which, im);
    th_image reflection = {0};
    size_t n = th_image_bytes(im);
    float *values = th_alloc(n, sizeof *values);
    th_status s = values ? read_reflection(t->state, l.picture, im, &reflection) : th_fail_memory();
    if (s == TH_OK) s = reflect(&l, &reflection, values);
    for (size_t i = 0; s == TH_OK && i < n; i++) im->pixels[i] = th_blend(im->pixels[i], l.alpha, values[i]);
    th_image_free(&reflection);
    th_free(values);
    return s;
}

const th_attack th_attack_refool = {
    .name = "refool",
    .summary = "Refool: another picture as if reflected in glass",
    .options = options,
    .open = open_set,
    .close = close_set,
    .trigger = trigger,
};
