/* Random changes of pictures: AutoAugment against torchvision on Pillow pictures, and what the others promise. */
#include "test.h"

#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "data/augment.h"

static const char *const op_names[TH_AUGMENT_OP_COUNT] = {
    "ShearX",   "ShearY",    "TranslateX", "TranslateY", "Rotate",       "Brightness", "Color",
    "Contrast", "Sharpness", "Posterize",  "Solarize",   "AutoContrast", "Equalize",   "Invert",
};

static int op_named(const char *name) {
    for (int op = 0; op < TH_AUGMENT_OP_COUNT; op++)
        if (!strcmp(op_names[op], name)) return op;
    return -1;
}

/* The pictures of tests/fixtures/augment.py. */
static uint8_t pixel(int kind, int64_t width, int64_t height, int64_t x, int64_t y, int64_t c) {
    uint32_t h =
        (uint32_t)((uint64_t)x * 73856093u) ^ (uint32_t)((uint64_t)y * 19349663u) ^ (uint32_t)((uint64_t)c * 83492791u);
    int64_t noise = ((h ^ h >> 13) * 0x5BD1E995u) >> 24;
    int64_t far = (2 * x - width) * (2 * x - width) + (2 * y - height) * (2 * y - height);
    switch (kind) {
    case 0: return (uint8_t)noise;
    case 1:
        return (uint8_t)(x * 90 / width + y * 60 / height + c * 25 + noise / 16 +
                         (far < width * height / 3 ? 70 - 40 * c : 0));
    case 2: return (uint8_t)(40 + c * 9 + noise / 6);
    case 3: return (uint8_t)(17 + c * 113);
    default: return (uint8_t)(noise < 90 ? 30 + c : 200);
    }
}

static void make_picture(int kind, int width, int height, th_image *im) {
    assert_ok(th_image_new(im, width, height));
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++) th_image_row(im, y)[3 * x + c] = pixel(kind, width, height, x, y, c);
}

static void digest(const th_image *im, char out[13]) {
    char text[TH_HASH_TEXT];
    th_hash_bytes(im->pixels, th_image_bytes(im), text);
    memcpy(out, text, 12);
    out[12] = '\0';
}

/* The lines of a fixture; each test walks them with strtok. */
static char *read_lines(const char *name) {
    char path[TH_PATH_MAX];
    th_bytes b;
    assert_ok(th_path_join(path, TH_TEST_DATA "/augment", name));
    assert_ok(th_file_read(path, 1 << 20, &b));
    return b.data;
}

