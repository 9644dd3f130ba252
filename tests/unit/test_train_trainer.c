/* The training loop on a small task: it learns, stops cleanly, goes on with the same bits, and says what it did. */
#include "test.h"

#include <math.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/rng.h"
#include "theriac/ops.h"
#include "train/checkpoint.h"
#include "train/trainer.h"

#define BATCH 8
#define IN 6

/* y = tanh(x · a) · b is to be found; x is a function of the step. */
typedef struct {
    th_params *params;
    th_plan *plan;
    th_train_task task;
    int evaluations;
} problem;

static float draw(uint32_t step, uint64_t i) { return th_unit_f32(th_philox(3, TH_RNG_TEST, step, i).word[0]) * 2 - 1; }

static th_status feed(void *user, int64_t step, th_plan *plan) {
    (void)user;
    float *x = th_plan_input(plan, "x"), *y = th_plan_input(plan, "y");
    for (int k = 0; k < BATCH; k++) {
        float sum = 0;
        for (int i = 0; i < IN; i++)
            sum += (x[k * IN + i] = draw((uint32_t)step, (uint64_t)(k * IN + i))) * (float)(i - 2);
        y[k] = tanhf(sum);
    }
    return TH_OK;
}

static th_status evaluate(void *user, int64_t step, th_metric *metrics, int max, int *count) {
    (void)max;
    problem *p = user;
    p->evaluations++;
    metrics[0] = (th_metric){"eval/step_doubled", (double)step * 2};
    *count = 1;
    return TH_OK;
}

static problem make(void) {
    problem p = {.params = th_params_new()};
    th_param *a = th_params_add(p.params, "a", TH_DESC(TH_F32, 16, IN)),
             *b = th_params_add(p.params, "b", TH_DESC(TH_F32, 1, 16));
    float v[16 * IN];
    for (int i = 0; i < 16 * IN; i++) v[i] = draw(99, (uint64_t)i) * 0.5f;
    assert_ok(th_param_set(a, v));
    assert_ok(th_param_set(b, v));
    th_graph *g = th_graph_new();
    th_tensor *x = th_input(g, "x", TH_DESC(TH_F32, BATCH, IN)), *y = th_input(g, "y", TH_DESC(TH_F32, BATCH, 1));
    th_tensor *h = th_tanh(g, th_linear(g, x, th_use(g, a), NULL));
    th_tensor *loss = th_mean_all(g, th_square(g, th_sub(g, th_linear(g, h, th_use(g, b), NULL), y)));
    th_output(g, "loss", loss);
    th_grad_params(g, loss, p.params);
    th_plan_params params;
    th_plan_params_init(&params);
    assert_ok(th_plan_new(g, &params, &p.plan));
    th_graph_free(g);
    p.task = (th_train_task){.params = p.params, .plan = p.plan, .feed = feed};
    return p;
}

static void drop(problem *p) {
    th_plan_free(p->plan);
    th_params_free(p->params);
}

static th_train_params settings(int64_t steps) {
    th_train_params t;
    th_train_params_init(&t);
    t.steps = steps;
    t.threads = 1;
    t.schedule.lr = 0.02;
    t.schedule.warmup = 3;
    t.checkpoint_every = 4;
    t.eval_every = 5;
    t.adamw.clip_norm = 1;
    return t;
}

static const th_option options[] = {TH_OPT_F32("lr", 0.02, "learning rate"), TH_OPT_INT("steps", 0, "steps"),
                                    TH_OPT_END};

static th_status open_run(const char *path, bool resume, const char *lr, th_run_folder **out) {
    th_options *o = th_options_new("test");
    assert_ok(th_options_add(o, "Test", options));
    assert_ok(th_options_set_text(o, TH_FROM_FLAG, NULL, "lr", lr));
    th_run_folder_params p = {.path = path, .command = "test", .options = o, .resume = resume};
    th_status s = th_run_folder_open(&p, out);
    th_options_free(o);
    return s;
}

