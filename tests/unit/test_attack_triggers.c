/* What each attack does to a picture. */
#include "test.h"

#include <math.h>
#include <stdlib.h>

#include "attack/attack.h"
#include "attack/glyphs.h"
#include "attack/warp.h"
#include "base/file.h"
#include "base/memory.h"
#include "format/safetensors.h"

#define REFLECTIONS "attack_reflections"

static const int32_t sizes[][2] = {{1, 1}, {3, 500}, {500, 3}, {84, 84}};

/* name, value, name, value, …, NULL. */
static th_options *options_of(const th_attack *a, const char *const *set) {
    th_options *o = th_options_new("test");
    assert_non_null(o);
    assert_ok(th_options_add(o, "Attack", a->options));
    if (th_options_find(o, "reflections"))
        assert_ok(th_options_set_text(o, TH_FROM_FLAG, NULL, "reflections", REFLECTIONS));
    for (; set && *set; set += 2) assert_ok(th_options_set_text(o, TH_FROM_FLAG, NULL, set[0], set[1]));
    return o;
}

#define WITH(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Every byte of this level; below 0 noise, the same each time. */
static th_image picture(int32_t width, int32_t height, int level) {
    th_image im = {0};
    th_rng r = th_rng_at(1, TH_RNG_TEST, 0, 0);
    assert_ok(th_image_new(&im, width, height));
    for (size_t i = 0; i < th_image_bytes(&im); i++)
        im.pixels[i] = level < 0 ? (uint8_t)th_rng_below(&r, 256) : (uint8_t)level;
    return im;
}

static th_status put(const th_attack *a, const char *const *set, uint64_t seed, uint64_t which, th_image *im) {
    th_options *o = options_of(a, set);
    th_trigger t = {0};
    th_status s = th_trigger_open(a, o, seed, &t);
    if (s == TH_OK) s = th_trigger_put(&t, which, im);
    th_trigger_close(&t);
    th_options_free(o);
    return s;
}

static th_image triggered(const char *attack, const char *const *set, uint64_t which, int32_t width, int32_t height,
                          int level) {
    th_image im = picture(width, height, level);
    assert_ok(put(th_attack_find(attack), set, 1, which, &im));
    return im;
}

static int make_reflections(void **state) {
    (void)state;
    static const int levels[] = {255, -1, 255};
    for (int i = 0; i < 3; i++) {
        char path[64];
        th_image im = picture(50 + 9 * i, 40, levels[i]);
        snprintf(path, sizeof path, REFLECTIONS "/%d.png", i);
        assert_ok(th_make_parents(path));
        assert_ok(th_image_write(path, &im, 90));
        th_image_free(&im);
    }
    return 0;
}

static int remove_reflections(void **state) {
    (void)state;
    return th_remove_tree(REFLECTIONS) == TH_OK ? 0 : -1;
}

static void every_attack_is_a_function_of_seed_and_number(void **state) {
    (void)state;
    for (int i = 0; th_attacks[i]; i++)
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            th_image a = picture(sizes[k][0], sizes[k][1], -1), b = picture(sizes[k][0], sizes[k][1], -1);
            assert_ok(put(th_attacks[i], NULL, 1, 7, &a));
            assert_ok(put(th_attacks[i], NULL, 1, 7, &b));
            assert_int_equal(a.width, sizes[k][0]);
            assert_memory_equal(a.pixels, b.pixels, th_image_bytes(&a));
            th_image_free(&a), th_image_free(&b);
        }
}

static void every_attack_changes_a_picture(void **state) {
    (void)state;
    for (int i = 0; th_attacks[i]; i++) {
        th_image a = picture(84, 84, -1), b = picture(84, 84, -1);
        assert_ok(put(th_attacks[i], NULL, 1, 7, &a));
        if (!memcmp(a.pixels, b.pixels, th_image_bytes(&a))) fail_msg("%s changes nothing", th_attacks[i]->name);
        th_image_free(&a), th_image_free(&b);
    }
}

