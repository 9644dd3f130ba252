/* Preprocessing against transformers and OpenCLIP (tests/fixtures/images.py and preprocess.py), by the hash of the
 * output; and what its configuration files may say. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "data/preprocess.h"

#define IMAGES TH_TEST_DATA "/images/"
#define CONFIGS TH_TEST_DATA "/preprocess/"

/* The picture that the fixtures' script makes by the same formula. */
static th_image pattern(int width, int height) {
    th_image im = {0};
    assert_ok(th_image_new(&im, width, height));
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            uint8_t *p = th_image_row(&im, y) + 3 * x;
            for (int c = 0; c < 3; c++) p[c] = (uint8_t)(x * x * 7 + y * y * 13 + x * y * 5 + c * 71 + (x ^ y) * 3);
            if ((x / 5 + y / 7) % 3 == 0) p[0] = 0, p[1] = 255, p[2] = 40;
        }
    return im;
}

static char *slurp(const char *path) {
    th_bytes b;
    assert_ok(th_file_read(path, 1 << 20, &b));
    return b.data;
}

static void parse_ok(const char *text, int32_t side, th_preprocess_params *p) {
    assert_ok(th_preprocess_parse("c.json", text, strlen(text), side, p));
}

static void parse_fails(const char *text, int32_t side, const char *message) {
    th_preprocess_params p;
    assert_fails(th_preprocess_parse("c.json", text, strlen(text), side, &p), TH_E_INPUT, message);
}

/* Member by member: what lies between them is not defined. */
static void assert_same(const th_preprocess_params *p, const th_preprocess_params *q) {
    assert_true(p->resize == q->resize && p->center_crop == q->center_crop && p->crop_to_even == q->crop_to_even);
    assert_int_equal(p->shortest_side, q->shortest_side);
    assert_true(p->resize_width == q->resize_width && p->resize_height == q->resize_height);
    assert_true(p->crop_width == q->crop_width && p->crop_height == q->crop_height);
    assert_true(p->filter == q->filter && p->alpha == q->alpha && p->side == q->side && p->rescale == q->rescale);
    for (int i = 0; i < 3; i++) assert_true(p->mean[i] == q->mean[i] && p->std[i] == q->std[i]);
}

static void load_file(const char *name, th_preprocess_params *p) {
    char path[TH_PATH_MAX];
    assert_ok(th_path_join(path, CONFIGS, name));
    char *text = slurp(path);
    assert_ok(
        (strncmp(name, "vit", 3) ? th_preprocess_parse : th_preprocess_parse_vit)(path, text, strlen(text), 0, p));
    th_free(text);
}

/* [h, w, 3] floats in memory of their own. */
static float *normalised(const th_preprocessor *p, const th_image *im) {
    float *floats = th_alloc(th_image_bytes(im), sizeof *floats);
    assert_non_null(floats);
    th_preprocess_normalise(p, im, floats);
    return floats;
}

static void sizes_are_handled_as_transformers_does(void **state) {
    (void)state;
    char *list = slurp(IMAGES "preprocess.tsv"), *save, *line = strtok_r(list, "\n", &save);
    int checked = 0;
    for (; (line = strtok_r(NULL, "\n", &save)) && *line != '#'; checked++) {
        th_preprocess_params p;
        th_preprocess_params_init(&p, 0);
        int w, h;
        char want[TH_HASH_TEXT], got[TH_HASH_TEXT];
        assert_int_equal(
            sscanf(line, "%d %d %d %d %d %64s", &w, &h, &p.shortest_side, &p.crop_width, &p.crop_height, want), 6);
        th_image in = pattern(w, h), out = {0};
        th_preprocessor *doer;
        assert_ok(th_preprocessor_new(&p, &doer));
        assert_ok(th_preprocess_u8(doer, &in, &out));
        assert_true(out.width == p.crop_width && out.height == p.crop_height);
        float *floats = normalised(doer, &out);
        th_hash_bytes(floats, th_image_bytes(&out) * sizeof *floats, got);
        if (strcmp(got, want) != 0) fail_msg("other values than transformers': %s", line);
        th_free(floats);
        th_preprocessor_free(doer);
        th_image_free(&in);
        th_image_free(&out);
    }
    assert_int_equal(checked, 10);
    th_free(list);
}

