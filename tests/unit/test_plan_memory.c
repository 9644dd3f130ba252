/* Plans and memory: recomputation on random graphs, repeated runs and threads, every allocation failing once,
 * parameters in blocks, and graphs whose outputs and gradients are unusual. */
#include "test.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/rng.h"
#include "graph/graph.h"
#include "graph/param.h"
#include "theriac/ops.h"
#include "theriac/plan.h"

#define D(...) TH_DESC(TH_F32, __VA_ARGS__)
#define SCALAR ((th_desc){.dtype = TH_F32})

static float noise(uint32_t which, int64_t i) {
    return 2.0f * th_unit_f32(th_philox(3, TH_RNG_TEST, which, (uint64_t)i).word[0]) - 1.0f;
}

static void fill_input(th_plan *p, const char *name, uint32_t which) {
    float *v = th_plan_input(p, name); /* NULL where no output depends on it */
    for (int64_t i = 0; v && i < th_desc_count(th_plan_input_desc(p, name)); i++) v[i] = noise(which, i);
}

static th_param *add_param(th_params *ps, const char *name, th_desc d) {
    th_param *p = th_params_add(ps, name, d);
    int64_t n = th_desc_count(&d);
    float *v = malloc((size_t)n * sizeof *v);
    assert_true(p && v);
    for (int64_t i = 0; i < n; i++) v[i] = 0.3f * noise((uint32_t)th_params_count(ps), i);
    assert_ok(th_param_set(p, v));
    free(v);
    return p;
}

static th_plan_params with(int threads, th_dtype compute, size_t budget) {
    th_plan_params p;
    th_plan_params_init(&p);
    p.threads = threads, p.compute = compute, p.memory_budget = budget;
    return p;
}

static th_plan *plan_of(const th_graph *g, const th_plan_params *params) {
    th_plan *p;
    assert_ok(th_plan_new(g, params, &p));
    return p;
}

/* What a budget must hold beside the tensors. */
static size_t bytes_beside_tensors(const th_graph *g, th_dtype compute) {
    th_plan_params params = with(1, compute, 0);
    th_plan_cost cost;
    params.pack_on_use = true;
    th_plan *p = plan_of(g, &params);
    th_plan_get_cost(p, &cost);
    th_plan_free(p);
    return cost.bytes - cost.tensor_bytes;
}

static void check_near(const char *what, const float *got, const float *want, int64_t n, double tolerance) {
    double off = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        off += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
        norm += (double)want[i] * (double)want[i];
    }
    if (!(sqrt(off) <= tolerance * sqrt(norm))) fail_msg("%s: off by %.3g of %.3g", what, sqrt(off), sqrt(norm));
}

/* --- random graphs --- */

enum { ROWS = 24, WIDTH = 32, STEPS = 40 };

typedef struct {
    uint32_t seed, drawn;
} dice;
static int64_t draw(dice *d, int64_t n) {
    return (int64_t)(th_philox(d->seed, TH_RNG_TEST, 77, d->drawn++).word[0] % (uint32_t)n);
}

/* One of what went before, the last ones more often. */
static th_tensor *pick(dice *d, th_tensor **made, int count) {
    int64_t back = draw(d, 3) ? draw(d, count < 3 ? count : 3) : draw(d, count);
    return made[count - 1 - back];
}

static th_tensor *random_step(th_graph *g, dice *d, th_params *ps, th_tensor **made, int count) {
    th_tensor *x = pick(d, made, count), *y = pick(d, made, count);
    th_desc third = D(3, ROWS / 3, WIDTH), flat = D(ROWS, WIDTH);
    switch (draw(d, 12)) {
    case 0: return th_add(g, x, y);
    case 1: return th_mul(g, x, th_sigmoid(g, y));
    case 2: return th_gelu(g, x);
    case 3: return th_linear(g, x, th_use(g, th_params_at(ps, draw(d, 3))), NULL);
    case 4:
        return th_add(g, x, th_linear(g, y, th_use(g, th_params_at(ps, draw(d, 3))), th_use(g, th_params_at(ps, 3))));
    case 5: return th_layer_norm(g, x, th_use(g, th_params_at(ps, 4)), th_use(g, th_params_at(ps, 3)), 1e-5f);
    case 6: return th_softmax(g, x);
    case 7:
        x = th_reshape(g, x, third), y = th_reshape(g, y, third);
        return th_reshape(g, th_attention(g, x, y, th_tanh(g, y), 2, draw(d, 2)), flat);
    case 8: {
        int64_t at = 1 + draw(d, ROWS - 1);
        return th_concat(g, 0, 2, (th_tensor *[]){th_slice(g, x, 0, at, ROWS), th_slice(g, y, 0, 0, at)});
    }
    case 9: return th_sub(g, x, th_broadcast(g, th_sum(g, th_scale(g, x, 1.0f / WIDTH), 2u), flat));
    case 10: return th_mul(g, x, th_detach(g, th_relu(g, y)));
    default: return th_transpose(g, th_matmul(g, x, th_matmul(g, x, th_tanh(g, y), true, false), false, false));
    }
}

