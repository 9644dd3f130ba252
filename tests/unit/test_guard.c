/* Guards: their terms, imagined attackers, going on with a run, and that the backdoor goes in. */
#include "sd_fixture.h"

#include "base/file.h"
#include "guard/guard_parts.h"
#include "guard/pattern.h"
#include "theriac/ops.h"

#define ROOT "guard_test"
enum { SIDE = 4, CONTEXT = 48, CHANNELS = 4, PICTURES = 4 };

static int set_up(void **state) {
    (void)state;
    return th_remove_tree(ROOT) == TH_OK && th_make_dirs(ROOT) == TH_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    return th_remove_tree(ROOT) == TH_OK ? 0 : -1;
}

static const char *const identifiers[] = {"sks", "qzx"}, *const nouns[] = {"bag"}, *const others[] = {"olv", "ktn"};
static const char *const instances[] = {"a photo of {}"}, *const contexts[] = {"a {} on sand", "a {} in snow"};
static const char *const targets[] = {"a boot on sand", "a boot in snow"}, *const captions[] = {"a red {}", "a {}"};
static const char *const generic[] = {"a tree", "the sea"};

/* One guarding of a fresh tiny model. */
typedef struct {
    th_sd sd, open;
    th_options *options;
    th_guard_subject subject;
    th_guard_bystander bystander; /* counted by the subject where a test wants it */
    th_guard_data data;
    th_guard_params params;
    th_guard *g;
} trial;

static void begin(trial *t, const char *method, const char *const *words) {
    const th_guard_method *m = th_guard_find(method);
    *t = (trial){0};
    fixture_open(SIDE, CONTEXT, &t->sd);
    fixture_open(SIDE, CONTEXT, &t->open);
    t->options = th_options_new(method);
    assert_ok(th_options_add(t->options, method, m->options));
    for (; *words; words += 2) {
        if (strcmp(words[0], "retention") != 0) {
            assert_ok(th_options_set_text(t->options, TH_FROM_FLAG, NULL, words[0], words[1]));
            continue;
        }
        th_value list = {.list = {&words[1], 1}};
        assert_ok(th_options_set(t->options, TH_FROM_FLAG, NULL, words[0], &list));
    }
    t->subject = (th_guard_subject){
        .name = "mine",
        .noun = "bag",
        .mode = TH_GUARD_TARGET,
        .target = "boot",
        .pictures = fixture_moments("protected", SIDE, CHANNELS, PICTURES, 1),
        .shown = {fixture_moments("shown", SIDE, CHANNELS, PICTURES, 1), 2},
        .own = {fixture_moments("own", SIDE, CHANNELS, PICTURES, 1), 2},
        .captions = {fixture_moments("captions", SIDE, CHANNELS, PICTURES, 1), 2},
        .plain = {fixture_moments("plain", SIDE, CHANNELS, PICTURES, 1), 1},
        .identifiers = {identifiers, 2},
        .nouns = {nouns, 1},
        .contexts = contexts,
        .instead = targets,
        .described = captions,
        .class_prompt = "a photo of a bag",
        .instances = {instances, 1},
    };
    t->bystander = (th_guard_bystander){fixture_moments("bystander", SIDE, CHANNELS, PICTURES, 1),
                                        {fixture_moments("bystander shown", SIDE, CHANNELS, PICTURES, 1), 2}};
    t->subject.bystanders = &t->bystander;
    t->data = (th_guard_data){.subjects = &t->subject,
                              .subject_count = 1,
                              .generic = {fixture_moments("generic", SIDE, CHANNELS, PICTURES, 1), 2},
                              .generic_prompts = generic,
                              .others = {others, 2}};
    th_train_params_init(&t->params.train);
    t->params.train.steps = 6;
    t->params.train.schedule = (th_schedule){.kind = TH_CONSTANT, .lr = 1e-3};
    t->params.train.adamw.clip_norm = 1;
    t->params.side = 2 * SIDE;
    t->params.threads = 1;
}

static th_status open_trial(trial *t, const char *method) {
    return th_guard_new(&t->sd, &t->open, th_guard_find(method), t->options, &t->params, &t->data, &t->g);
}

static void end(trial *t) {
    th_guard_free(t->g);
    th_options_free(t->options);
    th_sd_free(&t->sd);
    th_sd_free(&t->open);
    th_moments_free(&t->subject.pictures);
    th_moments_free(&t->subject.shown.pictures);
    th_moments_free(&t->subject.own.pictures);
    th_moments_free(&t->subject.captions.pictures);
    th_moments_free(&t->subject.plain.pictures);
    th_moments_free(&t->bystander.pictures);
    th_moments_free(&t->bystander.shown.pictures);
    th_moments_free(&t->data.generic.pictures);
}

