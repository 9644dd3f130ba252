/* Every defense's loss is the formula of its page in docs/methods, computed here once more in double precision. */
#include "test.h"

#include <math.h>

#include "base/rng.h"
#include "defense/defense.h"
#include "theriac/plan.h"

enum { N = 4, D = 5, S = 3, M = 2 };
#define SCALE 7.0

/* Unit rows, and what of the negatives is masked. */
static struct {
    float images[N * D], texts[N * D], image_views[N * D], text_views[N * D], positives[S * D], negatives[S * M * D];
    float mask[S * M];
} data;

static void fill_unit(float *rows, int n, uint32_t which) {
    for (int i = 0; i < n; i++) {
        double norm = 0;
        for (int k = 0; k < D; k++) {
            float v = th_unit_f32(th_philox(5, TH_RNG_TEST, which, (uint64_t)(i * D + k)).word[0]) - 0.4f;
            rows[i * D + k] = v;
            norm += (double)v * (double)v;
        }
        for (int k = 0; k < D; k++) rows[i * D + k] /= (float)sqrt(norm);
    }
}

static int set_up(void **state) {
    (void)state;
    fill_unit(data.images, N, 0);
    fill_unit(data.texts, N, 1);
    fill_unit(data.image_views, N, 2);
    fill_unit(data.text_views, N, 3);
    fill_unit(data.positives, S, 4);
    fill_unit(data.negatives, S * M, 5);
    data.mask[2 * M + 1] = -1e9f; /* the last row has one negative */
    return 0;
}

/* --- the formulas --- */

static double term(const float *a, const float *b) { /* e^{s⟨a,b⟩} */
    double dot = 0;
    for (int k = 0; k < D; k++) dot += (double)a[k] * (double)b[k];
    return exp(SCALE * dot);
}

/* CE(s a bᵀ, diagonal) of n rows; extra, if any, are M false ones of each row's own. */
static double match(const float *a, const float *b, int n, const float *extra) {
    double sum = 0;
    for (int i = 0; i < n; i++) {
        double all = 0;
        for (int j = 0; j < n; j++) all += term(a + i * D, b + j * D);
        for (int m = 0; extra && m < M; m++)
            if (data.mask[i * M + m] == 0) all += term(a + i * D, extra + (i * M + m) * D);
        sum -= log(term(a + i * D, b + i * D) / all);
    }
    return sum / n;
}

static double clip(void) {
    return 0.5 * (match(data.images, data.texts, N, NULL) + match(data.texts, data.images, N, NULL));
}

static double self(void) {
    return 0.5 * (match(data.images, data.image_views, N, NULL) + match(data.texts, data.text_views, N, NULL));
}

static double negatives_alone(void) {
    double sum = 0;
    for (int i = 0; i < S; i++) {
        const float *image = data.images + i * D;
        double own = term(image, data.positives + i * D), all = own;
        for (int m = 0; m < M; m++)
            if (data.mask[i * M + m] == 0) all += term(image, data.negatives + (i * M + m) * D);
        sum -= log(own / all);
    }
    return 0.5 * sum / S;
}

/* --- the graphs --- */

static th_tensor *input(th_graph *g, const char *name, int rows) { return th_input(g, name, TH_DESC(TH_F32, rows, D)); }

static void put(th_plan *p, const char *name, const float *values, size_t count) {
    float *to = th_plan_input(p, name);
    if (to) memcpy(to, values, count * sizeof *to);
}

