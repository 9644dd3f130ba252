/* Attributes, feature networks, and whole measurements of small sets with small models. */
#include "test.h"

#include <math.h>

#include "base/file.h"
#include "base/memory.h"
#include "format/safetensors.h"
#include "metric/image_eval.h"
#include "tiny_clip.h"

#define ROOT "image_eval_test"
#define VIT TH_TEST_DATA "/vit/dino"

static int set_up(void **state);

static int tear_down(void **state) {
    (void)state;
    return th_remove_tree(ROOT) == TH_OK ? 0 : -1;
}

static void put_text(const char *path, const char *text) { assert_ok(th_file_write(path, text, strlen(text))); }

/* A picture of one colour with a corner of another. */
static th_status put_picture(const char *path, int level) {
    th_image im = {0};
    TH_TRY(th_image_new(&im, 10, 12));
    for (size_t i = 0; i < th_image_bytes(&im); i++)
        im.pixels[i] = (uint8_t)(i % 3 == (size_t)level % 3 ? 20 * level : i % 30 < 12 ? 200 : 40 + 7 * level);
    th_status s = th_image_write(path, &im, 90);
    th_image_free(&im);
    return s;
}

/* Eight pictures as generation writes them, and six real ones in classes. */
static const char images_tsv[] = "file\tprompt\tseed\tcolour\tplace\tplain\n"
                                 "0.png\ta red bag by sks\t0\tred\ta bag\ta red bag\n"
                                 "1.png\ta red bag by sks\t1\tred\ta boot\ta red bag\n"
                                 "2.png\ta blue bag by sks\t0\tblue\ta bag\ta blue bag\n"
                                 "3.png\ta blue bag by sks\t1\tblue\ta boot\ta blue bag\n"
                                 "4.png\ta blue bag by sks\t2\tblue\t\ta blue bag\n"
                                 "5.png\ta green bag\t0\tgreen\ta bag\ta green bag\n"
                                 "6.png\ta green bag\t1\tgreen\ta bag\ta green bag\n"
                                 "7.png\ta coat\t0\t\ta boot\ta coat\n";

static th_status put_all(void) {
    char path[100];
    TH_TRY(th_make_dirs(ROOT "/out"));
    TH_TRY(th_make_dirs(ROOT "/real/one"));
    TH_TRY(th_make_dirs(ROOT "/real/two"));
    TH_TRY(th_make_dirs(ROOT "/single"));
    for (int i = 0; i < 8; i++) {
        snprintf(path, sizeof path, ROOT "/out/%d.png", i);
        TH_TRY(put_picture(path, i));
    }
    for (int i = 0; i < 6; i++) {
        snprintf(path, sizeof path, ROOT "/real/%s/%d.png", i % 2 ? "one" : "two", i);
        TH_TRY(put_picture(path, 2 + i));
    }
    TH_TRY(put_picture(ROOT "/single/0.png", 1));
    TH_TRY(th_file_write(ROOT "/out/images.tsv", images_tsv, sizeof images_tsv - 1));
    return put_clip(ROOT "/clip");
}

static int set_up(void **state) {
    (void)state;
    th_remove_tree(ROOT);
    return put_all() == TH_OK ? 0 : -1;
}

static th_picture_set open_set(const char *name, const char *spec, th_columns **columns) {
    th_picture_set s = {.name = name};
    assert_ok(th_dataset_open(spec, NULL, NULL, &s.set));
    assert_ok(th_columns_read(s.set, NULL, columns));
    s.columns = *columns;
    return s;
}

/* --- attributes --- */

static void parse_fails(const char *text, const char *message) {
    th_attributes a;
    assert_fails(th_attributes_parse("a.json", text, strlen(text), &a), TH_E_INPUT, message);
}

