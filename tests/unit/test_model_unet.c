/* The UNet against diffusers, by the folders of tests/data/unet (tests/fixtures/unet.py): outputs, the gradients of
 * DreamBooth's loss, the same with low-rank additions; folders in and out; what is wrong with a folder is said by file
 * and field. */
#include "test.h"

#include "base/file.h"
#include "base/memory.h"
#include "format/safetensors.h"
#include "formula.h"
#include "model/unet.h"
#include "model/weights.h"
#include "params.h"
#include "plan/cost.h"
#include "theriac/plan.h"

#define SCRATCH "unet_test"
#define CONFIG SCRATCH "/config.json"

enum { BATCH = 2, PROJECTIONS = 12 };
#define PRIOR 0.7f /* weight of the second sample, which stands for the class */

static const struct fixture {
    const char *name;
    int64_t h, w, tokens;
} fixtures[] = {{"sd15", 16, 8, 7}, {"sd21", 8, 16, 9}, {"shallow", 6, 10, 5}, {"deep", 4, 12, 3}, {"flat", 5, 7, 4}};
enum { FIXTURES = sizeof fixtures / sizeof *fixtures };

static th_unet *open_model(const char *name) {
    char path[TH_PATH_MAX];
    th_unet_config c;
    th_unet *u;
    snprintf(path, sizeof path, TH_TEST_DATA "/unet/%s", name);
    assert_ok(th_unet_read_config(path, &c));
    assert_ok(th_unet_new(&c, &u));
    formula_fill_all(th_unet_params(u));
    return u;
}

static th_safetensors *open_expected(const char *name) {
    char path[TH_PATH_MAX];
    th_safetensors *f;
    snprintf(path, sizeof path, TH_TEST_DATA "/unet/%s/expected.safetensors", name);
    assert_ok(th_safetensors_open(path, NULL, &f));
    return f;
}

/* mse(sample[0], target[0]) + 0.7 mse(sample[1], target[1]). */
static th_tensor *record_loss(th_graph *g, th_tensor *sample) {
    th_desc d = *th_tensor_desc(sample);
    int64_t n = th_desc_count(&d);
    float *target = malloc((size_t)n * sizeof *target), share = (float)(BATCH) / (float)n;
    assert_non_null(target);
    formula_numbers("target", n, target);
    th_graph_precise(g, true);
    th_tensor *off = th_square(g, th_sub(g, sample, th_constant(g, d, target)));
    th_tensor *weights = th_constant(g, TH_DESC(TH_F32, BATCH, 1, 1, 1), (float[]){share, PRIOR * share});
    th_tensor *loss = th_sum_all(g, th_mul(g, off, weights));
    th_graph_precise(g, false);
    free(target);
    return loss;
}

static th_graph *make_graph(const th_unet *u, const struct fixture *f, const th_params *wrt) {
    const th_unet_config *c = th_unet_get_config(u);
    th_graph *g = th_graph_new();
    assert_non_null(g);
    th_tensor *x = th_input(g, "latents", TH_DESC(TH_F32, BATCH, f->h, f->w, c->in_channels));
    th_tensor *times = th_input(g, "times", TH_DESC(TH_F32, BATCH, c->channels[0]));
    th_tensor *states = th_input(g, "states", TH_DESC(TH_F32, BATCH, f->tokens, c->cross_attention_dim));
    th_tensor *sample = th_unet_apply(g, u, x, times, states), *loss = record_loss(g, sample);
    th_output(g, "sample", sample);
    th_output(g, "loss", loss);
    if (wrt) th_grad_params(g, loss, wrt);
    return g;
}

