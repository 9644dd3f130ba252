/* Reading and writing how pictures are preprocessed, and doing it. */
#include "data/preprocess.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "format/json.h"

#define SIDE_MAX 65536
#define FILE_MAX ((size_t)1 << 20)

/* ---- what is to be done */

void th_preprocess_params_init(th_preprocess_params *p, int32_t side) {
    int32_t size = side > 0 ? side : 224;
    *p = (th_preprocess_params){.resize = true,
                                .center_crop = true,
                                .shortest_side = size,
                                .filter = TH_RESIZE_BICUBIC,
                                .crop_width = size,
                                .crop_height = size,
                                .rescale = 1.0 / 255.0,
                                .mean = {0.48145466, 0.4578275, 0.40821073},
                                .std = {0.26862954, 0.26130258, 0.27577711},
                                .alpha = TH_ALPHA_WHITE,
                                .side = side};
}

void th_preprocess_params_init_vit(th_preprocess_params *p, int32_t side) {
    th_preprocess_params_init(p, side);
    p->center_crop = false;
    p->resize_width = p->resize_height = p->shortest_side;
    p->shortest_side = 0;
    p->filter = TH_RESIZE_BILINEAR;
    for (int i = 0; i < 3; i++) p->mean[i] = p->std[i] = 0.5;
    p->alpha = TH_ALPHA_DROP;
}

/* A file and the object in it that is read: prefix is "" or ends in a dot. square: a number as the size is that of both
 * sides, not of the shorter. */
typedef struct {
    const th_json *json;
    const char *prefix;
    bool square;
} config;

#define FIELD_MAX 80
static const char *field(const config *c, const char *name, char out[FIELD_MAX]) {
    snprintf(out, FIELD_MAX, "%s%s", c->prefix, name);
    return out;
}

/* The field's value, borrowed; NULL where it is absent or null. */
static th_status find(const config *c, const char *name, json_t **out) {
    char path[FIELD_MAX];
    *out = NULL;
    json_t *object = c->json->root;
    if (*c->prefix) {
        snprintf(path, sizeof path, "%.*s", (int)strlen(c->prefix) - 1, c->prefix);
        TH_TRY(th_json_object(c->json, path, &object));
    }
    json_t *v = json_object_get(object, name);
    if (v && !json_is_null(v)) *out = v;
    return TH_OK;
}

static th_status fail(const config *c, const char *name, const char *what) {
    char path[FIELD_MAX];
    return th_json_fail(c->json, field(c, name, path), what);
}

static th_status read_bool(const config *c, const char *name, bool *value) {
    char path[FIELD_MAX];
    return th_json_bool(c->json, field(c, name, path), value);
}

static bool is_side(const json_t *v, int32_t *out) {
    json_int_t n = json_is_integer(v) ? json_integer_value(v) : 0;
    if (n < 1 || n > SIDE_MAX) return false;
    return *out = (int32_t)n, true;
}

/* An int, [height, width] or {"height", "width"}. */
static bool is_size(const json_t *v, int32_t *width, int32_t *height) {
    if (is_side(v, width)) return *height = *width, true;
    if (json_is_array(v) && json_array_size(v) == 2)
        return is_side(json_array_get(v, 0), height) && is_side(json_array_get(v, 1), width);
    return json_object_size(v) == 2 && is_side(json_object_get(v, "height"), height) &&
           is_side(json_object_get(v, "width"), width);
}

/* As the crop's, but {"shortest_edge"} and, unless `square`, a single number is that of the shorter side. */
static th_status read_resize_size(const config *c, th_preprocess_params *p) {
    json_t *v;
    TH_TRY(find(c, "size", &v));
    if (!v) return TH_OK;
    const json_t *shortest = json_is_object(v) && json_object_size(v) == 1 ? json_object_get(v, "shortest_edge")
                             : c->square                                   ? NULL
                                                                           : v;
    if (is_side(shortest, &p->shortest_side)) return TH_OK;
    p->shortest_side = 0;
    if (is_size(v, &p->resize_width, &p->resize_height)) return TH_OK;
    return fail(c, "size", "a number of pixels, {\"shortest_edge\"} or {\"height\", \"width\"}");
}

static th_status read_crop_size(const config *c, th_preprocess_params *p) {
    json_t *v;
    TH_TRY(find(c, "crop_size", &v));
    if (!v || is_size(v, &p->crop_width, &p->crop_height)) return TH_OK;
    return fail(c, "crop_size", "a number of pixels or {\"height\", \"width\"}");
}

