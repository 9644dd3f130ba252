/* Fitting an autoencoder: it learns, goes on with the same bits, and its latents are brought to unit deviation without
 * changing what comes of a picture. */
#include "test.h"

#include <math.h>

#include "base/file.h"
#include "base/memory.h"
#include "diffusion/encoder.h"
#include "theriac/ops.h"
#include "train/picture_batches.h"
#include "train/vae_fit.h"

#define ROOT "train_vae_test"
enum { SIDE = 16, PICTURES = 24 };

static int set_up(void **state) {
    (void)state;
    if (th_remove_tree(ROOT) != TH_OK || th_make_dirs(ROOT "/set") != TH_OK) return -1;
    for (int i = 0; i < PICTURES; i++) {
        char path[64];
        th_image im = {0};
        if (th_image_new(&im, SIDE, SIDE) != TH_OK) return -1;
        for (int p = 0; p < SIDE * SIDE; p++) /* a square of one colour on another */
            for (int k = 0; k < 3; k++) {
                int x = p % SIDE, y = p / SIDE, in = x > i % 5 && x < 12 && y > i % 3 && y < 13;
                im.pixels[3 * p + k] = (uint8_t)((i * (k + 1) * 29 + (in ? 128 : 0)) % 256);
            }
        snprintf(path, sizeof path, ROOT "/set/p%02d.png", i);
        if (th_image_write(path, &im, 90) != TH_OK) return -1;
        th_image_free(&im);
    }
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    return th_remove_tree(ROOT) == TH_OK ? 0 : -1;
}

static th_dataset *open_set(void) {
    th_dataset *d;
    assert_ok(th_dataset_open(ROOT "/set", NULL, NULL, &d));
    return d;
}

static th_vae *make_vae(void) {
    th_vae_config c;
    th_vae *v;
    th_vae_config_init(&c);
    c.levels = 2;
    c.channels[0] = 8, c.channels[1] = 16;
    c.layers_per_block = 1;
    c.groups = 1;
    c.sample_size = SIDE;
    c.scaling_factor = 1;
    assert_ok(th_vae_new(&c, &v));
    assert_ok(th_vae_randomize(v, 4));
    assert_ok(th_vae_quieten(v, -6));
    return v;
}

static th_vae_fit_params settings(int64_t steps) {
    th_vae_fit_params p;
    th_vae_fit_params_init(&p);
    p.side = SIDE;
    p.fit.batch = 8;
    p.fit.threads = 1;
    p.fit.train.steps = steps;
    p.fit.train.schedule.lr = 5e-3;
    p.fit.train.schedule.warmup = 5;
    p.fit.train.average = 0.9;
    return p;
}

static th_status open_run(const char *path, bool resume, th_run_folder **out) {
    th_options *o = th_options_new("test");
    th_run_folder_params p = {.path = path, .command = "test", .options = o, .resume = resume};
    th_status s = th_run_folder_open(&p, out);
    th_options_free(o);
    return s;
}

/* One call of the fit, stopped after so many steps (0: at the end). */
static th_status fit(th_vae *v, th_dataset *d, const th_vae_fit_params *p, const char *path, bool resume,
                     int64_t stop_after, th_train_result *result) {
    th_vae_fit_params q = *p;
    th_vae_fit *f;
    th_run_folder *run = NULL;
    q.fit.train.resume = resume;
    q.fit.train.stop_after = stop_after;
    assert_ok(th_vae_fit_new(v, d, &q, &f));
    if (path) assert_ok(open_run(path, resume, &run));
    th_vae_fit_set_run(f, run);
    th_status s = th_vae_fit_run(f, NULL, result);
    th_vae_fit_free(f);
    th_run_folder_close(run);
    return s;
}

static void pictures_come_back_better_after_training(void **state) {
    (void)state;
    th_dataset *d = open_set();
    th_vae *v = make_vae();
    th_vae_fit_params p = settings(100);
    th_vae_quality before, after;
    th_train_result result;
    assert_ok(th_vae_measure(v, d, SIDE, 0, 1, NULL, &before));
    assert_ok(fit(v, d, &p, NULL, false, 0, &result));
    assert_ok(th_vae_measure(v, d, SIDE, 0, 1, NULL, &after));
    assert_int_equal(after.count, PICTURES);
    if (!(after.psnr > before.psnr + 2)) fail_msg("from %.2f to %.2f dB", before.psnr, after.psnr);
    assert_true(result.last_loss < 0.8 * result.first_loss);
    assert_true(after.kl > 0);
    th_vae_free(v);
    th_dataset_close(d);
}

static void resume_is_bit_equal(void **state) {
    (void)state;
    th_dataset *d = open_set();
    th_vae_fit_params p = settings(12);
    th_train_result result;
    p.held_out = d;
    p.fit.train.eval_every = 4;
    p.fit.train.checkpoint_every = 5;
    th_vae *whole = make_vae(), *parts = make_vae();
    assert_ok(fit(whole, d, &p, ROOT "/whole", false, 0, &result));
    assert_int_equal(fit(parts, d, &p, ROOT "/parts", false, 7, &result), TH_E_INTERRUPTED);
    th_vae_free(parts);
    parts = make_vae();
    assert_ok(fit(parts, d, &p, ROOT "/parts", true, 0, &result));
    th_bytes a, b;
    assert_ok(th_file_read(ROOT "/whole/checkpoints/step-000000012.safetensors", 1 << 26, &a));
    assert_ok(th_file_read(ROOT "/parts/checkpoints/step-000000012.safetensors", 1 << 26, &b));
    assert_int_equal(a.length, b.length);
    assert_memory_equal(a.data, b.data, a.length);
    th_free(a.data), th_free(b.data);
    assert_ok(th_file_read(ROOT "/whole/metrics.jsonl", 1 << 20, &a));
    assert_ok(th_file_read(ROOT "/parts/metrics.jsonl", 1 << 20, &b));
    assert_string_equal(a.data, b.data);
    assert_non_null(strstr(a.data, "eval/psnr"));
    th_free(a.data), th_free(b.data);
    th_vae_free(whole);
    th_vae_free(parts);
    th_dataset_close(d);
}