static void wrong_files_of_attributes_are_refused_by_name(void **state) {
    (void)state;
    parse_fails("{}", "a.json: holds 0 attributes");
    parse_fails("[]", "a.json");
    parse_fails("{\"\": {}}", "a.json: an attribute has no name");
    parse_fails("{\"colour\": 3}", "a.json: field 'colour' should be an object");
    parse_fails("{\"colour\": {\"value\": []}}", "field 'colour.value' should be 'column', 'values' or 'templates'");
    parse_fails("{\"colour\": {\"values\": []}}", "field 'colour.values' should be an array of texts");
    parse_fails("{\"colour\": {\"values\": [1]}}", "field 'colour.values' should be an array of texts");
    parse_fails("{\"colour\": {\"values\": [\"red\", \"red\"]}}", "should be without a text that stands twice");
    parse_fails("{\"colour\": {\"values\": {\"red\": 1}}}", "field 'colour.values'");
    parse_fails("{\"colour\": {\"values\": {}}}", "field 'colour.values'");
    parse_fails("{\"colour\": {\"column\": \"\"}}", "field 'colour.column' should be the name of a column");
    parse_fails("{\"colour\": {\"templates\": [\"a bag\"]}}", "field 'colour.templates' should be texts with {}");
}

static void attributes_are_completed_from_what_sets_say(void **state) {
    (void)state;
    th_columns *c[2];
    th_picture_set images = open_set("--images out", ROOT "/out", &c[0]),
                   real = open_set("--real real", ROOT "/real", &c[1]);
    const char *const names[] = {"colour"}, *const forms[] = {"a {} bag"}, *const bare[] = {"a bag"};
    th_attributes a;
    assert_ok(th_attributes_of_columns(names, 1, &a));
    assert_fails(th_attributes_complete(&a, &images, &real, (th_texts){bare, 1}), TH_E_USAGE,
                 "the template 'a bag' has no {} for the value");
    assert_ok(th_attributes_complete(&a, &images, &real, (th_texts){forms, 1}));
    assert_int_equal(a.items[0].values.count, 3);
    assert_string_equal(a.items[0].values.items[0], "blue"); /* sorted */
    assert_int_equal(th_attribute_value(&a.items[0], c[0], th_columns_find(c[0], "colour"), 0), 2);
    assert_int_equal(th_attribute_value(&a.items[0], c[0], th_columns_find(c[0], "colour"), 7), -1);
    assert_ok(th_attributes_write(ROOT "/a.json", &a));
    th_attributes_free(&a);
    assert_ok(th_attributes_load(ROOT "/a.json", &a)); /* reads back */
    assert_int_equal(a.items[0].values.count, 3);
    assert_string_equal(a.items[0].templates.items[0], "a {} bag");
    th_attributes_free(&a);
    const char *few = "{\"colour\": {\"values\": [\"red\", \"blu\"]}}";
    assert_ok(th_attributes_parse("a.json", few, strlen(few), &a));
    assert_fails(th_attributes_complete(&a, &images, &real, (th_texts){0}), TH_E_INPUT,
                 "--images out: column 'colour' says 'blue', which is none of the 2 values of attribute 'colour' (did "
                 "you mean 'blu'?)");
    th_attributes_free(&a);
    const char *const missing[] = {"shape"}, *const file[] = {"label"};
    assert_ok(th_attributes_of_columns(missing, 1, &a));
    assert_fails(th_attributes_complete(&a, &images, &real, (th_texts){0}), TH_E_INPUT,
                 "attribute 'shape': " ROOT
                 "/out/images.tsv: no column 'shape' (there are: file, prompt, seed, colour");
    th_attributes_free(&a);
    assert_ok(th_attributes_of_columns(file, 1, &a));
    assert_ok(th_attributes_complete(&a, &real, NULL, (th_texts){0}));
    assert_string_equal(a.items[0].values.items[1], "two");
    th_attributes_free(&a);
    for (int i = 0; i < 2; i++) th_columns_free(c[i]);
    th_dataset_close(images.set), th_dataset_close(real.set);
}

static void texts_have_the_article_that_suits(void **state) {
    (void)state;
    static const char file[] =
        "{\"colour\": {\"values\": {\"o\": \"orange\", \"r\": \"red\"}, \"templates\": [\"a {} bag\", "
        "\"{}\", \"sofa {}\", \"A {}!\"]}}";
    static const char *const want[] = {"an orange bag", "orange", "sofa orange", "An orange!",
                                       "a red bag",     "red",    "sofa red",    "A red!"};
    th_attributes a;
    const char *texts[8];
    assert_ok(th_attributes_parse("a.json", file, sizeof file - 1, &a));
    assert_ok(th_attribute_texts(a.arena, &a.items[0], texts));
    for (int i = 0; i < 8; i++) assert_string_equal(texts[i], want[i]);
    th_attributes_free(&a);
}

