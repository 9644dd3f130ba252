/* Decoding against what Pillow makes of the same files (tests/fixtures/images.py), damaged files, and encoding. */
#include "test.h"

#include <stdlib.h>

#include "base/base64.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "format/image.h"

#define IMAGES TH_TEST_DATA "/images/"

static th_image_decoder *decoder;

static int set_up(void **state) {
    (void)state;
    return th_image_decoder_new(&decoder) == TH_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    th_image_decoder_free(decoder);
    return 0;
}

static th_bytes slurp(const char *name) {
    char path[TH_PATH_MAX];
    th_bytes b;
    assert_ok(th_path_join(path, IMAGES, name));
    assert_ok(th_file_read(path, 1 << 20, &b));
    return b;
}

/* Pillow's libjpeg-turbo and Debian's agree for sampling that both smooth; 4:4:0 is smoothed since 2.1. */
static void pixels_are_those_of_pillow(void **state) {
    (void)state;
    th_bytes list = slurp("expected.tsv");
    th_image im = {0};
    int checked = 0;
    for (char *save, *line = strtok_r(list.data, "\n", &save); (line = strtok_r(NULL, "\n", &save)); checked++) {
        char name[100], alpha[10], want[TH_HASH_TEXT], got[TH_HASH_TEXT], path[TH_PATH_MAX];
        int width, height;
        assert_int_equal(sscanf(line, "%99s %9s %d %d %64s", name, alpha, &width, &height, want), 5);
        th_image_params p;
        th_image_params_init(&p);
        p.alpha = strcmp(alpha, "white") == 0 ? TH_ALPHA_WHITE : TH_ALPHA_DROP;
        assert_ok(th_path_join(path, IMAGES, name));
        assert_ok(th_image_read(checked % 2 ? decoder : NULL, path, &p, &im));
        if (im.width != width || im.height != height)
            fail_msg("%s: %d by %d, expected %d by %d", name, im.width, im.height, width, height);
        th_hash_bytes(im.pixels, th_image_bytes(&im), got);
        if (strcmp(got, want)) fail_msg("%s (%s): other pixels than Pillow's", name, alpha);
    }
    assert_true(checked > 100);
    th_image_free(&im);
    th_free(list.data);
}

/* All prefixes of a file: none is a picture, none leaks or crashes. */
static void cut_everywhere(const char *name, size_t keep) {
    th_bytes b = slurp(name);
    th_image im = {0};
    for (size_t n = 0; n + keep < b.length; n++) {
        uint8_t *exact = malloc(n ? n : 1); /* so that a sanitizer sees a read past the end */
        assert_non_null(exact);
        memcpy(exact, b.data, n);
        th_status s = th_image_decode(decoder, exact, n, NULL, &im);
        if (s != TH_E_INPUT) fail_msg("%s cut to %zu of %zu bytes: %s", name, n, b.length, th_status_text(s));
        free(exact);
    }
    th_image_free(&im);
    th_free(b.data);
}

static void truncated_file_is_refused_at_every_length(void **state) {
    (void)state;
    cut_everywhere("jpeg_420.jpg", 0);
    cut_everywhere("jpeg_420_progressive.jpg", 0);
    cut_everywhere("jpeg_cmyk.jpg", 0);
    cut_everywhere("png_rgb8_adam7.png", 0);
    cut_everywhere("png_palette4.png", 0);
    cut_everywhere("webp_lossy.webp", 1); /* the last byte may be padding */
    cut_everywhere("webp_lossless_alpha.webp", 1);
}

