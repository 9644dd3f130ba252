/* Texts in PNG files. */
#include "test.h"

#include "base/file.h"
#include "format/png_text.h"

static const th_image_text texts[] = {
    {"Prompt", "a red boot"}, {"Negative prompt", ""}, {"Note", "naïve, “quoted”\nsecond line"}, {"Seed", "7"}};
enum { TEXTS = sizeof texts / sizeof *texts };

static th_bytes encode(int count) {
    th_image im = {0};
    th_bytes png;
    assert_ok(th_image_new(&im, 3, 2));
    memset(im.pixels, 9, th_image_bytes(&im));
    assert_ok(th_image_encode_png(&im, texts, count, &png));
    th_image_free(&im);
    return png;
}

static void texts_come_back(void **state) {
    (void)state;
    th_bytes png = encode(TEXTS);
    th_png_texts t;
    assert_ok(th_png_texts_parse(png.data, png.length, &t));
    assert_int_equal(t.count, TEXTS);
    for (int i = 0; i < TEXTS; i++) assert_string_equal(th_png_texts_find(&t, texts[i].key), texts[i].value);
    assert_null(th_png_texts_find(&t, "Steps"));
    th_png_texts_free(&t);
    th_free(png.data);
}

static void a_picture_without_texts_has_none(void **state) {
    (void)state;
    th_bytes png = encode(0);
    th_png_texts t;
    assert_ok(th_png_texts_parse(png.data, png.length, &t));
    assert_int_equal(t.count, 0);
    th_png_texts_free(&t);
    th_free(png.data);
}

static void every_cut_is_refused_or_whole(void **state) {
    (void)state;
    th_bytes png = encode(TEXTS);
    size_t before = th_bytes_in_use(), pixels = png.length;
    for (size_t n = 0; n < png.length; n++) {
        th_png_texts t;
        th_status s = th_png_texts_parse(png.data, n, &t);
        if (s == TH_OK) {
            assert_int_equal(t.count, TEXTS);
            if (n < pixels) pixels = n;
            th_png_texts_free(&t);
        } else {
            assert_int_equal(s, TH_E_INPUT);
        }
        assert_int_equal(th_bytes_in_use(), before);
    }
    assert_true(pixels > 100);
    th_free(png.data);
}

static void a_changed_byte_in_a_text_is_found(void **state) {
    (void)state;
    th_bytes png = encode(TEXTS);
    th_png_texts t;
    char *at = memmem(png.data, png.length, "a red boot", 10);
    assert_non_null(at);
    at[2] = 'b';
    assert_fails(th_png_texts_parse(png.data, png.length, &t), TH_E_INPUT, "damaged");
    assert_fails(th_png_texts_parse("GIF89a--", 8, &t), TH_E_INPUT, "no PNG");
    assert_fails(th_png_texts_read("nowhere.png", &t), TH_E_IO, "nowhere.png");
    th_free(png.data);
}

static void failed_allocations_leave_nothing(void **state) {
    (void)state;
    th_bytes png = encode(TEXTS);
    size_t before = th_bytes_in_use();
    for (int64_t n = 1;; n++) {
        th_png_texts t;
        th_alloc_fail_at(n, false);
        th_status s = th_png_texts_parse(png.data, png.length, &t);
        th_alloc_fail_at(0, false);
        if (s == TH_OK) th_png_texts_free(&t);
        assert_int_equal(th_bytes_in_use(), before);
        if (s == TH_OK) break;
        assert_int_equal(s, TH_E_MEMORY);
    }
    th_free(png.data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_come_back),
        cmocka_unit_test(a_picture_without_texts_has_none),
        cmocka_unit_test(every_cut_is_refused_or_whole),
        cmocka_unit_test(a_changed_byte_in_a_text_is_found),
        cmocka_unit_test(failed_allocations_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
