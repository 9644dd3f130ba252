/* AdamW against torch.optim.AdamW: on arrays of many sizes (tests/fixtures/adamw.py) and in five steps of whole CLIP
 * models (tests/fixtures/clip.py); that threads do not change it; that what cannot be stepped is left as it was; that
 * all plans see the step. */
#include "clip_fixture.h"

#include "base/half.h"
#include "base/memory.h"
#include "graph/param.h"
#include "train/optimizer.h"

static const int64_t sizes[] = {1, 2, 15, 16, 17, 255, 513, 16383, 16384, 16385, 90001};
enum { SIZES = sizeof sizes / sizeof *sizes };
static const int kept_steps[] = {1, 2, 10, 60};

/* As adamw.py has them. */
static float start_value(int64_t i) { return (float)((double)(i * 7919 % 1009) / 1009.0 - 0.5); }
static float gradient_value(int64_t i, int t) {
    if (i % 11 == 10) return 0.0f;
    return (float)(((double)((i * 104729 + t * 7907) % 2003) / 2003.0 - 0.3) / (10 + t));
}

/* Parameters of these sizes with start values and gradient buffers. */
static th_params *make_params(void) {
    th_params *ps = th_params_new();
    assert_non_null(ps);
    for (int k = 0; k < SIZES; k++) {
        char name[32];
        snprintf(name, sizeof name, "%lld", (long long)sizes[k]);
        th_param *p = th_params_add(ps, name, TH_DESC(TH_F32, sizes[k]));
        assert_non_null(p);
        assert_ok(th_param_allocate(p, true));
        for (int64_t i = 0; i < sizes[k]; i++) p->value[i] = start_value(i);
    }
    return ps;
}

static void set_gradients(th_params *ps, int t) {
    for (int64_t k = 0; k < th_params_count(ps); k++) {
        th_param *p = th_params_at(ps, k);
        for (int64_t i = 0; i < th_desc_count(&p->desc); i++) p->grad[i] = gradient_value(i, t);
    }
}

static void steps_match_pytorch(void **state) {
    (void)state;
    static const struct {
        const char *name;
        float lr;
        th_adamw_params p;
    } cases[] = {
        {"plain", 1e-2f, {0.9f, 0.999f, 1e-8f, 0.0f, 0.0f}},
        {"decay", 1e-2f, {0.9f, 0.999f, 1e-8f, 0.1f, 0.0f}},
        {"clip", 5e-3f, {0.9f, 0.98f, 1e-6f, 0.2f, 0.25f}},
        {"slow", 1e-4f, {0.5f, 0.9f, 1e-3f, 0.01f, 0.0f}},
    };
    th_safetensors *want;
    assert_ok(th_safetensors_open(TH_TEST_DATA "/optimizer/adamw.safetensors", NULL, &want));
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        th_params *ps = make_params();
        th_optimizer *o;
        double worst = 0;
        assert_ok(th_optimizer_new(ps, &cases[c].p, NULL, &o));
        for (int t = 1, kept = 0; t <= 60; t++) {
            set_gradients(ps, t);
            assert_ok(th_optimizer_step(o, cases[c].lr, 2, NULL));
            if (t != kept_steps[kept]) continue;
            for (int k = 0; k < SIZES; k++) {
                char name[64];
                float change[16];
                snprintf(name, sizeof name, "%s.%lld", cases[c].name, (long long)sizes[k]);
                const th_st_tensor *x = th_safetensors_find(want, name);
                assert_true(x && x->rank == 2 && x->shape[1] <= 16);
                int64_t picks = x->shape[1];
                assert_ok(th_st_to_f32(x, kept * picks, picks, change));
                double off = 0, norm = 0;
                for (int64_t i = 0; i < picks; i++) {
                    int64_t e = i * (sizes[k] / 8 + 1);
                    double own = (double)th_params_at(ps, k)->value[e] - (double)start_value(e);
                    off += (own - (double)change[i]) * (own - (double)change[i]);
                    norm += (double)change[i] * (double)change[i];
                }
                off = sqrt(off), norm = sqrt(norm);
                /* f32 itself keeps no more than 6e-8 of the value, which for small changes is much of the change. */
                double floor = 6e-8 * sqrt((double)picks);
                if (!(off <= 1e-3 * norm + floor))
                    fail_msg("%s after %d steps: off by %.3g of %.3g", name, t, off, norm);
                if (norm > 1e3 * floor && off / norm > worst) worst = off / norm;
            }
            kept++;
        }
        printf("  %s: off by at most %.1e of the change\n", cases[c].name, worst);
        th_optimizer_free(o);
        th_params_free(ps);
    }
    th_safetensors_close(want);
}