static void message_says_what_is_wrong(void **state) {
    (void)state;
    th_image im = {0};
    th_bytes b = slurp("jpeg_420.jpg");
    assert_fails(th_image_decode(decoder, b.data, b.length - 1, NULL, &im), TH_E_INPUT, "JPEG: the file ends early");
    assert_fails(th_image_decode(decoder, "GIF89a", 6, NULL, &im), TH_E_INPUT,
                 "is neither JPEG, PNG nor WebP: it begins with 47 49 46 38 39 61");
    assert_fails(th_image_decode(decoder, "", 0, NULL, &im), TH_E_INPUT, "the picture is empty");
    th_free(b.data);
    assert_fails(th_image_read(decoder, IMAGES "webp_animated.webp", NULL, &im), TH_E_INPUT,
                 "webp_animated.webp: WebP: is animated");
    assert_fails(th_image_read(decoder, IMAGES "none.png", NULL, &im), TH_E_IO, "none.png");
    assert_fails(th_image_read(decoder, IMAGES "expected.tsv", NULL, &im), TH_E_INPUT, "expected.tsv: is neither");
    th_image_free(&im);
}

/* Entropy-coded data that stops while the file goes on to its end marker: Pillow fills with grey. */
static void jpeg_data_that_stops_short_is_refused(void **state) {
    (void)state;
    th_bytes b = slurp("jpeg_420.jpg");
    th_image im = {0};
    memcpy(b.data + b.length - 200, "\xff\xd9", 2);
    assert_fails(th_image_decode(decoder, b.data, b.length - 198, NULL, &im), TH_E_INPUT,
                 "JPEG: the image data ends before the image does");
    th_image_free(&im);
    th_free(b.data);
}

static void png_with_a_wrong_checksum_is_refused(void **state) {
    (void)state;
    th_bytes b = slurp("png_rgb8.png");
    th_image im = {0};
    b.data[b.length - 20] ^= 1; /* in the checksum or the data of IDAT */
    assert_fails(th_image_decode(decoder, b.data, b.length, NULL, &im), TH_E_INPUT, "PNG: ");
    th_image_free(&im);
    th_free(b.data);
}

static void too_many_pixels_are_refused_before_decoding(void **state) {
    (void)state;
    th_image_params p;
    th_image_params_init(&p);
    p.max_pixels = 37 * 29 - 1;
    th_image im = {0};
    assert_fails(th_image_read(decoder, IMAGES "jpeg_420.jpg", &p, &im), TH_E_INPUT,
                 "37 by 29 pixels, at most 1072 are allowed");
    assert_fails(th_image_read(decoder, IMAGES "webp_lossy.webp", &p, &im), TH_E_INPUT, "at most 1072");
    p.max_pixels = 13 * 11 - 1;
    assert_fails(th_image_read(decoder, IMAGES "png_rgb8.png", &p, &im), TH_E_INPUT, "at most 142");
    p.max_pixels++;
    assert_ok(th_image_read(decoder, IMAGES "png_rgb8.png", &p, &im));
    /* A header that promises a million by a million. */
    th_image_params_init(&p);
    th_bytes b = slurp("png_rgb8.png");
    memcpy(b.data + 16, "\x00\x0f\x42\x40\x00\x0f\x42\x40", 8);
    assert_fails(th_image_decode(decoder, b.data, b.length, &p, &im), TH_E_INPUT, "PNG: ");
    th_free(b.data);
    th_image_free(&im);
}

static void decoder_goes_on_after_an_error(void **state) {
    (void)state;
    th_image good = {0}, again = {0};
    assert_ok(th_image_read(decoder, IMAGES "jpeg_422_progressive.jpg", NULL, &good));
    th_bytes b = slurp("jpeg_444.jpg");
    assert_fails(th_image_decode(decoder, b.data, b.length / 2, NULL, &again), TH_E_INPUT, "ends early");
    assert_ok(th_image_read(decoder, IMAGES "jpeg_422_progressive.jpg", NULL, &again));
    assert_memory_equal(good.pixels, again.pixels, th_image_bytes(&good));
    th_free(b.data);
    th_image_free(&good);
    th_image_free(&again);
}