static th_graph *random_graph(uint32_t seed, th_params *ps) {
    dice d = {seed, 0};
    th_graph *g = th_graph_new();
    th_tensor *made[STEPS + 2], *wrt[7], *grad[7];
    int count = 0;
    made[count++] = th_input(g, "x", D(ROWS, WIDTH));
    made[count++] = th_input(g, "y", D(ROWS, WIDTH));
    while (count < STEPS) {
        th_tensor *t = random_step(g, &d, ps, made, count);
        if (th_tensor_desc(t)->dim[0] != ROWS) t = th_transpose(g, t);
        made[count++] = t;
        if (draw(&d, 12) == 0) { /* something of the middle that is kept */
            char name[16];
            snprintf(name, sizeof name, "t%d", count);
            th_output(g, name, t);
        }
    }
    th_tensor *loss = th_mean_all(g, th_square(g, th_layer_norm(g, made[count - 1], th_use(g, th_params_at(ps, 4)),
                                                                th_use(g, th_params_at(ps, 3)), 1e-3f)));
    loss = th_add(g, loss, th_mean_all(g, th_tanh(g, made[count / 2])));
    for (int i = 0; i < 5; i++) wrt[i] = th_use(g, th_params_at(ps, i));
    wrt[5] = made[0], wrt[6] = made[1];
    th_grad(g, loss, 7, wrt, grad);
    for (int i = 0; i < 5; i++) th_output_grad(g, th_params_at(ps, i), grad[i]);
    th_output(g, "dx", grad[5]);
    th_output(g, "dy", grad[6]);
    th_output(g, "loss", loss);
    return g;
}

/* A sum of the bits of everything a run leaves behind: outputs and gradients. */
static uint64_t bits_of(const th_graph *g, th_plan *p, th_params *ps) {
    uint64_t h = 14695981039346656037u;
    for (int64_t i = 0; i < th_params_count(ps); i++)
        memset(th_params_at(ps, i)->grad, 0xFF, (size_t)th_param_elements(th_params_at(ps, i)) * sizeof(float));
    assert_ok(th_plan_run(p, 0, 0));
    for (int64_t i = 0; i < g->n_outputs; i++) {
        const th_graph_output *o = &g->outputs[i];
        const uint32_t *v = o->param ? (const uint32_t *)o->param->grad : th_plan_output(p, o->name);
        for (int64_t k = 0; k < th_desc_count(&o->tensor->desc); k++) h = (h ^ v[k]) * 1099511628211u;
    }
    return h;
}

static void recomputation_changes_no_bit(void **state) {
    (void)state;
    th_params *ps = th_params_new();
    for (int i = 0; i < 3; i++) add_param(ps, (const char *[]){"w0", "w1", "w2"}[i], D(WIDTH, WIDTH));
    add_param(ps, "b", D(WIDTH));
    add_param(ps, "s", D(WIDTH));
    for (int i = 0; i < 5; i++) assert_ok(th_param_allocate(th_params_at(ps, i), true));
    int planned = 0, refused = 0, made_again = 0;
    for (uint32_t seed = 0; seed < 24; seed++) {
        th_graph *g = random_graph(seed, ps);
        th_dtype compute = seed % 4 == 3 ? TH_BF16 : TH_F32;
        th_plan_params params = with(1, compute, 0);
        th_plan *p = plan_of(g, &params);
        th_plan_cost whole, cost;
        th_plan_get_cost(p, &whole);
        fill_input(p, "x", 1);
        fill_input(p, "y", 2);
        uint64_t want = bits_of(g, p, ps);
        assert_true(bits_of(g, p, ps) == want);
        th_plan_free(p);
        size_t beside = bytes_beside_tensors(g, compute);
        for (size_t share = 85; share >= 25; share -= 20) {
            params.memory_budget = beside + whole.tensor_bytes * share / 100;
            th_status s = th_plan_new(g, &params, &p);
            if (s != TH_OK) {
                assert_int_equal(s, TH_E_MEMORY);
                refused++;
                continue;
            }
            th_plan_get_cost(p, &cost);
            assert_true(cost.bytes <= params.memory_budget);
            made_again += cost.steps > whole.steps;
            fill_input(p, "x", 1);
            fill_input(p, "y", 2);
            if (bits_of(g, p, ps) != want) fail_msg("graph %u at %zu %%: other bits", seed, share);
            th_plan_free(p);
            planned++;
        }
        th_graph_free(g);
    }
    printf("  %d plans, %d of them with recomputation; %d budgets refused\n", planned, made_again, refused);
    assert_true(made_again > 20);
    th_params_free(ps);
}