/* wrt: whose gradients are asked for; NULL: none. */
static th_plan *make_plan(const th_unet *u, const struct fixture *f, th_dtype compute, const th_params *wrt) {
    const th_unet_config *c = th_unet_get_config(u);
    th_safetensors *expected = open_expected(f->name);
    th_graph *g = make_graph(u, f, wrt);
    th_plan_params params;
    th_plan *p;
    int64_t count;
    float *times = formula_expected(expected, "", "times", &count);
    assert_int_equal(count, BATCH);
    th_plan_params_init(&params);
    params.compute = compute;
    assert_ok(th_plan_new(g, &params, &p));
    th_graph_free(g);
    formula_numbers("latents", BATCH * f->h * f->w * c->in_channels, th_plan_input(p, "latents"));
    formula_numbers("states", BATCH * f->tokens * c->cross_attention_dim, th_plan_input(p, "states"));
    th_unet_embed_times(c, times, BATCH, th_plan_input(p, "times"));
    free(times);
    th_safetensors_close(expected);
    assert_ok(th_plan_run(p, 0, 0));
    return p;
}

static void check_outputs(const th_unet *u, const struct fixture *f, const th_plan *p, const char *prefix,
                          double tolerance) {
    char name[64];
    th_safetensors *expected = open_expected(f->name);
    int64_t n = BATCH * f->h * f->w * th_unet_get_config(u)->out_channels;
    snprintf(name, sizeof name, "%ssample", prefix);
    double a = formula_difference(expected, name, th_plan_output(p, "sample"), n);
    snprintf(name, sizeof name, "%sloss", prefix);
    double b = formula_difference(expected, name, th_plan_output(p, "loss"), 1);
    printf("  %s: %ssample off by %.2e, loss by %.2e\n", f->name, prefix, a, b);
    if (!(a <= tolerance && b <= tolerance)) fail_msg("%s: off by %.3g and %.3g", f->name, a, b);
    th_safetensors_close(expected);
}

static int by_name(const void *a, const void *b) {
    return strcmp(th_param_name(*(th_param *const *)a), th_param_name(*(th_param *const *)b));
}

static th_param **sorted(const th_params *ps) {
    int64_t n = th_params_count(ps);
    th_param **all = malloc((size_t)n * sizeof *all);
    assert_non_null(all);
    for (int64_t i = 0; i < n; i++) all[i] = th_params_at(ps, i);
    qsort(all, (size_t)n, sizeof *all, by_name);
    return all;
}

static float *gradient(const th_param *p, int64_t *n) {
    *n = th_desc_count(th_param_desc(p));
    float *g = malloc((size_t)*n * sizeof *g);
    assert_non_null(g);
    assert_ok(th_param_get_grad(p, g));
    return g;
}

/* ‖Δg‖, estimated: a number from [−1, 1) has the variance 1/3, so the sum of Δg times such numbers has ‖Δg‖² / 3. */
static double distance(const th_param *p, const float *g, int64_t n, const float *want) {
    float *numbers = malloc((size_t)n * sizeof *numbers);
    double squares = 0;
    assert_non_null(numbers);
    for (int k = 0; k < PROJECTIONS; k++) {
        char name[320];
        double got = 0;
        snprintf(name, sizeof name, "%s %d", th_param_name(p), k);
        formula_numbers(name, n, numbers);
        for (int64_t i = 0; i < n; i++) got += (double)g[i] * (double)numbers[i];
        squares += (got - (double)want[k]) * (got - (double)want[k]);
    }
    free(numbers);
    return sqrt(3 * squares / PROJECTIONS);
}

/* ‖Δg‖ ≤ 1e-4 ‖g‖ + 1e-6 ‖all gradients‖, for every parameter. */
static void check_gradients(const th_params *ps, const struct fixture *f, const char *what) {
    th_safetensors *expected = open_expected(f->name);
    th_param **all = sorted(ps);
    int64_t count, size;
    double sum = 0, worst = 0;
    float *want = formula_expected(expected, "", what, &count);
    assert_int_equal(count, th_params_count(ps) * PROJECTIONS);
    for (int64_t i = 0; i < th_params_count(ps); i++) {
        float *g = gradient(all[i], &size);
        sum += formula_norm(g, size) * formula_norm(g, size);
        free(g);
    }
    for (int64_t i = 0; i < th_params_count(ps); i++) {
        float *g = gradient(all[i], &size);
        double off = distance(all[i], g, size, want + i * PROJECTIONS), norm = formula_norm(g, size);
        double share = off / (1e-4 * norm + 1e-6 * sqrt(sum));
        if (!(share <= 1))
            fail_msg("%s: the gradient of %s is off by %.3g of %.3g; all together have %.3g", f->name,
                     th_param_name(all[i]), off, norm, sqrt(sum));
        worst = fmax(worst, share);
        free(g);
    }
    printf("  %s: %s: gradients use up to %.2f of what is allowed\n", f->name, what, worst);
    free(want);
    free(all);
    th_safetensors_close(expected);
}