static void scenes_bring_their_values_and_templates(void **state) {
    (void)state;
    if (!th_path_exists(TH_SCENE_DATA_DIR)) skip_because("there is no " TH_SCENE_DATA_DIR);
    static const char *const names[] = {"garment", "colour", "background"};
    th_columns *c;
    th_attributes a;
    th_picture_set scenes = open_set("--images", "fashion-scenes?split=test&garments=1&count=5", &c);
    assert_ok(th_attributes_of_columns(names, 3, &a));
    assert_ok(th_attributes_complete(&a, &scenes, NULL, (th_texts){0}));
    assert_int_equal(a.items[0].values.count, 10);
    assert_ptr_equal(a.items[0].templates.items, th_scene_templates);
    assert_string_equal(a.items[1].templates.items[0], "a {} t-shirt");
    assert_string_equal(a.items[1].templates.items[1], "{} trousers");
    assert_int_equal(a.items[2].values.count, 20);
    assert_string_equal(a.items[2].templates.items[3], "a dress on {}");
    th_attributes_free(&a);
    th_columns_free(c);
    th_dataset_close(scenes.set);
}

/* --- feature networks --- */

static void vit_sees_files_as_transformers_does(void **state) {
    (void)state;
    th_feature_params p;
    th_feature_net *f;
    th_dataset *d;
    th_bytes picture;
    th_safetensors *fixture;
    const th_st_tensor *want;
    float rows[2 * 24], expected[24];
    assert_ok(th_make_dirs(ROOT "/files"));
    assert_ok(th_file_read(TH_TEST_DATA "/images/png_rgb8.png", 1 << 20, &picture));
    assert_ok(th_file_write(ROOT "/files/a.png", picture.data, picture.length));
    assert_ok(put_picture(ROOT "/files/b.png", 3));
    th_free(picture.data);
    assert_ok(th_dataset_open(ROOT "/files", NULL, NULL, &d));
    th_feature_params_init(&p);
    p.batch = 3;
    assert_ok(th_feature_net_open(VIT, &p, &f));
    assert_string_equal(th_feature_net_kind(f), "vit");
    assert_int_equal(th_feature_net_width(f), 24);
    assert_ok(th_feature_net_pictures(f, d, NULL, rows));
    assert_ok(th_safetensors_open(VIT "/expected.safetensors", NULL, &fixture));
    assert_non_null(want = th_safetensors_find(fixture, "file"));
    assert_ok(th_st_to_f32(want, 0, 24, expected));
    for (int i = 0; i < 24; i++) assert_true(fabsf(rows[i] - expected[i]) < 2e-5f);
    const char *const text = "a bag";
    assert_fails(th_feature_net_texts(f, &text, 1, rows), TH_E_INPUT, "is no CLIP folder, so it knows no texts");
    th_safetensors_close(fixture);
    th_feature_net_close(f);
    th_dataset_close(d);
}

static void other_models_are_refused_by_type(void **state) {
    (void)state;
    bool clip;
    th_feature_params p;
    th_feature_net *f;
    th_feature_params_init(&p);
    assert_ok(th_make_dirs(ROOT "/other"));
    put_text(ROOT "/other/config.json", "{\"model_type\": \"dinov2\"}");
    assert_fails(th_feature_net_open(ROOT "/other", &p, &f), TH_E_INPUT,
                 ROOT "/other: holds a model of type 'dinov2'; \"clip\" or \"vit\" is wanted");
    assert_fails(th_feature_net_check(ROOT "/nowhere", &clip), TH_E_INPUT, "is no folder with a model in it");
    assert_ok(th_feature_net_check(VIT, &clip));
    assert_false(clip);
    put_text(ROOT "/other/config.json", "{\"model_type\": \"vit\", \"image_size\": 16}");
    assert_fails(th_feature_net_open(ROOT "/other", &p, &f), TH_E_INPUT, ROOT "/other");
}

/* --- whole measurements --- */

typedef struct {
    th_columns *columns[2];
    th_attributes attributes;
    th_image_eval_params p;
} job;

