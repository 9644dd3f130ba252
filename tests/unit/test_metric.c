/* Metrics on cases whose answer is known. */
#include "test.h"

#include <math.h>

#include "metric/zeroshot.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_have_wilsons_interval),
        cmocka_unit_test(means_have_students_interval),
        cmocka_unit_test(accuracy_counts_the_nearest_classes),
        cmocka_unit_test(target_rate_leaves_out_the_targets_own_pictures),
        cmocka_unit_test(ties_count_against),
        cmocka_unit_test(class_embeddings_are_mean_directions),
        cmocka_unit_test(retrieval_takes_the_best_of_several_captions),
    };
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
