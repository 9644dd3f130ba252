/* Training under a memory budget: the same gradients to the bit, or a number. Measured on a CLIP of a few layers that
 * runs, and on one of 24 that is only planned. */
#include "test.h"

#include <stdlib.h>
#include <time.h>

#include "base/memory.h"
#include "graph/param.h"
#include "theriac/clip.h"
#include "theriac/ops.h"
#include "theriac/plan.h"

enum { BATCH = 8, TOKENS = 20 };

static th_clip *make_clip(int64_t layers, int64_t width, int64_t heads) {
    th_clip_config c;
    th_clip *m;
    th_clip_config_init(&c);
    c.vision = (th_clip_tower){width, heads, layers, 4 * width, true, 1e-5f};
    c.text = (th_clip_tower){width, heads, layers, 4 * width, true, 1e-5f};
    c.image_size = 32, c.patch_size = 8, c.vocab_size = 100, c.context = TOKENS, c.eos_token_id = 99;
    c.projection = 32;
    assert_ok(th_clip_new(&c, &m));
    return m;
}

/* The contrastive loss of a batch and all gradients. */
static th_graph *make_graph(const th_clip *m) {
    th_graph *g = th_graph_new();
    assert_non_null(g);
    th_tensor *ids = th_input(g, "ids", TH_DESC(TH_I32, BATCH, TOKENS)),
              *ends = th_input(g, "ends", TH_DESC(TH_I32, BATCH));
    th_tensor *a = th_clip_embed_images(g, m, th_input(g, "images", TH_DESC(TH_F32, BATCH, 32, 32, 3)));
    th_tensor *loss = th_clip_contrastive(g, a, th_clip_embed_texts(g, m, ids, ends), th_clip_scale(g, m));
    th_output(g, "loss", loss);
    th_grad_params(g, loss, th_clip_params(m));
    return g;
}

static void fill(th_plan *p) {
    float *images = th_plan_input(p, "images");
    int32_t *ids = th_plan_input(p, "ids"), *ends = th_plan_input(p, "ends");
    assert_true(images && ids && ends);
    for (int64_t i = 0; i < BATCH * 32 * 32 * 3; i++) images[i] = (float)(i * 7919 % 1009) / 504.0f - 1.0f;
    for (int64_t i = 0; i < BATCH * TOKENS; i++) ids[i] = (int32_t)(i * 7907 % 99);
    for (int64_t i = 0; i < BATCH; i++) {
        ids[i * TOKENS + 5 + i] = 99;
        ends[i] = (int32_t)(i * TOKENS + 5 + i);
    }
}

/* All gradients, one after the other. */
static float *gradients(const th_clip *m) {
    const th_params *ps = th_clip_params(m);
    float *all = malloc((size_t)th_params_elements(ps) * sizeof *all), *at = all;
    assert_non_null(all);
    for (int64_t i = 0; i < th_params_count(ps); i++) {
        assert_ok(th_param_get_grad(th_params_at(ps, i), at));
        at += th_desc_count(th_param_desc(th_params_at(ps, i)));
    }
    return all;
}

/* So that a gradient that is not written is seen. */
static void spoil_gradients(const th_clip *m) {
    for (int64_t i = 0; i < th_params_count(th_clip_params(m)); i++) {
        th_param *p = th_params_at(th_clip_params(m), i);
        memset(p->grad, 0xFF, (size_t)th_param_elements(p) * sizeof(float));
    }
}

/* Seconds of this process, so that a busy machine does not count. */
static double now(void) { return (double)clock() / CLOCKS_PER_SEC; }

/* What a budget must hold beside the tensors. */
static size_t bytes_beside_tensors(const th_graph *g, const th_plan_params *like) {
    th_plan_params params = *like;
    th_plan *p;
    th_plan_cost cost;
    params.pack_on_use = true;
    params.memory_budget = 0;
    assert_ok(th_plan_new(g, &params, &p));
    th_plan_get_cost(p, &cost);
    th_plan_free(p);
    return cost.bytes - cost.tensor_bytes;
}

