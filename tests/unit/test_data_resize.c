/* Resizing against Pillow (tests/fixtures/images.py), by the hash of its output. */
#include "test.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "data/resize.h"

#define IMAGES TH_TEST_DATA "/images/"

static th_resizer *resizer;

static int set_up(void **state) {
    (void)state;
    return th_resizer_new(&resizer) == TH_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    th_resizer_free(resizer);
    return 0;
}

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

/* A part of the result, computed on its own, is that part. */
static void check_window(const th_image *in, th_resize_params p, const th_image *whole) {
    th_image part = {0};
    p.window.x = p.width / 3, p.window.y = p.height / 4;
    p.window.width = (p.width - p.window.x + 1) / 2, p.window.height = (p.height - p.window.y + 1) / 2;
    assert_ok(th_resize(resizer, in, &p, &part));
    assert_int_equal(part.width, p.window.width);
    for (int y = 0; y < part.height; y++)
        assert_memory_equal(th_image_row(&part, y), th_image_row(whole, p.window.y + y) + 3 * p.window.x,
                            (size_t)part.width * 3);
    th_image_free(&part);
}

static void result_is_that_of_pillow(void **state) {
    (void)state;
    char *list = slurp(IMAGES "resize.tsv"), *save, *line = strtok_r(list, "\n", &save);
    int checked = 0;
    for (; (line = strtok_r(NULL, "\n", &save)); checked++) {
        int w, h, filter;
        char box[100], want[TH_HASH_TEXT], got[TH_HASH_TEXT];
        th_resize_params p;
        th_resize_params_init(&p, 0, 0);
        assert_int_equal(
            sscanf(line, "%d\t%d\t%d\t%d\t%d\t%99[^\t]\t%64s", &w, &h, &p.width, &p.height, &filter, box, want), 7);
        p.filter = (th_resize_filter)filter;
        if (strcmp(box, "-") != 0)
            assert_int_equal(sscanf(box, "%f %f %f %f", &p.box[0], &p.box[1], &p.box[2], &p.box[3]), 4);
        th_image in = pattern(w, h), out = {0};
        assert_ok(th_resize(resizer, &in, &p, &out));
        assert_true(out.width == p.width && out.height == p.height);
        th_hash_bytes(out.pixels, th_image_bytes(&out), got);
        if (strcmp(got, want) != 0) fail_msg("other pixels than Pillow's: %s", line);
        check_window(&in, p, &out);
        th_image_free(&in);
        th_image_free(&out);
    }
    assert_int_equal(checked, 19 * 6);
    th_free(list);
}

static void small_result_equals_the_stored_one(void **state) {
    (void)state;
    th_image in = pattern(29, 23), out = {0}, want = {0};
    th_resize_params p;
    th_resize_params_init(&p, 5, 4);
    assert_ok(th_resize(resizer, &in, &p, &out));
    assert_ok(th_image_read(NULL, IMAGES "resize_29x23_to_5x4.png", NULL, &want));
    for (size_t i = 0; i < th_image_bytes(&out); i++)
        if (out.pixels[i] != want.pixels[i]) fail_msg("value %zu is %d, expected %d", i, out.pixels[i], want.pixels[i]);
    th_image_free(&in);
    th_image_free(&out);
    th_image_free(&want);
}