/* A chain where every step costs the same: what is kept are a few of its tensors, about as Chen et al. would. */
static void chains_are_remade_in_stretches(void **state) {
    (void)state;
    enum { LENGTH = 48 };
    th_params *ps = th_params_new();
    th_graph *g = th_graph_new();
    th_tensor *x = th_input(g, "x", D(256, 16));
    for (int i = 0; i < LENGTH; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%d", i);
        x = th_gelu(g, th_linear(g, x, th_use(g, add_param(ps, name, D(16, 16))), NULL));
    }
    for (int i = 0; i < LENGTH; i++) assert_ok(th_param_allocate(th_params_at(ps, i), true));
    th_tensor *loss = th_mean_all(g, th_square(g, x));
    th_output(g, "loss", loss);
    th_grad_params(g, loss, ps);
    th_plan_params params = with(1, TH_F32, 0);
    th_plan *p = plan_of(g, &params);
    th_plan_cost whole, cost;
    th_plan_get_cost(p, &whole);
    fill_input(p, "x", 1);
    uint64_t want = bits_of(g, p, ps);
    th_plan_free(p);
    size_t beside = bytes_beside_tensors(g, TH_F32);
    for (size_t share = 60; share >= 24; share -= 12) {
        params.memory_budget = beside + whole.tensor_bytes * share / 100;
        p = plan_of(g, &params);
        th_plan_get_cost(p, &cost);
        printf("  %zu %%: %.1f %% more flops\n", share, 100 * cost.recomputed_flops / cost.flops);
        assert_true(cost.bytes <= params.memory_budget && cost.recomputed_flops < 0.35 * cost.flops);
        fill_input(p, "x", 1);
        assert_true(bits_of(g, p, ps) == want);
        th_plan_free(p);
    }
    th_graph_free(g);
    th_params_free(ps);
}

/* --- a small transformer, for runs, threads and failing allocations --- */

/* Texts of 6 tokens through one block of two heads, to classes; n texts. */
static th_graph *record_small(th_params *ps, int64_t n, int64_t width) {
    th_graph *g = th_graph_new();
    if (!g) return NULL;
    const char *const names[] = {"tokens", "norm", "shift", "q", "k", "v", "classes"};
    th_tensor *w[7];
    for (int i = 0; i < 7; i++) w[i] = th_use(g, th_params_find(ps, names[i]));
    th_graph_push(g, "block");
    th_tensor *ids = th_input(g, "ids", TH_DESC(TH_I32, n, 6)), *labels = th_input(g, "labels", TH_DESC(TH_I32, n));
    th_tensor *x = th_take_rows(g, w[0], ids), *h = th_layer_norm(g, x, w[1], w[2], 1e-5f);
    h = th_attention(g, th_linear(g, h, w[3], NULL), th_linear(g, h, w[4], NULL), th_linear(g, h, w[5], NULL), 2, true);
    x = th_add(g, x, th_gelu(g, h));
    th_graph_pop(g);
    const float none = 0.0f;
    th_tensor *first = th_constant(g, D(1, 1), &none), *zeros = th_broadcast(g, first, D(n, 1));
    th_tensor *last = th_reshape(g, th_slice(g, x, 1, 5, 6), D(n, width));
    th_tensor *logits = th_concat(g, 1, 2, (th_tensor *[]){zeros, th_linear(g, last, w[6], NULL)});
    th_graph_precise(g, true);
    th_tensor *loss = th_mean_all(g, th_softmax_cross_entropy(g, logits, labels));
    th_graph_precise(g, false);
    th_output(g, "logits", logits);
    th_output(g, "loss", loss);
    th_grad_params(g, loss, ps);
    return g;
}

static th_params *small_params(int64_t width) {
    th_params *ps = th_params_new();
    add_param(ps, "tokens", D(50, width));
    add_param(ps, "norm", D(width));
    add_param(ps, "shift", D(width));
    for (int i = 0; i < 3; i++) add_param(ps, (const char *[]){"q", "k", "v"}[i], D(width, width));
    add_param(ps, "classes", D(9, width));
    return ps;
}

static void fill_small(th_plan *p, int64_t n) {
    int32_t *ids = th_plan_input(p, "ids"), *labels = th_plan_input(p, "labels");
    assert_true(ids && labels);
    for (int64_t i = 0; i < 6 * n; i++) ids[i] = (int32_t)(i * 31 % 50);
    for (int64_t i = 0; i < n; i++) labels[i] = (int32_t)(i % 10);
}

static float *all_gradients(th_params *ps) {
    float *all = malloc((size_t)th_params_elements(ps) * sizeof *all), *at = all;
    assert_non_null(all);
    for (int64_t i = 0; i < th_params_count(ps); at += th_desc_count(&th_params_at(ps, i++)->desc))
        assert_ok(th_param_get_grad(th_params_at(ps, i), at));
    return all;
}

/* Large enough that the work is shared out. */
static void runs_repeat_and_threads_agree(void **state) {
    (void)state;
    enum { N = 64, W = 96 };
    th_params *ps = small_params(W);
    th_graph *g = record_small(ps, N, W);
    float *one = NULL;
    size_t count = (size_t)th_params_elements(ps);
    for (int threads = 1; threads <= 3; threads++) {
        float *first = NULL;
        for (int again = 0; again < 2; again++) { /* another plan gives the same bytes, and so does another run */
            th_plan_params params = with(threads, TH_F32, 0);
            th_plan *p = plan_of(g, &params);
            fill_small(p, N);
            for (int run = 0; run < 3; run++) {
                for (int64_t i = 0; i < th_params_count(ps) && run; i++)
                    memset(th_params_at(ps, i)->grad, 0xFF, th_desc_bytes(&th_params_at(ps, i)->desc));
                if (run < 2) {
                    assert_ok(th_plan_run(p, 0, 0));
                } else { /* inside a region of the caller's, where there is but one thread */
#pragma omp parallel num_threads(2)
#pragma omp single
                    assert_int_equal(th_plan_run(p, 0, 0), TH_OK);
                }
                float *got = all_gradients(ps);
                if (!first)
                    first = got;
                else if (run < 2)
                    assert_memory_equal(got, first, count * sizeof *got);
                else
                    check_near("in a parallel region", got, first, (int64_t)count, 1e-5);
                if (got != first) free(got);
            }
            th_plan_free(p);
        }
        if (one) check_near("threads", first, one, (int64_t)count, 1e-5);
        if (one)
            free(first);
        else
            one = first;
    }
    free(one);
    th_graph_free(g);
    th_params_free(ps);
}

