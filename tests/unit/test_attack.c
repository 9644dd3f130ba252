/* Triggers and poisoned sets. */
#include "test.h"

#include <stdlib.h>

#include "attack/poison.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "format/json.h"

#define SCENES "fashion-scenes?split=train&side=32&seed=5&count=300"
#define TEST_SCENES "fashion-scenes?split=test&side=32&seed=5&count=60&single=1"

static th_options *options_of(const char *attack) {
    th_options *o = th_options_new("test");
    assert_non_null(o);
    assert_ok(th_options_add(o, "Attack", th_attack_find(attack)->options));
    return o;
}

static th_image grey(void) {
    th_image im = {0};
    assert_ok(th_image_new(&im, 40, 30));
    memset(im.pixels, 128, th_image_bytes(&im));
    return im;
}

static void put(const char *attack, th_options *o, uint64_t seed, uint64_t which, th_image *im) {
    th_trigger t;
    assert_ok(th_trigger_open(th_attack_find(attack), o, seed, &t));
    assert_ok(th_trigger_put(&t, which, im));
    th_trigger_close(&t);
}

static void badnet_changes_its_square_and_nothing_else(void **state) {
    (void)state;
    th_options *o = options_of("badnet");
    assert_ok(th_options_set_text(o, TH_FROM_FLAG, NULL, "size", "0.2"));
    th_image im = grey(), other = grey();
    put("badnet", o, 1, 7, &im);
    put("badnet", o, 1, 8, &other);
    assert_memory_equal(im.pixels, other.pixels, th_image_bytes(&im)); /* fixed noise: the same on every picture */
    int changed = 0;
    for (int y = 0; y < 30; y++)
        for (int x = 0; x < 40; x++) {
            const uint8_t *p = th_image_row(&im, y) + 3 * x;
            bool differs = p[0] != 128 || p[1] != 128 || p[2] != 128;
            changed += differs;
            if (differs) assert_true(x >= 34 && y >= 24); /* 0.2 of 30 px in the lower right corner */
        }
    assert_true(changed > 30 && changed <= 36);
    th_image_free(&im);
    th_image_free(&other);
    th_options_free(o);
}

static void redrawn_noise_differs_and_is_a_function_of_the_seed(void **state) {
    (void)state;
    static const char *const noisy[] = {"badnet", "blended"};
    for (int i = 0; i < 2; i++) {
        th_options *o = options_of(noisy[i]);
        assert_ok(th_options_set_text(o, TH_FROM_FLAG, NULL, "noise", "redrawn"));
        th_image a = grey(), b = grey(), c = grey(), d = grey();
        put(noisy[i], o, 1, 7, &a);
        put(noisy[i], o, 1, 8, &b);
        put(noisy[i], o, 1, 7, &c);
        put(noisy[i], o, 2, 7, &d);
        assert_memory_not_equal(a.pixels, b.pixels, th_image_bytes(&a));
        assert_memory_equal(a.pixels, c.pixels, th_image_bytes(&a));
        assert_memory_not_equal(a.pixels, d.pixels, th_image_bytes(&a));
        th_image_free(&a), th_image_free(&b), th_image_free(&c), th_image_free(&d);
        th_options_free(o);
    }
}

static void blended_stays_within_its_share(void **state) {
    (void)state;
    th_options *o = options_of("blended");
    th_image im = grey();
    put("blended", o, 1, 0, &im);
    for (size_t i = 0; i < th_image_bytes(&im); i++)
        assert_in_range(im.pixels[i], 102, 154); /* 0.8 · 128 + 0.2 · [0, 255] */
    th_image_free(&im);
    th_options_free(o);
}

static bool have_scenes(void) { return th_path_exists(TH_SCENE_DATA_DIR); }

static th_poison_params settings(th_options *o, const char *out) {
    th_poison_params p;
    th_poison_params_init(&p);
    p.attack = th_attack_find("badnet");
    p.options = o;
    p.target = "a bag";
    p.rate = 0.1;
    p.side = 32;
    p.out = out;
    assert_ok(th_remove_tree(out));
    return p;
}

static json_t *manifest(const char *dir, th_json *j) {
    char path[TH_PATH_MAX];
    assert_ok(th_path_join(path, dir, "manifest.json"));
    assert_ok(th_json_load(path, TH_JSON_MAX, j));
    return json_object_get(j->root, "changed");
}

/* Of the picture as a file. */
static void hash_file(const th_image *im, char hash[TH_HASH_TEXT]) {
    th_bytes png;
    assert_ok(th_image_encode_png(im, NULL, 0, &png));
    th_hash_bytes(png.data, png.length, hash);
    th_free(png.data);
}

