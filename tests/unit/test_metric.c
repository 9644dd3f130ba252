/* Metrics on cases whose answer is known, and evaluations of small models on sets made here. */
#include "dataset_fixture.h"

#include <math.h>

#include "metric/clip_eval.h"

/* Wilson's interval of 8 of 10 is [0.4902, 0.9433] (Wilson 1927; any table of it). */
static void shares_have_wilsons_interval(void **state) {
    (void)state;
    th_estimate e = th_share(8, 10);
    assert_float_equal(e.value, 0.8, 1e-12);
    assert_float_equal(e.low, 0.4902, 1e-4);
    assert_float_equal(e.high, 0.9433, 1e-4);
    e = th_share(0, 20);
    assert_float_equal(e.low, 0, 1e-12);
    assert_float_equal(e.high, 0.1611, 1e-4);
    assert_true(isnan(th_share(0, 0).value));
}

static void means_have_students_interval(void **state) {
    (void)state;
    const double v[] = {1, 2, 3};
    th_estimate e = th_mean_of(v, 3);
    assert_float_equal(e.value, 2, 1e-12);
    assert_float_equal(e.high - e.value, 4.303 / sqrt(3.0), 1e-9);
    assert_true(isnan(th_mean_of(v, 1).low));
}

/* Classes on the axes; pictures near them. */
static const float axes[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
static const float pictures[12] = {0.9f, 0.1f, 0, 0.6f, 0.8f, 0, 0.1f, 0.2f, 0.97f, 0, 0.8f, 0.6f};
static const int32_t labels[4] = {0, 0, 2, -1};

static void accuracy_counts_the_nearest_classes(void **state) {
    (void)state;
    th_zeroshot z = {pictures, labels, 4, axes, 3, 3};
    th_accuracy a;
    int32_t found[4];
    th_zeroshot_accuracy(&z, &a);
    assert_int_equal(a.n, 3); /* the unlabelled one is left out */
    assert_float_equal(a.accuracy[0].value, 2.0 / 3, 1e-12);
    assert_float_equal(a.accuracy[1].value, 1, 1e-12);
    th_zeroshot_predict(&z, found);
    assert_int_equal(found[0], 0);
    assert_int_equal(found[1], 1);
    assert_int_equal(found[3], 1);
}

static void target_rate_leaves_out_the_targets_own_pictures(void **state) {
    (void)state;
    th_zeroshot z = {pictures, labels, 4, axes, 3, 3};
    th_target_rate r;
    th_zeroshot_target_rate(&z, 2, &r);
    assert_int_equal(r.n, 2);
    assert_float_equal(r.rate[0].value, 0, 1e-12);
    th_zeroshot_target_rate(&z, 1, &r);
    assert_int_equal(r.n, 3);
    assert_float_equal(r.rate[0].value, 1.0 / 3, 1e-12);
}

/* A model that gives the same embedding to everything must not look good. */
static void ties_count_against(void **state) {
    (void)state;
    const float same[6] = {1, 0, 1, 0, 1, 0}, one[2] = {1, 0};
    const int32_t label = 0;
    th_zeroshot z = {one, &label, 1, same, 3, 2};
    th_accuracy a;
    th_zeroshot_accuracy(&z, &a);
    assert_float_equal(a.accuracy[0].value, 0, 1e-12);
    const int64_t owner[3] = {0, 1, 2};
    th_retrieval r;
    assert_ok(th_retrieval_measure(same, 3, same, owner, 3, 2, &r));
    assert_float_equal(r.text_to_image[0].value, 0, 1e-12);
    assert_float_equal(r.image_to_text[0].value, 0, 1e-12);
}

/* As the last one: what is not a number is no reason to call anything found. */
static void embeddings_that_are_not_numbers_find_nothing(void **state) {
    (void)state;
    const float none[2] = {NAN, NAN}, one[2] = {1, 0}, half[6] = {1, 0, NAN, NAN, 0, 1};
    const int32_t label = 0;
    th_accuracy a;
    th_target_rate t;
    th_zeroshot z = {none, &label, 1, half, 3, 2};
    th_zeroshot_accuracy(&z, &a);
    th_zeroshot_target_rate(&z, 1, &t);
    assert_float_equal(a.accuracy[0].value, 0, 1e-12);
    assert_float_equal(t.rate[0].value, 0, 1e-12);
    z.images = one; /* a class that is not a number may be nearer */
    th_zeroshot_accuracy(&z, &a);
    assert_float_equal(a.accuracy[0].value, 0, 1e-12);
    const float images[6] = {NAN, NAN, 1, 0, NAN, NAN};
    const int64_t owner[3] = {0, 1, 2};
    th_retrieval r;
    assert_ok(th_retrieval_measure(images, 3, half, owner, 3, 2, &r));
    assert_float_equal(r.text_to_image[0].value, 0, 1e-12);
    assert_float_equal(r.image_to_text[0].value, 0, 1e-12);
    assert_int_equal(th_find_not_finite(half, 3, 2), 1);
    assert_int_equal(th_find_not_finite(axes, 3, 3), -1);
}

/* Five captions of each of 40 pictures that are found all or not at all are 40 trials, not 200. */
static void shares_of_groups_are_as_sure_as_the_groups(void **state) {
    (void)state;
    enum { N = 40 };
    int64_t hits[N], five[N], one[N], some[N];
    for (int i = 0; i < N; i++) hits[i] = i % 4 ? 5 : 0, five[i] = 5, one[i] = 1, some[i] = i % 4 > 0;
    th_estimate groups, again, wilson = th_share(30, 40), naive = th_share(150, 200);
    assert_ok(th_share_of_groups(hits, five, N, &groups));
    assert_float_equal(groups.value, 0.75, 1e-12);
    assert_true(groups.high - groups.low > 1.8 * (naive.high - naive.low));
    assert_float_equal(groups.low, wilson.low, 0.03);
    assert_float_equal(groups.high, wilson.high, 0.03);
    assert_ok(th_share_of_groups(hits, five, N, &again));
    assert_memory_equal(&groups, &again, sizeof groups);
    assert_ok(th_share_of_groups(some, one, N, &groups)); /* one a group: Wilson's */
    assert_memory_equal(&groups, &wilson, sizeof groups);
    assert_ok(th_share_of_groups(five, five, N, &groups)); /* all: nothing to draw, yet not sure */
    assert_float_equal(groups.low, th_share(40, 40).low, 1e-12);
    for (int i = 0; i < N; i++) five[i] = hits[i]; /* every fourth has none */
    assert_ok(th_share_of_groups(hits, five, N, &groups));
    assert_float_equal(groups.low, th_share(30, 30).low, 1e-12);
    assert_ok(th_share_of_groups(hits, five, 0, &groups));
    assert_true(isnan(groups.value));
}

static void class_embeddings_are_mean_directions(void **state) {
    (void)state;
    const float texts[8] = {1, 0, 0, 1, 0, 1, 0, 1};
    float out[4];
    th_class_embeddings(texts, 2, 2, 2, out);
    assert_float_equal(out[0], sqrtf(0.5f), 1e-6);
    assert_float_equal(out[1], sqrtf(0.5f), 1e-6);
    assert_float_equal(out[3], 1, 1e-6);
}

static void retrieval_takes_the_best_of_several_captions(void **state) {
    (void)state;
    /* Two captions an image; the second of image 0 is at the other image. */
    const float captions[12] = {0.9f, 0.1f, 0, 0, 1, 0, 0.1f, 0.95f, 0, 0, 0.9f, 0.1f};
    const int64_t owner[4] = {0, 0, 1, 1};
    th_retrieval r;
    assert_ok(th_retrieval_measure(axes, 2, captions, owner, 4, 3, &r));
    assert_float_equal(r.image_to_text[0].value, 0.5, 1e-12); /* image 1 finds image 0's stray caption first */
    assert_float_equal(r.text_to_image[0].value, 0.75, 1e-12);
    assert_float_equal(r.text_to_image[1].value, 1, 1e-12);
    assert_int_equal(r.images, 2);
    assert_int_equal(r.captions, 4);
}

/* --- evaluations --- */

#define ROOT "metric_test"

static int set_up(void **state) {
    (void)state;
    th_remove_tree(ROOT);
    return th_make_dirs(ROOT) == TH_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    return th_remove_tree(ROOT) == TH_OK ? 0 : -1;
}

/* Five pictures, of which c.png is none, as a table with these columns and cells. */
static th_dataset *table(const char *name, const char *header, const char *const cells[5], bool skip_bad) {
    char path[100], text[1000];
    int at = snprintf(text, sizeof text, "filepath\t%s\n", header);
    for (int i = 0; i < 5; i++) {
        snprintf(path, sizeof path, ROOT "/%c.png", 'a' + i);
        put_picture(path, 40 * i + 20);
        at += snprintf(text + at, sizeof text - (size_t)at, "%c.png\t%s\n", 'a' + i, cells[i]);
    }
    if (skip_bad) put_text(ROOT "/c.png", "no picture");
    snprintf(path, sizeof path, ROOT "/%s.tsv", name);
    put_text(path, text);
    th_dataset_params p;
    th_dataset_params_init(&p);
    p.skip_bad = skip_bad;
    th_dataset *d;
    assert_ok(th_dataset_open(path, &p, NULL, &d));
    return d;
}

static const char *const garments[5] = {"a bag", "a boot", "a coat", "a bag", "a boot"};
static const char *const numbers[5] = {"0", "1", "2", "0", "1"};

static void wrong_questions_are_refused_by_name(void **state) {
    (void)state;
    th_dataset *named = table("named", "label", garments, false),
               *numbered = table("numbered", "label", numbers, false),
               *unlabelled = table("unlabelled", "title", garments, false);
    th_clip_eval_params p;
    th_clip_eval_params_init(&p);
    p.names = (th_clip_eval_names){.labelled = "--eval a.tsv",
                                   .triggered = "--eval-triggered b.tsv",
                                   .pairs = "--eval-pairs c.tsv",
                                   .target = "--target",
                                   .classes = "names.txt",
                                   .templates = "forms.txt"};
    p.labelled = named;
    assert_ok(th_clip_eval_check(&p));
    p.target = "a cat";
    assert_fails(th_clip_eval_check(&p), TH_E_USAGE,
                 "--target: 'a cat' is none of the classes (did you mean 'a coat'?)");
    p.target = "umbrella";
    assert_fails(th_clip_eval_check(&p), TH_E_USAGE, "'umbrella' is none of the classes: a bag, a boot, a coat");
    p.target = "A Coat";
    assert_ok(th_clip_eval_check(&p));
    const char *const forms[] = {"a photo of {}", "a picture"};
    p.templates = (th_texts){forms, 2};
    assert_fails(th_clip_eval_check(&p), TH_E_INPUT, "forms.txt: the template 'a picture' has no {} for the class");
    p.templates.count = 1;
    p.triggered = unlabelled;
    assert_fails(th_clip_eval_check(&p), TH_E_INPUT, "--eval-triggered b.tsv: no picture has a label");
    p.triggered = NULL;
    const char *const others[] = {"bag", "boot", "coat"};
    p.classes = (th_texts){others, 3};
    p.target = "bag";
    assert_fails(th_clip_eval_check(&p), TH_E_INPUT,
                 "--eval a.tsv: no picture is of one of the classes: its own are like 'a boot', those of names.txt "
                 "like 'bag'");
    p.labelled = numbered;
    assert_ok(th_clip_eval_check(&p));
    p.classes.count = 2;
    assert_fails(th_clip_eval_check(&p), TH_E_INPUT,
                 "--eval a.tsv: its labels go up to 2, beyond the 2 classes of names.txt");
    p.classes.count = 0;
    assert_fails(th_clip_eval_check(&p), TH_E_INPUT,
                 "--eval a.tsv: its classes have numbers only: names.txt must name them");
    p = (th_clip_eval_params){.pairs = numbered};
    assert_fails(th_clip_eval_check(&p), TH_E_INPUT, "the set for retrieval: has no captions");
    th_dataset_close(named), th_dataset_close(numbered), th_dataset_close(unlabelled);
}

/* Triggered sets are written in forms other than those of the scenes they come from. */
static void class_names_with_articles_get_none_from_the_templates(void **state) {
    (void)state;
    const char *const bare[] = {"bag", "boot"}, *const with[] = {"a bag", "an ankle boot", "trousers"};
    assert_string_equal(th_usual_templates((th_texts){bare, 2}).items[0], "a photo of a {}.");
    assert_ptr_equal(th_usual_templates((th_texts){with, 3}).items, th_scene_templates);
    assert_ptr_equal(th_usual_templates((th_texts){th_scene_class_names, TH_GARMENT_COUNT}).items, th_scene_templates);
}

static th_clip_bundle small_model(void) {
    th_clip_bundle b = {0};
    th_clip_config c;
    th_clip_config_init(&c);
    c.vision = (th_clip_tower){.width = 16, .heads = 2, .layers = 1, .mlp = 32, .eps = 1e-5f};
    c.text = c.vision;
    c.image_size = 8, c.patch_size = 4, c.projection = 8, c.context = 16;
    assert_ok(th_tokenizer_load(TH_TEST_DATA "/tokenizer", &b.tokenizer));
    c.vocab_size = th_tokenizer_size(b.tokenizer);
    c.eos_token_id = 2; /* the largest id */
    assert_ok(th_clip_new(&c, &b.model));
    assert_ok(th_clip_randomize(b.model, 1));
    th_preprocess_params_init(&b.preprocess, 8);
    return b;
}

static void pictures_that_are_passed_over_are_not_counted(void **state) {
    (void)state;
    th_clip_bundle b = small_model();
    for (int bad = 0; bad < 2; bad++) {
        th_clip_eval_params p;
        th_clip_eval r;
        th_clip_eval_params_init(&p);
        p.target = "a bag";
        p.batch = 2;
        p.pairs = table("pairs", "title", garments, bad);
        p.labelled = p.triggered = table("labelled", "label", garments, bad);
        assert_ok(th_clip_evaluate(&b, &p, NULL, &r));
        assert_int_equal(r.clean.n, 5 - bad);
        assert_int_equal(r.attack.n, 3 - bad);
        assert_int_equal(r.retrieval.images, 5 - bad);
        assert_int_equal(r.retrieval.captions, 5 - bad);
        assert_int_equal(r.passed_over, 3 * bad); /* one in each set */
        th_dataset_close(p.labelled), th_dataset_close(p.pairs);
    }
    th_clip_bundle_free(&b);
}

static void a_broken_model_is_not_measured(void **state) {
    (void)state;
    static const char *const towers[] = {"visual_projection.weight", "text_projection.weight"};
    static const char *const messages[] = {"the model: the embedding of picture 'a.png' is not finite",
                                           "the model: the embedding of the text 'a bag' is not finite"};
    for (int i = 0; i < 2; i++) {
        th_clip_bundle b = small_model();
        float bad[16 * 8];
        for (int k = 0; k < 16 * 8; k++) bad[k] = NAN;
        assert_ok(th_param_set(th_params_find(th_clip_params(b.model), towers[i]), bad));
        th_clip_eval_params p;
        th_clip_eval r;
        th_clip_eval_params_init(&p);
        p.labelled = table("labelled", "label", garments, false);
        assert_fails(th_clip_evaluate(&b, &p, NULL, &r), TH_E_INPUT, messages[i]);
        th_dataset_close(p.labelled);
        p.labelled = NULL;
        p.pairs = table("pairs", "title", garments, false);
        assert_fails(th_clip_evaluate(&b, &p, NULL, &r), TH_E_INPUT, messages[i]);
        th_dataset_close(p.pairs);
        th_clip_bundle_free(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_have_wilsons_interval),
        cmocka_unit_test(means_have_students_interval),
        cmocka_unit_test(accuracy_counts_the_nearest_classes),
        cmocka_unit_test(target_rate_leaves_out_the_targets_own_pictures),
        cmocka_unit_test(ties_count_against),
        cmocka_unit_test(embeddings_that_are_not_numbers_find_nothing),
        cmocka_unit_test(shares_of_groups_are_as_sure_as_the_groups),
        cmocka_unit_test(class_embeddings_are_mean_directions),
        cmocka_unit_test(retrieval_takes_the_best_of_several_captions),
        cmocka_unit_test(wrong_questions_are_refused_by_name),
        cmocka_unit_test(class_names_with_articles_get_none_from_the_templates),
        cmocka_unit_test(pictures_that_are_passed_over_are_not_counted),
        cmocka_unit_test(a_broken_model_is_not_measured),
    };
    return cmocka_run_group_tests_name("metrics", tests, set_up, tear_down);
}