/* Record, plan and run; whatever fails is the status. */
static th_status train_once(th_params *ps, th_dtype compute, size_t budget) {
    th_graph *g = record_small(ps, 3, 32);
    if (!g) return th_fail_memory();
    th_plan_params params = with(1, compute, budget);
    th_plan *p = NULL;
    th_status s = th_plan_new(g, &params, &p);
    th_graph_free(g);
    if (s != TH_OK) return s;
    if ((s = th_plan_allocate(p)) == TH_OK) {
        fill_small(p, 3);
        s = th_plan_run(p, 0, 0);
    }
    th_plan_free(p);
    return s;
}

/* The n-th allocation and all after it fail, for every n: an error, no leak, and the same run afterwards. */
static void every_allocation_may_fail(void **state) {
    (void)state;
    th_params *base = small_params(32);
    th_graph *g = record_small(base, 3, 32);
    th_plan_params params = with(1, TH_F32, 0);
    th_plan *p = plan_of(g, &params);
    th_plan_cost cost;
    th_plan_get_cost(p, &cost);
    th_plan_free(p);
    size_t tight = bytes_beside_tensors(g, TH_F32) + cost.tensor_bytes * 4 / 5;
    th_graph_free(g);
    assert_ok(train_once(base, TH_F32, 0));
    float *want = all_gradients(base);
    int64_t tried = 0;
    for (int kind = 0; kind < 3; kind++) {
        th_dtype compute = kind == 1 ? TH_BF16 : TH_F32;
        size_t budget = kind == 2 ? tight : 0;
        th_status s;
        int64_t n = 0;
        do {
            th_params *ps = small_params(32);
            size_t before = th_bytes_in_use(), own = 0;
            th_alloc_fail_at(++n, true);
            s = train_once(ps, compute, budget);
            th_alloc_fail_at(0, false);
            if (s != TH_OK && s != TH_E_MEMORY)
                fail_msg("allocation %lld: %s: %s", (long long)n, th_status_text(s), th_error_message());
            if (s != TH_OK) assert_non_null(strstr(th_error_message(), "out of memory"));
            for (int64_t i = 0; i < th_params_count(ps); i++) { /* what parameters keep: gradients and packs */
                const th_param *q = th_params_at(ps, i);
                own += q->grad ? th_desc_bytes(&q->desc) : 0;
                for (int k = 0; k < q->n_packs; k++)
                    own += q->packs[k].data ? ((size_t)th_desc_count(&q->desc) * 2 + 63) & ~(size_t)63 : 0;
            }
            if (th_bytes_in_use() != before + own)
                fail_msg("allocation %lld: %zu bytes are left", (long long)n, th_bytes_in_use() - before - own);
            if (s != TH_OK && n % 16 == 0 && compute == TH_F32) {
                assert_ok(train_once(ps, compute, budget));
                float *got = all_gradients(ps);
                assert_memory_equal(got, want, (size_t)th_params_elements(ps) * sizeof *got);
                free(got);
            }
            th_params_free(ps);
        } while (s != TH_OK);
        tried += n;
    }
    printf("  %lld allocations failed\n", (long long)tried);
    free(want);
    th_params_free(base);
}

/* --- parameters in blocks --- */

typedef struct {
    th_params *ps;
    th_param *w, *bias;
} conv_model;

static conv_model make_conv(void) {
    conv_model m = {.ps = th_params_new()};
    m.w = add_param(m.ps, "w", D(20, 18, 3, 3)); /* neither is a multiple of a block */
    m.bias = add_param(m.ps, "bias", D(20));
    return m;
}

static th_tensor *record_conv(th_graph *g, const conv_model *m) {
    th_conv_params c;
    th_conv_params_init(&c);
    c.pad_top = c.pad_left = c.pad_bottom = c.pad_right = 1;
    th_tensor *y = th_conv2d(g, th_input(g, "x", D(2, 9, 7, 18)), th_use(g, m->w), th_use(g, m->bias), &c);
    th_output(g, "y", y);
    return y;
}

static th_plan *conv_plan(const conv_model *m, th_dtype compute, bool training) {
    th_graph *g = th_graph_new();
    th_tensor *y = record_conv(g, m);
    if (training) th_grad_params(g, th_mean_all(g, th_square(g, y)), m->ps);
    th_plan_params params = with(2, compute, 0);
    th_plan *p = plan_of(g, &params);
    th_graph_free(g);
    fill_input(p, "x", 9);
    return p;
}