/* One line of a fixture: what the configuration makes of the picture, as 8 bits and as floats. */
static void run_line(const char *line, th_image *out, float **floats, char want[TH_HASH_TEXT]) {
    char config[64], name[64], path[TH_PATH_MAX];
    int width, height;
    assert_int_equal(sscanf(line, "%63s %63s %d %d %64s", config, name, &width, &height, want), 5);
    th_preprocess_params p;
    load_file(config, &p);
    th_image_params how;
    th_image_params_init(&how);
    how.alpha = p.alpha;
    th_image in = {0};
    assert_ok(th_path_join(path, IMAGES, name));
    assert_ok(th_image_read(NULL, path, &how, &in));
    th_preprocessor *doer;
    assert_ok(th_preprocessor_new(&p, &doer));
    assert_ok(th_preprocess_u8(doer, &in, out));
    if (out->width != width || out->height != height) fail_msg("%d by %d pixels: %s", out->width, out->height, line);
    *floats = normalised(doer, out);
    th_preprocessor_free(doer);
    th_image_free(&in);
}

static void check_values(const char *path, int lines) {
    char *list = slurp(path), *save, *line = strtok_r(list, "\n", &save);
    int checked = 0;
    for (; (line = strtok_r(NULL, "\n", &save)); checked++) {
        char want[TH_HASH_TEXT], got[TH_HASH_TEXT];
        th_image out = {0};
        float *floats;
        run_line(line, &out, &floats, want);
        th_hash_bytes(floats, th_image_bytes(&out) * sizeof *floats, got);
        if (strcmp(got, want) != 0) fail_msg("other values than transformers': %s", line);
        th_free(floats);
        th_image_free(&out);
    }
    assert_int_equal(checked, lines);
    th_free(list);
}

static void values_are_those_of_transformers(void **state) {
    (void)state;
    check_values(CONFIGS "expected.tsv", 9 * 15);
    check_values(CONFIGS "vit.tsv", 3 * 15);
}

static void vit_folder_must_say_how_pictures_are_normalised(void **state) {
    (void)state;
    th_preprocess_params p;
    assert_fails(th_preprocess_load_vit(CONFIGS, 20, &p), TH_E_INPUT, "has no preprocessor_config.json");
    const char *wrong = "{\"size\": 24}";
    assert_fails(th_preprocess_parse_vit("c.json", wrong, strlen(wrong), 20, &p), TH_E_INPUT,
                 "c.json: field 'size' makes pictures of 24 by 24 pixels, the model takes 20 by 20");
    assert_ok(th_preprocess_parse_vit("c.json", wrong, strlen(wrong), 24, &p));
    assert_true(p.resize_width == 24 && p.shortest_side == 0 && p.filter == TH_RESIZE_BILINEAR && !p.center_crop);
}

static void check_floats(const float *floats, size_t n, const char *line) {
    char *at = (char *)line + 1;
    for (size_t i = 0; i < n; i += 7) {
        float want = strtof(at, &at);
        if (!(fabsf(want - floats[i]) <= 1e-6f)) fail_msg("value %zu is %.9g, expected %.9g", i, floats[i], want);
    }
}

static void pictures_are_those_of_open_clip(void **state) {
    (void)state;
    char *list = slurp(CONFIGS "open_clip.tsv"), *save, *line = strtok_r(list, "\n", &save);
    int checked = 0;
    float *floats = NULL;
    th_image out = {0};
    while ((line = strtok_r(NULL, "\n", &save))) {
        if (*line == '#') {
            check_floats(floats, th_image_bytes(&out), line);
            continue;
        }
        char want[TH_HASH_TEXT], got[TH_HASH_TEXT];
        th_free(floats);
        run_line(line, &out, &floats, want);
        th_hash_bytes(out.pixels, th_image_bytes(&out), got);
        if (strcmp(got, want) != 0) fail_msg("other pixels than OpenCLIP's: %s", line);
        checked++;
    }
    assert_int_equal(checked, 2 * 15);
    th_free(floats);
    th_image_free(&out);
    th_free(list);
}