static void threads_do_not_change_a_bit(void **state) {
    (void)state;
    th_adamw_params a = {0.9f, 0.98f, 1e-6f, 0.2f, 0.25f};
    th_params *ps[3];
    for (int threads = 1; threads <= 3; threads++) {
        th_optimizer *o;
        ps[threads - 1] = make_params();
        assert_ok(th_optimizer_new(ps[threads - 1], &a, NULL, &o));
        double norm = 0;
        for (int t = 1; t <= 3; t++) {
            set_gradients(ps[threads - 1], t);
            assert_ok(th_optimizer_step(o, 1e-2f, threads, &norm));
        }
        assert_true(norm > 0.25);
        th_optimizer_free(o);
    }
    for (int k = 0; k < SIZES; k++)
        for (int i = 1; i < 3; i++)
            assert_memory_equal(th_params_at(ps[0], k)->value, th_params_at(ps[i], k)->value,
                                (size_t)sizes[k] * sizeof(float));
    for (int i = 0; i < 3; i++) th_params_free(ps[i]);
}

/* A gradient that is not finite: the step is refused, and training that goes on is the same as if it had not been. */
static void gradient_that_is_not_finite_changes_nothing(void **state) {
    (void)state;
    const float bad[] = {NAN, INFINITY, -INFINITY, 3e38f};
    th_adamw_params a;
    th_adamw_params_init(&a);
    for (int which = 0; which < 4; which++) {
        th_params *ps[2] = {make_params(), make_params()};
        for (int i = 0; i < 2; i++) {
            th_optimizer *o;
            double norm;
            assert_ok(th_optimizer_new(ps[i], &a, NULL, &o));
            for (int t = 1; t <= 3; t++) {
                if (i && t != 2) { /* before the first step as after it */
                    set_gradients(ps[i], 9);
                    th_params_at(ps[i], 10)->grad[90000] = bad[which];
                    assert_fails(th_optimizer_step(o, 1e-2f, 2, &norm), TH_E_INPUT, "not finite");
                    assert_false(norm < 1e19);
                    assert_int_equal(th_optimizer_steps(o), t - 1);
                }
                set_gradients(ps[i], t);
                assert_ok(th_optimizer_step(o, 1e-2f, 2, &norm));
            }
            th_optimizer_free(o);
        }
        for (int k = 0; k < SIZES; k++)
            assert_memory_equal(th_params_at(ps[0], k)->value, th_params_at(ps[1], k)->value,
                                (size_t)sizes[k] * sizeof(float));
        th_params_free(ps[0]);
        th_params_free(ps[1]);
    }
}

static void state_that_was_saved_goes_on_to_the_bit(void **state) {
    (void)state;
    th_adamw_params a = {0.9f, 0.98f, 1e-6f, 0.2f, 0.25f};
    th_params *ps = make_params(), *resumed = make_params();
    th_optimizer *o, *again;
    assert_ok(th_optimizer_new(ps, &a, NULL, &o));
    for (int t = 1; t <= 6; t++) {
        set_gradients(ps, t);
        assert_ok(th_optimizer_step(o, 1e-2f, 1, NULL));
        if (t != 3) continue;
        assert_ok(th_optimizer_new(resumed, &a, NULL, &again));
        th_optimizer_set_steps(again, th_optimizer_steps(o));
        for (int k = 0; k < SIZES; k++) {
            float *first = malloc((size_t)sizes[k] * sizeof *first),
                  *second = malloc((size_t)sizes[k] * sizeof *second);
            assert_true(first && second);
            th_param *p = th_params_at(resumed, k);
            assert_ok(th_optimizer_get(o, th_params_at(ps, k), first, second));
            assert_ok(th_optimizer_set(again, p, first, second));
            assert_ok(th_param_set(p, th_params_at(ps, k)->value));
            free(first);
            free(second);
        }
    }
    for (int t = 4; t <= 6; t++) {
        set_gradients(resumed, t);
        assert_ok(th_optimizer_step(again, 1e-2f, 1, NULL));
    }
    for (int k = 0; k < SIZES; k++)
        assert_memory_equal(th_params_at(ps, k)->value, th_params_at(resumed, k)->value,
                            (size_t)sizes[k] * sizeof(float));
    float moments[4];
    assert_fails(th_optimizer_get(o, th_params_at(resumed, 0), moments, moments), TH_E_BUG, "is not trained");
    th_optimizer_free(o);
    th_optimizer_free(again);
    th_params_free(ps);
    th_params_free(resumed);
}