static void the_loss_falls(void **state) {
    (void)state;
    problem p = make();
    th_train_params t = settings(300);
    th_train_result r;
    assert_ok(th_train(&p.task, &t, NULL, &r));
    assert_int_equal(r.steps, 300);
    if (!(r.last_loss < 0.2 * r.first_loss)) fail_msg("the loss went from %g to %g", r.first_loss, r.last_loss);
    drop(&p);
}

/* The parameters and metrics.jsonl of a run of `steps`, cut into pieces of `piece` steps, with accumulation and
 * averaging. */
static void run_in_pieces(const char *dir, int64_t steps, int64_t piece, float *a, th_bytes *metrics) {
    assert_ok(th_remove_tree(dir));
    for (bool first = true;; first = false) {
        problem p = make();
        th_train_params t = settings(steps);
        th_train_result r;
        t.accumulate = 2;
        t.average = 0.9;
        t.stop_after = piece;
        t.resume = !first;
        p.task.evaluate = evaluate;
        p.task.user = &p;
        assert_ok(open_run(dir, !first, "0.02", &t.run));
        th_status s = th_train(&p.task, &t, NULL, &r);
        if (s != TH_OK) assert_int_equal(s, TH_E_INTERRUPTED);
        assert_ok(th_param_get(th_params_find(p.params, "a"), a));
        th_run_folder_close(t.run);
        drop(&p);
        if (s == TH_OK) break;
    }
    char path[TH_PATH_MAX];
    assert_ok(th_path_join(path, dir, "metrics.jsonl"));
    assert_ok(th_file_read(path, 1 << 20, metrics));
}

static void a_resumed_run_equals_one_that_never_stopped(void **state) {
    (void)state;
    float whole[16 * IN], pieces[16 * IN];
    th_bytes m, n;
    run_in_pieces("run_whole", 23, 0, whole, &m);
    run_in_pieces("run_pieces", 23, 3, pieces, &n);
    assert_memory_equal(whole, pieces, sizeof whole);
    assert_string_equal(m.data, n.data);
    assert_non_null(strstr(m.data, "\"eval/step_doubled\":20"));
    th_free(m.data);
    th_free(n.data);
    assert_ok(th_remove_tree("run_whole"));
    assert_ok(th_remove_tree("run_pieces"));
}

static void a_run_is_resumed_only_as_it_was_made(void **state) {
    (void)state;
    th_run_folder *r = NULL;
    assert_ok(th_remove_tree("run_same"));
    assert_fails(open_run("run_same", true, "0.1", &r), TH_E_USAGE, "holds no run");
    assert_ok(open_run("run_same", false, "0.1", &r));
    th_run_folder_close(r);
    assert_fails(open_run("run_same", false, "0.1", &r), TH_E_USAGE, "--resume");
    assert_fails(open_run("run_same", true, "0.2", &r), TH_E_USAGE, "'lr' = 0.1, now it is 0.2");
    assert_ok(open_run("run_same", true, "0.1", &r));
    th_run_folder_close(r);
    assert_ok(th_remove_tree("run_same"));
}

/* Newer versions have more options: with their defaults they train as the old one did. */
static void a_run_of_an_older_version_is_resumed(void **state) {
    (void)state;
    static const char old[] = "{\"command\": \"test\", \"options\": {\"lr\": 0.1}}";
    th_run_folder *r = NULL;
    assert_ok(th_remove_tree("run_old"));
    assert_ok(th_make_dirs("run_old/checkpoints"));
    assert_ok(th_file_write("run_old/run.json", old, strlen(old)));
    assert_fails(open_run("run_old", true, "0.2", &r), TH_E_USAGE, "'lr' = 0.1, now it is 0.2");
    assert_ok(open_run("run_old", true, "0.1", &r));
    th_run_folder_close(r);
    static const char older[] = "{\"command\": \"test\", \"options\": {}}";
    assert_ok(th_file_write("run_old/run.json", older, strlen(older)));
    assert_fails(open_run("run_old", true, "0.1", &r), TH_E_USAGE, "'lr' = none, now it is 0.1");
    assert_ok(th_remove_tree("run_old"));
}