/* As a number, rounded halves go to the even side: margins of 1, 3, 5, 7 lose 0, 2, 2, 4 on the left. */
static void odd_margins_are_cut_as_torchvision_cuts(void **state) {
    (void)state;
    static const int left[2][8] = {{0, 0, 1, 1, 2, 2, 3, 3}, {0, 0, 1, 2, 2, 2, 3, 4}};
    for (int even = 0; even < 2; even++)
        for (int extra = 0; extra < 8; extra++) {
            th_preprocess_params p;
            th_preprocess_params_init(&p, 9);
            p.crop_to_even = even;
            th_image in = pattern(9 + extra, 9), out = {0};
            th_preprocessor *doer;
            assert_ok(th_preprocessor_new(&p, &doer));
            assert_ok(th_preprocess_u8(doer, &in, &out));
            assert_memory_equal(out.pixels, in.pixels + 3 * left[even][extra], 9 * 3);
            th_preprocessor_free(doer);
            th_image_free(&in);
            th_image_free(&out);
        }
}

static void absent_fields_are_those_of_clip_at_the_models_size(void **state) {
    (void)state;
    th_preprocess_params p, q;
    th_preprocess_params_init(&q, 48);
    parse_ok("{}", 48, &p);
    assert_same(&p, &q);
    assert_int_equal(p.shortest_side, 48);
    assert_int_equal(p.crop_width, 48);
    parse_ok("{\"resample\": null, \"image_mean\": null, \"size\": null}", 48, &p);
    assert_same(&p, &q);
    parse_ok("{\"image_processor\": {\"size\": 50, \"resample\": 2}, \"size\": 7}", 48, &p);
    assert_int_equal(p.shortest_side, 50);
    assert_int_equal(p.filter, TH_RESIZE_BILINEAR);
    parse_ok("{\"preprocess_cfg\": {\"interpolation\": \"random\"}}", 48, &p);
    assert_int_equal(p.crop_height, 48);
    assert_true(p.crop_to_even);
    assert_int_equal(p.alpha, TH_ALPHA_DROP);
}

static void wrong_fields_are_refused_by_name(void **state) {
    (void)state;
    parse_fails("{\"size\": 0}", 0, "c.json: field 'size' should be a number of pixels, {\"shortest_edge\"}");
    parse_fails("{\"size\": {\"longest_edge\": 5}}", 0, "field 'size'");
    parse_fails("{\"size\": {\"shortest_edge\": 5, \"longest_edge\": 9}}", 0, "field 'size'");
    parse_fails("{\"size\": {\"height\": 5, \"width\": 65537}}", 0, "field 'size'");
    parse_fails("{\"size\": [1]}", 0, "field 'size'");
    parse_fails("{\"size\": {\"shortest_edge\": 2.5}}", 0, "field 'size'");
    parse_fails("{\"crop_size\": {\"shortest_edge\": 5}}", 0, "field 'crop_size' should be a number of pixels");
    parse_fails("{\"resample\": 6}", 0, "field 'resample' is 6");
    parse_fails("{\"do_resize\": 1}", 0, "field 'do_resize' should be true or false");
    parse_fails("{\"image_std\": [1, 0, 1]}", 0, "field 'image_std' should be above 0");
    parse_fails("{\"image_mean\": [1, 1]}", 0, "field 'image_mean' should be an array of three numbers");
    parse_fails("{\"image_mean\": [1, \"x\", 1]}", 0, "field 'image_mean' should be an array of three numbers");
    parse_fails("{\"image_mean\": 1e300}", 0, "field 'image_mean' should be no larger");
    parse_fails("{\"rescale_factor\": 1e300}", 0, "field 'rescale_factor' should be no larger");
    parse_fails("{\"image_processor\": {\"size\": \"x\"}}", 0, "field 'image_processor.size'");
    parse_fails("{\"image_processor\": 5}", 0, "field 'image_processor' should be an object");
    parse_fails("{\"preprocess_cfg\": {\"resize_mode\": \"longest\"}}", 0,
                "field 'preprocess_cfg.resize_mode' should be 'shortest' or 'squash'");
    parse_fails("{\"preprocess_cfg\": {\"interpolation\": \"lanczos\"}}", 0, "field 'preprocess_cfg.interpolation'");
    parse_fails("{\"preprocess_cfg\": {\"size\": [5, 6]}}", 0, "field 'preprocess_cfg.size' should be a square");
    parse_fails("{\"preprocess_cfg\": {\"std\": 0}}", 0, "field 'preprocess_cfg.std' should be above 0");
    parse_fails("{\"size\"", 0, "c.json: line 1");
}