static void outputs_and_gradients_match_diffusers(void **state) {
    (void)state;
    for (int i = 0; i < FIXTURES; i++) {
        th_unet *u = open_model(fixtures[i].name);
        th_plan *p = make_plan(u, &fixtures[i], TH_F32, th_unet_params(u));
        check_outputs(u, &fixtures[i], p, "", 1e-4);
        check_gradients(th_unet_params(u), &fixtures[i], "projections");
        th_plan_free(p);
        th_unet_free(u);
    }
}

/* ‖Δ‖ / ‖sample‖; PyTorch's autocast is off by 0.013 to 0.030 from its own f32 in models as narrow as these. */
static void outputs_in_bf16_are_near(void **state) {
    (void)state;
    for (int i = 0; i < FIXTURES; i++) {
        th_unet *u = open_model(fixtures[i].name);
        th_plan *p = make_plan(u, &fixtures[i], TH_BF16, NULL);
        th_safetensors *expected = open_expected(fixtures[i].name);
        int64_t n;
        float *want = formula_expected(expected, "", "sample", &n), *off = malloc((size_t)n * sizeof *off);
        const float *got = th_plan_output(p, "sample");
        assert_non_null(off);
        for (int64_t k = 0; k < n; k++) off[k] = got[k] - want[k];
        double share = formula_norm(off, n) / formula_norm(want, n);
        printf("  %s in bf16: off by %.4f of the whole\n", fixtures[i].name, share);
        if (!(share <= 0.05)) fail_msg("%s in bf16: off by %.4f of the whole", fixtures[i].name, share);
        free(want);
        free(off);
        th_safetensors_close(expected);
        th_plan_free(p);
        th_unet_free(u);
    }
}

static const th_lora_params lora = {.rank = 3, .alpha = 2, .seed = 5};

static void low_rank_additions_match_peft(void **state) {
    (void)state;
    const struct fixture *f = &fixtures[0];
    th_unet *u = open_model(f->name);
    assert_ok(th_unet_add_lora(u, &lora));
    th_params *added = th_unet_lora(u);
    formula_fill_all(added);
    assert_non_null(th_params_find(added, "mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0.lora_B.weight"));
    th_plan *p = make_plan(u, f, TH_F32, added);
    check_outputs(u, f, p, "lora_", 1e-4);
    check_gradients(added, f, "lora_projections");
    th_plan_free(p);
    th_unet_free(u);
}

static void low_rank_additions_begin_at_nothing(void **state) {
    (void)state;
    const struct fixture *f = &fixtures[0];
    th_unet *u = open_model(f->name);
    assert_ok(th_unet_add_lora(u, &lora));
    th_plan *p = make_plan(u, f, TH_F32, NULL);
    check_outputs(u, f, p, "", 1e-4);
    th_plan_free(p);
    int64_t n, zeros = 0, values = 0;
    for (int64_t i = 0; i < th_params_count(th_unet_lora(u)); i++) {
        const th_param *q = th_params_at(th_unet_lora(u), i);
        n = th_desc_count(th_param_desc(q));
        float *v = malloc((size_t)n * sizeof *v);
        assert_non_null(v);
        assert_ok(th_param_get(q, v));
        bool down = strstr(th_param_name(q), "lora_A") != NULL;
        double norm = formula_norm(v, n), expected = sqrt((double)n) / (double)lora.rank;
        if (down ? !(norm > 0.5 * expected && norm < 1.5 * expected) : norm != 0)
            fail_msg("%s begins with a norm of %g", th_param_name(q), norm);
        down ? values++ : zeros++;
        free(v);
    }
    assert_int_equal(values, zeros);
    assert_int_equal(values, 8 * 16); /* projections of a transformer, and transformers */
    assert_fails(th_unet_add_lora(u, &lora), TH_E_BUG, "once for each model");
    th_unet_free(u);
    u = open_model("flat");
    assert_fails(th_unet_add_lora(u, &(th_lora_params){.rank = 0, .alpha = 1}), TH_E_INPUT, "rank 0");
    th_unet_free(u);
}