/* Moments and the picture that comes of their middle, of the first picture. */
static void pass(const th_vae *v, th_dataset *d, float *moments, float *y) {
    th_picture_batches *b;
    th_picture_batch batch;
    th_vae_encoder *e;
    th_picture_batches_params p = {.data = d, .batch = 1, .each_once = true, .side = SIDE};
    assert_ok(th_picture_batches_new(&p, &b));
    assert_ok(th_picture_batches_next(b, 0, &batch));
    assert_ok(th_vae_encoder_new(v, 1, SIDE, SIDE, 1, &e));
    assert_int_equal(th_vae_encoder_size(e), SIDE / 2 * SIDE / 2 * 8);
    assert_ok(th_vae_encoder_run(e, batch.pictures, 1, moments));
    th_plan *plan;
    th_plan_params params;
    th_graph *g = th_graph_new();
    th_tensor *x = th_input(g, "x", TH_DESC(TH_F32, 1, SIDE, SIDE, 3));
    th_output(g, "y", th_vae_decode(g, v, th_slice(g, th_vae_encode(g, v, x), 3, 0, 4)));
    th_plan_params_init(&params);
    assert_ok(th_plan_new(g, &params, &plan));
    th_graph_free(g);
    memcpy(th_plan_input(plan, "x"), batch.pictures, SIDE * SIDE * 3 * sizeof(float));
    assert_ok(th_plan_run(plan, 0, 0));
    memcpy(y, th_plan_output(plan, "y"), SIDE * SIDE * 3 * sizeof(float));
    th_plan_free(plan);
    th_vae_encoder_free(e);
    th_picture_batches_free(b);
}

static void settled_latents_are_of_unit_deviation_and_mean_the_same(void **state) {
    (void)state;
    enum { MOMENTS = SIDE / 2 * SIDE / 2 * 8, VALUES = SIDE * SIDE * 3 };
    static float before[MOMENTS], after[MOMENTS], x[VALUES], y[VALUES];
    th_dataset *d = open_set();
    th_vae *v = make_vae();
    pass(v, d, before, x);
    assert_ok(th_vae_settle_latents(v, d, SIDE, 0, true, 1, NULL));
    assert_float_equal(th_vae_get_config(v)->scaling_factor, 1, 1e-6);
    pass(v, d, after, y);
    for (int i = 0; i < VALUES; i++)
        if (fabsf(x[i] - y[i]) > 1e-4f) fail_msg("value %d was %g and is %g", i, (double)x[i], (double)y[i]);
    /* A second look finds them as they were left, and without channels the factor alone is set. */
    assert_ok(th_vae_settle_latents(v, d, SIDE, 0, false, 1, NULL));
    assert_float_equal(th_vae_get_config(v)->scaling_factor, 1, 1e-4);
    th_vae *w = make_vae();
    assert_ok(th_vae_settle_latents(w, d, SIDE, 0, false, 1, NULL));
    assert_true(fabsf(th_vae_get_config(w)->scaling_factor - 1) > 1e-2f);
    pass(w, d, after, y);
    assert_memory_equal(before, after, sizeof before);
    th_vae_free(w);
    th_vae_free(v);
    th_dataset_close(d);
}

static void sides_that_do_not_fit_are_refused(void **state) {
    (void)state;
    th_dataset *d = open_set();
    th_vae *v = make_vae();
    th_vae_fit_params p = settings(1);
    th_vae_fit *f;
    p.side = 15;
    assert_fails(th_vae_fit_new(v, d, &p, &f), TH_E_USAGE, "a multiple of 2");
    th_vae_free(v);
    th_dataset_close(d);
}

static void budget_is_kept_by_recomputing(void **state) {
    (void)state;
    th_dataset *d = open_set();
    th_vae *v = make_vae();
    th_vae_fit_params p = settings(1);
    th_vae_fit *f;
    th_fit_cost whole, less;
    assert_ok(th_vae_fit_new(v, d, &p, &f));
    th_vae_fit_get_cost(f, &whole);
    th_vae_fit_free(f);
    p.fit.memory = whole.step.bytes - whole.step.tensor_bytes / 4;
    assert_ok(th_vae_fit_new(v, d, &p, &f));
    th_vae_fit_get_cost(f, &less);
    th_vae_fit_free(f);
    assert_true(less.step.bytes <= p.fit.memory);
    p.fit.memory = 1 << 16;
    assert_fails(th_vae_fit_new(v, d, &p, &f), TH_E_MEMORY, "");
    th_vae_free(v);
    th_dataset_close(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_come_back_better_after_training),
        cmocka_unit_test(resume_is_bit_equal),
        cmocka_unit_test(settled_latents_are_of_unit_deviation_and_mean_the_same),
        cmocka_unit_test(sides_that_do_not_fit_are_refused),
        cmocka_unit_test(budget_is_kept_by_recomputing),
    };
    return cmocka_run_group_tests_name("train_vae", tests, set_up, tear_down);
}
