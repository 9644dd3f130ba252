/* Pictures cut to a model's size, and changed as asked. */
#include "test.h"

#include "base/file.h"
#include "train/views.h"

#define ROOT "views_test"
enum { SIDE = 8 };

static int set_up(void **state) {
    (void)state;
    return th_remove_tree(ROOT) == TH_OK && th_make_dirs(ROOT) == TH_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    return th_remove_tree(ROOT) == TH_OK ? 0 : -1;
}

static th_dataset *open_pictures(void) {
    static const int sizes[2][2] = {{12, 12}, {30, 11}};
    th_dataset *d;
    for (int i = 0; i < 2; i++) {
        th_image im = {0};
        assert_ok(th_image_new(&im, sizes[i][0], sizes[i][1]));
        for (size_t k = 0; k < th_image_bytes(&im); k++) im.pixels[k] = (uint8_t)(k * 7 + k / 5);
        assert_ok(th_image_write(i ? ROOT "/2.png" : ROOT "/1.png", &im, 90));
        th_image_free(&im);
    }
    assert_ok(th_dataset_open(ROOT, NULL, NULL, &d));
    return d;
}

static th_view_params params_with(const char *const *changes, int count) {
    th_view_params p = {
        .side = SIDE, .crop = TH_CROP_CENTER, .filter = TH_RESIZE_BILINEAR, .views = 5, .seed = 3, .threads = 1};
    assert_ok(th_transforms_parse(changes, count, &p.transforms));
    return p;
}

/* One view's pixels; returns how many views the picture has. */
static int64_t look(th_dataset *d, const th_view_params *p, int64_t picture, int64_t view,
                    uint8_t out[SIDE * SIDE * 3]) {
    th_viewer *v;
    const th_image *im;
    int64_t views;
    assert_ok(th_viewer_new(d, p, &v));
    assert_ok(th_viewer_read(v, picture, &views));
    assert_ok(th_viewer_cut(v, view, &im));
    assert_int_equal(im->width, SIDE);
    assert_int_equal(im->height, SIDE);
    memcpy(out, im->pixels, th_image_bytes(im));
    th_viewer_free(v);
    return views;
}

static void random_changes_give_a_picture_more_views(void **state) {
    static const struct {
        const char *change;
        int64_t views;
    } rows[] = {{"jpeg=50", 1}, {"flip", 1}, {"blur=1", 1}, {"crop=0.8", 5}, {"crop=1", 1}, {"noise=0.1", 5}};
    uint8_t one[SIDE * SIDE * 3], other[SIDE * SIDE * 3];
    th_dataset *d = open_pictures();
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        th_view_params p = params_with(&rows[i].change, 1);
        assert_int_equal(look(d, &p, 1, 0, one), rows[i].views);
        if (rows[i].views == 1) continue;
        look(d, &p, 1, 1, other);
        assert_memory_not_equal(one, other, sizeof one);
        look(d, &p, 1, 0, other);
        assert_memory_equal(one, other, sizeof one);
    }
    th_dataset_close(d);
}

static void what_is_changed_is_the_cut_square(void **state) {
    uint8_t plain[SIDE * SIDE * 3], flipped[SIDE * SIDE * 3];
    th_dataset *d = open_pictures();
    th_view_params p = params_with(NULL, 0), q = params_with((const char *[]){"flip"}, 1);
    (void)state;
    look(d, &p, 1, 0, plain);
    look(d, &q, 1, 0, flipped);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            assert_memory_equal(plain + (y * SIDE + x) * 3, flipped + (y * SIDE + SIDE - 1 - x) * 3, 3);
    th_dataset_close(d);
}

static void floats_reach_from_minus_one_to_one(void **state) {
    uint8_t bytes[3] = {0, 255, 51};
    th_image im = {.pixels = bytes, .width = 1, .height = 1};
    float f[3];
    (void)state;
    th_view_to_floats(&im, f);
    assert_true(f[0] == -1 && f[1] == 1 && f[2] > -0.6001f && f[2] < -0.5999f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_changes_give_a_picture_more_views),
        cmocka_unit_test(what_is_changed_is_the_cut_square),
        cmocka_unit_test(floats_reach_from_minus_one_to_one),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
