/* What attackers do to pictures: each change does what its name says, depends on the seed alone, and refuses what it
 * does not know. */
#include "test.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "data/transform.h"

enum { WIDTH = 40, HEIGHT = 24 };

/* Smooth colours with a sharp edge in the middle. */
static void make_picture(th_image *im) {
    assert_ok(th_image_new(im, WIDTH, HEIGHT));
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            for (int c = 0; c < 3; c++)
                th_image_row(im, y)[3 * x + c] = (uint8_t)(x < WIDTH / 2 ? 20 + 2 * x + c : 200 - y - 9 * c);
}

static void change(const char *const *texts, int count, uint64_t seed, th_image *im) {
    th_transform_work *w = NULL;
    th_transforms t;
    th_rng r = th_rng_at(seed, TH_RNG_AUGMENT, 0, 0);
    assert_ok(th_transforms_parse(texts, count, &t));
    assert_ok(th_transform_work_new(&w));
    assert_ok(th_transforms_apply(w, &t, im, &r));
    th_transform_work_free(w);
}

static void change_by(const char *text, uint64_t seed, th_image *im) {
    make_picture(im);
    change(&text, 1, seed, im);
    assert_int_equal(im->width, WIDTH);
    assert_int_equal(im->height, HEIGHT);
}

static double difference(const th_image *a, const th_image *b) {
    double sum = 0;
    for (size_t i = 0; i < th_image_bytes(a); i++) sum += abs(a->pixels[i] - b->pixels[i]);
    return sum / (double)th_image_bytes(a);
}

static void less_quality_changes_more(void **state) {
    th_image before = {0}, good = {0}, bad = {0};
    make_picture(&before);
    change_by("jpeg=95", 0, &good);
    change_by("jpeg=5", 0, &bad);
    assert_true(difference(&before, &good) > 0 && difference(&before, &good) < 4);
    assert_true(difference(&before, &bad) > 2 * difference(&before, &good));
    th_image_free(&before);
    th_image_free(&good);
    th_image_free(&bad);
    (void)state;
}

/* A white pixel becomes the Gaussian: at distance d of the middle exp(−d²/2σ²) of what is there. */
static void a_point_is_blurred_to_a_gaussian(void **state) {
    th_image im = {0};
    assert_ok(th_image_new(&im, 33, 33));
    memset(im.pixels, 0, th_image_bytes(&im));
    memset(th_image_row(&im, 16) + 3 * 16, 255, 3);
    change((const char *[]){"blur=1.0"}, 1, 0, &im);
    double total = 0;
    for (size_t i = 0; i < th_image_bytes(&im); i += 3) total += im.pixels[i];
    for (int d = 0; d <= 2; d++) {
        double wanted = 255 * exp(-0.5 * d * d) / (2 * 3.14159265358979);
        assert_true(fabs(th_image_row(&im, 16)[3 * (16 + d)] - wanted) < 1);
        assert_int_equal(th_image_row(&im, 16 + d)[3 * 16], th_image_row(&im, 16)[3 * (16 + d)]);
    }
    assert_true(fabs(total - 255) < 16);
    th_image_free(&im);
    (void)state;
}

static void an_even_picture_stays_when_blurred(void **state) {
    th_image im = {0};
    assert_ok(th_image_new(&im, 9, 2));
    memset(im.pixels, 77, th_image_bytes(&im));
    change((const char *[]){"blur=20"}, 1, 0, &im);
    for (size_t i = 0; i < th_image_bytes(&im); i++) assert_int_equal(im.pixels[i], 77);
    th_image_free(&im);
    (void)state;
}

static void a_crop_shows_a_part_at_the_same_size(void **state) {
    th_image before = {0}, whole = {0}, part = {0};
    make_picture(&before);
    change_by("crop=1", 0, &whole);
    assert_int_equal(memcmp(before.pixels, whole.pixels, th_image_bytes(&before)), 0);
    bool moved = false;
    for (uint64_t seed = 0; seed < 8; seed++) {
        change_by("crop=0.5", seed, &part);
        /* The left half has even steps of 2 a pixel; enlarged twofold they are of 1. */
        moved |= difference(&before, &part) > 5;
        if (th_image_row(&part, 12)[3 * 30] >= 100) continue;
        int step = th_image_row(&part, 12)[3 * 8] - th_image_row(&part, 12)[3 * 4];
        assert_in_range(step, 3, 5);
    }
    assert_true(moved);
    th_image_free(&before);
    th_image_free(&whole);
    th_image_free(&part);
    (void)state;
}

static void two_flips_are_none(void **state) {
    th_image before = {0}, once = {0};
    make_picture(&before);
    change_by("flip", 0, &once);
    assert_int_equal(th_image_row(&once, 3)[0], th_image_row(&before, 3)[3 * (WIDTH - 1)]);
    change((const char *[]){"flip"}, 1, 0, &once);
    assert_int_equal(memcmp(before.pixels, once.pixels, th_image_bytes(&before)), 0);
    th_image_free(&before);
    th_image_free(&once);
    (void)state;
}

static void noise_has_the_deviation_asked_for(void **state) {
    th_image im = {0};
    double sum = 0, squares = 0;
    assert_ok(th_image_new(&im, 64, 64));
    memset(im.pixels, 128, th_image_bytes(&im));
    change((const char *[]){"noise=0.05"}, 1, 3, &im);
    double n = (double)th_image_bytes(&im);
    for (size_t i = 0; i < th_image_bytes(&im); i++) {
        double d = im.pixels[i] - 128.0;
        sum += d, squares += d * d;
    }
    assert_true(fabs(sum / n) < 0.5);
    assert_true(fabs(sqrt(squares / n) - 0.05 * 255) < 0.5);
    th_image_free(&im);
    (void)state;
}