static void check_same_config(const th_unet_config *a, const th_unet_config *b) {
    assert_int_equal(a->levels, b->levels);
    assert_int_equal(a->sample_size, b->sample_size);
    assert_true(a->in_channels == b->in_channels && a->out_channels == b->out_channels);
    assert_true(a->layers_per_block == b->layers_per_block && a->cross_attention_dim == b->cross_attention_dim);
    assert_true(a->groups == b->groups && a->eps == b->eps && a->freq_shift == b->freq_shift);
    assert_true(a->linear_projection == b->linear_projection && a->upcast_attention == b->upcast_attention);
    assert_true(a->flip_sin_to_cos == b->flip_sin_to_cos);
    for (int i = 0; i < a->levels; i++) {
        assert_true(a->channels[i] == b->channels[i] && a->heads[i] == b->heads[i]);
        assert_true(a->attends_down[i] == b->attends_down[i] && a->attends_up[i] == b->attends_up[i]);
    }
}

static th_status load(const char *dir, th_unet **out) {
    th_unet_config c;
    *out = NULL;
    th_status s = th_unet_read_config(dir, &c);
    if (s == TH_OK) s = th_unet_new(&c, out);
    return s == TH_OK ? th_unet_load(*out, dir, NULL) : s;
}

/* With TH_KEEP the folders stay behind: `tests/fixtures/unet.py check unet_test/sd15 sd15` holds diffusers to them. */
static void a_saved_folder_is_read_back(void **state) {
    (void)state;
    for (int i = 0; i < FIXTURES; i++) {
        char dir[64];
        snprintf(dir, sizeof dir, SCRATCH "/%s", fixtures[i].name);
        th_unet *u = open_model(fixtures[i].name), *again;
        assert_ok(th_unet_save(u, dir, "f32"));
        assert_ok(load(dir, &again));
        check_same_config(th_unet_get_config(u), th_unet_get_config(again));
        assert_true(params_equal(th_unet_params(u), th_unet_params(again)));
        th_unet_free(again);
        if (i == 0) {
            assert_ok(th_unet_add_lora(u, &lora));
            formula_fill_all(th_unet_lora(u));
            assert_ok(th_weights_save(SCRATCH "/sd15/lora.safetensors", th_unet_lora(u), th_weight_as_is, NULL, "f32"));
        }
        th_unet_free(u);
    }
}

static void one_by_one_convolutions_have_four_dimensions_in_the_file(void **state) {
    (void)state;
    static const struct {
        const char *model, *name;
        int rank;
    } rows[] = {{"sd15", "mid_block.attentions.0.proj_in.weight", 4},
                {"sd15", "mid_block.attentions.0.proj_out.weight", 4},
                {"sd21", "mid_block.attentions.0.proj_in.weight", 2},
                {"sd21", "up_blocks.1.resnets.0.conv_shortcut.weight", 4},
                {"sd21", "up_blocks.1.resnets.0.time_emb_proj.weight", 2}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        th_unet *u = open_model(rows[i].model);
        th_safetensors *f;
        assert_ok(th_unet_save(u, SCRATCH "/ranks", "f16"));
        assert_ok(th_safetensors_open(SCRATCH "/ranks", NULL, &f));
        const th_st_tensor *t = th_safetensors_find(f, rows[i].name);
        assert_non_null(t);
        assert_int_equal(t->rank, rows[i].rank);
        th_safetensors_close(f);
        th_unet_free(u);
    }
}

static th_status read_text(const char *text, th_unet_config *c) {
    assert_ok(th_make_dirs(SCRATCH));
    assert_ok(th_file_write(CONFIG, text, strlen(text)));
    return th_unet_read_config(SCRATCH, c);
}