static void budget_keeps_gradients_to_the_bit(void **state) {
    (void)state;
    th_clip *m = make_clip(4, 64, 4);
    assert_ok(th_clip_randomize(m, 1));
    th_graph *g = make_graph(m);
    size_t bytes = (size_t)th_params_elements(th_clip_params(m)) * sizeof(float);
    for (int low = 0; low < 2; low++) {
        th_plan_params params;
        th_plan_params_init(&params);
        params.threads = 2;
        params.compute = low ? TH_BF16 : TH_F32;
        th_plan *p;
        th_plan_cost whole, cost;
        assert_ok(th_plan_new(g, &params, &p));
        th_plan_get_cost(p, &whole);
        assert_true(whole.recomputed_flops < 1e-9 * whole.flops);
        fill(p);
        assert_ok(th_plan_run(p, 0, 0));
        float *want = gradients(m), loss = *(const float *)th_plan_output(p, "loss");
        assert_true(loss > 0.1f && loss < 10.0f);
        th_plan_free(p);
        size_t beside = bytes_beside_tensors(g, &params);
        const int shares[] = {80, 60, 45, 30, 20};
        for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
            params.memory_budget = beside + whole.tensor_bytes * (size_t)shares[i] / 100;
            assert_ok(th_plan_new(g, &params, &p));
            th_plan_get_cost(p, &cost);
            assert_true(cost.bytes <= params.memory_budget);
            assert_true(cost.flops == whole.flops && cost.recomputed_flops < 0.34 * cost.flops);
            printf("  %s at %d %%: %.1f %% more flops\n", th_dtype_name(params.compute), shares[i],
                   100 * cost.recomputed_flops / cost.flops);
            for (int run = 0; run < 2; run++) {
                spoil_gradients(m);
                fill(p);
                assert_ok(th_plan_run(p, 0, 0));
                float *got = gradients(m);
                assert_memory_equal(got, want, bytes);
                assert_true(*(const float *)th_plan_output(p, "loss") == loss);
                free(got);
            }
            th_plan_free(p);
        }
        params.memory_budget = beside + whole.tensor_bytes / 20;
        size_t before = th_bytes_in_use();
        assert_fails(th_plan_new(g, &params, &p), TH_E_MEMORY, "at least ");
        assert_non_null(strstr(th_error_message(), "of memory is needed here, the budget is "));
        assert_int_equal(th_bytes_in_use(), before);
        free(want);
    }
    th_graph_free(g);
    th_clip_free(m);
}

/* Only a graph: its parameters have no values. */
static void deep_models_are_planned_within_two_seconds(void **state) {
    (void)state;
    th_clip *m = make_clip(24, 1024, 16);
    th_graph *g = make_graph(m);
    th_plan_params params;
    th_plan_params_init(&params);
    size_t whole = 0, beside = bytes_beside_tensors(g, &params);
    const int shares[] = {100, 80, 60, 45, 30, 15, 6};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        th_plan *p;
        th_plan_cost cost;
        params.memory_budget = whole ? beside + whole / 100 * (size_t)shares[i] : 0;
        double t = now();
        assert_ok(th_plan_new(g, &params, &p));
        t = now() - t;
        th_plan_get_cost(p, &cost);
        if (!whole) whole = cost.tensor_bytes;
        printf("  %d %% of %.1f MiB: %.1f %% more flops, planned in %.2f s\n", shares[i], (double)whole / 0x1p20,
               100 * cost.recomputed_flops / cost.flops, t);
        assert_true(cost.tensor_bytes <= whole * (size_t)shares[i] / 100);
        if (t > 2) fail_msg("planning took %.2f s", t);
        th_plan_free(p);
    }
    th_graph_free(g);
    th_clip_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(budget_keeps_gradients_to_the_bit),
        cmocka_unit_test(deep_models_are_planned_within_two_seconds),
    };
    return cmocka_run_group_tests_name("model: memory", tests, NULL, NULL);
}