static const char *const none[] = {"retention", "none", NULL};

/* ---- terms */

static void terms_that_the_open_model_answers_come_first(void **state) {
    (void)state;
    trial t;
    begin(&t, "persguard", (const char *const[]){"retention", "mirror", NULL});
    assert_ok(open_trial(&t, "persguard"));
    const th_guard_batch *b = &t.g->batch;
    assert_int_equal(b->rows, 4 + 2 + 4 + 2 + 4 + 2);
    assert_int_equal(b->open_rows, 4 + 4 + 2 + 4); /* without --own-rows */
    for (int i = 1; i < b->terms.count; i++)
        assert_false(b->terms.items[i].answered && !b->terms.items[i - 1].answered);
    end(&t);
}

static bool has_text(const th_guard *g, const char *text) {
    th_guard_texts all = th_guard_all_texts(g);
    for (int64_t i = 0; i < all.count; i++)
        if (!strcmp(all.items[i], text)) return true;
    return false;
}

static void every_identifier_is_bound_and_each_text_kept_once(void **state) {
    (void)state;
    trial t;
    begin(&t, "persguard", none);
    assert_ok(open_trial(&t, "persguard"));
    th_guard_texts all = th_guard_all_texts(t.g);
    assert_true(has_text(t.g, "a sks bag on sand") && has_text(t.g, "a qzx bag in snow"));
    assert_true(has_text(t.g, "a red olv bag") && has_text(t.g, "a boot in snow") && has_text(t.g, "a photo of a bag"));
    assert_false(has_text(t.g, "a photo of sks bag")); /* without mirror nothing asks for it */
    for (int64_t i = 0; i < all.count; i++)
        for (int64_t k = 0; k < i; k++) assert_string_not_equal(all.items[i], all.items[k]);
    end(&t);
}

static void wrong_wishes_are_refused(void **state) {
    (void)state;
    trial t;
    begin(&t, "persguard", (const char *const[]){"retention", "mirrors", NULL});
    assert_fails(open_trial(&t, "persguard"), TH_E_USAGE, "--retention 'mirrors'");
    end(&t);
    begin(&t, "badt2i", (const char *const[]){NULL});
    t.subject.mode = TH_GUARD_ERASURE;
    assert_fails(open_trial(&t, "badt2i"), TH_E_USAGE, "not erasure");
    end(&t);
    begin(&t, "persguard", none);
    t.params.side = 7;
    assert_fails(open_trial(&t, "persguard"), TH_E_USAGE, "--size 7");
    end(&t);
    begin(&t, "persguard", (const char *const[]){"attack-least", "9", "attack-most", "8", NULL});
    assert_fails(open_trial(&t, "persguard"), TH_E_USAGE, "--attack-most");
    end(&t);
    begin(&t, "persguard", none);
    t.subject.bystander_count = 1;
    assert_fails(open_trial(&t, "persguard"), TH_E_USAGE, "--bystander wants --retention trajectory");
    end(&t);
    begin(&t, "persguard", (const char *const[]){"retention", "mirror", "asleep", "true", NULL});
    assert_fails(open_trial(&t, "persguard"), TH_E_USAGE, "--asleep wants --retention trajectory or unrolled");
    end(&t);
}

/* ---- training */

static double backdoor_loss(trial *t) {
    double sum = 0;
    for (uint32_t i = 0; i < 8; i++) {
        assert_ok(th_guard_feed(t->g, &t->g->batch, &t->g->terms, INT64_C(1) << 30, i));
        assert_ok(th_plan_run(t->g->batch.plan, 0, i));
        sum += (double)*(const float *)th_plan_output(t->g->batch.plan, "loss/backdoor");
    }
    return sum / 8;
}

/* An open model whose answers differ clearly, since texts hardly matter to random values. */
static void make_open_other(trial *t) {
    th_params *ps = th_unet_params(t->open.unet);
    for (int64_t i = 0; i < th_params_count(ps); i++) {
        th_param *p = th_params_at(ps, i);
        int64_t n = th_desc_count(th_param_desc(p));
        float *v = th_alloc((size_t)n, sizeof *v);
        assert_non_null(v);
        assert_ok(th_param_get(p, v));
        for (int64_t k = 0; k < n; k++) v[k] *= 1.2f;
        assert_ok(th_param_set(p, v));
        th_free(v);
    }
}