static void frozen_parameters_stay_and_only_weights_decay(void **state) {
    (void)state;
    th_params *ps = th_params_new();
    th_param *w = th_params_add(ps, "w", TH_DESC(TH_F32, 2, 2)), *b = th_params_add(ps, "b", TH_DESC(TH_F32, 2)),
             *frozen = th_params_add(ps, "frozen", TH_DESC(TH_F32, 2));
    const float ones[4] = {1, 1, 1, 1};
    th_param *all[] = {w, b, frozen};
    for (int i = 0; i < 3; i++) {
        assert_ok(th_param_allocate(all[i], true));
        assert_ok(th_param_set(all[i], ones));
    }
    th_param_set_trainable(frozen, false);
    frozen->grad[0] = NAN; /* nobody looks at it */
    th_adamw_params a;
    th_adamw_params_init(&a);
    a.weight_decay = 0.5f;
    th_optimizer *o;
    assert_ok(th_optimizer_new(ps, &a, has_two_dimensions, &o));
    assert_ok(th_optimizer_step(o, 0.5f, 1, NULL)); /* the gradients are zero */
    assert_true(w->value[3] == 0.75f && b->value[1] == 1.0f && frozen->value[0] == 1.0f);
    assert_int_equal(th_optimizer_bytes(o), 2 * 6 * sizeof(float));
    th_optimizer_free(o);
    th_param *without = th_params_add(ps, "without", TH_DESC(TH_F32, 2));
    assert_non_null(without);
    assert_ok(th_optimizer_new(ps, &a, NULL, &o));
    assert_fails(th_optimizer_step(o, 0.5f, 1, NULL), TH_E_BUG, "without: no gradient was computed");
    th_optimizer_free(o);
    th_params_free(ps);
}

static void half_precision_copies_follow_each_step(void **state) {
    (void)state;
    static const th_layout row_major;
    th_params *ps = make_params();
    int pack[SIZES];
    for (int k = 0; k < SIZES; k++) {
        assert_ok(th_param_pack(th_params_at(ps, k), TH_BF16, &row_major, &pack[k]));
        assert_ok(th_param_allocate(th_params_at(ps, k), true));
    }
    th_adamw_params a;
    th_adamw_params_init(&a);
    th_optimizer *o;
    assert_ok(th_optimizer_new(ps, &a, NULL, &o));
    for (int t = 1; t <= 2; t++) {
        set_gradients(ps, t);
        assert_ok(th_optimizer_step(o, 1e-2f, 2, NULL));
        for (int k = 0; k < SIZES; k++) {
            const uint16_t *low = th_param_data(th_params_at(ps, k), pack[k]);
            for (int64_t i = 0; i < sizes[k]; i++)
                assert_int_equal(low[i], th_f32_to_bf16(th_params_at(ps, k)->value[i]));
        }
    }
    th_optimizer_free(o);
    th_params_free(ps);
}

/* Five steps of a whole model on one batch. What AdamW makes of noise is left out: see is_noise. */
static void five_steps_of_clip_match_pytorch(void **state) {
    (void)state;
    for (int k = 0; k < FOLDERS; k++) {
        fixture f = open_fixture(folders[k], folders[k]);
        th_params *ps = th_clip_params(f.model);
        float *settings = expected_values(&f, "settings", "", NULL);
        th_adamw_params a;
        th_adamw_params_init(&a);
        a.weight_decay = settings[1], a.clip_norm = settings[2];
        th_plan *p = make_plan(&f, TH_F32, true);
        float **start = calloc((size_t)th_params_count(ps), sizeof *start);
        assert_non_null(start);
        for (int64_t i = 0; i < th_params_count(ps); i++)
            start[i] = param_values(&f, th_params_at(ps, i), th_param_get);
        th_optimizer *o;
        assert_ok(th_optimizer_new(ps, &a, has_two_dimensions, &o));
        double norm = 0;
        for (int t = 0; t < 5; t++) {
            assert_ok(th_plan_run(p, 0, (uint32_t)t));
            assert_ok(th_optimizer_step(o, settings[0], 2, &norm));
            assert_true(a.clip_norm == 0.0f || norm > (double)a.clip_norm); /* else clipping is not tried here */
        }
        double worst = 0;
        for (int64_t i = 0; i < th_params_count(ps); i++) {
            const th_param *q = th_params_at(ps, i);
            int64_t n;
            float *want = expected_values(&f, "step.", th_param_name(q), &n), *now = param_values(&f, q, th_param_get);
            for (int64_t e = 0; e < n; e++) now[e] = (now[e] - start[i][e]) / settings[0];
            double share = distance(now, want, n) / (1e-3 * norm_of(want, n));
            if (!is_noise(th_param_name(q)) && !(share <= 1))
                fail_msg("%s: %s went off by %.3g of its way", f.name, th_param_name(q), share * 1e-3);
            if (!is_noise(th_param_name(q)) && share > worst) worst = share;
            free(want);
            free(now);
            free(start[i]);
        }
        printf("  %s: off by at most %.1e of the way\n", f.name, worst * 1e-3);
        free(start);
        free(settings);
        th_optimizer_free(o);
        th_plan_free(p);
        close_fixture(&f);
    }
}