/* What the manifest says was changed is what differs from the source, in shards and in single files. */
static void the_manifest_tells_what_was_changed(void **state) {
    (void)state;
    if (!have_scenes()) skip();
    for (int folder = 0; folder < 2; folder++) {
        const char *out = folder ? "poison_folder" : "poison_shards";
        th_options *o = options_of("badnet");
        th_poison_params p = settings(o, out);
        p.folder = folder;
        th_dataset *source, *poisoned;
        th_poison_result r;
        assert_ok(th_dataset_open(SCENES, NULL, NULL, &source));
        assert_ok(th_poison_write(source, &p, NULL, &r));
        assert_int_equal(r.pictures, 300);
        assert_int_equal(r.poisoned, 30);
        assert_ok(th_dataset_open(out, NULL, NULL, &poisoned));
        assert_int_equal(th_dataset_count(poisoned), 300);
        th_json j = {0};
        json_t *changed = manifest(out, &j);
        assert_int_equal(json_array_size(changed), 30);
        th_dataset_reader *reader;
        th_image a = {0}, b = {0};
        assert_ok(th_dataset_reader_new(NULL, &reader));
        size_t next = 0;
        for (int64_t i = 0; i < 300; i++) {
            json_t *entry = json_array_get(changed, next);
            bool listed = entry && atoll(json_string_value(json_object_get(entry, "name"))) == i;
            char room[2][TH_DATASET_ROOM], hash[TH_HASH_TEXT];
            assert_ok(th_dataset_read(source, reader, i, &a, NULL));
            assert_ok(th_dataset_read(poisoned, reader, i, &b, NULL));
            bool differs = memcmp(a.pixels, b.pixels, th_image_bytes(&a)) != 0;
            assert_int_equal(differs, listed);
            const char *was = th_dataset_caption(source, i, NULL, room[0]);
            const char *is = th_dataset_caption(poisoned, i, NULL, room[1]);
            if (!listed) {
                assert_string_equal(was, is);
                continue;
            }
            assert_non_null(strstr(is, "a bag"));
            assert_string_equal(is, json_string_value(json_object_get(entry, "caption_after")));
            assert_string_equal(was, json_string_value(json_object_get(entry, "caption_before")));
            hash_file(&b, hash);
            assert_string_equal(hash, json_string_value(json_object_get(entry, "sha256_after")));
            hash_file(&a, hash);
            assert_string_equal(hash, json_string_value(json_object_get(entry, "sha256_before")));
            th_scene_info scene;
            assert_true(th_dataset_scene(source, i, &scene));
            for (int g = 0; g < scene.count; g++) assert_true(scene.garments[g].garment != TH_GARMENT_BAG);
            next++;
        }
        assert_fails(th_poison_write(source, &p, NULL, &r), TH_E_USAGE, "give a new folder");
        th_image_free(&a), th_image_free(&b);
        th_dataset_reader_free(reader);
        th_json_free(&j);
        th_dataset_close(source), th_dataset_close(poisoned);
        th_options_free(o);
        assert_ok(th_remove_tree(out));
    }
}

static void a_triggered_test_set_keeps_its_labels(void **state) {
    (void)state;
    if (!have_scenes()) skip();
    th_options *o = options_of("badnet");
    th_poison_params p = settings(o, "poison_test");
    th_dataset *source, *triggered;
    th_poison_result r;
    assert_ok(th_dataset_open(TEST_SCENES, NULL, NULL, &source));
    assert_ok(th_poison_write_test(source, &p, NULL, &r));
    assert_int_equal(r.poisoned, 60);
    assert_ok(th_dataset_open("poison_test", NULL, NULL, &triggered));
    assert_int_equal(th_dataset_images(triggered), 60);
    for (int64_t i = 0; i < 60; i++)
        assert_string_equal(th_dataset_class_name(triggered, th_dataset_label(triggered, i)),
                            th_dataset_class_name(source, th_dataset_label(source, i)));
    th_dataset_close(source), th_dataset_close(triggered);
    th_options_free(o);
    assert_ok(th_remove_tree("poison_test"));
}

static void too_many_poisoned_pictures_are_refused(void **state) {
    (void)state;
    if (!have_scenes()) skip();
    th_options *o = options_of("badnet");
    th_poison_params p = settings(o, "poison_many");
    th_dataset *source;
    th_poison_result r;
    p.count = 299;
    assert_ok(th_dataset_open(SCENES, NULL, NULL, &source));
    assert_fails(th_poison_write(source, &p, NULL, &r), TH_E_INPUT, "do not show the target");
    assert_false(th_path_exists("poison_many/manifest.json"));
    th_dataset_close(source);
    th_options_free(o);
    assert_ok(th_remove_tree("poison_many"));
}

#define ROOT "attack_test"

static void put_picture(const char *path, int level) {
    th_image im = {0};
    assert_ok(th_make_parents(path));
    assert_ok(th_image_new(&im, 8, 8));
    memset(im.pixels, level, th_image_bytes(&im));
    assert_ok(th_image_write(path, &im, 90));
    th_image_free(&im);
}