/* Three numbers, or one for all. */
static th_status read_colour(const config *c, const char *name, double least, double out[3]) {
    json_t *v;
    TH_TRY(find(c, name, &v));
    if (!v) return TH_OK;
    if (!json_is_number(v) && json_array_size(v) != 3) return fail(c, name, "an array of three numbers");
    for (size_t i = 0; i < 3; i++) {
        const json_t *one = json_is_number(v) ? v : json_array_get(v, i);
        if (!json_is_number(one)) return fail(c, name, "an array of three numbers");
        out[i] = json_number_value(one);
        if (!(fabs(out[i]) <= 1e6)) return fail(c, name, "no larger than 1e6");
        if (out[i] < least) return fail(c, name, "above 0");
    }
    return TH_OK;
}

#define STD_LEAST 1e-6

static th_status read_values(const config *c, th_preprocess_params *p) {
    bool rescale = true, normalize = true;
    char path[FIELD_MAX];
    TH_TRY(read_bool(c, "do_rescale", &rescale));
    TH_TRY(read_bool(c, "do_normalize", &normalize));
    TH_TRY(th_json_double(c->json, field(c, "rescale_factor", path), &p->rescale));
    if (!(fabs(p->rescale) <= 1e6)) return fail(c, "rescale_factor", "no larger than 1e6");
    TH_TRY(read_colour(c, "image_mean", -INFINITY, p->mean));
    TH_TRY(read_colour(c, "image_std", STD_LEAST, p->std));
    if (!rescale) p->rescale = 1;
    for (int i = 0; i < 3 && !normalize; i++) p->mean[i] = 0, p->std[i] = 1;
    return TH_OK;
}

/* transformers: preprocessor_config.json, or the same inside processor_config.json. */
static th_status read_transformers(const config *c, th_preprocess_params *p) {
    int64_t filter = p->filter;
    char path[FIELD_MAX];
    TH_TRY(read_bool(c, "do_resize", &p->resize));
    TH_TRY(read_bool(c, "do_center_crop", &p->center_crop));
    TH_TRY(read_resize_size(c, p));
    TH_TRY(read_crop_size(c, p));
    TH_TRY(th_json_int(c->json, field(c, "resample", path), TH_RESIZE_NEAREST, TH_RESIZE_HAMMING, &filter));
    p->filter = (th_resize_filter)filter;
    /* Off, pictures that are not RGB already would fail there; ours are always RGB. */
    bool convert = true;
    TH_TRY(read_bool(c, "do_convert_rgb", &convert));
    return read_values(c, p);
}

/* OpenCLIP's image_transform_v2 with is_train off. */
static th_status read_open_clip(const config *c, th_preprocess_params *p) {
    const char *mode = "shortest", *interpolation = "bicubic";
    char path[FIELD_MAX];
    json_t *size;
    p->alpha = TH_ALPHA_DROP;
    p->crop_to_even = true;
    TH_TRY(th_json_string(c->json, field(c, "resize_mode", path), &mode));
    TH_TRY(th_json_string(c->json, field(c, "interpolation", path), &interpolation));
    TH_TRY(find(c, "size", &size));
    if (size && !is_size(size, &p->crop_width, &p->crop_height))
        return fail(c, "size", "a number of pixels or [height, width]");
    if (p->crop_width != p->crop_height) return fail(c, "size", "a square");
    if (!strcmp(mode, "squash")) {
        p->center_crop = false;
        p->shortest_side = 0;
        p->resize_width = p->crop_width, p->resize_height = p->crop_height;
    } else if (!strcmp(mode, "shortest")) {
        p->shortest_side = p->crop_width;
    } else {
        return fail(c, "resize_mode", "'shortest' or 'squash'; others are not supported");
    }
    /* "random" is bicubic or bilinear in training, and bicubic else. */
    if (!strcmp(interpolation, "bilinear"))
        p->filter = TH_RESIZE_BILINEAR;
    else if (strcmp(interpolation, "bicubic") != 0 && strcmp(interpolation, "random") != 0)
        return fail(c, "interpolation", "'bicubic', 'bilinear' or 'random'");
    TH_TRY(read_colour(c, "mean", -INFINITY, p->mean));
    return read_colour(c, "std", STD_LEAST, p->std);
}

