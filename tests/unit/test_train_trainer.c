/* The training loop on a small task: it learns, stops cleanly, goes on with the same bits, and says what it did. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/rng.h"
#include "format/safetensors.h"
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
    int evaluations, stop_in; /* the evaluation that is interrupted; 0: none */
    bool fail_evaluations;
} problem;

static int64_t feed_stops_at = -1; /* the micro-step whose batch a signal interrupts; −1: none */

static float draw(uint32_t step, uint64_t i) { return th_unit_f32(th_philox(3, TH_RNG_TEST, step, i).word[0]) * 2 - 1; }

static th_status feed(void *user, int64_t step, th_plan *plan) {
    (void)user;
    if (step == feed_stops_at) return th_fail(TH_E_INTERRUPTED, "stopped");
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
    if (++p->evaluations == p->stop_in) return th_fail(TH_E_INTERRUPTED, "stopped");
    if (p->fail_evaluations) return th_fail(TH_E_USAGE, "there is no such class");
    metrics[0] = (th_metric){"eval/step_doubled", (double)step * 2};
    *count = 1;
    return TH_OK;
}

static const char *const logged[] = {"half", NULL};
static int plan_threads = 1;

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
    th_output(g, "half", th_scale(g, loss, 0.5f));
    th_grad_params(g, loss, p.params);
    th_plan_params params;
    th_plan_params_init(&params);
    params.threads = plan_threads;
    assert_ok(th_plan_new(g, &params, &p.plan));
    th_graph_free(g);
    p.task = (th_train_task){.params = p.params, .plan = p.plan, .feed = feed, .logged = logged};
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

static const char *const no_matter[] = {"st*", NULL};

static th_status open_steps(const char *path, bool resume, const char *lr, const char *steps, th_run_folder **out) {
    th_options *o = th_options_new("test");
    assert_ok(th_options_add(o, "Test", options));
    assert_ok(th_options_set_text(o, TH_FROM_FLAG, NULL, "lr", lr));
    assert_ok(th_options_set_text(o, TH_FROM_FLAG, NULL, "steps", steps));
    th_run_folder_params p = {.path = path, .command = "test", .options = o, .resume = resume, .may_differ = no_matter};
    th_status s = th_run_folder_open(&p, out);
    th_options_free(o);
    return s;
}

static th_status open_run(const char *path, bool resume, const char *lr, th_run_folder **out) {
    return open_steps(path, resume, lr, "1", out);
}

static th_bytes metrics_of(const char *dir) {
    char path[TH_PATH_MAX];
    th_bytes b;
    assert_ok(th_path_join(path, dir, "metrics.jsonl"));
    assert_ok(th_file_read(path, 1 << 20, &b));
    return b;
}