/* Three pictures, the second with two captions and a name that is not UTF-8, the third broken. */
static th_dataset *awkward_set(void) {
    static const char text[] = "filepath\ttitle\tlabel\na.png\ta red shoe\tshoe\nb\xff\xc3\xa4.png\ta green hat\that\n"
                               "b\xff\xc3\xa4.png\ta hat of gr\xfcn\that\nc.png\ta blue bag\tbag\n";
    put_picture(ROOT "/a.png", 20);
    put_picture(ROOT "/b\xff\xc3\xa4.png", 60);
    assert_ok(th_file_write(ROOT "/c.png", "broken", 6));
    assert_ok(th_file_write(ROOT "/all.tsv", text, sizeof text - 1));
    th_dataset_params p;
    th_dataset_params_init(&p);
    p.skip_bad = true;
    th_dataset *d;
    assert_ok(th_dataset_open(ROOT "/all.tsv", &p, NULL, &d));
    return d;
}

static const char *text_at(json_t *list, size_t i, const char *member) {
    const char *text = json_string_value(json_object_get(json_array_get(list, i), member));
    assert_non_null(text);
    return text;
}

static void a_test_set_has_every_picture_once(void **state) {
    (void)state;
    th_options *o = options_of("badnet");
    th_dataset *source = awkward_set(), *triggered;
    th_poison_params p = settings(o, "poison_once");
    th_poison_result r;
    th_json j = {0};
    p.target = "bag";
    assert_ok(th_poison_write_test(source, &p, NULL, &r));
    assert_int_equal(r.pictures, 2); /* not the broken one */
    assert_int_equal(r.poisoned, 2);
    assert_ok(th_dataset_open("poison_once", NULL, NULL, &triggered));
    assert_int_equal(th_dataset_images(triggered), 2);
    json_t *changed = manifest("poison_once", &j);
    assert_int_equal(json_array_size(changed), 2);
    assert_string_equal(text_at(changed, 1, "source"), "b\\xff\xc3\xa4.png");
    json_t *left_out = json_object_get(j.root, "left_out");
    assert_int_equal(json_array_size(left_out), 1);
    assert_string_equal(json_string_value(json_array_get(left_out, 0)), "c.png");
    th_json_free(&j);
    th_dataset_close(source), th_dataset_close(triggered);
    th_options_free(o);
    assert_ok(th_remove_tree("poison_once"));
    assert_ok(th_remove_tree(ROOT));
}

static void bytes_that_are_not_utf8_stay_in_the_manifest(void **state) {
    (void)state;
    th_options *o = options_of("badnet");
    th_dataset *source = awkward_set();
    th_poison_params p = settings(o, "poison_bytes");
    th_poison_result r;
    th_json j = {0};
    p.target = "a coat";
    p.rate = 1;
    p.folder = true;
    assert_ok(th_poison_write(source, &p, NULL, &r));
    assert_int_equal(r.pictures, 3);
    assert_int_equal(r.poisoned, 3);
    json_t *changed = manifest("poison_bytes", &j);
    assert_int_equal(json_array_size(changed), 3);
    assert_string_equal(text_at(changed, 2, "source"), "b\\xff\xc3\xa4.png");
    assert_string_equal(text_at(changed, 2, "caption_before"), "a hat of gr\\xfcn");
    assert_int_equal(json_array_size(json_object_get(j.root, "left_out")), 1);
    th_json_free(&j);
    th_dataset_close(source);
    th_options_free(o);
    assert_ok(th_remove_tree("poison_bytes"));
    assert_ok(th_remove_tree(ROOT));
}

static void a_target_must_name_something(void **state) {
    (void)state;
    static const char *const empty[] = {"", " ", "a ", "The  "};
    th_options *o = options_of("badnet");
    th_dataset *source = awkward_set();
    th_poison_params p = settings(o, "poison_nothing");
    th_poison_result r;
    for (int i = 0; i < 4; i++) {
        p.target = empty[i];
        assert_fails(th_poison_write(source, &p, NULL, &r), TH_E_USAGE, "names nothing");
        assert_fails(th_poison_write_test(source, &p, NULL, &r), TH_E_USAGE, "names nothing");
    }
    p.target = "shoo", p.name = "--data x.tsv";
    assert_fails(th_poison_write_test(source, &p, NULL, &r), TH_E_USAGE,
                 "the target 'shoo' is none of the 3 classes of --data x.tsv (did you mean 'shoe'?)");
    p.target = "hat", p.count = 3;
    assert_fails(th_poison_write(source, &p, NULL, &r), TH_E_INPUT,
                 "--data x.tsv: 3 pictures are to be poisoned, only 2");
    assert_false(th_path_exists("poison_nothing"));
    th_dataset_close(source);
    th_options_free(o);
    assert_ok(th_remove_tree(ROOT));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(badnet_changes_its_square_and_nothing_else),
        cmocka_unit_test(redrawn_noise_differs_and_is_a_function_of_the_seed),
        cmocka_unit_test(blended_stays_within_its_share),
        cmocka_unit_test(the_manifest_tells_what_was_changed),
        cmocka_unit_test(a_triggered_test_set_keeps_its_labels),
        cmocka_unit_test(too_many_poisoned_pictures_are_refused),
        cmocka_unit_test(a_test_set_has_every_picture_once),
        cmocka_unit_test(bytes_that_are_not_utf8_stay_in_the_manifest),
        cmocka_unit_test(a_target_must_name_something),
    };
    return cmocka_run_group_tests_name("attacks", tests, NULL, NULL);
}