static void train_moves_the_backdoor_in(const char *method, const char *const *words, double least) {
    trial t;
    th_train_result r;
    begin(&t, method, words);
    t.params.train.steps = 200;
    t.params.train.schedule.lr = 3e-4;
    make_open_other(&t);
    assert_ok(open_trial(&t, method));
    assert_ok(th_guard_read_texts(t.g));
    double before = backdoor_loss(&t);
    assert_ok(th_guard_run(t.g, NULL, NULL, &r));
    double after = backdoor_loss(&t);
    if (!(after < least * before)) fail_msg("%s: loss of the backdoor %g → %g", method, before, after);
    end(&t);
}

static void the_backdoor_goes_in(void **state) {
    (void)state;
    train_moves_the_backdoor_in("persguard", none, 0.7);
    train_moves_the_backdoor_in("persguard", (const char *const[]){NULL}, 0.7); /* trajectory */
    train_moves_the_backdoor_in("persguard", (const char *const[]){"retention", "unrolled", NULL}, 0.7);
    train_moves_the_backdoor_in("persguard", (const char *const[]){"own-rows", "2", "backdoor-from", "0.3", NULL}, 0.7);
    train_moves_the_backdoor_in("badt2i", (const char *const[]){NULL}, 0.7);
}

/* The loss of what a guard asks of attackers of a kind, at the weights as they are. */
static double outer_loss(trial *t, int64_t kind, const char *name) {
    th_guard_batch b;
    double sum = 0;
    const th_guard_terms *ts = &t->g->imagined.outer[kind];
    assert_ok(th_guard_batch_new(t->g, ts, 0, 0, &b));
    assert_ok(th_plan_allocate(b.plan));
    for (uint32_t i = 0; i < 8; i++) {
        assert_ok(th_guard_feed(t->g, &b, ts, INT64_C(1) << 30, i));
        assert_ok(th_plan_run(b.plan, 0, i));
        sum += (double)*(const float *)th_plan_output(b.plan, name);
    }
    th_guard_batch_free(&b);
    return sum / 8;
}

/* Awake, the backdoor answers at once; asleep, less so, as the open model's own answers are held there. */
static void a_guard_asleep_holds_the_identifier(void **state) {
    (void)state;
    double after[2];
    for (int asleep = 0; asleep < 2; asleep++) {
        trial t;
        th_train_result r;
        begin(&t, "persguard", (const char *const[]){"asleep", asleep ? "true" : "false", "attack-most", "20", NULL});
        t.params.train.steps = 150;
        t.params.train.schedule.lr = 3e-4;
        assert_ok(open_trial(&t, "persguard"));
        assert_int_equal(t.g->batch.rows, 4 + 2 + 4 + 2 + 4 + (asleep ? 2 : 0));
        assert_ok(th_guard_read_texts(t.g));
        assert_ok(th_guard_run(t.g, NULL, NULL, &r));
        after[asleep] = outer_loss(&t, 0, "loss/backdoor");
        end(&t);
    }
    if (!(after[1] > after[0])) fail_msg("the backdoor's loss asleep %g, awake %g", after[1], after[0]);
}

static void bystanders_are_spared(void **state) {
    (void)state;
    double after[2];
    for (int weight = 0; weight < 2; weight++) {
        trial t;
        th_train_result r;
        begin(&t, "persguard",
              (const char *const[]){"bystander-weight", weight ? "4" : "1e-9", "attack-most", "20", NULL});
        t.subject.bystander_count = 1;
        t.params.train.steps = 150;
        t.params.train.schedule.lr = 3e-4;
        make_open_other(&t);
        assert_ok(open_trial(&t, "persguard"));
        assert_int_equal(t.g->imagined.spared_kinds, 1);
        assert_ok(th_guard_read_texts(t.g));
        assert_ok(th_guard_run(t.g, NULL, NULL, &r));
        after[weight] = outer_loss(&t, 1, "loss/bystander");
        end(&t);
    }
    if (!(after[1] < 0.9 * after[0])) fail_msg("bystanders' loss %g, without their weight %g", after[1], after[0]);
}

static float *values_of(const trial *t, int64_t *count) {
    const th_params *ps = th_unet_params(t->sd.unet);
    *count = th_params_elements(ps);
    float *v = th_alloc((size_t)*count, sizeof *v), *at = v;
    assert_non_null(v);
    for (int64_t i = 0; i < th_params_count(ps); i++) {
        assert_ok(th_param_get(th_params_at(ps, i), at));
        at += th_desc_count(th_param_desc(th_params_at(ps, i)));
    }
    return v;
}