/* Values and gradients by the definition, row-major. */
static void conv_by_hand(const float *w, const float *bias, float *y, float *dw) {
    float *x = malloc(2 * 9 * 7 * 18 * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < 2 * 9 * 7 * 18; i++) x[i] = noise(9, i);
    double *sum = calloc(20 * 18 * 9, sizeof *sum);
    assert_non_null(sum);
    for (int64_t at = 0; at < 2 * 9 * 7 * 20; at++) {
        int64_t k = at % 20, c = at / 20 % 7, r = at / 140 % 9, n = at / 1260;
        for (int back = 0; back < 2; back++) {
            double v = back ? 2.0 * (double)y[at] / (2 * 9 * 7 * 20) : (double)bias[k];
            for (int64_t i = 0; i < 18 * 9; i++) {
                int64_t row = r + i / 3 % 3 - 1, column = c + i % 3 - 1;
                if (row < 0 || row >= 9 || column < 0 || column >= 7) continue;
                double xi = (double)x[((n * 9 + row) * 7 + column) * 18 + i / 9];
                if (back)
                    sum[k * 162 + i] += v * xi;
                else
                    v += (double)w[k * 162 + i] * xi;
            }
            if (!back) y[at] = (float)v;
        }
    }
    for (int64_t i = 0; i < 20 * 18 * 9; i++) dw[i] = (float)sum[i];
    free(sum);
    free(x);
}

static void check_conv(const conv_model *m, th_plan *p, bool training, double tolerance) {
    enum { Y = 2 * 9 * 7 * 20, W = 20 * 18 * 9 };
    static float w[W], bias[20], y[Y], dw[W], got[W];
    assert_ok(th_param_get(m->w, w));
    assert_ok(th_param_get(m->bias, bias));
    conv_by_hand(w, bias, y, dw);
    if (training) memset(m->w->grad, 0xFF, (size_t)th_param_elements(m->w) * sizeof(float));
    assert_ok(th_plan_run(p, 0, 0));
    check_near("y", th_plan_output(p, "y"), y, Y, tolerance);
    if (!training) return;
    assert_ok(th_param_get_grad(m->w, got));
    check_near("dw", got, dw, W, tolerance);
}

/* Plans that only look, in f32 and bf16, made before and after the one that trains and settles the layout. */
static void blocked_parameters_serve_all_plans(void **state) {
    (void)state;
    for (int order = 0; order < 3; order++) {
        conv_model m = make_conv();
        size_t count = (size_t)th_desc_count(&m.w->desc);
        float *set = malloc(count * sizeof *set), *got = malloc(count * sizeof *got);
        assert_true(set && got);
        for (size_t i = 0; i < count; i++) set[i] = 0.2f * noise(40, (int64_t)i);
        if (order == 2) assert_ok(th_param_allocate(m.w, true)); /* values and gradient move along */
        assert_ok(th_param_set(m.w, set));
        th_plan *before = order == 1 ? conv_plan(&m, TH_F32, false) : NULL,
                *low_before = order == 1 ? conv_plan(&m, TH_BF16, false) : NULL;
        th_plan *train = conv_plan(&m, TH_F32, true), *low = conv_plan(&m, TH_BF16, true);
        th_plan *after = conv_plan(&m, TH_F32, false), *low_after = conv_plan(&m, TH_BF16, false);
        printf("  the weights' home is %s\n", m.w->home.move ? "blocked" : "row-major");
        assert_ok(th_param_get(m.w, got));
        assert_memory_equal(got, set, count * sizeof *got);
        for (int round = 0; round < 2; round++) {
            if (before) check_conv(&m, before, false, 2e-6);
            if (low_before) check_conv(&m, low_before, false, 1e-2);
            check_conv(&m, train, true, 2e-6);
            check_conv(&m, low, true, 1e-2);
            check_conv(&m, after, false, 2e-6);
            check_conv(&m, low_after, false, 1e-2);
            for (size_t i = 0; i < count; i++) set[i] = 0.2f * noise(41, (int64_t)i);
            assert_ok(th_param_set(m.w, set)); /* all copies must follow */
        }
        th_plan *all[] = {before, low_before, train, low, after, low_after};
        for (int i = 0; i < 6; i++) th_plan_free(all[i]);
        th_params_free(m.ps);
        free(set);
        free(got);
    }
}