static void draft_covers_the_size_asked_for(void **state) {
    (void)state;
    static const struct {
        int ask, width, height;
    } cases[] = {{40, 37, 29}, {15, 37, 29}, {14, 19, 15}, {7, 10, 8}, {3, 5, 4}, {1, 5, 4}};
    th_image im = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        th_image_params p;
        th_image_params_init(&p);
        p.draft_width = p.draft_height = cases[i].ask;
        assert_ok(th_image_read(decoder, IMAGES "jpeg_420.jpg", &p, &im));
        assert_int_equal(im.width, cases[i].width);
        assert_int_equal(im.height, cases[i].height);
    }
    th_image_free(&im);
}

static void memory_is_kept_for_smaller_pictures(void **state) {
    (void)state;
    th_image im = {0};
    assert_ok(th_image_new(&im, 100, 50));
    uint8_t *before = im.pixels;
    assert_ok(th_image_new(&im, 50, 99));
    assert_ptr_equal(im.pixels, before);
    assert_int_equal(th_image_bytes(&im), 50 * 99 * 3);
    assert_fails(th_image_new(&im, 0, 5), TH_E_INPUT, "0 by 5");
    assert_fails(th_image_new(&im, 5, (int64_t)TH_IMAGE_SIDE_MAX + 1), TH_E_INPUT, "1000001");
    th_image_free(&im);
    th_image_free(&im);
}

static th_image gradient(int width, int height) {
    th_image im = {0};
    assert_ok(th_image_new(&im, width, height));
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            uint8_t *p = th_image_row(&im, y) + 3 * x;
            p[0] = (uint8_t)(x * 3), p[1] = (uint8_t)(y * 5), p[2] = (uint8_t)(x + y);
        }
    return im;
}

static void png_comes_back_with_its_texts(void **state) {
    (void)state;
    th_image im = gradient(70, 30), back = {0};
    static const th_image_text texts[] = {{"Title", "a plain one"},
                                          {"Description", "Gr\xc3\xbc\xc3\x9f"
                                                          "e"}};
    th_bytes b;
    assert_ok(th_image_encode_png(&im, texts, 2, &b));
    assert_ok(th_image_decode(decoder, b.data, b.length, NULL, &back));
    assert_int_equal(back.width, 70);
    assert_memory_equal(im.pixels, back.pixels, th_image_bytes(&im));
    assert_non_null(memmem(b.data, b.length, "tEXtTitle\0a plain one", 21));
    assert_non_null(memmem(b.data, b.length, "iTXtDescription\0\0\0\0\0Gr\xc3\xbc", 24));
    th_free(b.data);
    static const th_image_text nameless = {"", "x"};
    assert_fails(th_image_encode_png(&im, &nameless, 1, &b), TH_E_USAGE, "text key");
    th_image_free(&im);
    th_image_free(&back);
}

static void jpeg_comes_back_nearly(void **state) {
    (void)state;
    th_image im = gradient(64, 48), back = {0};
    th_bytes b;
    assert_ok(th_image_encode_jpeg(&im, 95, &b));
    assert_ok(th_image_decode(decoder, b.data, b.length, NULL, &back));
    int64_t sum = 0;
    for (size_t i = 0; i < th_image_bytes(&im); i++) sum += abs(im.pixels[i] - back.pixels[i]);
    assert_true(sum < (int64_t)th_image_bytes(&im) * 3);
    th_free(b.data);
    assert_fails(th_image_encode_jpeg(&im, 0, &b), TH_E_USAGE, "quality of 0");
    th_image_free(&im);
    assert_ok(th_image_new(&im, 65501, 1));
    assert_fails(th_image_encode_jpeg(&im, 90, &b), TH_E_INPUT, "65501 by 1");
    th_image_free(&im);
    th_image_free(&back);
}