/* A model takes squares of one size: what can never be that is an error now rather than at the first picture. */
static th_status check_side(const th_json *j, const th_preprocess_params *p) {
    const char *what = "crop_size";
    int32_t width = p->crop_width, height = p->crop_height;
    if (!p->center_crop) what = "size", width = p->resize_width, height = p->resize_height;
    if (p->side <= 0 || (!p->center_crop && (!p->resize || p->shortest_side > 0))) return TH_OK;
    if (width == p->side && height == p->side) return TH_OK;
    return th_fail(TH_E_INPUT, "%s: field '%s' makes pictures of %d by %d pixels, the model takes %d by %d", j->file,
                   what, (int)width, (int)height, (int)p->side, (int)p->side);
}

static th_status read_json(const th_json *j, bool vit, int32_t side, th_preprocess_params *out) {
    if (vit)
        th_preprocess_params_init_vit(out, side);
    else
        th_preprocess_params_init(out, side);
    if (th_json_has(j, "preprocess_cfg") && !vit)
        TH_TRY(read_open_clip(&(config){j, "preprocess_cfg.", false}, out));
    else
        TH_TRY(read_transformers(&(config){j, th_json_has(j, "image_processor") ? "image_processor." : "", vit}, out));
    return check_side(j, out);
}

static th_status parse(const char *name, const char *text, size_t length, bool vit, int32_t side,
                       th_preprocess_params *out) {
    th_json j;
    TH_TRY(th_json_parse(name, text, length, &j));
    th_status s = read_json(&j, vit, side, out);
    th_json_free(&j);
    return s;
}

th_status th_preprocess_parse(const char *name, const char *text, size_t length, int32_t side,
                              th_preprocess_params *out) {
    return parse(name, text, length, false, side, out);
}

th_status th_preprocess_parse_vit(const char *name, const char *text, size_t length, int32_t side,
                                  th_preprocess_params *out) {
    return parse(name, text, length, true, side, out);
}

/* Reads DIR/name where it is there and, with a member asked for, has that one. */
static th_status try_file(const char *dir, const char *name, const char *member, bool vit, int32_t side,
                          th_preprocess_params *out, bool *found) {
    char path[TH_PATH_MAX];
    TH_TRY(th_path_join(path, dir, name));
    *found = false;
    if (!th_path_exists(path)) return TH_OK;
    th_json j;
    TH_TRY(th_json_load(path, FILE_MAX, &j));
    *found = !member || th_json_has(&j, member);
    th_status s = *found ? read_json(&j, vit, side, out) : TH_OK;
    th_json_free(&j);
    return s;
}

th_status th_preprocess_load(const char *dir, int32_t side, th_preprocess_params *out) {
    static const struct {
        const char *name, *member;
    } files[] = {{"processor_config.json", "image_processor"},
                 {"preprocessor_config.json", NULL},
                 {"open_clip_config.json", "preprocess_cfg"}};
    bool found = false;
    for (size_t i = 0; i < sizeof files / sizeof *files && !found; i++)
        TH_TRY(try_file(dir, files[i].name, files[i].member, false, side, out, &found));
    if (!found) th_preprocess_params_init(out, side);
    return TH_OK;
}

th_status th_preprocess_load_vit(const char *dir, int32_t side, th_preprocess_params *out) {
    bool found = false;
    TH_TRY(try_file(dir, "preprocessor_config.json", NULL, true, side, out, &found));
    if (found) return TH_OK;
    return th_fail(TH_E_INPUT, "%s: has no preprocessor_config.json, which says how its pictures are normalised", dir);
}

static json_t *colour(const double v[3]) { return json_pack("[f, f, f]", v[0], v[1], v[2]); }

static json_t *height_and_width(int32_t height, int32_t width) {
    return json_pack("{s:i, s:i}", "height", (int)height, "width", (int)width);
}

/* NULL when out of memory. */
static json_t *to_json(const th_preprocess_params *p) {
    bool normalize = false;
    for (int i = 0; i < 3; i++) normalize |= p->mean[i] != 0 || p->std[i] != 1;
    json_t *size = p->shortest_side > 0 ? json_pack("{s:i}", "shortest_edge", (int)p->shortest_side)
                   : p->resize          ? height_and_width(p->resize_height, p->resize_width)
                                        : json_pack("{s:i}", "shortest_edge", (int)p->crop_width);
    return json_pack("{s:o, s:b, s:b, s:b, s:b, s:b, s:o, s:s, s:o, s:i, s:f, s:o}", "crop_size",
                     height_and_width(p->crop_height, p->crop_width), "do_center_crop", p->center_crop,
                     "do_convert_rgb", true, "do_normalize", normalize, "do_rescale", p->rescale != 1, "do_resize",
                     p->resize, "image_mean", colour(p->mean), "image_processor_type", "CLIPImageProcessor",
                     "image_std", colour(p->std), "resample", (int)p->filter, "rescale_factor", p->rescale, "size",
                     size);
}