/* The weights themselves and what is computed from their gradient are read row-major, however they lie. */
static void blocked_parameters_are_read_row_major(void **state) {
    (void)state;
    enum { W = 20 * 18 * 9 };
    conv_model m = make_conv();
    th_param *twin = add_param(m.ps, "twin", D(20, 18, 3, 3)), *flat = add_param(m.ps, "flat", D(W));
    static float y[2 * 9 * 7 * 20], dw[W], w[W], bias[20], got[W];
    assert_ok(th_param_get(m.w, w));
    assert_ok(th_param_get(m.bias, bias));
    conv_by_hand(w, bias, y, dw);
    for (int others = 0; others < 2; others++) { /* first alone, which settles the layout in blocks */
        th_graph *g = th_graph_new();
        th_tensor *wrt = th_use(g, m.w), *grad;
        th_grad(g, th_mean_all(g, th_square(g, record_conv(g, &m))), 1, &wrt, &grad);
        th_output_grad(g, m.w, grad);
        th_output(g, "w", wrt);
        if (others) {
            th_output_grad(g, twin, grad);
            th_output_grad(g, flat, th_reshape(g, grad, D(W)));
            th_output(g, "gradient", grad);
            th_output(g, "double", th_scale(g, grad, 2.0f));
        }
        th_plan_params params = with(1, TH_F32, 0);
        th_plan *p = plan_of(g, &params);
        fill_input(p, "x", 9);
        assert_ok(th_plan_run(p, 0, 0));
        assert_memory_equal(th_plan_output(p, "w"), w, sizeof w);
        assert_ok(th_param_get_grad(m.w, got));
        check_near("dw", got, dw, W, 2e-6);
        if (others) {
            check_near("the gradient as an output", th_plan_output(p, "gradient"), dw, W, 2e-6);
            for (int i = 0; i < W; i++) got[i] = 2 * dw[i];
            check_near("twice the gradient", th_plan_output(p, "double"), got, W, 2e-6);
            assert_ok(th_param_get_grad(twin, got));
            check_near("the twin's", got, dw, W, 2e-6);
            assert_ok(th_param_get_grad(flat, got));
            check_near("reshaped", got, dw, W, 2e-6);
        }
        th_plan_free(p);
        th_graph_free(g);
    }
    th_params_free(m.ps);
    /* The same from the start: other readers keep the gradient, and so the parameter, row-major. */
    m = make_conv();
    th_graph *g = th_graph_new();
    th_tensor *wrt = th_use(g, m.w), *grad;
    th_grad(g, th_mean_all(g, th_square(g, record_conv(g, &m))), 1, &wrt, &grad);
    th_output_grad(g, m.w, grad);
    th_output(g, "norm", th_sum_all(g, th_square(g, grad)));
    th_plan_params params = with(1, TH_F32, 0);
    th_plan *p = plan_of(g, &params);
    fill_input(p, "x", 9);
    assert_ok(th_plan_run(p, 0, 0));
    assert_null(m.w->home.move);
    double norm = 0;
    for (int i = 0; i < W; i++) norm += (double)dw[i] * (double)dw[i];
    check_near("norm", th_plan_output(p, "norm"), &(float){(float)norm}, 1, 1e-5);
    th_plan_free(p);
    th_graph_free(g);
    th_params_free(m.ps);
}

/* --- unusual outputs --- */

static void unusual_gradients_reach_their_parameters(void **state) {
    (void)state;
    th_params *ps = th_params_new();
    th_param *a = add_param(ps, "a", D(6)), *b = add_param(ps, "b", D(2, 3)), *c = add_param(ps, "c", SCALAR),
             *unused = add_param(ps, "unused", D(4)), *d = add_param(ps, "d", D(6));
    th_graph *g = th_graph_new();
    th_tensor *x = th_input(g, "x", D(6)), *y = th_reshape(g, th_use(g, b), D(6));
    /* a + b share one gradient, 2 x; c's is a constant, 1; d's is the parameter a. */
    th_tensor *sum = th_mul(g, th_scale(g, x, 2.0f), th_add(g, th_use(g, a), y));
    th_grad_params(g, th_add(g, th_sum_all(g, sum), th_use(g, c)), ps);
    for (int low = 0; low < 2; low++) {
        th_plan_params params = with(1, low ? TH_BF16 : TH_F32, 0);
        th_plan *p = plan_of(g, &params);
        float *in = th_plan_input(p, "x");
        for (int i = 0; i < 6; i++) in[i] = (float)(i + 1);
        for (int64_t i = 0; i < th_params_count(ps); i++)
            memset(th_params_at(ps, i)->grad, 0xFF, th_desc_bytes(&th_params_at(ps, i)->desc));
        assert_ok(th_plan_run(p, 0, 0));
        for (int i = 0; i < 6; i++) assert_true(a->grad[i] == 2.0f * in[i] && b->grad[i] == a->grad[i]);
        for (int i = 0; i < 4; i++) assert_true(unused->grad[i] == 0.0f);
        assert_true(c->grad[0] == 1.0f && d->grad[5] == 0.0f);
        th_plan_free(p);
    }
    th_graph_free(g);
    /* Given by hand: a parameter, an input, a constant. */
    const float constant[6] = {9, 8, 7, 6, 5, 4};
    g = th_graph_new();
    x = th_input(g, "x", D(6));
    th_output_grad(g, a, th_use(g, d));
    th_output_grad(g, b, th_reshape(g, x, D(2, 3)));
    th_output_grad(g, d, th_constant(g, D(6), constant));
    th_plan_params params = with(1, TH_F32, 0);
    th_plan *p = plan_of(g, &params);
    fill_input(p, "x", 5);
    assert_ok(th_plan_run(p, 0, 0));
    assert_memory_equal(a->grad, d->value, 6 * sizeof(float));
    assert_memory_equal(b->grad, th_plan_input(p, "x"), 6 * sizeof(float));
    assert_memory_equal(d->grad, constant, sizeof constant);
    th_plan_free(p);
    th_graph_free(g);
    th_params_free(ps);
}