static void the_seed_decides_alone(void **state) {
    const char *texts[] = {"crop=0.7", "noise=0.1", "jpeg=60"};
    th_image a = {0}, b = {0}, c = {0};
    make_picture(&a), make_picture(&b), make_picture(&c);
    change(texts, 3, 5, &a);
    change(texts, 3, 5, &b);
    change(texts, 3, 6, &c);
    assert_int_equal(memcmp(a.pixels, b.pixels, th_image_bytes(&a)), 0);
    assert_int_not_equal(memcmp(a.pixels, c.pixels, th_image_bytes(&a)), 0);
    th_image_free(&a);
    th_image_free(&b);
    th_image_free(&c);
    (void)state;
}

static void order_matters(void **state) {
    th_image a = {0}, b = {0};
    make_picture(&a), make_picture(&b);
    change((const char *[]){"blur=2", "noise=0.2"}, 2, 1, &a);
    change((const char *[]){"noise=0.2", "blur=2"}, 2, 1, &b);
    assert_true(difference(&a, &b) > 10);
    th_image_free(&a);
    th_image_free(&b);
    (void)state;
}

static void one_pixel_can_be_changed(void **state) {
    const char *all[] = {"crop=0.05", "blur=3", "noise=0.5", "flip", "jpeg=1"};
    th_image im = {0};
    assert_ok(th_image_new(&im, 1, 1));
    memset(im.pixels, 9, 3);
    change(all, 5, 0, &im);
    assert_int_equal(im.width * im.height, 1);
    th_image_free(&im);
    (void)state;
}

static void bad_changes_are_refused_by_name(void **state) {
    static const struct {
        const char *text, *said;
    } rows[] = {
        {"jpeg", "'jpeg': jpeg wants a quality from 1 to 100"},
        {"jpeg=0", "jpeg wants a quality"},
        {"jpeg=101", "jpeg wants a quality"},
        {"jpeg=50.5", "jpeg wants a quality"},
        {"jpeg=nan", "jpeg wants a quality"},
        {"blur=0", "blur wants a deviation above 0"},
        {"blur=-1", "blur wants a deviation above 0"},
        {"blur=65", "up to 64 pixels"},
        {"blur=", "blur wants"},
        {"crop=0", "crop wants a share"},
        {"crop=1.5", "crop wants a share"},
        {"flip=1", "'flip=1': flip takes no value"},
        {"noise=2", "noise wants a deviation"},
        {"noise=0.1x", "noise wants a deviation"},
        {"rotate=3", "'rotate=3': is none of jpeg=QUALITY, blur=PIXELS, crop=SHARE, flip, noise=DEVIATION"},
        {"", "is none of"},
        {"jpe=50", "is none of"},
    };
    th_transforms t;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_fails(th_transforms_parse(&rows[i].text, 1, &t), TH_E_USAGE, rows[i].said);
    const char *many[TH_MOST_TRANSFORMS + 1];
    for (int i = 0; i <= TH_MOST_TRANSFORMS; i++) many[i] = "flip";
    assert_fails(th_transforms_parse(many, TH_MOST_TRANSFORMS + 1, &t), TH_E_USAGE, "17 are given, and at most 16");
    (void)state;
}

static void the_text_says_them_all(void **state) {
    const char *texts[] = {"jpeg=50", "flip", "blur=1.50"};
    char out[TH_TRANSFORMS_TEXT];
    th_transforms t;
    assert_ok(th_transforms_parse(texts, 3, &t));
    assert_string_equal(th_transforms_text(&t, out), "jpeg=50 flip blur=1.5");
    assert_false(th_transforms_are_random(&t));
    assert_ok(th_transforms_parse((const char *[]){"crop=1", "noise=0.1"}, 2, &t));
    assert_true(th_transforms_are_random(&t));
    assert_ok(th_transforms_parse(NULL, 0, &t));
    assert_string_equal(th_transforms_text(&t, out), "");
    (void)state;
}

static void running_out_of_memory_is_told(void **state) {
    th_image im = {0};
    make_picture(&im);
    for (int64_t at = 1; at < 60; at++) {
        const char *texts[] = {"blur=1", "crop=0.5", "jpeg=50"};
        th_transform_work *w = NULL;
        th_transforms t;
        th_rng r = th_rng_at(0, TH_RNG_AUGMENT, 0, 0);
        assert_ok(th_transforms_parse(texts, 3, &t));
        th_alloc_fail_at(at, false);
        th_status s = th_transform_work_new(&w);
        if (s == TH_OK) s = th_transforms_apply(w, &t, &im, &r);
        th_alloc_fail_at(0, false);
        if (s != TH_OK) assert_int_equal(s, TH_E_MEMORY);
        th_transform_work_free(w);
    }
    th_image_free(&im);
    (void)state;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(less_quality_changes_more),
        cmocka_unit_test(a_point_is_blurred_to_a_gaussian),
        cmocka_unit_test(an_even_picture_stays_when_blurred),
        cmocka_unit_test(a_crop_shows_a_part_at_the_same_size),
        cmocka_unit_test(two_flips_are_none),
        cmocka_unit_test(noise_has_the_deviation_asked_for),
        cmocka_unit_test(the_seed_decides_alone),
        cmocka_unit_test(order_matters),
        cmocka_unit_test(one_pixel_can_be_changed),
        cmocka_unit_test(bad_changes_are_refused_by_name),
        cmocka_unit_test(the_text_says_them_all),
        cmocka_unit_test(running_out_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