th_status th_preprocess_write(const char *path, const th_preprocess_params *p) {
    json_t *root = to_json(p);
    th_status s = th_json_write(path, root);
    json_decref(root);
    return s;
}

/* ---- doing it */

struct th_preprocessor {
    th_preprocess_params params;
    th_resizer *resizer;
    th_image whole, small; /* scratch: resized but not cut; what th_preprocess_apply goes through */
    float value[3][256];   /* of each byte in each channel */
};

/* In the order of transformers: the product in double, rounded to float, then float arithmetic. */
static void fill_values(th_preprocessor *p) {
    for (int c = 0; c < 3; c++)
        for (int v = 0; v < 256; v++) {
            float unit = (float)((double)v * p->params.rescale);
            p->value[c][v] = (unit - (float)p->params.mean[c]) / (float)p->params.std[c];
        }
}

th_status th_preprocessor_new(const th_preprocess_params *params, th_preprocessor **out) {
    th_preprocessor *p = th_alloc(1, sizeof *p);
    if (!p) return th_fail_memory();
    p->params = *params;
    fill_values(p);
    th_status s = th_resizer_new(&p->resizer);
    if (s != TH_OK) return th_preprocessor_free(p), s;
    *out = p;
    return TH_OK;
}

void th_preprocessor_free(th_preprocessor *p) {
    if (!p) return;
    th_resizer_free(p->resizer);
    th_image_free(&p->whole);
    th_image_free(&p->small);
    th_free(p);
}

/* What is cut off before the part in the middle. */
static int32_t margin(const th_preprocess_params *p, int32_t have, int32_t want) {
    int32_t both = have - want, half = both / 2;
    return half + (p->crop_to_even && both % 2 && half % 2);
}

static void resized_size(const th_preprocess_params *p, const th_image *in, int32_t *width, int32_t *height) {
    *width = in->width, *height = in->height;
    if (p->resize && p->shortest_side > 0)
        th_resize_shortest(in->width, in->height, p->shortest_side, width, height);
    else if (p->resize)
        *width = p->resize_width, *height = p->resize_height;
}

/* Only what the crop keeps is resized. */
static th_status resize_and_crop(th_preprocessor *p, const th_image *in, th_image *out) {
    const th_preprocess_params *q = &p->params;
    th_resize_params size;
    int32_t width, height;
    resized_size(q, in, &width, &height);
    th_resize_params_init(&size, width, height);
    size.filter = q->filter;
    if (!q->center_crop) return th_resize(p->resizer, in, &size, out);
    if (width < q->crop_width || height < q->crop_height) {
        TH_TRY(th_resize(p->resizer, in, &size, &p->whole));
        return th_center_crop(&p->whole, q->crop_width, q->crop_height, out);
    }
    size.window.x = margin(q, width, q->crop_width), size.window.width = q->crop_width;
    size.window.y = margin(q, height, q->crop_height), size.window.height = q->crop_height;
    return th_resize(p->resizer, in, &size, out);
}

th_status th_preprocess_u8(th_preprocessor *p, const th_image *in, th_image *out) {
    TH_TRY(resize_and_crop(p, in, out));
    int32_t side = p->params.side;
    if (side <= 0 || (out->width == side && out->height == side)) return TH_OK;
    return th_fail(TH_E_INPUT, "a picture of %d by %d pixels becomes one of %d by %d, the model takes %d by %d",
                   (int)in->width, (int)in->height, (int)out->width, (int)out->height, (int)side, (int)side);
}

void th_preprocess_normalise(const th_preprocessor *p, const th_image *in, float *out) {
    size_t n = (size_t)in->width * (size_t)in->height;
    const uint8_t *from = in->pixels;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < 3; c++) out[3 * i + c] = p->value[c][from[3 * i + c]];
}

th_status th_preprocess_apply(th_preprocessor *p, const th_image *in, float *out) {
    if (p->params.side <= 0) return th_fail(TH_E_USAGE, "preprocess: the model's side is not set");
    TH_TRY(th_preprocess_u8(p, in, &p->small));
    th_preprocess_normalise(p, &p->small, out);
    return TH_OK;
}