static void outputs_may_be_inputs_parameters_and_constants(void **state) {
    (void)state;
    const float constant[3] = {1, 2, 3};
    th_params *ps = th_params_new();
    th_param *w = add_param(ps, "w", D(3));
    th_graph *g = th_graph_new();
    th_tensor *x = th_input(g, "x", D(3)), *ids = th_input(g, "ids", TH_DESC(TH_I32, 2));
    th_output(g, "x", x);
    th_output(g, "ids", ids);
    th_output(g, "w", th_use(g, w));
    th_output(g, "shaped", th_reshape(g, th_use(g, w), D(3, 1)));
    th_output(g, "constant", th_constant(g, D(3), constant));
    th_output(g, "sum", th_add(g, x, th_use(g, w)));
    th_output(g, "same", th_add(g, x, th_use(g, w)));
    for (int low = 0; low < 2; low++) {
        th_plan_params params = with(1, low ? TH_BF16 : TH_F32, 0);
        th_plan *p = plan_of(g, &params);
        assert_null(th_plan_output(p, "x")); /* not before there is memory */
        fill_input(p, "x", 5);
        int32_t *in = th_plan_input(p, "ids");
        in[0] = 7, in[1] = -7;
        for (int run = 0; run < 2; run++) {
            assert_ok(th_plan_run(p, 0, 0));
            const float *xs = th_plan_output(p, "x"), *sum = th_plan_output(p, "sum"),
                        *same = th_plan_output(p, "same");
            for (int i = 0; i < 3; i++)
                assert_true(xs[i] == noise(5, i) && sum[i] == xs[i] + w->value[i] && sum[i] == same[i]);
            assert_memory_equal(th_plan_output(p, "w"), w->value, sizeof constant);
            assert_memory_equal(th_plan_output(p, "shaped"), w->value, sizeof constant);
            assert_memory_equal(th_plan_output(p, "constant"), constant, sizeof constant);
            assert_int_equal(((const int32_t *)th_plan_output(p, "ids"))[1], -7);
            assert_null(th_plan_output(p, "none"));
            assert_null(th_plan_input(p, "none"));
        }
        th_plan_free(p);
    }
    th_graph_free(g);
    g = th_graph_new(); /* nothing is asked for */
    th_square(g, th_input(g, "x", D(3)));
    th_plan_params params = with(1, TH_F32, 0);
    th_plan *p = plan_of(g, &params);
    assert_ok(th_plan_run(p, 0, 0));
    th_plan_free(p);
    th_graph_free(g);
    th_params_free(ps);
}

/* The first error stays, whatever follows, and planning returns it with its place. */
static void first_error_of_a_recording_is_what_planning_returns(void **state) {
    (void)state;
    th_params *ps = th_params_new();
    th_param *w = add_param(ps, "w", D(5, 4));
    th_plan_params params = with(1, TH_F32, 0);
    th_plan *p;
    for (int which = 0; which < 7; which++) {
        static const struct {
            th_status status;
            const char *message;
        } want[] = {
            {TH_E_SHAPE, "stage.block.2: matmul: [2, 3] times [5, 4]ᵀ"},
            {TH_E_SHAPE, "stage.block.2: add: [2, 3] and [2, 4] do not broadcast"},
            {TH_E_SHAPE, "stage.block.2: the gradient of [2, 3]: only of a single number"},
            {TH_E_BUG, "stage.block.2: two inputs named 'x'"},
            {TH_E_BUG, "stage.block.2: a parameter that does not exist is used"},
            {TH_E_SHAPE, "stage.block.2: attention: queries [2, 1, 3], keys [2, 1, 3], 2 heads"},
            {TH_E_SHAPE, "stage.block.2: conv2d: [1, 1, 2, 3] and [5, 4, 1, 1] do not fit"},
        };
        th_graph *g = th_graph_new();
        th_graph_push(g, "stage");
        th_graph_push(g, "block.%d", 2);
        th_tensor *x = th_input(g, "x", D(2, 3)), *y = x;
        th_conv_params c;
        th_conv_params_init(&c);
        switch (which) {
        case 0: y = th_linear(g, x, th_use(g, w), NULL); break;
        case 1: y = th_add(g, x, th_input(g, "y", D(2, 4))); break;
        case 2: th_grad(g, x, 1, &x, &y); break;
        case 3: y = th_input(g, "x", D(2, 3)); break;
        case 4: y = th_add(g, x, th_use(g, th_params_find(ps, "none"))); break;
        case 5:
            y = th_reshape(g, x, D(2, 1, 3));
            y = th_attention(g, y, y, y, 2, false);
            break;
        default:
            y = th_conv2d(g, th_reshape(g, x, D(1, 1, 2, 3)), th_reshape(g, th_use(g, w), D(5, 4, 1, 1)), NULL, &c);
            break;
        }
        th_graph_pop(g);
        /* Everything else goes on as if nothing had happened. */
        y = th_l2_normalize(g, th_transpose(g, th_add(g, th_reshape(g, y, D(3, 2)), th_use(g, w))));
        y = th_concat(g, 0, 2, (th_tensor *[]){y, th_permute(g, th_slice(g, y, 0, 5, 9), (int[]){1, 0})});
        y = th_sum_to(g, th_softmax(g, th_pad(g, y, 3, 1, 1)), &(th_desc){.rank = 1});
        th_grad_params(g, th_mean_all(g, th_matmul(g, y, y, true, true)), ps);
        th_output(g, "y", y);
        assert_fails(th_plan_new(g, &params, &p), want[which].status, want[which].message);
        assert_int_equal(strncmp(th_error_message(), want[which].message, strlen(want[which].message)), 0);
        assert_int_equal(th_graph_status(g), want[which].status);
        th_graph_free(g);
    }
    th_params_free(ps);
}