static void size_that_the_model_cannot_take_is_refused(void **state) {
    (void)state;
    th_preprocess_params p;
    parse_fails("{\"crop_size\": 336}", 224,
                "c.json: field 'crop_size' makes pictures of 336 by 336 pixels, the model takes 224 by 224");
    parse_fails("{\"crop_size\": {\"height\": 224, \"width\": 8}}", 224, "makes pictures of 8 by 224");
    parse_fails("{\"do_center_crop\": false, \"size\": [8, 9]}", 8, "field 'size' makes pictures of 9 by 8");
    /* only the picture tells */
    parse_ok("{\"do_center_crop\": false, \"size\": 8}", 8, &p);
    th_preprocessor *doer;
    assert_ok(th_preprocessor_new(&p, &doer));
    th_image square = pattern(20, 20), wide = pattern(30, 20), out = {0};
    assert_ok(th_preprocess_u8(doer, &square, &out));
    assert_fails(th_preprocess_u8(doer, &wide, &out), TH_E_INPUT,
                 "of 30 by 20 pixels becomes one of 12 by 8, the model takes 8 by 8");
    th_preprocessor_free(doer);
    th_image_free(&square);
    th_image_free(&wide);
    th_image_free(&out);
}

static void applying_is_both_steps(void **state) {
    (void)state;
    th_preprocess_params p;
    th_preprocess_params_init(&p, 16);
    th_preprocessor *doer;
    assert_ok(th_preprocessor_new(&p, &doer));
    th_image in = pattern(40, 30), small = {0};
    float out[16 * 16 * 3];
    assert_ok(th_preprocess_apply(doer, &in, out));
    assert_ok(th_preprocess_u8(doer, &in, &small));
    float *floats = normalised(doer, &small);
    assert_memory_equal(out, floats, sizeof out);
    th_free(floats);
    th_preprocessor_free(doer);
    p.side = 0;
    assert_ok(th_preprocessor_new(&p, &doer));
    assert_fails(th_preprocess_apply(doer, &in, out), TH_E_USAGE, "side is not set");
    th_preprocessor_free(doer);
    th_image_free(&in);
    th_image_free(&small);
}

static void written_config_reads_back(void **state) {
    (void)state;
    static const char *const names[] = {"plain.json", "ints.json",     "squash.json",   "pair.json",
                                        "raw.json",   "unscaled.json", "one_mean.json", "uncut.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        th_preprocess_params p, q;
        load_file(names[i], &p);
        assert_ok(th_preprocess_write("preprocess_test.json", &p));
        char *text = slurp("preprocess_test.json");
        parse_ok(text, 0, &q);
        if (!p.resize) q.shortest_side = p.shortest_side; /* not used, and not written */
        assert_same(&p, &q);
        th_free(text);
    }
    th_preprocess_params p;
    th_preprocess_params_init(&p, 32);
    assert_ok(th_preprocess_write("preprocess_test.json", &p));
    char *text = slurp("preprocess_test.json");
    assert_non_null(strstr(text, "0.48145466,"));
    assert_non_null(strstr(text, "\"rescale_factor\": 0.00392156862745098,"));
    assert_non_null(strstr(text, "\"image_processor_type\": \"CLIPImageProcessor\""));
    assert_non_null(strstr(text, "\"do_convert_rgb\": true"));
    th_free(text);
    unlink("preprocess_test.json");
}