static void config_has_the_defaults_of_diffusers(void **state) {
    (void)state;
    th_unet_config want, got;
    th_unet_config_init(&want);
    want.cross_attention_dim = 1280;
    assert_ok(read_text("{}", &got));
    check_same_config(&got, &want);
}

static void harmless_fields_are_read(void **state) {
    (void)state;
    th_unet_config want, got;
    th_unet_config_init(&want);
    want.cross_attention_dim = 1280;
    assert_ok(read_text(
        "{\"_name_or_path\": \"x\", \"dropout\": 0.0, \"only_cross_attention\": [false, false, false, false], "
        "\"layers_per_block\": [2, 2, 2, 2], \"transformer_layers_per_block\": [1, 1, 1, 1], "
        "\"mid_block_scale_factor\": 1.0, \"resnet_out_scale_factor\": 1.0, \"sample_size\": null, "
        "\"addition_embed_type_num_heads\": 64, \"class_embed_type\": null}",
        &got));
    check_same_config(&got, &want);
}

static void configs_that_ask_for_more_are_refused_by_name(void **state) {
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"{\"_class_name\": \"UNet2DModel\"}", "'_class_name' should be \"UNet2DConditionModel\""},
        {"{\"down_block_types\": [\"DownBlock2D\", \"DownBlock2D\", \"DownBlock2D\", \"SimpleCrossAttnDownBlock2D\"]}",
         "'down_block_types' should be a list of 4"},
        {"{\"down_block_types\": [\"DownBlock2D\"]}", "'down_block_types'"},
        {"{\"up_block_types\": [\"UpBlock2D\", \"UpBlock2D\", \"UpBlock2D\", 7]}", "'up_block_types'"},
        {"{\"up_block_types\": \"UpBlock2D\"}", "'up_block_types'"},
        {"{\"mid_block_type\": \"UNetMidBlock2D\"}", "'mid_block_type' should be \"UNetMidBlock2DCrossAttn\""},
        {"{\"act_fn\": \"gelu\"}", "'act_fn' should be \"silu\""},
        {"{\"class_embed_type\": \"timestep\"}", "'class_embed_type' should be null"},
        {"{\"num_class_embeds\": 1000}", "'num_class_embeds'"},
        {"{\"addition_embed_type\": \"text_time\"}", "'addition_embed_type'"},
        {"{\"dual_cross_attention\": true}", "'dual_cross_attention'"},
        {"{\"resnet_time_scale_shift\": \"scale_shift\"}", "'resnet_time_scale_shift' should be \"default\""},
        {"{\"resnet_skip_time_act\": true}", "'resnet_skip_time_act'"},
        {"{\"resnet_out_scale_factor\": 2.0}", "'resnet_out_scale_factor' should be 1"},
        {"{\"time_cond_proj_dim\": 256}", "'time_cond_proj_dim'"},
        {"{\"time_embedding_type\": \"fourier\"}", "'time_embedding_type' should be \"positional\""},
        {"{\"time_embedding_dim\": 512}", "'time_embedding_dim'"},
        {"{\"time_embedding_act_fn\": \"silu\"}", "'time_embedding_act_fn'"},
        {"{\"timestep_post_act\": \"silu\"}", "'timestep_post_act'"},
        {"{\"only_cross_attention\": true}", "'only_cross_attention' should be false"},
        {"{\"only_cross_attention\": [false, true, false, false]}", "'only_cross_attention' should be false"},
        {"{\"mid_block_only_cross_attention\": true}", "'mid_block_only_cross_attention'"},
        {"{\"encoder_hid_dim\": 768}", "'encoder_hid_dim'"},
        {"{\"encoder_hid_dim_type\": \"text_proj\"}", "'encoder_hid_dim_type'"},
        {"{\"attention_type\": \"gated\"}", "'attention_type' should be \"default\""},
        {"{\"cross_attention_norm\": \"layer_norm\"}", "'cross_attention_norm'"},
        {"{\"center_input_sample\": true}", "'center_input_sample'"},
        {"{\"class_embeddings_concat\": true}", "'class_embeddings_concat'"},
        {"{\"conv_in_kernel\": 5}", "'conv_in_kernel' should be 3"},
        {"{\"conv_out_kernel\": 1}", "'conv_out_kernel' should be 3"},
        {"{\"downsample_padding\": 0}", "'downsample_padding' should be 1"},
        {"{\"mid_block_scale_factor\": 2}", "'mid_block_scale_factor' should be 1"},
        {"{\"dropout\": 0.1}", "'dropout' should be 0"},
        {"{\"transformer_layers_per_block\": 2}", "'transformer_layers_per_block' should be 1"},
        {"{\"transformer_layers_per_block\": [1, 2, 10, 10]}", "'transformer_layers_per_block'"},
        {"{\"reverse_transformer_layers_per_block\": [[1], [1]]}", "'reverse_transformer_layers_per_block'"},
        {"{\"layers_per_block\": [1, 2, 2, 2]}", "'layers_per_block' should be the same"},
        {"{\"layers_per_block\": 0}", "'layers_per_block'"},
        {"{\"cross_attention_dim\": [768, 768, 768, 1024]}", "'cross_attention_dim' should be the same"},
        {"{\"num_attention_heads\": 8}", "'num_attention_heads'"},
        {"{\"attention_head_dim\": [5, 10, 20]}", "'attention_head_dim'"},
        {"{\"attention_head_dim\": 8.5}", "'attention_head_dim'"},
        {"{\"attention_head_dim\": 7}", "320 channels are no multiple of its 7 heads"},
        {"{\"norm_num_groups\": 7}", "320 channels are no multiple of its 7 groups"},
        {"{\"norm_num_groups\": null}", "'norm_num_groups'"},
        {"{\"norm_eps\": -1}", "eps of norms"},
        {"{\"freq_shift\": 160}", "shift of frequencies"},
        {"{\"block_out_channels\": []}", "'block_out_channels'"},
        {"{\"block_out_channels\": 320}", "'block_out_channels'"},
        {"{\"block_out_channels\": [32, 32, 32, 32, 32, 32, 32, 32, 32]}", "'block_out_channels'"},
        {"{\"block_out_channels\": [320, 640, 1280, 1e9]}", "'block_out_channels'"},
        {"{\"in_channels\": 0}", "'in_channels'"},
        {"{\"out_channels\": \"4\"}", "'out_channels'"},
        {"{\"sample_size\": 0}", "'sample_size'"},
        {"{\"sample_size\": [64, 32]}", "'sample_size'"},
        {"{\"upcast_attention\": 1}", "'upcast_attention'"},
        {"[]", "config.json"},
        {"{", "config.json"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        th_unet_config c;
        th_status s = read_text(rows[i].text, &c);
        if (s != TH_E_INPUT || !strstr(th_error_message(), rows[i].says))
            fail_msg("%s: \"%s\", without \"%s\"", rows[i].text, s == TH_OK ? "" : th_error_message(), rows[i].says);
    }
}