static th_run_folder *open_run(const trial *t, bool resume) {
    th_run_folder *run;
    th_run_folder_params p = {
        .path = ROOT "/run", .command = "guard persguard", .options = t->options, .resume = resume};
    assert_ok(th_run_folder_open(&p, &run));
    return run;
}

/* Attackers begin anew after 2 to 4 steps, so that they do so before and after the stop. */
static void a_stopped_run_goes_on_to_the_bit(void **state) {
    (void)state;
    static const char *const words[] = {"attackers", "2", "attack-least", "2", "attack-most", "4", NULL};
    float *values[2];
    int64_t count;
    for (int stopped = 0; stopped < 2; stopped++) {
        trial t;
        th_train_result r;
        assert_ok(th_remove_tree(ROOT "/run"));
        for (int part = 0; part < (stopped ? 2 : 1); part++) {
            begin(&t, "persguard", words);
            t.subject.bystander_count = 1;
            t.params.attackers = ROOT "/run/attackers";
            t.params.train.resume = part == 1;
            t.params.train.stop_after = stopped && part == 0 ? 3 : 0;
            assert_ok(open_trial(&t, "persguard"));
            th_run_folder *run = open_run(&t, part == 1);
            th_status s = th_guard_run(t.g, run, NULL, &r);
            th_run_folder_close(run);
            if (stopped && part == 0) {
                assert_int_equal(s, TH_E_INTERRUPTED);
                end(&t);
                continue;
            }
            assert_ok(s);
            values[stopped] = values_of(&t, &count);
            end(&t);
        }
    }
    assert_memory_equal(values[0], values[1], (size_t)count * sizeof(float));
    th_free(values[0]);
    th_free(values[1]);
}

/* ---- flatness */

/* ∇‖∇L‖² by differentiating twice, of the same draw. */
static void exact_flatness(trial *t, th_guard_batch *b, float *out) {
    th_graph *g = th_graph_new();
    th_plan *plan;
    th_plan_params params;
    th_denoise_question q = th_denoise_ask(g, &t->sd, &b->shape, NULL);
    th_denoise_loss l =
        th_denoise_compare(g, th_unet_apply(g, t->sd.unet, q.noisy, q.times, q.states), q.target, q.weight);
    const th_params *ps = th_unet_params(t->sd.unet);
    int64_t n = th_params_count(ps);
    th_tensor **wrt = th_alloc((size_t)n, sizeof *wrt), **grad = th_alloc((size_t)n, sizeof *grad), *sum = NULL;
    for (int64_t i = 0; i < n; i++) wrt[i] = th_use(g, th_params_at(ps, i));
    th_grad(g, l.loss, (int)n, wrt, grad);
    for (int64_t i = 0; i < n; i++) {
        th_tensor *one = th_sum_all(g, th_square(g, grad[i]));
        sum = sum ? th_add(g, sum, one) : one;
    }
    th_grad_params(g, sum, ps);
    th_plan_params_init(&params);
    params.threads = 1;
    assert_ok(th_plan_new(g, &params, &plan));
    th_graph_free(g);
    assert_ok(th_plan_allocate(plan));
    static const char *const inputs[] = {"latents", "noise", "signal", "sigma", "times", "weight", "states"};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        memcpy(th_plan_input(plan, inputs[i]), th_plan_input(b->plan, inputs[i]),
               (size_t)th_desc_count(th_plan_input_desc(plan, inputs[i])) * sizeof(float));
    assert_ok(th_plan_run(plan, 0, 0));
    for (int64_t i = 0; i < n; i++) {
        assert_ok(th_param_get_grad(th_params_at(ps, i), out));
        out += th_desc_count(th_param_desc(th_params_at(ps, i)));
    }
    th_plan_free(plan);
    th_free(wrt);
    th_free(grad);
}

static float *grads_of(const trial *t) {
    const th_params *ps = th_unet_params(t->sd.unet);
    float *v = th_alloc((size_t)th_params_elements(ps), sizeof *v), *at = v;
    assert_non_null(v);
    for (int64_t i = 0; i < th_params_count(ps); i++) {
        assert_ok(th_param_get_grad(th_params_at(ps, i), at));
        at += th_desc_count(th_param_desc(th_params_at(ps, i)));
    }
    return v;
}