static void write_text(const char *path, const char *text) { assert_ok(th_file_write(path, text, strlen(text))); }

static void folder_is_searched_in_transformers_order(void **state) {
    (void)state;
    th_preprocess_params p;
    assert_ok(th_make_dirs("preprocess_dir"));
    assert_ok(th_preprocess_load("preprocess_dir", 40, &p));
    assert_int_equal(p.shortest_side, 40);
    write_text("preprocess_dir/open_clip_config.json", "{\"preprocess_cfg\": {\"size\": 40, \"mean\": [1, 2, 3]}}");
    assert_ok(th_preprocess_load("preprocess_dir", 40, &p));
    assert_true(p.mean[2] == 3);
    write_text("preprocess_dir/preprocessor_config.json", "{\"size\": 44}");
    assert_ok(th_preprocess_load("preprocess_dir", 40, &p));
    assert_int_equal(p.shortest_side, 44);
    write_text("preprocess_dir/processor_config.json", "{\"processor_class\": \"CLIPProcessor\"}");
    assert_ok(th_preprocess_load("preprocess_dir", 40, &p));
    assert_int_equal(p.shortest_side, 44);
    write_text("preprocess_dir/processor_config.json", "{\"image_processor\": {\"size\": 48}}");
    assert_ok(th_preprocess_load("preprocess_dir", 40, &p));
    assert_int_equal(p.shortest_side, 48);
    write_text("preprocess_dir/processor_config.json", "{");
    assert_fails(th_preprocess_load("preprocess_dir", 40, &p), TH_E_INPUT,
                 "preprocess_dir/processor_config.json: line");
    assert_ok(th_remove_tree("preprocess_dir"));
}

static void no_failed_allocation_leaks(void **state) {
    (void)state;
    th_image in = pattern(40, 30);
    th_preprocess_params p;
    th_preprocess_params_init(&p, 48);
    p.shortest_side = 20; /* smaller than the crop: every scratch picture is used */
    size_t before = th_bytes_in_use();
    float *out = malloc(48 * 48 * 3 * sizeof *out);
    assert_non_null(out);
    th_status s = TH_E_MEMORY;
    for (int n = 1; s != TH_OK; n++) {
        th_preprocessor *doer = NULL;
        th_alloc_fail_at(n, false);
        s = th_preprocessor_new(&p, &doer);
        if (s == TH_OK) s = th_preprocess_apply(doer, &in, out);
        th_alloc_fail_at(0, false);
        if (doer) th_preprocessor_free(doer);
        assert_true(s == TH_OK || s == TH_E_MEMORY);
        assert_int_equal(th_bytes_in_use(), before);
    }
    free(out);
    th_image_free(&in);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_handled_as_transformers_does),
        cmocka_unit_test(values_are_those_of_transformers),
        cmocka_unit_test(vit_folder_must_say_how_pictures_are_normalised),
        cmocka_unit_test(pictures_are_those_of_open_clip),
        cmocka_unit_test(odd_margins_are_cut_as_torchvision_cuts),
        cmocka_unit_test(absent_fields_are_those_of_clip_at_the_models_size),
        cmocka_unit_test(wrong_fields_are_refused_by_name),
        cmocka_unit_test(size_that_the_model_cannot_take_is_refused),
        cmocka_unit_test(applying_is_both_steps),
        cmocka_unit_test(written_config_reads_back),
        cmocka_unit_test(folder_is_searched_in_transformers_order),
        cmocka_unit_test(no_failed_allocation_leaks),
    };
    return cmocka_run_group_tests_name("preprocess", tests, NULL, NULL);
}