static void other_models_weights_are_refused_by_name(void **state) {
    (void)state;
    th_unet *u = open_model("flat"), *again;
    assert_ok(th_unet_save(u, SCRATCH "/other", "f32"));
    th_unet_config c = *th_unet_get_config(u);
    c.cross_attention_dim = 9;
    assert_ok(th_unet_write_config(&c, SCRATCH "/other"));
    assert_fails(load(SCRATCH "/other", &again), TH_E_INPUT, "attn2.to_k.weight' is [15, 8], [15, 9] is wanted");
    th_unet_free(again);
    c.cross_attention_dim = 8, c.layers_per_block = 3;
    assert_ok(th_unet_write_config(&c, SCRATCH "/other"));
    assert_fails(load(SCRATCH "/other", &again), TH_E_INPUT, "diffusion_pytorch_model.safetensors: tensor");
    th_unet_free(again);
    c.layers_per_block = 1;
    assert_ok(th_unet_write_config(&c, SCRATCH "/other"));
    assert_fails(load(SCRATCH "/other", &again), TH_E_INPUT, "has no place in the model");
    th_unet_free(again);
    th_unet_free(u);
}

static void wrong_shapes_fail_the_graph(void **state) {
    (void)state;
    static const struct {
        int64_t h, c, n, width, tokens;
        const char *says;
    } rows[] = {{12, 4, 1, 8, 12, "multiples of 8"},
                {16, 3, 1, 8, 12, "latents [1, 16, 16, 3]"},
                {16, 4, 1, 8, 11, "states [1, 5, 11]"},
                {16, 4, 2, 8, 12, "states [2, 5, 12]"},
                {16, 4, 1, 9, 12, "times [1, 9]"}};
    th_unet *u = open_model("sd15");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        th_graph *g = th_graph_new();
        assert_non_null(g);
        th_unet_apply(g, u, th_input(g, "x", TH_DESC(TH_F32, 1, rows[i].h, rows[i].h, rows[i].c)),
                      th_input(g, "t", TH_DESC(TH_F32, 1, rows[i].width)),
                      th_input(g, "s", TH_DESC(TH_F32, rows[i].n, 5, rows[i].tokens)));
        assert_fails(th_graph_status(g), TH_E_SHAPE, rows[i].says);
        th_graph_free(g);
    }
    th_unet_free(u);
}