static double loss_of(const char *method, const char *name, const char *value) {
    const th_clip_method *m = th_defense_find(method);
    assert_non_null(m);
    th_options *o = th_options_new("test");
    assert_ok(th_options_add(o, "Method", m->options));
    if (name) assert_ok(th_options_set_text(o, TH_FROM_FLAG, NULL, name, value));
    th_graph *g = th_graph_new();
    th_clip_batch b = {.g = g, .options = o, .batch = N, .subset = S, .negatives = M};
    b.images = input(g, "images", N), b.texts = input(g, "texts", N);
    b.image_views = input(g, "image_views", N), b.text_views = input(g, "text_views", N);
    b.positive_texts = input(g, "positives", S), b.negative_texts = input(g, "negatives", S * M);
    b.negative_mask = th_input(g, "mask", TH_DESC(TH_F32, S, M));
    b.scale = th_input(g, "scale", (th_desc){.dtype = TH_F32});
    th_output(g, "loss", m->loss(&b));
    th_plan_params params;
    th_plan *p;
    th_plan_params_init(&params);
    params.threads = 1;
    assert_ok(th_plan_new(g, &params, &p));
    th_graph_free(g);
    const float scale = SCALE;
    put(p, "images", data.images, N * D), put(p, "texts", data.texts, N * D);
    put(p, "image_views", data.image_views, N * D), put(p, "text_views", data.text_views, N * D);
    put(p, "positives", data.positives, S * D), put(p, "negatives", data.negatives, S * M * D);
    put(p, "mask", data.mask, S * M), put(p, "scale", &scale, 1);
    assert_ok(th_plan_run(p, 0, 0));
    double loss = (double)*(const float *)th_plan_output(p, "loss");
    assert_ok(th_options_check(o));
    th_plan_free(p);
    th_options_free(o);
    return loss;
}

static void finetune_is_the_contrastive_loss(void **state) {
    (void)state;
    assert_float_equal(loss_of("finetune", NULL, NULL), clip(), 1e-5);
}

static void cleanclip_adds_the_views(void **state) {
    (void)state;
    assert_float_equal(loss_of("cleanclip", NULL, NULL), clip() + self(), 1e-5);
    assert_float_equal(loss_of("cleanclip", "self-weight", "0.25"), clip() + 0.25 * self(), 1e-5);
}

static void cleanerclip_adds_the_subtexts(void **state) {
    (void)state;
    double t2i = match(data.positives, data.images, S, NULL);
    double both = 0.5 * (match(data.images, data.positives, S, data.negatives) + t2i);
    assert_float_equal(loss_of("cleanerclip", NULL, NULL), clip() + self() + both, 1e-5);
    assert_float_equal(loss_of("cleanerclip", "subtext-weight", "3"), clip() + self() + 3 * both, 1e-5);
}

/* An ablation leaves something out and gives what stays no other weight. */
static void ablations_keep_the_weight_of_what_stays(void **state) {
    (void)state;
    double t2i = match(data.positives, data.images, S, NULL);
    double positives = 0.5 * (match(data.images, data.positives, S, NULL) + t2i);
    assert_float_equal(loss_of("cleanerclip", "subtexts", "positives"), clip() + self() + positives, 1e-5);
    assert_float_equal(loss_of("cleanerclip", "subtexts", "negatives"), clip() + self() + negatives_alone(), 1e-5);
}

static void a_method_names_its_own_options(void **state) {
    (void)state;
    for (int i = 0; th_defenses[i]; i++) {
        const th_clip_method *m = th_defenses[i];
        th_options *o = th_options_new("test");
        assert_ok(th_options_add(o, "Method", m->options));
        assert_int_equal((m->needs & TH_NEEDS_SUBTEXTS) != 0, m->subset_option != NULL);
        assert_int_equal(m->subset_option != NULL, m->negatives_option != NULL);
        if (m->subset_option) assert_true(th_get_f64(o, m->subset_option) > 0);
        if (m->negatives_option) assert_true(th_get_i64(o, m->negatives_option) > 0);
        assert_ok(th_options_check(o));
        th_options_free(o);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finetune_is_the_contrastive_loss), cmocka_unit_test(cleanclip_adds_the_views),
        cmocka_unit_test(cleanerclip_adds_the_subtexts),    cmocka_unit_test(ablations_keep_the_weight_of_what_stays),
        cmocka_unit_test(a_method_names_its_own_options),
    };
    return cmocka_run_group_tests_name("defense: losses", tests, set_up, NULL);
}