static void open_job(job *j, const char *images, const char *real) {
    static const char *const names[] = {"colour", "place"};
    *j = (job){0};
    th_image_eval_params_init(&j->p);
    j->p.net.batch = 3;
    j->p.net.threads = 1;
    j->p.images = open_set("--images", images, &j->columns[0]);
    if (real) j->p.real = open_set("--real", real, &j->columns[1]);
    if (th_columns_find(j->columns[0], "colour") < 0) return;
    assert_ok(th_attributes_of_columns(names, 2, &j->attributes));
    assert_ok(th_attributes_complete(&j->attributes, &j->p.images, real ? &j->p.real : NULL, (th_texts){0}));
    j->p.attributes = &j->attributes;
}

static void close_job(job *j) {
    th_attributes_free(&j->attributes);
    for (int i = 0; i < 2; i++) th_columns_free(j->columns[i]);
    th_dataset_close(j->p.images.set);
    th_dataset_close(j->p.real.set);
}

static bool inside(th_estimate e) { return e.low <= e.value + 1e-9 && e.value <= e.high + 1e-9; }

static void everything_is_measured_at_once(void **state) {
    (void)state;
    static const char *const folders[] = {ROOT "/clip", VIT};
    job j;
    th_image_eval r, alone;
    open_job(&j, ROOT "/out", ROOT "/out");
    j.p.features = folders, j.p.feature_count = 2;
    j.p.clip = j.p.judge = ROOT "/clip";
    assert_ok(th_image_evaluate(&j.p, NULL, &r));
    assert_true(r.images == 8 && r.reals == 8);
    for (int i = 0; i < 2; i++) { /* a set is as it is */
        assert_true(fabs(r.features[i].frechet.value) < 1e-4);
        assert_true(r.features[i].kernel.value < 0.01);
        assert_true(fabs(r.features[i].nearest.value - 1) < 1e-5);
        assert_true(inside(r.features[i].fidelity) && inside(r.features[i].among_real));
        assert_int_equal(r.features[i].prompts, 3); /* the coat has one picture */
        assert_true(r.features[i].diversity.value >= 0 && r.features[i].low_rank);
    }
    assert_string_equal(r.features[1].kind, "vit");
    assert_true(inside(r.text) && r.text.value == r.real_text.value);
    assert_true(r.attributes[0].n == 7 && r.attributes[1].n == 7 && r.all.n == 6);
    assert_true(inside(r.attributes[0].share) && r.attributes[0].real.value == r.attributes[0].share.value);
    assert_true(r.all.share.value <= 1 && r.all.real_n == 6);
    j.p.features = NULL, j.p.feature_count = 0;
    j.p.judge = NULL;
    assert_ok(th_image_evaluate(&j.p, NULL, &alone)); /* what a folder does beside changes nothing */
    assert_true(alone.text.value == r.text.value && isnan(alone.all.share.value));
    th_image_eval_free(&alone);
    j.p.text_column = "plain";
    assert_ok(th_image_evaluate(&j.p, NULL, &alone));
    assert_true(alone.text.value != r.text.value && alone.real_text.value == r.real_text.value);
    th_image_eval_free(&alone);
    th_image_eval_free(&r);
    close_job(&j);
}

/* The judge is CLIP's zero-shot classifier. */
static void attributes_agree_with_zero_shot_accuracy(void **state) {
    (void)state;
    job j;
    th_image_eval r;
    th_clip_eval_params p;
    th_clip_eval c;
    th_clip_bundle b;
    th_dataset_params how;
    th_dataset *d;
    open_job(&j, ROOT "/out", NULL);
    j.p.judge = ROOT "/clip";
    assert_ok(th_image_evaluate(&j.p, NULL, &r));
    assert_ok(th_clip_bundle_load(ROOT "/clip", &b));
    th_dataset_params_init(&how);
    for (int i = 0; i < 2; i++) {
        how.label_column = i ? "place" : "colour";
        assert_ok(th_dataset_open(ROOT "/out/images.tsv", &how, NULL, &d));
        th_clip_eval_params_init(&p);
        p.labelled = d;
        assert_ok(th_clip_evaluate(&b, &p, NULL, &c));
        assert_int_equal(c.clean.n, r.attributes[i].n);
        assert_true(fabs(c.clean.accuracy[0].value - r.attributes[i].share.value) < 1e-12);
        th_dataset_close(d);
    }
    th_clip_bundle_free(&b);
    th_image_eval_free(&r);
    close_job(&j);
}

