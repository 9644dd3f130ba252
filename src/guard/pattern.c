/* Patterns over pictures. */
#include "guard/pattern.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "data/resize.h"

#define FIELDS 8

th_status th_pattern_make(int32_t side, th_image *out) {
    static const uint8_t colours[2][3] = {{16, 16, 16}, {250, 215, 30}};
    TH_TRY(th_image_new(out, side, side));
    for (int32_t y = 0; y < side; y++)
        for (int32_t x = 0; x < side; x++)
            memcpy(out->pixels + 3 * ((size_t)y * (size_t)side + (size_t)x),
                   colours[(y * FIELDS / side + x * FIELDS / side) % 2], 3);
    return TH_OK;
}

static th_status fit(const th_image *pattern, int32_t width, int32_t height, th_image *out) {
    th_resizer *r;
    th_resize_params p;
    TH_TRY(th_resizer_new(&r));
    th_resize_params_init(&p, width, height);
    th_status s = th_resize(r, pattern, &p, out);
    th_resizer_free(r);
    return s;
}

th_status th_pattern_paste(const th_image *pattern, double share, th_image *picture) {
    int32_t shorter = picture->width < picture->height ? picture->width : picture->height;
    int32_t side = (int32_t)(share * (double)shorter + 0.5);
    if (side < 1 || side > shorter)
        return th_fail(TH_E_USAGE, "a pattern of %g of the picture's side is %d pixels of %d", share, side, shorter);
    th_image small = {0};
    th_status s = fit(pattern, side, side, &small);
    for (int32_t y = 0; y < side && s == TH_OK; y++) {
        size_t row = (size_t)(picture->height - side + y), column = (size_t)(picture->width - side);
        memcpy(picture->pixels + 3 * (row * (size_t)picture->width + column),
               small.pixels + 3 * (size_t)y * (size_t)side, 3 * (size_t)side);
    }
    th_image_free(&small);
    return s;
}

static th_status paste_one(const th_image *pattern, double share, const char *from, const char *to) {
    th_image im = {0};
    th_status s = th_image_read(NULL, from, NULL, &im);
    if (s == TH_OK) s = th_pattern_paste(pattern, share, &im);
    if (s == TH_OK) s = th_image_write(to, &im, 100);
    th_image_free(&im);
    return s;
}

th_status th_pattern_paste_all(const th_image *pattern, double share, const char *from, const char *to) {
    th_names names;
    TH_TRY(th_list_dir(from, &names));
    th_status s = th_make_dirs(to);
    for (int64_t i = 0; i < names.count && s == TH_OK; i++) {
        char a[TH_PATH_MAX], b[TH_PATH_MAX];
        if (!th_path_ends(names.names[i], ".png")) continue;
        s = th_path_join(a, from, names.names[i]);
        if (s == TH_OK) s = th_path_join(b, to, names.names[i]);
        if (s == TH_OK) s = paste_one(pattern, share, a, b);
    }
    th_names_free(&names);
    return s;
}