static void every_operation_gives_torchvisions_bytes(void **state) {
    (void)state;
    th_augmenter *a;
    th_image im = {0};
    assert_ok(th_augmenter_new(&a));
    char *lines = read_lines("ops.txt"), *rest = NULL;
    int wrong = 0, checked = 0;
    for (char *line = strtok_r(lines, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        int kind, width, height, bin;
        char name[16], sign, expected[13], got[13];
        assert_int_equal(sscanf(line, "%d %d %d %15s %d %c %12s", &kind, &width, &height, name, &bin, &sign, expected),
                         7);
        make_picture(kind, width, height, &im);
        int op = op_named(name);
        if (op >= 0) {
            bool is_signed;
            double magnitude = th_autoaugment_magnitude((th_augment_op)op, bin, width, height, &is_signed);
            assert_ok(th_augment_apply(a, &im, (th_augment_op)op, sign == '-' ? -magnitude : magnitude));
        }
        digest(&im, got);
        if (strcmp(got, expected)) print_error("%s: got %s\n", line, got);
        wrong += strcmp(got, expected) != 0, checked++;
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(checked, 1836);
    th_free(lines);
    th_image_free(&im);
    th_augmenter_free(a);
}

static void magnitudes_are_torchs_linspace(void **state) {
    (void)state;
    char *lines = read_lines("magnitudes.txt"), *rest = NULL;
    int checked = 0;
    for (char *line = strtok_r(lines, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), checked++) {
        int bin, side;
        char name[16], number[40];
        bool is_signed;
        assert_int_equal(sscanf(line, "%15s %d %d %39s", name, &bin, &side, number), 4);
        double got = th_autoaugment_magnitude((th_augment_op)op_named(name), bin, side, side, &is_signed);
        if (got != strtod(number, NULL)) fail_msg("%s: got %a", line, got);
    }
    assert_int_equal(checked, 250);
    th_free(lines);
}

static void policy_is_torchvisions(void **state) {
    (void)state;
    char *lines = read_lines("policy.txt"), *rest = NULL;
    int k = 0;
    for (char *line = strtok_r(lines, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), k++) {
        int pair;
        char name[2][16];
        float chance[2];
        assert_int_equal(sscanf(line, "%d %15s %f %15s %f", &pair, name[0], &chance[0], name[1], &chance[1]), 5);
        assert_int_equal(pair, k);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(th_autoaugment_imagenet[k][i].op, op_named(name[i]));
            assert_true(th_autoaugment_imagenet[k][i].probability == chance[i]);
        }
    }
    assert_int_equal(k, TH_AUTOAUGMENT_PAIRS);
    th_free(lines);

    th_augmenter *a;
    th_image im = {0};
    assert_ok(th_augmenter_new(&a));
    lines = read_lines("pairs.txt"), rest = NULL;
    for (char *line = strtok_r(lines, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        int pair, which;
        char expected[13], got[13];
        assert_int_equal(sscanf(line, "%d %d %12s", &pair, &which, expected), 3);
        make_picture(1, 48, 48, &im);
        for (int i = 0; i < 2; i++) {
            const th_autoaugment_step *s = &th_autoaugment_imagenet[pair][i];
            bool is_signed;
            double magnitude = th_autoaugment_magnitude(s->op, s->bin, 48, 48, &is_signed);
            if (is_signed && which >> (2 + i) & 1) magnitude = -magnitude;
            if (which >> i & 1) assert_ok(th_augment_apply(a, &im, s->op, magnitude));
        }
        digest(&im, got);
        if (strcmp(got, expected)) fail_msg("%s: got %s", line, got);
    }
    th_free(lines);
    th_image_free(&im);
    th_augmenter_free(a);
}

static th_rng rng(uint64_t element) { return th_rng_at(5, TH_RNG_AUGMENT, 0, element); }

/* Each draw of the policy is one of its 16 outcomes a pair, and depends on the sample's number alone. */
static void autoaugment_is_a_function_of_its_random_numbers(void **state) {
    (void)state;
    th_augmenter *a, *b;
    th_image im = {0}, again = {0}, plain = {0};
    assert_ok(th_augmenter_new(&a));
    assert_ok(th_augmenter_new(&b));
    make_picture(1, 48, 48, &plain);
    int changed = 0;
    for (uint64_t i = 0; i < 400; i++) {
        th_rng r = rng(i), s = rng(i);
        make_picture(1, 48, 48, &im);
        make_picture(1, 48, 48, &again);
        assert_ok(th_autoaugment_apply(a, &im, &r));
        assert_ok(th_autoaugment_apply(b, &again, &s));
        assert_int_equal(r.used, 5);
        assert_memory_equal(im.pixels, again.pixels, th_image_bytes(&im));
        changed += memcmp(im.pixels, plain.pixels, th_image_bytes(&im)) != 0;
    }
    /* 1 − mean over the pairs of (1 − p)(1 − q) = 0.877 of the pictures change. */
    if (changed < 330 || changed > 372) fail_msg("%d of 400 pictures changed", changed);
    th_image_free(&im), th_image_free(&again), th_image_free(&plain);
    th_augmenter_free(a), th_augmenter_free(b);
}

static void flip_twice_is_nothing(void **state) {
    (void)state;
    th_image im = {0}, plain = {0};
    for (int width = 1; width < 8; width++) {
        make_picture(0, width, 3, &im);
        make_picture(0, width, 3, &plain);
        th_flip_horizontal(&im);
        for (int x = 0; x < width; x++)
            assert_memory_equal(th_image_row(&im, 2) + 3 * x, th_image_row(&plain, 2) + 3 * (width - 1 - x), 3);
        th_flip_horizontal(&im);
        assert_memory_equal(im.pixels, plain.pixels, th_image_bytes(&im));
    }
    th_image_free(&im), th_image_free(&plain);
}

static void crop_has_the_asked_size_and_stays_inside(void **state) {
    (void)state;
    th_augmenter *a;
    th_resizer *z;
    th_image im = {0};
    assert_ok(th_augmenter_new(&a));
    assert_ok(th_resizer_new(&z));
    static const int sizes[][2] = {{48, 48}, {300, 20}, {20, 300}, {1, 1}, {1, 90}, {7, 5}};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++)
        for (uint64_t i = 0; i < 50; i++) {
            th_random_crop_params p;
            th_random_crop_params_init(&p, 24, 32);
            make_picture(3, sizes[k][0], sizes[k][1], &im);
            th_rng r = rng(i);
            assert_ok(th_random_crop(a, z, &im, &p, &r));
            assert_int_equal(im.width, 24);
            assert_int_equal(im.height, 32);
            for (size_t j = 0; j < th_image_bytes(&im); j++) assert_int_equal(im.pixels[j], 17 + 113 * (j % 3));
        }
    th_random_crop_params p;
    th_random_crop_params_init(&p, 24, 32);
    p.scale_min = 0;
    th_rng r = rng(0);
    assert_fails(th_random_crop(a, z, &im, &p, &r), TH_E_USAGE, "scale 0 to 1");
    th_image none = {0};
    assert_fails(th_random_crop(a, z, &none, &p, &r), TH_E_INPUT, "empty");
    th_image_free(&im);
    th_resizer_free(z);
    th_augmenter_free(a);
}

/* A crop of the whole area and ratio 1 of a square is the picture; resized to its own size it keeps its pixels. */
static void crop_of_everything_changes_nothing(void **state) {
    (void)state;
    th_augmenter *a;
    th_resizer *z;
    th_image im = {0}, plain = {0};
    assert_ok(th_augmenter_new(&a));
    assert_ok(th_resizer_new(&z));
    make_picture(0, 48, 48, &im);
    make_picture(0, 48, 48, &plain);
    th_random_crop_params p;
    th_random_crop_params_init(&p, 48, 48);
    p.scale_min = p.ratio_min = p.ratio_max = 1;
    th_rng r = rng(0);
    assert_ok(th_random_crop(a, z, &im, &p, &r));
    assert_memory_equal(im.pixels, plain.pixels, th_image_bytes(&im));
    th_image_free(&im), th_image_free(&plain);
    th_resizer_free(z);
    th_augmenter_free(a);
}

static void noise_has_its_mean_and_deviation(void **state) {
    (void)state;
    th_augmenter *a;
    th_image im = {0};
    assert_ok(th_augmenter_new(&a));
    for (int one_sided = 0; one_sided < 2; one_sided++) {
        double sum = 0, squares = 0, n = 128 * 128 * 3;
        assert_ok(th_image_new(&im, 128, 128));
        memset(im.pixels, 120, th_image_bytes(&im));
        th_rng r = rng(1);
        th_gaussian_noise(a, &im, 0.1f, one_sided, &r);
        for (size_t i = 0; i < th_image_bytes(&im); i++) {
            double off = im.pixels[i] - 120;
            sum += off, squares += off * off;
            if (one_sided) assert_true(off >= 0);
        }
        double mean = sum / n, deviation = sqrt(squares / n - mean * mean);
        /* σ = 25.5; of max(0, x) the mean is σ/√2π = 10.17 and the deviation σ √(1/2 − 1/2π) = 14.89. */
        if (fabs(mean - (one_sided ? 10.17 : 0)) > 0.5) fail_msg("the mean is %g", mean);
        if (fabs(deviation - (one_sided ? 14.89 : 25.5)) > 0.5) fail_msg("the deviation is %g", deviation);
    }
    make_picture(0, 8, 8, &im);
    uint8_t kept[192];
    memcpy(kept, im.pixels, sizeof kept);
    th_rng r = rng(1);
    th_gaussian_noise(a, &im, 0, false, &r);
    assert_memory_equal(kept, im.pixels, sizeof kept);
    th_image_free(&im);
    th_augmenter_free(a);
}

static void erased_is_one_rectangle_of_the_asked_area(void **state) {
    (void)state;
    th_image im = {0};
    for (uint64_t i = 0; i < 200; i++) {
        th_random_erase_params p;
        th_random_erase_params_init(&p);
        p.scale_min = 0.02f, p.scale_max = 0.33f, p.ratio_min = 0.3f, p.ratio_max = 3.3f;
        assert_ok(th_image_new(&im, 60, 40));
        memset(im.pixels, 7, th_image_bytes(&im));
        th_rng r = rng(i);
        th_random_erase(&im, &p, &r);
        int left = 60, right = -1, top = 40, bottom = -1, count = 0;
        for (int y = 0; y < 40; y++)
            for (int x = 0; x < 60; x++) {
                if (th_image_row(&im, y)[3 * x] == 7) continue;
                assert_memory_equal(th_image_row(&im, y) + 3 * x, p.colour, 3);
                left = x < left ? x : left, right = x > right ? x : right;
                top = y < top ? y : top, bottom = y > bottom ? y : bottom, count++;
            }
        assert_int_equal(count, (right - left + 1) * (bottom - top + 1));
        assert_true(count > 0.015 * 2400 && count < 0.36 * 2400);
    }
    th_image tiny = {0}; /* nothing smaller than one pixel fits into it: it stays */
    assert_ok(th_image_new(&tiny, 1, 1));
    memset(tiny.pixels, 7, 3);
    th_random_erase_params p;
    th_random_erase_params_init(&p);
    p.scale_min = p.scale_max = 1;
    th_rng r = rng(0);
    th_random_erase(&tiny, &p, &r);
    assert_int_equal(tiny.pixels[0], 7);
    th_image_free(&im), th_image_free(&tiny);
}

static void failed_allocations_are_reported_and_leak_nothing(void **state) {
    (void)state;
    size_t before = th_bytes_in_use();
    th_augmenter *a;
    th_alloc_fail_at(1, false);
    assert_int_equal(th_augmenter_new(&a), TH_E_MEMORY);
    assert_null(a);
    assert_ok(th_augmenter_new(&a));
    th_image im = {0};
    make_picture(0, 30, 30, &im);
    th_alloc_fail_at(1, false);
    assert_int_equal(th_augment_apply(a, &im, TH_AUGMENT_ROTATE, 20), TH_E_MEMORY);
    th_alloc_fail_at(0, false);
    assert_ok(th_augment_apply(a, &im, TH_AUGMENT_ROTATE, 20));
    th_image none = {0};
    for (int op = 0; op < TH_AUGMENT_OP_COUNT; op++) assert_ok(th_augment_apply(a, &none, (th_augment_op)op, 1));
    th_image_free(&im);
    th_augmenter_free(a);
    th_augmenter_free(NULL);
    assert_int_equal(th_bytes_in_use(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_gives_torchvisions_bytes),
        cmocka_unit_test(magnitudes_are_torchs_linspace),
        cmocka_unit_test(policy_is_torchvisions),
        cmocka_unit_test(autoaugment_is_a_function_of_its_random_numbers),
        cmocka_unit_test(flip_twice_is_nothing),
        cmocka_unit_test(crop_has_the_asked_size_and_stays_inside),
        cmocka_unit_test(crop_of_everything_changes_nothing),
        cmocka_unit_test(noise_has_its_mean_and_deviation),
        cmocka_unit_test(erased_is_one_rectangle_of_the_asked_area),
        cmocka_unit_test(failed_allocations_are_reported_and_leak_nothing),
    };
    return cmocka_run_group_tests_name("data_augment", tests, NULL, NULL);
}