/* The older order differs where the height shrinks most, and nowhere else. */
static void order_of_passes_can_be_that_of_older_pillow(void **state) {
    (void)state;
    static const struct {
        int w, h, width, height;
        bool differs;
    } cases[] = {{33, 200, 31, 40, true}, {40, 60, 30, 40, false}, {33, 200, 33, 40, false}, {60, 60, 90, 90, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        th_image in = pattern(cases[i].w, cases[i].h), now = {0}, old = {0};
        th_resize_params p;
        th_resize_params_init(&p, cases[i].width, cases[i].height);
        assert_ok(th_resize(resizer, &in, &p, &now));
        p.horizontal_first = true;
        assert_ok(th_resize(resizer, &in, &p, &old));
        assert_int_equal(memcmp(now.pixels, old.pixels, th_image_bytes(&now)) != 0, cases[i].differs);
        th_image_free(&in);
        th_image_free(&now);
        th_image_free(&old);
    }
}

/* The tables of the size before must not be taken for the next one's. */
static void one_resizer_serves_many_sizes(void **state) {
    (void)state;
    th_image in = pattern(90, 70), first = {0}, again = {0}, other = {0};
    th_resize_params p, q;
    th_resize_params_init(&p, 40, 30);
    th_resize_params_init(&q, 40, 31);
    q.filter = TH_RESIZE_LANCZOS;
    assert_ok(th_resize(resizer, &in, &p, &first));
    assert_ok(th_resize(resizer, &in, &q, &other));
    assert_ok(th_resize(resizer, &in, &p, &again));
    assert_memory_equal(first.pixels, again.pixels, th_image_bytes(&first));
    th_image_free(&in);
    th_image_free(&first);
    th_image_free(&again);
    th_image_free(&other);
}

static void wrong_parameters_are_refused(void **state) {
    (void)state;
    th_image in = pattern(10, 10), out = {0}, empty = {0};
    th_resize_params p;
    th_resize_params_init(&p, 0, 5);
    assert_fails(th_resize(resizer, &in, &p, &out), TH_E_INPUT, "to 0 by 5 pixels");
    p.width = 5;
    assert_fails(th_resize(resizer, &empty, &p, &out), TH_E_USAGE, "the picture is empty");
    p.filter = (th_resize_filter)6;
    assert_fails(th_resize(resizer, &in, &p, &out), TH_E_INPUT, "no filter 6");
    p.filter = TH_RESIZE_BOX;
    p.box[2] = 11, p.box[3] = 10;
    assert_fails(th_resize(resizer, &in, &p, &out), TH_E_USAGE, "leaves the picture");
    p.box[2] = (float)(0.0 * strtod("inf", NULL));
    assert_fails(th_resize(resizer, &in, &p, &out), TH_E_USAGE, "the box");
    p.box[0] = p.box[2] = 4;
    assert_fails(th_resize(resizer, &in, &p, &out), TH_E_USAGE, "is empty");
    memset(p.box, 0, sizeof p.box);
    p.window.x = 3, p.window.width = 3, p.window.height = 1;
    assert_fails(th_resize(resizer, &in, &p, &out), TH_E_USAGE, "the window leaves");
    th_image_free(&in);
    th_image_free(&out);
}

static void thin_boxes_stay_inside(void **state) {
    (void)state;
    th_image in = pattern(10, 10), out = {0};
    th_resize_params p;
    th_resize_params_init(&p, 1000, 3);
    p.filter = TH_RESIZE_BOX;
    p.box[0] = 9.999999f, p.box[2] = 10, p.box[1] = 9.999999f, p.box[3] = 10;
    assert_ok(th_resize(resizer, &in, &p, &out));
    assert_memory_equal(out.pixels, th_image_row(&in, 9) + 27, 3);
    th_image_free(&in);
    th_image_free(&out);
}

static void shortest_side_is_cut_as_python_cuts(void **state) {
    (void)state;
    static const int cases[][5] = {{640, 480, 224, 298, 224}, {480, 640, 224, 224, 298}, {500, 375, 224, 298, 224},
                                   {100, 100, 33, 33, 33},    {1, 1000, 7, 7, 7000},     {333, 41, 15, 121, 15}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t w, h;
        th_resize_shortest(cases[i][0], cases[i][1], cases[i][2], &w, &h);
        assert_int_equal(w, cases[i][3]);
        assert_int_equal(h, cases[i][4]);
    }
    int32_t w, h;
    th_resize_shortest(1, TH_IMAGE_SIDE_MAX, TH_IMAGE_SIDE_MAX, &w, &h);
    assert_int_equal(h, INT32_MAX);
}

static void no_failed_allocation_leaks(void **state) {
    (void)state;
    th_image in = pattern(40, 300);
    for (int which = 0; which < 4; which++) {
        size_t before = th_bytes_in_use();
        th_status s = TH_E_MEMORY;
        for (int n = 1; s != TH_OK; n++) {
            th_resize_params p;
            th_resize_params_init(&p, which == 2 ? 40 : 20, which == 1 ? 300 : 150);
            if (which == 3) p.filter = TH_RESIZE_NEAREST;
            th_resizer *r;
            th_image out = {0};
            th_alloc_fail_at(n, false);
            s = th_resizer_new(&r);
            if (s == TH_OK) {
                s = th_resize(r, &in, &p, &out);
                th_alloc_fail_at(0, false);
                if (s != TH_OK) assert_ok(th_resize(r, &in, &p, &out)); /* a second try finds nothing half made */
                th_resizer_free(r);
            }
            th_alloc_fail_at(0, false);
            th_image_free(&out);
            assert_true(s == TH_OK || s == TH_E_MEMORY);
            assert_int_equal(th_bytes_in_use(), before);
        }
    }
    th_image_free(&in);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(result_is_that_of_pillow),
        cmocka_unit_test(small_result_equals_the_stored_one),
        cmocka_unit_test(order_of_passes_can_be_that_of_older_pillow),
        cmocka_unit_test(one_resizer_serves_many_sizes),
        cmocka_unit_test(wrong_parameters_are_refused),
        cmocka_unit_test(thin_boxes_stay_inside),
        cmocka_unit_test(shortest_side_is_cut_as_python_cuts),
        cmocka_unit_test(no_failed_allocation_leaks),
    };
    return cmocka_run_group_tests_name("resize", tests, set_up, tear_down);
}
