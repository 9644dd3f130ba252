/* IDX: pictures in memory, and labels in the file beside them. */
#include <string.h>

#include "data/dataset_parts.h"

static int channels_of(const th_dataset *d) { return d->pixels.dimensions == 4 ? 3 : 1; }

static const uint8_t *pixels_of(const th_dataset *d, int64_t image, size_t *bytes) {
    *bytes = (size_t)(d->pixels.shape[1] * d->pixels.shape[2]) * (size_t)channels_of(d);
    return (const uint8_t *)d->pixels.data + (size_t)image * *bytes;
}

static th_status read_picture(th_dataset *d, th_dataset_reader *r, int64_t image, th_image *out) {
    (void)r;
    size_t bytes;
    const uint8_t *from = pixels_of(d, image, &bytes);
    TH_TRY(th_image_new(out, d->pixels.shape[2], d->pixels.shape[1]));
    if (channels_of(d) == 3)
        memcpy(out->pixels, from, bytes);
    else
        for (size_t i = 0; i < bytes; i++) memset(out->pixels + 3 * i, from[i], 3);
    return TH_OK;
}

static th_status hash_picture(const th_dataset *d, int64_t image, th_hash *h) {
    size_t bytes;
    const uint8_t *from = pixels_of(d, image, &bytes);
    th_hash_add(h, from, bytes);
    return TH_OK;
}

static void close_idx(th_dataset *d) {
    th_idx_free(&d->pixels);
    th_idx_free(&d->labels);
}

const th_dataset_source th_source_idx = {
    .name = "IDX file", .read = read_picture, .hash = hash_picture, .close = close_idx};

static th_status check_pixels(const th_dataset *d) {
    const th_idx *x = &d->pixels;
    bool grey = x->dimensions == 3, colour = x->dimensions == 4 && x->shape[3] == 3;
    if (x->type != TH_IDX_U8 || (!grey && !colour))
        return th_fail(TH_E_INPUT,
                       "%s: should hold bytes of [n, height, width] or [n, height, width, 3], has %d dimensions",
                       d->name, x->dimensions);
    if (x->shape[1] < 1 || x->shape[2] < 1 || x->shape[1] > TH_IMAGE_SIDE_MAX || x->shape[2] > TH_IMAGE_SIDE_MAX)
        return th_fail(TH_E_INPUT, "%s: holds pictures of %lld by %lld pixels", d->name, (long long)x->shape[2],
                       (long long)x->shape[1]);
    return TH_OK;
}

/* Puts `to` in place of the last `from` in the file's name; false where it does not stand there. */
static bool replace(char path[TH_PATH_MAX], const char *from, const char *to) {
    char *base = path + (th_path_base(path) - path), *at = NULL;
    for (char *p = base; (p = strstr(p, from)); p++) at = p;
    size_t n = strlen(from), m = strlen(to), rest = at ? strlen(at + n) + 1 : 0;
    if (!at || (size_t)(at - path) + m + rest > TH_PATH_MAX) return false;
    memmove(at + m, at + n, rest);
    memcpy(at, to, m);
    return true;
}

/* Where the labels should be, compressed or not. False where no such file is there. */
static bool find_labels(const char *pictures, char path[TH_PATH_MAX]) {
    snprintf(path, TH_PATH_MAX, "%s", pictures);
    if (!replace(path, "images", "labels")) return false;
    if (!replace(path, "idx3", "idx1")) replace(path, "idx4", "idx1");
    if (th_path_exists(path)) return true;
    size_t n = strlen(path);
    if (th_path_ends(path, ".gz"))
        path[n - 3] = '\0';
    else if (n + 4 <= TH_PATH_MAX)
        memcpy(path + n, ".gz", 4);
    return th_path_exists(path);
}

static th_status read_labels(th_dataset *d, const char *path) {
    TH_TRY(th_idx_read(path, &d->labels));
    if (d->labels.type != TH_IDX_U8 || d->labels.dimensions != 1)
        return th_fail(TH_E_INPUT, "%s: should hold one byte for each picture", path);
    if (d->labels.count != d->pixels.shape[0])
        return th_fail(TH_E_INPUT, "%s: holds %lld labels, %s holds %lld pictures", path, (long long)d->labels.count,
                       d->name, (long long)d->pixels.shape[0]);
    for (int64_t i = 0; i < d->labels.count; i++) {
        int32_t label = ((const uint8_t *)d->labels.data)[i];
        if (label >= d->classes) d->classes = label + 1;
    }
    return TH_OK;
}

th_status th_dataset_open_idx(th_gather *g, const char *path) {
    th_dataset *d = g->d;
    char labels[TH_PATH_MAX];
    d->source = &th_source_idx;
    TH_TRY(th_idx_read(path, &d->pixels));
    TH_TRY(check_pixels(d));
    d->source_images = d->pixels.shape[0];
    return find_labels(path, labels) ? read_labels(d, labels) : TH_OK;
}