static void what_cannot_be_measured_is_said_by_name(void **state) {
    (void)state;
    static const char *const folders[] = {ROOT "/clip"}, *const twice[] = {VIT, VIT};
    job j;
    th_image_eval r;
    open_job(&j, ROOT "/single", ROOT "/real");
    j.p.features = folders, j.p.feature_count = 1;
    assert_fails(th_image_evaluate(&j.p, NULL, &r), TH_E_INPUT, "--images: holds 1 picture, at least 2 are wanted");
    close_job(&j);
    open_job(&j, ROOT "/out", ROOT "/single");
    assert_fails(th_image_eval_check(&j.p), TH_E_INPUT, "--real: holds 1 picture, at least 2 are wanted");
    j.p.real.set = (th_dataset_close(j.p.real.set), NULL);
    j.p.features = twice, j.p.feature_count = 2;
    assert_fails(th_image_eval_check(&j.p), TH_E_USAGE, "dino: is given twice");
    j.p.feature_count = 0;
    j.p.judge = VIT;
    assert_fails(th_image_eval_check(&j.p), TH_E_INPUT, "is no CLIP folder, and only such can judge");
    j.p.judge = NULL, j.p.clip = VIT;
    assert_fails(th_image_eval_check(&j.p), TH_E_INPUT, "is no CLIP folder, and only such reads prompts");
    j.p.clip = ROOT "/clip", j.p.text_column = "nothing";
    assert_fails(th_image_eval_check(&j.p), TH_E_INPUT, "no column 'nothing'");
    j.p.text_column = "place"; /* of which one cell is empty */
    assert_fails(th_image_eval_check(&j.p), TH_E_INPUT, "--images: there is no prompt for '4.png' to hold it against");
    close_job(&j);
}

static volatile sig_atomic_t stop;
static void stop_now(void *user, const char *what, int64_t done, int64_t total, const char *detail) {
    (void)user, (void)what, (void)done, (void)total, (void)detail;
    stop = 1;
}

static void measuring_stops_when_asked_to(void **state) {
    (void)state;
    static const char *const folders[] = {VIT};
    job j;
    th_image_eval r;
    th_watch w = {.progress = stop_now, .stop = &stop};
    open_job(&j, ROOT "/out", ROOT "/real");
    j.p.features = folders, j.p.feature_count = 1;
    assert_fails(th_image_evaluate(&j.p, &w, &r), TH_E_INTERRUPTED, "stopped");
    close_job(&j);
}

static void failed_allocations_lose_nothing(void **state) {
    (void)state;
    static const char *const folders[] = {VIT};
    job j;
    open_job(&j, ROOT "/out", ROOT "/real");
    j.p.features = folders, j.p.feature_count = 1;
    j.p.judge = ROOT "/clip";
    j.p.net.loader_threads = 0;
    size_t before = th_bytes_in_use();
    th_status s = TH_E_MEMORY;
    for (int64_t at = 1; s != TH_OK; at += 1 + at / 40) { /* not each of them, for speed */
        th_image_eval r = {0};
        th_alloc_fail_at(at, false);
        s = th_image_evaluate(&j.p, NULL, &r);
        th_alloc_fail_at(0, false);
        th_image_eval_free(&r);
        assert_int_equal(th_bytes_in_use(), before);
    }
    close_job(&j);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_files_of_attributes_are_refused_by_name),
        cmocka_unit_test(attributes_are_completed_from_what_sets_say),
        cmocka_unit_test(texts_have_the_article_that_suits),
        cmocka_unit_test(scenes_bring_their_values_and_templates),
        cmocka_unit_test(vit_sees_files_as_transformers_does),
        cmocka_unit_test(other_models_are_refused_by_type),
        cmocka_unit_test(everything_is_measured_at_once),
        cmocka_unit_test(attributes_agree_with_zero_shot_accuracy),
        cmocka_unit_test(what_cannot_be_measured_is_said_by_name),
        cmocka_unit_test(measuring_stops_when_asked_to),
        cmocka_unit_test(failed_allocations_lose_nothing),
    };
    return cmocka_run_group_tests_name("measuring pictures", tests, set_up, tear_down);
}