/* Tensors without elements: nothing to do, and nothing to fall over. */
static void empty_tensors_are_computed(void **state) {
    (void)state;
    th_params *ps = th_params_new();
    th_param *w = add_param(ps, "w", D(4, 3)), *norm = add_param(ps, "norm", D(3));
    for (int low = 0; low < 2; low++) {
        th_graph *g = th_graph_new();
        th_tensor *x = th_input(g, "x", D(0, 2, 3));
        th_tensor *y = th_linear(g, th_layer_norm(g, x, th_use(g, norm), th_use(g, norm), 1e-5f), th_use(g, w), NULL);
        y = th_softmax(g, th_attention(g, y, y, y, 2, false));
        th_output(g, "y", y);
        th_output(g, "sum", th_sum_all(g, y));
        th_tensor *rows = th_reshape(g, y, D(0, 4)), *in = th_reshape(g, x, D(0, 3));
        th_output(g, "outer", th_add(g, th_matmul(g, rows, in, true, false), th_use(g, w)));
        th_grad_params(g, th_sum_all(g, y), ps);
        th_plan_params params = with(2, low ? TH_BF16 : TH_F32, 0);
        th_plan *p = plan_of(g, &params);
        assert_ok(th_plan_run(p, 0, 0));
        assert_true(*(const float *)th_plan_output(p, "sum") == 0.0f);
        const float *outer = th_plan_output(p, "outer"); /* a sum of no products, and a residual */
        for (int i = 0; i < 12; i++) assert_true(outer[i] == w->value[i]);
        for (int i = 0; i < 12; i++) assert_true(w->grad[i] == 0.0f);
        for (int i = 0; i < 3; i++) assert_true(norm->grad[i] == 0.0f);
        th_plan_free(p);
        th_graph_free(g);
    }
    th_params_free(ps);
    conv_model m = make_conv();
    th_graph *g = th_graph_new();
    th_conv_params c;
    th_conv_params_init(&c);
    th_tensor *y = th_conv2d(g, th_input(g, "x", D(0, 9, 7, 18)), th_use(g, m.w), th_use(g, m.bias), &c);
    th_grad_params(g, th_sum_all(g, th_square(g, y)), m.ps);
    th_plan_params params = with(2, TH_F32, 0);
    th_plan *p = plan_of(g, &params);
    static float dw[20 * 18 * 9];
    assert_ok(th_plan_allocate(p));
    memset(m.w->grad, 0xFF, (size_t)th_param_elements(m.w) * sizeof(float));
    assert_ok(th_plan_run(p, 0, 0));
    assert_ok(th_param_get_grad(m.w, dw));
    for (int i = 0; i < 20 * 18 * 9; i++) assert_true(dw[i] == 0.0f);
    th_plan_free(p);
    th_graph_free(g);
    th_params_free(m.ps);
}

/* Values that are not there are an error, and a home that cannot be taken leaves the parameter whole. */
static void parameters_survive_failed_allocations(void **state) {
    (void)state;
    conv_model m = make_conv();
    enum { W = 20 * 18 * 9 };
    static float w[W], got[W];
    assert_ok(th_param_get(m.w, w));
    assert_fails(th_param_get_grad(m.w, got), TH_E_BUG, "w: has no gradient yet");
    th_param *empty = th_params_add(m.ps, "empty", D(3));
    assert_fails(th_param_get(empty, got), TH_E_BUG, "empty: has no values yet");
    assert_null(th_params_add(m.ps, "w", D(3)));
    assert_non_null(strstr(th_error_message(), "two parameters named 'w'"));
    th_graph *g = th_graph_new();
    th_grad_params(g, th_mean_all(g, th_square(g, record_conv(g, &m))), m.ps);
    th_plan_params params = with(1, TH_F32, 0);
    th_plan *p = NULL;
    th_status s;
    int64_t n = 0;
    do {
        th_alloc_fail_at(++n, true);
        s = th_plan_new(g, &params, &p);
        th_alloc_fail_at(0, false);
        assert_true(s == TH_OK || s == TH_E_MEMORY);
        assert_ok(th_param_get(m.w, got));
        assert_memory_equal(got, w, sizeof w);
    } while (s != TH_OK);
    assert_non_null(m.w->home.move);
    fill_input(p, "x", 9);
    check_conv(&m, p, true, 2e-6);
    th_plan_free(p);
    th_graph_free(g);
    th_params_free(m.ps);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recomputation_changes_no_bit),
        cmocka_unit_test(chains_are_remade_in_stretches),
        cmocka_unit_test(runs_repeat_and_threads_agree),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(blocked_parameters_serve_all_plans),
        cmocka_unit_test(blocked_parameters_are_read_row_major),
        cmocka_unit_test(unusual_gradients_reach_their_parameters),
        cmocka_unit_test(outputs_may_be_inputs_parameters_and_constants),
        cmocka_unit_test(first_error_of_a_recording_is_what_planning_returns),
        cmocka_unit_test(empty_tensors_are_computed),
        cmocka_unit_test(parameters_survive_failed_allocations),
    };
    return cmocka_run_group_tests_name("plan: memory", tests, NULL, NULL);
}