static void random_values_depend_on_the_seed_alone(void **state) {
    (void)state;
    th_unet *a = open_model("flat"), *b = open_model("flat");
    assert_ok(th_unet_randomize(a, 7));
    assert_false(params_equal(th_unet_params(a), th_unet_params(b)));
    assert_ok(th_unet_randomize(b, 7));
    assert_true(params_equal(th_unet_params(a), th_unet_params(b)));
    th_plan *p = make_plan(a, &fixtures[4], TH_F32, NULL);
    const float *sample = th_plan_output(p, "sample");
    for (int i = 0; i < BATCH * 5 * 7 * 4; i++) assert_true(sample[i] == 0.0f);
    th_plan_free(p);
    th_unet_free(a);
    th_unet_free(b);
}

/* Multiplications and additions of products. */
static double count_products(const th_graph *g) {
    static const char *const products[] = {"matmul",    "conv2d",       "conv2d_bwd_data", "conv2d_bwd_weights",
                                           "attention", "attention_bwd"};
    double sum = 0;
    for (int64_t i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < 6; k++)
            if (!strcmp(g->nodes[i]->op->name, products[k])) sum += th_node_flops(g->nodes[i]);
    return sum;
}

/* The gradients of a mean square of what SD 1.5 says to latents of 512 px, by a set's parameters. */
static th_graph *record_step(const th_unet *u, const th_params *wrt) {
    th_graph *g = th_graph_new();
    assert_non_null(g);
    th_tensor *x = th_input(g, "latents", TH_DESC(TH_F32, 1, 64, 64, 4));
    th_tensor *sample = th_unet_apply(g, u, x, th_input(g, "times", TH_DESC(TH_F32, 1, 320)),
                                      th_input(g, "states", TH_DESC(TH_F32, 1, 77, 768)));
    th_grad_params(g, th_mean_all(g, th_square(g, sample)), wrt);
    return g;
}

/* A step at 512 px: 859,520,964 parameters in diffusers' model, and three passes of 0.803 TFLOP. Shapes alone: no
 * values are made. */
static void a_step_of_sd15_is_known_before_it_runs(void **state) {
    (void)state;
    th_unet_config c;
    th_unet *u;
    th_unet_config_init(&c);
    size_t before = th_bytes_in_use();
    assert_ok(th_unet_new(&c, &u));
    assert_int_equal(th_params_elements(th_unet_params(u)), 859520964);
    assert_int_equal(th_unet_multiple(&c), 8);
    th_graph *g = record_step(u, th_unet_params(u));
    double products = count_products(g);
    th_plan_params params;
    th_plan_params_init(&params);
    th_plan *p;
    th_plan_cost cost;
    assert_ok(th_plan_new(g, &params, &p));
    th_graph_free(g);
    th_plan_get_cost(p, &cost);
    printf("  a step of SD 1.5 at 512 px: %.4f TFLOP, %.4f of them in products; tensors %.2f GiB\n", cost.flops / 1e12,
           products / 1e12, (double)cost.tensor_bytes / (1 << 30));
    assert_true(products > 2.40e12 && products < 2.42e12);
    assert_true(cost.flops > products && cost.flops < 1.05 * products);
    assert_true(th_bytes_in_use() - before < (size_t)64 << 20);
    th_plan_free(p);
    th_unet_free(u);
}