static int64_t newest(const th_run_folder *r, char *path) {
    int64_t step;
    assert_ok(th_run_folder_newest(r, &step, path));
    return step;
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

/* What the average should be after each step, row-major, by the values of that step. */
typedef struct {
    problem *problem;
    float average[16 * IN];
    int64_t step;
} follower;

static void follow(void *user) {
    follower *f = user;
    float v[16 * IN];
    assert_ok(th_param_get(th_params_find(f->problem->params, "a"), v));
    double ramp = (1.0 + (double)f->step) / (10.0 + (double)f->step);
    float keep = (float)(ramp < 0.9 ? ramp : 0.9);
    for (int i = 0; i < 16 * IN; i++) f->average[i] = v[i] + keep * (f->average[i] - v[i]);
    f->step++;
}

/* Whatever layout it is kept in. */
static void the_average_follows_the_values(void **state) {
    (void)state;
    problem p = make();
    follower f = {.problem = &p};
    th_train_params t = settings(30);
    th_train_result r;
    char path[TH_PATH_MAX];
    float a[16 * IN];
    th_safetensors *file;
    const th_st_tensor *tensor;
    t.average = 0.9;
    p.task.after_step = follow;
    p.task.user = &f;
    assert_ok(th_param_get(th_params_find(p.params, "a"), f.average));
    assert_ok(th_remove_tree("run_average"));
    assert_ok(open_run("run_average", false, "0.02", &t.run));
    assert_ok(th_train(&p.task, &t, NULL, &r));
    newest(t.run, path);
    th_run_folder_close(t.run);
    assert_ok(th_safetensors_open(path, NULL, &file));
    assert_non_null(tensor = th_safetensors_find(file, "average.a"));
    assert_ok(th_st_to_f32(tensor, 0, 16 * IN, a));
    for (int i = 0; i < 16 * IN; i++) assert_float_equal(a[i], f.average[i], 1e-6);
    assert_ok(th_param_get(th_params_find(p.params, "a"), a)); /* which the training leaves in place */
    for (int i = 0; i < 16 * IN; i++) assert_float_equal(a[i], f.average[i], 1e-6);
    th_safetensors_close(file);
    drop(&p);
    assert_ok(th_remove_tree("run_average"));
}

/* A run that is stopped in its second evaluation, after step 10; or not. */
static void run_with_a_stop(const char *dir, bool stop, th_bytes *metrics) {
    assert_ok(th_remove_tree(dir));
    for (bool first = true;; first = false) {
        problem p = make();
        th_train_params t = settings(12);
        th_train_result r;
        t.resume = !first;
        t.checkpoint_every = 0;
        p.task.evaluate = evaluate;
        p.task.user = &p;
        p.stop_in = stop && first ? 2 : 0;
        assert_ok(open_run(dir, !first, "0.02", &t.run));
        th_status s = th_train(&p.task, &t, NULL, &r);
        if (s != TH_OK) {
            assert_int_equal(s, TH_E_INTERRUPTED);
            assert_string_equal(th_error_message(), "stopped after step 10 of 12; --resume goes on from there");
        }
        th_run_folder_close(t.run);
        drop(&p);
        if (s == TH_OK) break;
    }
    char path[TH_PATH_MAX];
    assert_ok(th_path_join(path, dir, "metrics.jsonl"));
    assert_ok(th_file_read(path, 1 << 20, metrics));
}

static void a_run_stopped_in_an_evaluation_makes_up_for_it(void **state) {
    (void)state;
    th_bytes whole, stopped;
    run_with_a_stop("run_whole", false, &whole);
    run_with_a_stop("run_stopped", true, &stopped);
    assert_int_equal(whole.length, stopped.length);
    assert_memory_equal(whole.data, stopped.data, whole.length);
    th_free(whole.data);
    th_free(stopped.data);
    assert_ok(th_remove_tree("run_whole"));
    assert_ok(th_remove_tree("run_stopped"));
}

static void a_run_is_resumed_only_as_it_was_made(void **state) {
    (void)state;
    th_run_folder *r = NULL;
    assert_ok(th_remove_tree("run_same"));
    assert_fails(open_run("run_same", true, "0.1", &r), TH_E_USAGE, "holds no run");
    assert_ok(open_run("run_same", false, "0.1", &r));
    th_run_folder_close(r);
    assert_ok(th_file_write("run_same/checkpoints/step-000000003.safetensors", "", 0));
    assert_fails(open_run("run_same", false, "0.1", &r), TH_E_USAGE, "--resume");
    assert_fails(open_run("run_same", true, "0.2", &r), TH_E_USAGE, "'lr' = 0.1, now it is 0.2");
    assert_ok(open_run("run_same", true, "0.1", &r));
    th_run_folder_close(r);
    assert_ok(open_steps("run_same", true, "0.1", "2", &r)); /* which may differ */
    assert_int_equal(newest(r, NULL), 3);
    th_run_folder_close(r);
    assert_ok(th_remove_tree("run_same"));
}

static void a_run_is_open_once(void **state) {
    (void)state;
    th_run_folder *r = NULL, *again = NULL;
    assert_ok(th_remove_tree("run_once"));
    assert_ok(open_run("run_once", false, "0.1", &r));
    for (int resume = 0; resume < 2; resume++)
        assert_fails(open_run("run_once", resume, "0.1", &again), TH_E_USAGE,
                     "run_once: another process is at work on the run in it");
    th_run_folder_close(r);
    assert_ok(open_run("run_once", true, "0.1", &r));
    th_run_folder_close(r);
    assert_ok(th_remove_tree("run_once"));
}

/* What ended before its first checkpoint gives way to a corrected command; what was finished never does. */
static void a_folder_without_a_checkpoint_is_free_again(void **state) {
    (void)state;
    th_run_folder *r = NULL;
    const th_metric loss = {"loss", 1};
    assert_ok(th_remove_tree("run_free"));
    assert_ok(open_run("run_free", false, "0.1", &r));
    assert_ok(th_run_folder_begin_log(r, -1));
    assert_ok(th_run_folder_log(r, 1, &loss, 1));
    th_run_folder_close(r);
    assert_ok(open_run("run_free", true, "0.1", &r)); /* from the start */
    th_run_folder_close(r);
    assert_ok(open_run("run_free", false, "0.2", &r));
    th_run_folder_close(r);
    assert_fails(open_run("run_free", true, "0.1", &r), TH_E_USAGE, "'lr' = 0.2");
    for (int i = 0; i < 2; i++) {
        assert_ok(open_run("run_free", true, "0.2", &r));
        assert_ok(th_run_folder_note(r, i ? "seconds" : TH_RUN_SECONDS, json_real(1)));
        th_run_folder_close(r);
        assert_fails(open_run("run_free", false, "0.2", &r), TH_E_USAGE, "holds a run already");
        assert_fails(open_run("run_free", true, "0.2", &r), TH_E_USAGE, "holds none any more");
        assert_ok(th_remove_tree("run_free"));
        assert_ok(open_run("run_free", false, "0.2", &r));
        th_run_folder_close(r);
    }
    assert_ok(th_remove_tree("run_free"));
}

static void checkpoints_that_cannot_be_listed_are_an_error(void **state) {
    (void)state;
    th_run_folder *r = NULL;
    problem p = make();
    th_train_params t = settings(8);
    th_train_result result;
    assert_ok(th_remove_tree("run_lost"));
    assert_ok(open_run("run_lost", false, "0.02", &t.run));
    assert_ok(th_train(&p.task, &t, NULL, &result));
    th_bytes before = metrics_of("run_lost");
    assert_ok(th_remove_tree("run_lost/checkpoints"));
    t.resume = true;
    assert_int_equal(th_train(&p.task, &t, NULL, &result), TH_E_IO);
    th_run_folder_close(t.run);
    assert_int_equal(open_run("run_lost", true, "0.02", &r), TH_E_IO);
    th_bytes after = metrics_of("run_lost");
    assert_string_equal(before.data, after.data);
    th_free(before.data);
    th_free(after.data);
    drop(&p);
    assert_ok(th_remove_tree("run_lost"));
}

/* A signal that comes while the loop waits for a batch, in the middle of a step. */
static void a_run_stopped_at_a_batch_goes_on_with_the_same_bits(void **state) {
    (void)state;
    float whole[16 * IN], stopped[16 * IN];
    th_bytes m;
    run_in_pieces("run_whole", 11, 0, whole, &m);
    th_free(m.data);
    assert_ok(th_remove_tree("run_stopped"));
    for (int call = 0; call < 2; call++) {
        problem p = make();
        th_train_params t = settings(11);
        th_train_result r;
        char path[TH_PATH_MAX];
        t.accumulate = 2;
        t.average = 0.9;
        t.resume = call > 0;
        feed_stops_at = call ? -1 : 2 * 6 + 1;
        assert_ok(open_run("run_stopped", call > 0, "0.02", &t.run));
        if (call)
            assert_ok(th_train(&p.task, &t, NULL, &r));
        else
            assert_fails(th_train(&p.task, &t, NULL, &r), TH_E_INTERRUPTED, "stopped after step 6 of 11; --resume");
        assert_int_equal(newest(t.run, path), call ? 11 : 6);
        assert_ok(th_param_get(th_params_find(p.params, "a"), stopped));
        th_run_folder_close(t.run);
        drop(&p);
    }
    assert_memory_equal(whole, stopped, sizeof whole);
    assert_ok(th_remove_tree("run_whole"));
    assert_ok(th_remove_tree("run_stopped"));
}

static void a_failing_evaluation_costs_no_step(void **state) {
    (void)state;
    assert_ok(th_remove_tree("run_eval"));
    for (int call = 0; call < 3; call++) { /* fails in the middle, fails at the end, succeeds */
        problem p = make();
        th_train_params t = settings(7);
        th_train_result r;
        char path[TH_PATH_MAX];
        p.task.evaluate = evaluate;
        p.task.user = &p;
        p.fail_evaluations = call < 2;
        t.resume = call > 0;
        t.checkpoint_every = 0;
        t.eval_every = call ? 0 : 5;
        assert_ok(open_run("run_eval", call > 0, "0.02", &t.run));
        if (call == 2)
            assert_ok(th_train(&p.task, &t, NULL, &r));
        else
            assert_fails(th_train(&p.task, &t, NULL, &r), TH_E_USAGE, "there is no such class");
        assert_int_equal(newest(t.run, path), call ? 7 : 5);
        assert_int_equal(r.steps, call == 0 ? 5 : call == 1 ? 2 : 0);
        if (call) assert_true(r.seconds_in_all > r.seconds);
        th_run_folder_close(t.run);
        drop(&p);
    }
    th_bytes m = metrics_of("run_eval");
    assert_non_null(strstr(m.data, "{\"step\":7,\"eval/step_doubled\":14}"));
    th_free(m.data);
    assert_ok(th_remove_tree("run_eval"));
}

/* The parts of the loss are means over a step's batches, as the loss is. */
static void what_is_logged_is_of_the_whole_step(void **state) {
    (void)state;
    problem p = make();
    th_train_params t = settings(5);
    th_train_result r;
    t.accumulate = 2;
    assert_ok(th_remove_tree("run_parts"));
    assert_ok(open_run("run_parts", false, "0.02", &t.run));
    assert_ok(th_train(&p.task, &t, NULL, &r));
    th_run_folder_close(t.run);
    th_bytes m = metrics_of("run_parts");
    int lines = 0;
    for (char *line = m.data; *line; line = strchr(line, '\n') + 1, lines++) {
        double whole = strtod(strstr(line, "\"loss\":") + 7, NULL), half = strtod(strstr(line, "\"half\":") + 7, NULL);
        assert_float_equal(whole, 2 * half, 1e-6);
    }
    assert_int_equal(lines, 5);
    th_free(m.data);
    drop(&p);
    assert_ok(th_remove_tree("run_parts"));
}

/* A checkpoint of step 4 in `path`, of a run with one thread in f32. */
static void make_checkpoint(problem *p, char *path) {
    th_train_params t = settings(4);
    th_train_result r;
    assert_ok(th_remove_tree("run_bits"));
    assert_ok(open_run("run_bits", false, "0.02", &t.run));
    assert_ok(th_train(&p->task, &t, NULL, &r));
    assert_int_equal(newest(t.run, path), 4);
    th_run_folder_close(t.run);
}

static void what_would_change_the_bits_is_refused_by_name(void **state) {
    (void)state;
    char path[TH_PATH_MAX];
    problem p = make();
    th_train_params t = settings(8);
    th_train_result r;
    make_checkpoint(&p, path);
    t.resume = true;
    assert_ok(open_run("run_bits", true, "0.02", &t.run));
    t.compute = TH_BF16;
    assert_fails(th_train(&p.task, &t, NULL, &r), TH_E_USAGE, "compute f32, now it is bf16");
    t.compute = TH_F32;
    drop(&p);
    plan_threads = 2;
    p = make();
    plan_threads = 1;
    assert_fails(th_train(&p.task, &t, NULL, &r), TH_E_USAGE, "resume with --threads 1");
    drop(&p);
    p = make();
    assert_ok(th_train(&p.task, &t, NULL, &r));
    assert_int_equal(r.steps, 4);
    th_run_folder_close(t.run);
    drop(&p);
    assert_ok(th_remove_tree("run_bits"));
}

static void put_counts(const char *path, const char *step, const char *version) {
    th_safetensors_writer *w;
    int64_t shape = 1;
    float zero = 0;
    assert_ok(th_safetensors_writer_new(path, 0, &w));
    th_safetensors_declare(w, "x", TH_ST_F32, 1, &shape);
    th_safetensors_note(w, "step", step);
    th_safetensors_note(w, "optimizer_steps", "4");
    if (version) th_safetensors_note(w, "version", version);
    assert_ok(th_safetensors_begin(w));
    while (th_safetensors_next(w)) th_safetensors_add_f32(w, &zero, 1);
    assert_ok(th_safetensors_commit(w));
}

static void a_checkpoint_says_truly_of_which_step_it_is(void **state) {
    (void)state;
    char path[TH_PATH_MAX];
    problem p = make();
    th_train_params t = settings(8);
    th_train_result r;
    make_checkpoint(&p, path);
    t.resume = true;
    assert_int_equal(rename(path, "run_bits/checkpoints/step-000000006.safetensors"), 0);
    assert_ok(open_run("run_bits", true, "0.02", &t.run));
    assert_fails(th_train(&p.task, &t, NULL, &r), TH_E_INPUT, "step-000000006.safetensors: is of step 4");
    assert_int_equal(rename("run_bits/checkpoints/step-000000006.safetensors", path), 0);
    t.steps = 3;
    assert_fails(th_train(&p.task, &t, NULL, &r), TH_E_INPUT, "is of step 4, the run has 3");
    t.steps = 8;
    static const char *const bad[] = {"", "4x", "-4", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_counts(path, bad[i], NULL);
        assert_fails(th_train(&p.task, &t, NULL, &r), TH_E_INPUT, "'step' in its metadata");
    }
    put_counts(path, "4", "0.0.1");
    assert_fails(th_train(&p.task, &t, NULL, &r), TH_E_USAGE, "resume with theriac 0.0.1");
    th_run_folder_close(t.run);
    drop(&p);
    assert_ok(th_remove_tree("run_bits"));
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
    assert_int_equal(newest(t.run, path), 20);
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
    assert_int_equal(newest(t.run, path), 4);
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
        cmocka_unit_test(the_average_follows_the_values),
        cmocka_unit_test(a_run_stopped_in_an_evaluation_makes_up_for_it),
        cmocka_unit_test(a_run_is_resumed_only_as_it_was_made),
        cmocka_unit_test(a_run_of_an_older_version_is_resumed),
        cmocka_unit_test(a_run_is_open_once),
        cmocka_unit_test(a_folder_without_a_checkpoint_is_free_again),
        cmocka_unit_test(checkpoints_that_cannot_be_listed_are_an_error),
        cmocka_unit_test(a_run_stopped_at_a_batch_goes_on_with_the_same_bits),
        cmocka_unit_test(a_failing_evaluation_costs_no_step),
        cmocka_unit_test(what_is_logged_is_of_the_whole_step),
        cmocka_unit_test(what_would_change_the_bits_is_refused_by_name),
        cmocka_unit_test(a_checkpoint_says_truly_of_which_step_it_is),
        cmocka_unit_test(only_the_newest_checkpoints_are_kept),
        cmocka_unit_test(a_full_disk_loses_no_finished_checkpoint),
        cmocka_unit_test(a_divergence_is_an_error),
        cmocka_unit_test(schedules_warm_up_and_end),
    };
    return cmocka_run_group_tests_name("train: the loop", tests, NULL, NULL);
}