/* One plan trains, others, made before and after it, in f32 and in bf16, only embed: each sees every step. */
static void all_plans_see_a_step(void **state) {
    (void)state;
    fixture f = open_fixture("gelu", "gelu");
    th_params *ps = th_clip_params(f.model);
    th_plan *before = make_plan(&f, TH_F32, false), *low_before = make_plan(&f, TH_BF16, false);
    assert_ok(th_plan_run(before, 0, 0));
    assert_ok(th_plan_run(low_before, 0, 0));
    th_plan *train = make_plan(&f, TH_F32, true);
    th_plan *after = make_plan(&f, TH_F32, false), *low_after = make_plan(&f, TH_BF16, false);
    th_adamw_params a;
    th_adamw_params_init(&a);
    th_optimizer *o;
    assert_ok(th_optimizer_new(ps, &a, NULL, &o));
    size_t bytes = (size_t)(f.n * th_clip_get_config(f.model)->projection) * sizeof(float);
    float *old = malloc(bytes);
    assert_non_null(old);
    memcpy(old, th_plan_output(before, "text_embeds"), bytes);
    for (int t = 0; t < 3; t++) {
        assert_ok(th_plan_run(train, 0, 0));
        assert_ok(th_optimizer_step(o, 1e-2f, 2, NULL));
        /* A model that was loaded with these values and never trained is what all must agree with. */
        th_clip *fresh;
        assert_ok(th_clip_new(th_clip_get_config(f.model), &fresh));
        for (int64_t i = 0; i < th_params_count(ps); i++)
            assert_ok(th_param_set(th_params_at(th_clip_params(fresh), i), th_params_at(ps, i)->value));
        fixture g = f;
        g.model = fresh;
        for (int low = 0; low < 2; low++) {
            th_plan *own[2] = {low ? low_before : before, low ? low_after : after};
            th_plan *want = make_plan(&g, low ? TH_BF16 : TH_F32, false);
            assert_ok(th_plan_run(want, 0, 0));
            for (int i = 0; i < 2; i++) {
                assert_ok(th_plan_run(own[i], 0, 0));
                assert_memory_equal(th_plan_output(own[i], "image_embeds"), th_plan_output(want, "image_embeds"),
                                    bytes);
                assert_memory_equal(th_plan_output(own[i], "text_embeds"), th_plan_output(want, "text_embeds"), bytes);
            }
            th_plan_free(want);
        }
        th_clip_free(fresh);
    }
    assert_memory_not_equal(old, th_plan_output(before, "text_embeds"), bytes);
    free(old);
    th_optimizer_free(o);
    th_plan *all[] = {before, low_before, train, after, low_after};
    for (int i = 0; i < 5; i++) th_plan_free(all[i]);
    close_fixture(&f);
}

static void failed_allocations_are_said(void **state) {
    (void)state;
    th_params *ps = make_params();
    set_gradients(ps, 1);
    size_t before = th_bytes_in_use();
    th_adamw_params a;
    th_adamw_params_init(&a);
    th_status s = TH_E_MEMORY;
    for (int64_t n = 1; s != TH_OK; n++) {
        th_optimizer *o = NULL;
        for (int sticky = 0; sticky < 2 && s != TH_OK;
             sticky++) { /* tried again with memory, the same optimizer goes on */
            th_alloc_fail_at(n, !sticky);
            s = o ? TH_OK : th_optimizer_new(ps, &a, NULL, &o);
            if (s == TH_OK) s = th_optimizer_step(o, 1e-2f, 1, NULL);
            th_alloc_fail_at(0, false);
            assert_true(s == TH_OK || s == TH_E_MEMORY);
            if (s == TH_OK) break;
            for (int k = 0; k < SIZES; k++) assert_true(th_params_at(ps, k)->value[0] == start_value(0));
        }
        th_optimizer_free(o);
        assert_int_equal(th_bytes_in_use(), before);
    }
    th_params_free(ps);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_match_pytorch),
        cmocka_unit_test(threads_do_not_change_a_bit),
        cmocka_unit_test(gradient_that_is_not_finite_changes_nothing),
        cmocka_unit_test(state_that_was_saved_goes_on_to_the_bit),
        cmocka_unit_test(frozen_parameters_stay_and_only_weights_decay),
        cmocka_unit_test(half_precision_copies_follow_each_step),
        cmocka_unit_test(five_steps_of_clip_match_pytorch),
        cmocka_unit_test(all_plans_see_a_step),
        cmocka_unit_test(failed_allocations_are_said),
    };
    return cmocka_run_group_tests_name("train: AdamW", tests, NULL, NULL);
}