static void only_the_newest_checkpoints_are_kept(void **state) {
    (void)state;
    problem p = make();
    th_train_params t = settings(20);
    th_train_result r;
    char path[TH_PATH_MAX];
    assert_ok(th_remove_tree("run_keep"));
    assert_ok(open_run("run_keep", false, "0.02", &t.run));
    assert_ok(th_train(&p.task, &t, NULL, &r));
    assert_int_equal(th_run_folder_newest(t.run, path), 20);
    th_names names;
    assert_ok(th_list_dir("run_keep/checkpoints", &names));
    assert_int_equal(names.count, 2);
    th_names_free(&names);
    th_run_folder_close(t.run);
    drop(&p);
    assert_ok(th_remove_tree("run_keep"));
}

/* A disk that fills up while a checkpoint is written: /dev/full stands behind the writer's temporary name. */
static void a_full_disk_loses_no_finished_checkpoint(void **state) {
    (void)state;
    if (access("/dev/full", W_OK) != 0) skip_because("there is no /dev/full");
    problem p = make();
    th_train_params t = settings(8);
    th_train_result r;
    char path[TH_PATH_MAX];
    assert_ok(th_remove_tree("run_full"));
    assert_ok(open_run("run_full", false, "0.02", &t.run));
    assert_int_equal(symlink("/dev/full", "run_full/checkpoints/step-000000008.safetensors.tmp"), 0);
    assert_fails(th_train(&p.task, &t, NULL, &r), TH_E_DISK, "step-000000008.safetensors");
    assert_int_equal(th_run_folder_newest(t.run, path), 4);
    th_training_state s = {.params = p.params};
    th_adamw_params adamw;
    th_adamw_params_init(&adamw);
    assert_ok(th_optimizer_new(p.params, &adamw, NULL, &s.optimizer));
    assert_ok(th_checkpoint_load(path, &s));
    assert_int_equal(s.step, 4);
    th_optimizer_free(s.optimizer);
    th_run_folder_close(t.run);
    drop(&p);
    assert_ok(th_remove_tree("run_full"));
}

static void a_divergence_is_an_error(void **state) {
    (void)state;
    problem p = make();
    th_train_params t = settings(50);
    th_train_result r;
    t.schedule.lr = 1e30;
    t.schedule.warmup = 0;
    th_status s = th_train(&p.task, &t, NULL, &r);
    assert_int_equal(s, TH_E_INPUT);
    assert_non_null(strstr(th_error_message(), "not finite"));
    drop(&p);
}

static void schedules_warm_up_and_end(void **state) {
    (void)state;
    th_schedule s = {TH_COSINE, 1.0, 0.1, 10, 110};
    assert_float_equal(th_schedule_at(&s, 0), 0.1, 1e-12);
    assert_float_equal(th_schedule_at(&s, 9), 1.0, 1e-12);
    assert_float_equal(th_schedule_at(&s, 60), 0.55, 1e-12);
    assert_float_equal(th_schedule_at(&s, 110), 0.1, 1e-12);
    s.kind = TH_LINEAR;
    assert_float_equal(th_schedule_at(&s, 35), 0.775, 1e-12);
    s.kind = TH_CONSTANT;
    assert_float_equal(th_schedule_at(&s, 90), 1.0, 1e-12);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_loss_falls),
        cmocka_unit_test(a_resumed_run_equals_one_that_never_stopped),
        cmocka_unit_test(a_run_is_resumed_only_as_it_was_made),
        cmocka_unit_test(a_run_of_an_older_version_is_resumed),
        cmocka_unit_test(only_the_newest_checkpoints_are_kept),
        cmocka_unit_test(a_full_disk_loses_no_finished_checkpoint),
        cmocka_unit_test(a_divergence_is_an_error),
        cmocka_unit_test(schedules_warm_up_and_end),
    };
    return cmocka_run_group_tests_name("train: the loop", tests, NULL, NULL);
}
