/* Copies of parameters and the budget of a whole process: what is kept, what is made on use, what is left of it when
 * plans go; and that none of it changes a bit. */
#include "test.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/rng.h"
#include "graph/graph.h"
#include "graph/param.h"
#include "theriac/ops.h"
#include "theriac/plan.h"

#define D(...) TH_DESC(TH_F32, __VA_ARGS__)

static float noise(uint32_t which, int64_t i) {
    return 2.0f * th_unit_f32(th_philox(3, TH_RNG_TEST, which, (uint64_t)i).word[0]) - 1.0f;
}

static void add_param(th_params *ps, const char *name, th_desc d) {
    th_param *p = th_params_add(ps, name, d);
    int64_t n = th_desc_count(&d);
    float *v = malloc((size_t)n * sizeof *v);
    assert_true(p && v);
    for (int64_t i = 0; i < n; i++) v[i] = 0.1f * noise((uint32_t)th_params_count(ps), i);
    assert_ok(th_param_set(p, v));
    free(v);
}

enum { CHANNELS = 24, SIDE = 12, TOKENS = 40, LEVELS = 3 };

/* A table of embeddings, convolutions whose channels fill no block, and products. */
static th_params *make_params(void) {
    th_params *ps = th_params_new();
    add_param(ps, "table", D(TOKENS, CHANNELS));
    add_param(ps, "in", D(CHANNELS, 4, 3, 3));
    for (int i = 0; i < LEVELS; i++) {
        char name[32];
        snprintf(name, sizeof name, "conv%d", i);
        add_param(ps, name, D(CHANNELS, CHANNELS, 3, 3));
        snprintf(name, sizeof name, "linear%d", i);
        add_param(ps, name, D(CHANNELS, CHANNELS));
    }
    add_param(ps, "bias", D(CHANNELS));
    return ps;
}

static th_graph *record(th_params *ps, bool training) {
    th_graph *g = th_graph_new();
    th_conv_params c;
    th_conv_params_init(&c);
    c.pad_top = c.pad_left = c.pad_bottom = c.pad_right = 1;
    th_tensor *bias = th_use(g, th_params_find(ps, "bias"));
    th_tensor *x = th_conv2d(g, th_input(g, "x", D(1, SIDE, SIDE, 4)), th_use(g, th_params_find(ps, "in")), bias, &c);
    th_tensor *ids = th_input(g, "ids", TH_DESC(TH_I32, 1, SIDE, SIDE));
    x = th_add(g, x, th_take_rows(g, th_use(g, th_params_find(ps, "table")), ids));
    for (int i = 0; i < LEVELS; i++) {
        char name[32];
        snprintf(name, sizeof name, "conv%d", i);
        x = th_add(g, x, th_silu(g, th_conv2d(g, x, th_use(g, th_params_find(ps, name)), bias, &c)));
        snprintf(name, sizeof name, "linear%d", i);
        x = th_gelu(g, th_linear(g, x, th_use(g, th_params_find(ps, name)), bias));
    }
    th_tensor *loss = th_mean_all(g, th_square(g, x));
    th_output(g, "loss", loss);
    if (training) th_grad_params(g, loss, ps);
    assert_ok(th_graph_status(g));
    return g;
}

static th_plan *plan_of(th_params *ps, bool training, const th_plan_params *params) {
    th_graph *g = record(ps, training);
    th_plan *p = NULL;
    assert_ok(th_plan_new(g, params, &p));
    th_graph_free(g);
    return p;
}

static th_plan_params with(th_dtype compute, bool pack_on_use, size_t budget) {
    th_plan_params p;
    th_plan_params_init(&p);
    p.threads = 2, p.compute = compute, p.pack_on_use = pack_on_use, p.memory_budget = budget;
    return p;
}

/* A sum of the bits of the loss and of all gradients. */
static uint64_t bits_of(th_plan *p, th_params *ps, bool training) {
    uint64_t h = 14695981039346656037u;
    float *x = th_plan_input(p, "x"), loss;
    int32_t *ids = th_plan_input(p, "ids");
    for (int64_t i = 0; i < SIDE * SIDE * 4; i++) x[i] = noise(50, i);
    for (int64_t i = 0; i < SIDE * SIDE; i++) ids[i] = (int32_t)(i * 7 % TOKENS);
    assert_ok(th_plan_run(p, 0, 0));
    memcpy(&loss, th_plan_output(p, "loss"), sizeof loss);
    for (size_t i = 0; i < sizeof loss; i++) h = (h ^ ((const uint8_t *)&loss)[i]) * 1099511628211u;
    for (int64_t i = 0; i < th_params_count(ps) && training; i++) {
        th_param *q = th_params_at(ps, i);
        int64_t n = th_desc_count(&q->desc);
        float *v = malloc((size_t)n * sizeof *v);
        assert_non_null(v);
        assert_ok(th_param_get_grad(q, v));
        for (size_t k = 0; k < (size_t)n * sizeof *v; k++) h = (h ^ ((const uint8_t *)v)[k]) * 1099511628211u;
        free(v);
    }
    return h;
}