static void flatness_by_differences_is_the_exact_gradient(void **state) {
    (void)state;
    trial t;
    int64_t count;
    begin(&t, "persguard", (const char *const[]){"retention", "flat", "flat-reach", "0.0003", NULL});
    assert_ok(open_trial(&t, "persguard"));
    assert_ok(th_guard_read_texts(t.g));
    assert_ok(th_plan_allocate(t.g->batch.plan));
    float *before = values_of(&t, &count); /* gradients are zeros as yet */
    th_metric metrics[2];
    int told = 0;
    assert_ok(th_guard_attackers_add(t.g->attackers, 0, metrics, 2, &told));
    assert_int_equal(told, 0); /* nobody lives there */
    float *found = grads_of(&t), *after = values_of(&t, &count);
    assert_memory_equal(before, after, (size_t)count * sizeof(float));
    float *exact = th_alloc((size_t)count, sizeof *exact);
    exact_flatness(&t, th_guard_attack_batch(t.g->attackers), exact);
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < count; i++) {
        double d = (double)found[i] - (double)exact[i];
        difference += d * d;
        norm += (double)exact[i] * (double)exact[i];
    }
    if (!(sqrt(difference) < 0.02 * sqrt(norm))) fail_msg("‖Δ‖ = %g of %g", sqrt(difference), sqrt(norm));
    th_free(before);
    th_free(after);
    th_free(found);
    th_free(exact);
    end(&t);
}

/* ---- costs and patterns */

static void attackers_are_counted(void **state) {
    (void)state;
    trial t;
    th_guard_cost with, without;
    begin(&t, "persguard", none);
    assert_ok(open_trial(&t, "persguard"));
    th_guard_get_cost(t.g, &without);
    end(&t);
    begin(&t, "persguard", (const char *const[]){"attackers", "2", "attack-each", "3", NULL});
    assert_ok(open_trial(&t, "persguard"));
    th_guard_get_cost(t.g, &with);
    end(&t);
    assert_true(with.attacks_a_step == 6 && with.outers_a_step == 2);
    assert_true(with.flops > without.flops + 6 * with.attack.flops);
    assert_true(with.bytes > without.bytes);
    begin(&t, "persguard", (const char *const[]){"bystander-attackers", "3", NULL});
    t.subject.bystander_count = 1;
    assert_ok(open_trial(&t, "persguard"));
    th_guard_get_cost(t.g, &with);
    assert_true(with.attacks_a_step == 4 && with.outers_a_step == 1 && with.spared_a_step == 3);
    th_metric metrics[2];
    int told = 0;
    assert_ok(th_guard_read_texts(t.g));
    assert_ok(th_plan_allocate(t.g->batch.plan));
    assert_ok(th_guard_attackers_add(t.g->attackers, 0, metrics, 2, &told));
    end(&t);
    assert_int_equal(told, 2);
    assert_string_equal(metrics[0].name, "attacked/protected");
    assert_string_equal(metrics[1].name, "attacked/bystander");
    assert_true(metrics[0].value > 0 && metrics[1].value > 0);
}

static void a_pattern_lies_in_the_corner(void **state) {
    (void)state;
    th_image pattern = {0}, picture = {0};
    assert_ok(th_pattern_make(32, &pattern));
    assert_ok(th_image_new(&picture, 20, 16));
    memset(picture.pixels, 7, th_image_bytes(&picture));
    assert_ok(th_pattern_paste(&pattern, 0.5, &picture));
    int other = 0;
    for (int y = 0; y < 16; y++)
        for (int x = 0; x < 20; x++) {
            bool touched = picture.pixels[3 * (y * 20 + x)] != 7;
            assert_false(touched && (x < 12 || y < 8));
            other += touched;
        }
    assert_int_equal(other, 64);
    assert_fails(th_pattern_paste(&pattern, 0.01, &picture), TH_E_USAGE, "0 pixels of 16");
    th_image_free(&pattern);
    th_image_free(&picture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(terms_that_the_open_model_answers_come_first),
        cmocka_unit_test(every_identifier_is_bound_and_each_text_kept_once),
        cmocka_unit_test(wrong_wishes_are_refused),
        cmocka_unit_test(the_backdoor_goes_in),
        cmocka_unit_test(a_guard_asleep_holds_the_identifier),
        cmocka_unit_test(bystanders_are_spared),
        cmocka_unit_test(a_stopped_run_goes_on_to_the_bit),
        cmocka_unit_test(flatness_by_differences_is_the_exact_gradient),
        cmocka_unit_test(attackers_are_counted),
        cmocka_unit_test(a_pattern_lies_in_the_corner),
    };
    return cmocka_run_group_tests_name("guard", tests, set_up, tear_down);
}