static void file_is_written_by_its_ending(void **state) {
    (void)state;
    th_image im = gradient(16, 16), back = {0};
    assert_ok(th_image_write("image_test.PNG", &im, 0));
    assert_ok(th_image_read(decoder, "image_test.PNG", NULL, &back));
    assert_memory_equal(im.pixels, back.pixels, th_image_bytes(&im));
    assert_ok(th_image_write("image_test.jpeg", &im, 75));
    assert_ok(th_image_read(decoder, "image_test.jpeg", NULL, &back));
    assert_fails(th_image_write("image_test.gif", &im, 75), TH_E_USAGE, "image_test.gif: a picture is written as");
    assert_fails(th_image_write("none/image_test.png", &im, 75), TH_E_IO, "none/image_test.png");
    assert_int_equal(remove("image_test.PNG") | remove("image_test.jpeg"), 0);
    th_image_free(&im);
    th_image_free(&back);
}

/* Lets every allocation of ours fail in turn; the libraries' own come through libpng's hooks. */
static void no_failed_allocation_leaks(void **state) {
    (void)state;
    static const char *const names[] = {"jpeg_420.jpg", "png_rgba8_adam7.png", "png_palette4.png",
                                        "webp_lossy_alpha.webp"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        th_bytes b = slurp(names[i]);
        th_image_params p;
        th_image_params_init(&p);
        p.alpha = TH_ALPHA_WHITE;
        size_t before = th_bytes_in_use();
        bool done = false;
        for (int n = 1; !done; n++) {
            assert_true(n < 1000);
            th_image im = {0};
            th_alloc_fail_at(n, false);
            th_status s = th_image_decode(NULL, b.data, b.length, &p, &im);
            th_alloc_fail_at(0, false);
            done = s == TH_OK;
            if (!done) assert_int_equal(s, TH_E_MEMORY);
            th_image_free(&im);
            assert_int_equal(th_bytes_in_use(), before);
        }
        th_free(b.data);
    }
    th_image im = gradient(40, 40);
    size_t before = th_bytes_in_use();
    for (int n = 1, left = 2; left; n++) {
        th_bytes b = {0};
        static const th_image_text text = {"k", "v"};
        th_alloc_fail_at(n, false);
        th_status s = left == 2 ? th_image_encode_png(&im, &text, 1, &b) : th_image_encode_jpeg(&im, 90, &b);
        th_alloc_fail_at(0, false);
        if (s == TH_OK)
            left--, n = 0;
        else
            assert_int_equal(s, TH_E_MEMORY);
        th_free(b.data);
        assert_int_equal(th_bytes_in_use(), before);
    }
    th_image_free(&im);
}

static void base64_pads(void **state) {
    (void)state;
    static const char *const pairs[][2] = {{"", ""},        {"f", "Zg=="},          {"fo", "Zm8="},
                                           {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}, {"\xff\xfe\xfd", "//79"}};
    th_str s;
    th_str_init(&s, 10000);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        th_str_clear(&s);
        th_base64_encode(&s, pairs[i][0], strlen(pairs[i][0]));
        assert_string_equal(th_str_text(&s), pairs[i][1]);
    }
    th_str_clear(&s);
    char zeros[3000] = {0};
    th_base64_encode(&s, zeros, sizeof zeros);
    assert_int_equal(s.length, 4000);
    assert_int_equal(strspn(th_str_text(&s), "A"), 4000);
    th_str_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pixels_are_those_of_pillow),
        cmocka_unit_test(truncated_file_is_refused_at_every_length),
        cmocka_unit_test(message_says_what_is_wrong),
        cmocka_unit_test(jpeg_data_that_stops_short_is_refused),
        cmocka_unit_test(png_with_a_wrong_checksum_is_refused),
        cmocka_unit_test(too_many_pixels_are_refused_before_decoding),
        cmocka_unit_test(decoder_goes_on_after_an_error),
        cmocka_unit_test(draft_covers_the_size_asked_for),
        cmocka_unit_test(memory_is_kept_for_smaller_pictures),
        cmocka_unit_test(png_comes_back_with_its_texts),
        cmocka_unit_test(jpeg_comes_back_nearly),
        cmocka_unit_test(file_is_written_by_its_ending),
        cmocka_unit_test(no_failed_allocation_leaks),
        cmocka_unit_test(base64_pads),
    };
    return cmocka_run_group_tests_name("image", tests, set_up, tear_down);
}