/* What is not trained has no gradient of its weights: two passes of three are left, but attention's, which has no
 * weights, whole. */
static void a_step_of_low_rank_additions_skips_the_gradients_of_weights(void **state) {
    (void)state;
    th_unet_config c;
    th_unet *u;
    th_unet_config_init(&c);
    assert_ok(th_unet_new(&c, &u));
    th_graph *g = record_step(u, th_unet_params(u));
    double all = count_products(g);
    th_graph_free(g);
    assert_ok(th_unet_add_lora(u, &(th_lora_params){.rank = 4, .alpha = 4}));
    assert_int_equal(th_params_elements(th_unet_lora(u)), 797184); /* as diffusers' script says of rank 4 */
    g = record_step(u, th_unet_lora(u));
    double share = count_products(g) / all;
    printf("  a step of low-rank additions takes %.3f of a whole one\n", share);
    assert_true(share > 0.6 && share < 0.72);
    th_graph_free(g);
    th_unet_free(u);
}

static void sd21_has_as_many_parameters(void **state) {
    (void)state;
    th_unet_config c;
    th_unet *u;
    th_unet_config_init(&c);
    c.heads[0] = 5, c.heads[1] = 10, c.heads[2] = c.heads[3] = 20;
    c.cross_attention_dim = 1024, c.linear_projection = true;
    assert_ok(th_unet_new(&c, &u));
    assert_int_equal(th_params_elements(th_unet_params(u)), 865910724);
    th_unet_free(u);
}

/* Every allocation of loading fails once: nothing is lost, and the status says so. */
static void failed_allocations_lose_nothing(void **state) {
    (void)state;
    th_unet *u = open_model("flat"), *again = NULL;
    assert_ok(th_unet_save(u, SCRATCH "/small", "f16"));
    th_unet_free(u);
    size_t before = th_bytes_in_use();
    for (int64_t n = 1;; n += 1 + n / 16) { /* all early ones, and every so manieth of the many alike */
        th_alloc_fail_at(n, true);
        th_status s = load(SCRATCH "/small", &again);
        if (s == TH_OK) s = th_unet_add_lora(again, &lora);
        th_alloc_fail_at(0, false);
        th_unet_free(again);
        assert_int_equal(th_bytes_in_use(), before);
        if (s == TH_OK) break;
        if (s != TH_E_MEMORY) fail_msg("allocation %d: %s", (int)n, th_error_message());
    }
}

static int clean_up(void **state) {
    (void)state;
    return !getenv("TH_KEEP") && th_remove_tree(SCRATCH) != TH_OK;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_and_gradients_match_diffusers),
        cmocka_unit_test(outputs_in_bf16_are_near),
        cmocka_unit_test(low_rank_additions_match_peft),
        cmocka_unit_test(low_rank_additions_begin_at_nothing),
        cmocka_unit_test(a_saved_folder_is_read_back),
        cmocka_unit_test(one_by_one_convolutions_have_four_dimensions_in_the_file),
        cmocka_unit_test(config_has_the_defaults_of_diffusers),
        cmocka_unit_test(harmless_fields_are_read),
        cmocka_unit_test(configs_that_ask_for_more_are_refused_by_name),
        cmocka_unit_test(other_models_weights_are_refused_by_name),
        cmocka_unit_test(wrong_shapes_fail_the_graph),
        cmocka_unit_test(random_values_depend_on_the_seed_alone),
        cmocka_unit_test(a_step_of_sd15_is_known_before_it_runs),
        cmocka_unit_test(a_step_of_low_rank_additions_skips_the_gradients_of_weights),
        cmocka_unit_test(sd21_has_as_many_parameters),
        cmocka_unit_test(failed_allocations_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