static th_plan_cost cost_of(const th_plan *p) {
    th_plan_cost c;
    th_plan_get_cost(p, &c);
    return c;
}

static int64_t packs_of(const th_params *ps) {
    int64_t n = 0;
    for (int64_t i = 0; i < th_params_count(ps); i++)
        for (int k = 0; k < th_params_at(ps, i)->n_packs; k++) n += th_params_at(ps, i)->packs[k].users > 0;
    return n;
}

static void packing_on_use_changes_no_bit(void **state) {
    (void)state;
    for (int low = 0; low < 2; low++)
        for (int training = 0; training < 2; training++) {
            th_params *ps = make_params();
            th_plan_params params = with(low ? TH_BF16 : TH_F32, false, 0);
            th_plan *p = plan_of(ps, training, &params);
            th_plan_cost kept = cost_of(p);
            uint64_t want = bits_of(p, ps, training);
            th_plan_free(p);
            params.pack_on_use = true;
            p = plan_of(ps, training, &params);
            th_plan_cost on_use = cost_of(p);
            assert_int_equal(packs_of(ps), 0);
            assert_true(on_use.bytes <= kept.bytes && on_use.moved_bytes >= kept.moved_bytes);
            assert_true(bits_of(p, ps, training) == want);
            assert_true(bits_of(p, ps, training) == want);
            th_plan_free(p);
            params.pack_on_use = false;
            int planned = 0;
            for (size_t b = kept.bytes; b > kept.bytes / 4; b -= kept.bytes / 64) { /* and every split between */
                th_graph *g = record(ps, training);
                params.memory_budget = b;
                th_status s = th_plan_new(g, &params, &p);
                th_graph_free(g);
                if (s != TH_OK) {
                    size_t kib;
                    assert_int_equal(s, TH_E_MEMORY);
                    assert_int_equal(
                        sscanf(th_error_message(), "at least %zuK of memory is needed here, the budget is", &kib), 1);
                    assert_true(kib << 10 > b);
                    params.memory_budget = kib << 10; /* is enough, then */
                    p = plan_of(ps, training, &params);
                    assert_true(bits_of(p, ps, training) == want);
                    th_plan_free(p);
                    break;
                }
                planned++;
                assert_true(cost_of(p).bytes <= b);
                assert_true(bits_of(p, ps, training) == want);
                th_plan_free(p);
            }
            printf("  %s, %s: %zu bytes, %zu on use; %d budgets met\n", low ? "bf16" : "f32",
                   training ? "training" : "inference", kept.bytes, on_use.bytes, planned);
            assert_true(planned > 1);
            th_params_free(ps);
        }
}

/* The bytes that a budget is held against are those that are taken. */
static void planned_bytes_are_those_in_use(void **state) {
    (void)state;
    for (int low = 0; low < 2; low++)
        for (int on_use = 0; on_use < 2; on_use++) {
            th_params *ps = make_params();
            th_plan_params params = with(low ? TH_BF16 : TH_F32, on_use, 0);
            th_plan *p = plan_of(ps, true, &params);
            size_t planned = cost_of(p).bytes, before = th_bytes_in_use();
            for (int64_t i = 0; i < th_params_count(ps); i++) /* these are there already */
                planned -= (size_t)th_param_elements(th_params_at(ps, i)) * sizeof(float);
            assert_ok(th_plan_allocate(p));
            assert_in_range(th_bytes_in_use() - before, planned, planned + 64 * 40); /* rounded up to cache lines */
            th_plan_free(p);
            th_params_free(ps);
        }
}

static void the_caller_s_bytes_count(void **state) {
    (void)state;
    th_params *ps = make_params();
    th_plan_params params = with(TH_F32, false, 0);
    th_plan *p = plan_of(ps, true, &params);
    th_plan_cost plain = cost_of(p);
    th_plan_free(p);
    params.trained_bytes = 8;
    params.other_bytes = 1000;
    p = plan_of(ps, true, &params);
    th_plan_cost all = cost_of(p);
    th_plan_free(p);
    assert_int_equal(all.trained_bytes, 2 * all.grad_bytes);
    assert_int_equal(all.bytes, plain.bytes + all.trained_bytes + 1000);
    params.memory_budget = all.bytes;
    p = plan_of(ps, true, &params);
    assert_true(cost_of(p).recomputed_flops <= 0);
    th_plan_free(p);
    th_graph *g = record(ps, true);
    params.memory_budget = 1000;
    size_t before = th_bytes_in_use();
    assert_fails(th_plan_new(g, &params, &p), TH_E_MEMORY, "the budget is 0K");
    assert_int_equal(th_bytes_in_use(), before);
    th_graph_free(g);
    th_params_free(ps);
}