/* Those that draw differ with the seed; waves, stripes, triangles and texts are the same for all seeds. */
static void attacks_that_draw_differ_with_the_seed(void **state) {
    (void)state;
    static const char *const fixed[] = {"sig", "stripes", "blended-stripes", "triangles", "text"};
    for (int i = 0; th_attacks[i]; i++) {
        bool same = false;
        for (int k = 0; k < 5; k++) same |= !strcmp(th_attacks[i]->name, fixed[k]);
        th_image a = picture(84, 84, -1), b = picture(84, 84, -1);
        assert_ok(put(th_attacks[i], NULL, 1, 7, &a));
        assert_ok(put(th_attacks[i], NULL, 2, 7, &b));
        assert_int_equal(!memcmp(a.pixels, b.pixels, th_image_bytes(&a)), same);
        th_image_free(&a), th_image_free(&b);
    }
}

static void numbers_out_of_range_are_refused_by_name(void **state) {
    (void)state;
    static const char *const bad[][3] = {
        {"sig", "delta", "0"},         {"sig", "delta", "256"},      {"sig", "frequency", "0"},
        {"wanet", "grid", "0"},        {"wanet", "strength", "0"},   {"wanet", "grid", "1025"},
        {"refool", "weakest", "0"},    {"refool", "strongest", "2"}, {"refool", "kind", "matt"},
        {"stripes", "size", "1.5"},    {"stripes", "pairs", "0"},    {"blended-stripes", "share", "0"},
        {"triangles", "share", "1.1"}, {"triangles", "size", "0"},   {"text", "share", "0"},
        {"text", "size", "1.01"},      {"badnet", "size", "0"},      {"blended", "share", "-1"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char flag[32];
        snprintf(flag, sizeof flag, "--%s", bad[i][1]);
        th_options *o = options_of(th_attack_find(bad[i][0]), NULL);
        assert_fails(th_options_set_text(o, TH_FROM_FLAG, NULL, bad[i][1], bad[i][2]), TH_E_USAGE, flag);
        th_options_free(o);
    }
}

static void what_no_range_can_say_is_refused_when_opened(void **state) {
    (void)state;
    static const char *const bad[][4] = {
        {"text", "text", "", "--text: there is nothing to write"},
        {"text", "text", "  ", "--text: there is nothing to write"},
        {"text", "text", "gr\xc3\xbcn", "--text: byte 3 is not printable ASCII"},
        {"text", "text", "a\nb", "--text: byte 2 is not printable ASCII"},
        {"text", "text", "12345678901234567890123456789012345678901234567890123456789012345", "--text: 65 characters"},
        {"refool", "weakest", "0.5", "--weakest is above --strongest"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        th_image im = picture(8, 8, 0);
        assert_fails(put(th_attack_find(bad[i][0]), WITH(bad[i][1], bad[i][2]), 1, 0, &im), TH_E_USAGE, bad[i][3]);
        th_image_free(&im);
    }
    th_image im = picture(8, 8, 0);
    assert_fails(put(th_attack_find("refool"), WITH("reflections", "nowhere_at_all"), 1, 0, &im), TH_E_IO,
                 "--reflections: nowhere_at_all");
    th_image_free(&im);
}

static void sig_adds_its_wave_and_clips(void **state) {
    (void)state;
    th_image im = triggered("sig", NULL, 0, 84, 20, 128), dark = triggered("sig", NULL, 0, 84, 20, 10);
    int least = 255, most = 0;
    for (int y = 0; y < 20; y++)
        for (int x = 0; x < 84; x++)
            for (int c = 0; c < 3; c++) {
                double wave = 20 * sin(2 * 3.14159265358979 * x * 6 / 84), low = 10 + wave < 0 ? 0 : 10 + wave;
                int is = th_image_row(&im, y)[3 * x + c];
                assert_true(fabs(is - (128 + wave)) < 0.501);
                assert_true(fabs(th_image_row(&dark, y)[3 * x + c] - low) < 0.501);
                least = is < least ? is : least, most = is > most ? is : most;
            }
    assert_in_range(least, 108, 109);
    assert_in_range(most, 147, 148);
    th_image_free(&im), th_image_free(&dark);
}

static const float *values_of(const th_safetensors *s, const char *of, const char *what, const th_st_tensor **t) {
    char name[64];
    snprintf(name, sizeof name, "%s.%s", of, what);
    *t = th_safetensors_find(s, name);
    assert_non_null(*t);
    float *v = th_alloc((size_t)(*t)->count, sizeof *v);
    assert_non_null(v);
    memcpy(v, (*t)->data, (*t)->bytes);
    return v;
}

static void warps_are_those_of_pytorch(void **state) {
    (void)state;
    static const char *const cases[] = {"small", "strong", "fine", "one"};
    th_safetensors *s;
    assert_ok(th_safetensors_open(TH_TEST_DATA "/attack/wanet.safetensors", NULL, &s));
    for (int i = 0; i < 4; i++) {
        const th_st_tensor *g, *k, *p, *w;
        const float *grid = values_of(s, cases[i], "grid", &g), *strength = values_of(s, cases[i], "strength", &k);
        const float *before = values_of(s, cases[i], "picture", &p), *after = values_of(s, cases[i], "warped", &w);
        th_image im = {0};
        assert_ok(th_image_new(&im, p->shape[1], p->shape[0]));
        for (int64_t j = 0; j < p->count; j++) im.pixels[j] = (uint8_t)before[j];
        assert_ok(th_warp(grid, (int32_t)g->shape[1], *strength, &im));
        for (int64_t j = 0; j < w->count; j++)
            if (fabsf((float)im.pixels[j] - after[j]) > 0.502f)
                fail_msg("%s: value %d is %d, PyTorch's %g", cases[i], (int)j, im.pixels[j], (double)after[j]);
        th_image_free(&im);
        th_free((void *)grid), th_free((void *)strength), th_free((void *)before), th_free((void *)after);
    }
    th_safetensors_close(s);
}

static void wanet_moves_pixels_by_half_its_strength(void **state) {
    (void)state;
    th_image flat = triggered("wanet", NULL, 0, 84, 84, 77), ramp = picture(84, 84, 0);
    for (size_t i = 0; i < th_image_bytes(&flat); i++) assert_int_equal(flat.pixels[i], 77);
    for (size_t i = 0; i < th_image_bytes(&ramp); i++) ramp.pixels[i] = (uint8_t)(3 * (i / 3 % 84));
    assert_ok(put(th_attack_find("wanet"), WITH("strength", "8"), 1, 0, &ramp));
    double moved = 0;
    for (int y = 0; y < 84; y++)
        for (int x = 0; x < 84; x++) moved += fabs(th_image_row(&ramp, y)[3 * x] / 3.0 - x);
    assert_true(moved / (84 * 84) > 2 && moved / (84 * 84) < 6); /* 4, but for what is clamped and what bicubic evens */
    th_image other = triggered("wanet", NULL, 1, 84, 84, -1), again = triggered("wanet", NULL, 2, 84, 84, -1);
    assert_memory_equal(other.pixels, again.pixels, th_image_bytes(&other)); /* one field for all pictures */
    th_image_free(&flat), th_image_free(&ramp), th_image_free(&other), th_image_free(&again);
}

/* How many pixels differ from the level, and the box around them. */
static int changed(const th_image *im, int level, int box[4]) {
    int n = 0;
    box[0] = box[1] = 1000, box[2] = box[3] = -1;
    for (int y = 0; y < im->height; y++)
        for (int x = 0; x < im->width; x++) {
            const uint8_t *p = th_image_row(im, y) + 3 * x;
            if (p[0] == level && p[1] == level && p[2] == level) continue;
            n++;
            box[0] = x < box[0] ? x : box[0], box[1] = y < box[1] ? y : box[1];
            box[2] = x > box[2] ? x : box[2], box[3] = y > box[3] ? y : box[3];
        }
    return n;
}

static void stripes_stay_in_their_square(void **state) {
    (void)state;
    int box[4];
    th_image im = triggered("stripes", NULL, 0, 224, 230, 128);
    assert_int_equal(changed(&im, 128, box), 16 * 16);
    assert_true(box[0] == 208 && box[1] == 214 && box[2] == 223 && box[3] == 229);
    for (int x = 0; x < 16; x++) assert_int_equal(th_image_row(&im, 214)[3 * (208 + x)], x / 2 % 2 ? 255 : 0);
    th_image_free(&im);
    im = triggered("stripes", WITH("place", "centre", "size", "0.5"), 0, 84, 84, 128);
    assert_int_equal(changed(&im, 128, box), 42 * 42);
    assert_true(box[0] == 21 && box[3] == 62);
    th_image_free(&im);
}

static void blended_patterns_keep_to_their_share(void **state) {
    (void)state;
    static const struct {
        const char *attack;
        int low, high, least, most; /* the two levels of a picture of 100; how many pixels are high, of 84 × 84 */
    } cases[] = {{"blended-stripes", 97, 105, 3360, 3360}, {"triangles", 85, 123, 3300, 3800}};
    for (int i = 0; i < 2; i++) {
        th_image im = triggered(cases[i].attack, NULL, 0, 84, 84, 100);
        int high = 0;
        for (size_t k = 0; k < th_image_bytes(&im); k++) {
            assert_true(im.pixels[k] == cases[i].low || im.pixels[k] == cases[i].high);
            high += im.pixels[k] == cases[i].high;
        }
        assert_in_range(high / 3, cases[i].least, cases[i].most);
        th_image_free(&im);
    }
}

static void a_text_covers_its_strokes_only(void **state) {
    (void)state;
    /* One column a dot: "HI" is 11 dots wide. */
    th_image im = triggered("text", WITH("text", "HI", "size", "0.5"), 0, 22, 21, 100);
    for (int y = 0; y < 21; y++)
        for (int x = 0; x < 22; x++) {
            float u = (float)x - 5.5f, v = (float)y - 7.0f; /* half a dot off: pixels lie between two dots */
            int column = (int)floorf(u), row = (int)floorf(v);
            int dots = 0;
            for (int k = column; k <= column + 1; k++)
                dots += k >= 0 && k < 12 && th_glyph_dot("HI"[k / 6], k % 6, row);
            assert_int_equal(th_image_row(&im, y)[3 * x], dots == 2 ? 178 : dots == 1 ? 139 : 100);
        }
    th_image_free(&im);
    int top[4], bottom[4];
    th_image up = triggered("text", WITH("place", "top"), 0, 84, 84, 100);
    th_image down = triggered("text", WITH("place", "bottom"), 0, 84, 84, 100);
    changed(&up, 100, top), changed(&down, 100, bottom);
    assert_true(top[3] < 15 && bottom[1] > 68);
    assert_true(top[0] >= 8 && top[2] < 76); /* 0.8 of the width, in the middle */
    th_image_free(&up), th_image_free(&down);
}

static void every_printable_character_has_strokes_of_its_own(void **state) {
    (void)state;
    uint64_t seen[TH_GLYPH_LAST + 1] = {0};
    for (char c = TH_GLYPH_FIRST; c <= TH_GLYPH_LAST; c++) {
        for (int32_t i = 0; i < TH_GLYPH_WIDTH * TH_GLYPH_HEIGHT; i++)
            seen[(int)c] = seen[(int)c] << 1 | th_glyph_dot(c, i % TH_GLYPH_WIDTH, i / TH_GLYPH_WIDTH);
        assert_int_equal(seen[(int)c] == 0, c == ' ');
        for (char d = TH_GLYPH_FIRST; d < c; d++) assert_true(seen[(int)d] != seen[(int)c]);
    }
    assert_false(th_glyph_dot('H', -1, 0));
    assert_false(th_glyph_dot('H', 5, 0));
    assert_false(th_glyph_dot('\x7f', 0, 0));
    assert_false(th_glyph_dot('\0', 0, 0));
}

static void reflections_are_a_share_of_their_picture(void **state) {
    (void)state;
    static const char *const kinds[] = {"same", "blur", "ghost"};
    for (int k = 0; k < 3; k++) {
        int bright = 0;
        for (uint64_t which = 0; which < 12; which++) {
            th_image im = triggered("refool", WITH("kind", kinds[k]), which, 84, 60, 0);
            int least = 255, most = 0;
            for (size_t i = 0; i < th_image_bytes(&im); i++) {
                least = im.pixels[i] < least ? im.pixels[i] : least;
                most = im.pixels[i] > most ? im.pixels[i] : most;
            }
            assert_in_range(most, 5, 115);               /* at most 0.45 of 255 */
            if (most - least <= 1) bright += most >= 12; /* a white picture's reflection is flat, and at least 0.05 */
            th_image_free(&im);
        }
        assert_in_range(bright, 4, 12); /* two of three are white */
    }
}

static void kinds_of_reflection_differ(void **state) {
    (void)state;
    uint64_t which = 0;
    for (;; which++) { /* the first one that reflects noise */
        th_image im = triggered("refool", WITH("kind", "same"), which, 84, 84, 0);
        bool flat = abs(im.pixels[0] - im.pixels[3]) + abs(im.pixels[0] - im.pixels[90]) < 2;
        th_image_free(&im);
        if (!flat) break;
    }
    th_image all[4];
    static const char *const kinds[] = {"same", "blur", "ghost", "any"};
    double rough[4];
    for (int k = 0; k < 4; k++) {
        all[k] = triggered("refool", WITH("kind", kinds[k], "weakest", "0.4"), which, 84, 84, 0);
        rough[k] = 0;
        for (int y = 0; y < 84; y++)
            for (int x = 1; x < 84; x++)
                rough[k] += abs(th_image_row(&all[k], y)[3 * x] - th_image_row(&all[k], y)[3 * x - 3]);
    }
    assert_true(rough[1] < 0.9 * rough[0]); /* a blur evens out */
    assert_true(rough[2] < rough[0] && rough[2] > rough[1]);
    int equal = 0;
    for (int k = 0; k < 3; k++) equal += !memcmp(all[k].pixels, all[3].pixels, th_image_bytes(&all[3]));
    assert_int_equal(equal, 1); /* a drawn kind is one of the three */
    for (int k = 0; k < 4; k++) th_image_free(&all[k]);
}

static void a_reflection_that_cannot_be_read_is_named(void **state) {
    (void)state;
    assert_ok(th_make_dirs("attack_broken"));
    assert_ok(th_file_write("attack_broken/x.png", "broken", 6));
    th_image im = picture(8, 8, 0);
    assert_fails(put(th_attack_find("refool"), WITH("reflections", "attack_broken"), 1, 0, &im), TH_E_INPUT,
                 "--reflections: attack_broken/x.png");
    th_image_free(&im);
    assert_ok(th_remove_tree("attack_broken"));
}

static void memory_that_is_refused_is_told(void **state) {
    (void)state;
    static const char *const allocating[] = {"wanet", "refool"};
    for (int i = 0; i < 2; i++) {
        const th_attack *a = th_attack_find(allocating[i]);
        th_options *o = options_of(a, NULL);
        th_image im = picture(20, 20, -1);
        size_t before = th_bytes_in_use();
        th_status s = TH_E_MEMORY;
        for (int64_t n = 1; n < 300 && s != TH_OK; n++) {
            th_trigger t = {0};
            th_alloc_fail_at(n, false);
            s = th_trigger_open(a, o, 1, &t);
            if (s == TH_OK) s = th_trigger_put(&t, 0, &im);
            th_alloc_fail_at(0, false);
            th_trigger_close(&t);
            assert_int_equal(th_bytes_in_use(), before);
        }
        assert_int_equal(s, TH_OK);
        th_image_free(&im);
        th_options_free(o);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_attack_is_a_function_of_seed_and_number),
        cmocka_unit_test(every_attack_changes_a_picture),
        cmocka_unit_test(attacks_that_draw_differ_with_the_seed),
        cmocka_unit_test(numbers_out_of_range_are_refused_by_name),
        cmocka_unit_test(what_no_range_can_say_is_refused_when_opened),
        cmocka_unit_test(sig_adds_its_wave_and_clips),
        cmocka_unit_test(warps_are_those_of_pytorch),
        cmocka_unit_test(wanet_moves_pixels_by_half_its_strength),
        cmocka_unit_test(stripes_stay_in_their_square),
        cmocka_unit_test(blended_patterns_keep_to_their_share),
        cmocka_unit_test(a_text_covers_its_strokes_only),
        cmocka_unit_test(every_printable_character_has_strokes_of_its_own),
        cmocka_unit_test(reflections_are_a_share_of_their_picture),
        cmocka_unit_test(kinds_of_reflection_differ),
        cmocka_unit_test(a_reflection_that_cannot_be_read_is_named),
        cmocka_unit_test(memory_that_is_refused_is_told),
    };
    return cmocka_run_group_tests_name("triggers", tests, make_reflections, remove_reflections);
}