/* In bf16 the copy that the optimizer writes is the last to go. */
static void twins_are_kept_first(void **state) {
    (void)state;
    th_params *ps = make_params();
    th_plan_params params = with(TH_BF16, true, 0);
    th_plan *p = plan_of(ps, true, &params);
    params.memory_budget = cost_of(p).bytes + 2 * CHANNELS * CHANNELS * LEVELS; /* room for just these */
    params.pack_on_use = false;
    th_plan_free(p);
    p = plan_of(ps, true, &params);
    assert_int_equal(packs_of(ps), LEVELS);
    assert_int_equal(th_params_find(ps, "linear1")->packs[0].users, 1);
    th_plan_free(p);
    th_params_free(ps);
}

/* Where several runs share an update, blocks are worth keeping too. */
static void more_runs_an_update_keep_more(void **state) {
    (void)state;
    th_params *ps = make_params();
    th_plan_params params = with(TH_BF16, false, 0);
    th_plan *p = plan_of(ps, true, &params);
    int64_t one = packs_of(ps);
    th_plan_free(p);
    params.runs_an_update = 4;
    p = plan_of(ps, true, &params);
    assert_true(packs_of(ps) > one);
    th_plan_free(p);
    th_params_free(ps);
}

/* Tables are read by rows from the values. */
static void tables_of_embeddings_are_not_copied(void **state) {
    (void)state;
    th_params *ps = make_params();
    for (int training = 0; training < 2; training++) {
        th_plan_params params = with(TH_BF16, false, 0);
        th_plan *p = plan_of(ps, training, &params);
        assert_true(packs_of(ps) > 0);
        assert_int_equal(th_params_find(ps, "table")->n_packs, 0);
        th_plan_free(p);
    }
    th_params_free(ps);
}

static void copies_go_with_their_last_plan(void **state) {
    (void)state;
    th_params *ps = make_params();
    th_plan_params params = with(TH_BF16, false, 0);
    size_t before = th_bytes_in_use();
    th_plan *a = plan_of(ps, false, &params), *b = plan_of(ps, false, &params);
    uint64_t want = bits_of(a, ps, false);
    assert_true(bits_of(b, ps, false) == want);
    int64_t packs = packs_of(ps);
    assert_true(packs > 0);
    th_plan_free(a);
    assert_int_equal(packs_of(ps), packs);
    assert_true(bits_of(b, ps, false) == want);
    th_plan_free(b);
    assert_int_equal(packs_of(ps), 0);
    assert_int_equal(th_bytes_in_use(), before);
    th_params_free(ps);
}

/* Where a plan that inferred is gone, training lays the parameters as it likes, and the other way round. */
static void homes_are_free_when_no_plan_is_left(void **state) {
    (void)state;
    th_params *ps = make_params();
    th_param *conv = th_params_find(ps, "conv1");
    static float before[CHANNELS * CHANNELS * 9], after[CHANNELS * CHANNELS * 9];
    assert_ok(th_param_get(conv, before));
    th_plan_params params = with(TH_F32, false, 0);
    th_plan *p = plan_of(ps, true, &params);
    uint64_t want = bits_of(p, ps, true);
    bool blocked = conv->home.move;
    th_plan_free(p);
    p = plan_of(ps, false, &params);
    (void)bits_of(p, ps, false);
    th_plan_free(p);
    for (int64_t i = 0; i < th_params_count(ps); i++) th_param_set_trainable(th_params_at(ps, i), false);
    p = plan_of(ps, false, &params);
    for (int i = 0; i < conv->n_packs; i++) assert_int_equal(conv->packs[i].users, 0);
    (void)bits_of(p, ps, false);
    assert_true(blocked == (conv->home.move != NULL));
    th_plan_free(p);
    for (int64_t i = 0; i < th_params_count(ps); i++) th_param_set_trainable(th_params_at(ps, i), true);
    p = plan_of(ps, true, &params);
    assert_true(bits_of(p, ps, true) == want);
    th_plan_free(p);
    assert_ok(th_param_get(conv, after));
    assert_memory_equal(before, after, sizeof before);
    th_params_free(ps);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packing_on_use_changes_no_bit),  cmocka_unit_test(planned_bytes_are_those_in_use),
        cmocka_unit_test(the_caller_s_bytes_count),       cmocka_unit_test(twins_are_kept_first),
        cmocka_unit_test(more_runs_an_update_keep_more),  cmocka_unit_test(tables_of_embeddings_are_not_copied),
        cmocka_unit_test(copies_go_with_their_last_plan), cmocka_unit_test(homes_are_free_when_no_plan_is_left),
    };
    return cmocka_run_group_tests_name("plan: copies", tests, NULL, NULL);
}
