/* The autoencoder against diffusers, by the folders of tests/data/vae (tests/fixtures/vae.py); folders in and out, with
 * old names and shapes too; what is wrong with a folder is said by file and field. */
#include "test.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "formula.h"
#include "model/vae.h"
#include "params.h"
#include "theriac/plan.h"

#define SCRATCH "vae_test"
#define WEIGHTS SCRATCH "/diffusion_pytorch_model.safetensors"

static const struct {
    const char *name;
    int64_t n, h, w;
} fixtures[] = {{"plain", 2, 24, 16}, {"bare", 1, 6, 10}, {"steep", 1, 16, 24}};
enum { FIXTURES = sizeof fixtures / sizeof *fixtures };

static th_vae *open_model(const char *name) {
    char path[4096];
    th_vae_config c;
    th_vae *v;
    snprintf(path, sizeof path, TH_TEST_DATA "/vae/%s", name);
    assert_ok(th_vae_read_config(path, &c));
    assert_ok(th_vae_new(&c, &v));
    formula_fill_all(th_vae_params(v));
    return v;
}

static th_safetensors *open_expected(const char *name) {
    char path[4096];
    th_safetensors *f;
    snprintf(path, sizeof path, TH_TEST_DATA "/vae/%s/expected.safetensors", name);
    assert_ok(th_safetensors_open(path, NULL, &f));
    return f;
}

static th_tensor *weighted_mean(th_graph *g, th_tensor *x, const char *name) {
    int64_t n = th_desc_count(th_tensor_desc(x));
    float *w = malloc((size_t)n * sizeof *w);
    assert_non_null(w);
    formula_numbers(name, n, w);
    th_tensor *loss = th_mean_all(g, th_mul(g, x, th_constant(g, *th_tensor_desc(x), w)));
    free(w);
    return loss;
}

/* Encodes numbers("pictures") and decodes numbers("latents"). */
static th_plan *make_plan(const th_vae *v, int i, th_dtype compute, bool training) {
    const th_vae_config *c = th_vae_get_config(v);
    int64_t f = th_vae_factor(c), n = fixtures[i].n, h = fixtures[i].h, w = fixtures[i].w;
    th_graph *g = th_graph_new();
    assert_non_null(g);
    th_tensor *moments = th_vae_encode(g, v, th_input(g, "pictures", TH_DESC(TH_F32, n, h, w, 3)));
    th_tensor *z = th_input(g, "latents", TH_DESC(TH_F32, n, h / f, w / f, c->latent_channels));
    th_tensor *decoded = th_vae_decode(g, v, z);
    th_output(g, "moments", moments);
    th_output(g, "decoded", decoded);
    if (training)
        th_grad_params(g, th_add(g, weighted_mean(g, moments, "m"), weighted_mean(g, decoded, "d")), th_vae_params(v));
    th_plan_params params;
    th_plan_params_init(&params);
    params.compute = compute;
    th_plan *p;
    assert_ok(th_plan_new(g, &params, &p));
    th_graph_free(g);
    formula_numbers("pictures", n * h * w * 3, th_plan_input(p, "pictures"));
    formula_numbers("latents", n * (h / f) * (w / f) * c->latent_channels, th_plan_input(p, "latents"));
    return p;
}

static void check_outputs(const th_vae *v, int i, const th_plan *p, double tolerance) {
    const th_vae_config *c = th_vae_get_config(v);
    th_safetensors *f = open_expected(fixtures[i].name);
    int64_t pixels = fixtures[i].n * fixtures[i].h * fixtures[i].w, s = th_vae_factor(c);
    double a =
        formula_difference(f, "moments", th_plan_output(p, "moments"), pixels / (s * s) * 2 * c->latent_channels);
    double b = formula_difference(f, "decoded", th_plan_output(p, "decoded"), pixels * 3);
    printf("  %s: moments off by %.2e, pictures by %.2e\n", fixtures[i].name, a, b);
    if (!(a <= tolerance && b <= tolerance)) fail_msg("%s: off by %.3g and %.3g", fixtures[i].name, a, b);
    th_safetensors_close(f);
}

static void outputs_and_gradients_match_diffusers(void **state) {
    (void)state;
    for (int i = 0; i < FIXTURES; i++) {
        th_vae *v = open_model(fixtures[i].name);
        th_safetensors *f = open_expected(fixtures[i].name);
        th_plan *p = make_plan(v, i, TH_F32, true);
        assert_ok(th_plan_run(p, 0, 0));
        check_outputs(v, i, p, 1e-4);
        formula_compare_gradients(f, th_vae_params(v));
        th_plan_free(p);
        th_safetensors_close(f);
        th_vae_free(v);
    }
}

static void outputs_in_bf16_are_near(void **state) {
    (void)state;
    for (int i = 0; i < FIXTURES; i++) {
        th_vae *v = open_model(fixtures[i].name);
        th_plan *p = make_plan(v, i, TH_BF16, false);
        assert_ok(th_plan_run(p, 0, 0));
        check_outputs(v, i, p, 0.1);
        th_plan_free(p);
        th_vae_free(v);
    }
}

static th_status load(const char *dir, th_vae **out) {
    th_vae_config c;
    *out = NULL;
    th_status s = th_vae_read_config(dir, &c);
    if (s == TH_OK) s = th_vae_new(&c, out);
    return s == TH_OK ? th_vae_load(*out, dir, NULL) : s;
}

static void a_saved_folder_is_read_back(void **state) {
    (void)state;
    for (int i = 0; i < FIXTURES; i++) {
        th_vae *v = open_model(fixtures[i].name), *w;
        th_vae_set_scaling(v, 0.75f);
        assert_ok(th_vae_save(v, SCRATCH, "f32"));
        assert_ok(load(SCRATCH, &w));
        assert_true(params_equal(th_vae_params(v), th_vae_params(w)));
        char *a = text_of(SCRATCH "/config.json");
        assert_ok(th_vae_write_config(th_vae_get_config(w), SCRATCH));
        char *b = text_of(SCRATCH "/config.json");
        assert_string_equal(a, b);
        th_free(a);
        th_free(b);
        th_vae_free(v);
        th_vae_free(w);
    }
}

/* How a tensor is written in a folder that is not quite like ours; false: it is left out. */
typedef bool (*rename_fn)(const char *name, char out[256], int *rank);

static void write_weights(const th_vae *v, rename_fn rename, const char *path) {
    th_safetensors_writer *w;
    const th_params *ps = th_vae_params(v);
    assert_ok(th_safetensors_writer_new(path, 0, &w));
    for (int pass = 0; pass < 2; pass++) {
        const th_st_tensor *t = NULL;
        for (int64_t i = 0; pass == 0 ? i < th_params_count(ps) : (t = th_safetensors_next(w)) != NULL; i++) {
            for (int64_t k = pass == 0 ? i : 0; k < th_params_count(ps); k++) {
                th_param *p = th_params_at(ps, k);
                const th_desc *d = th_param_desc(p);
                int64_t shape[4] = {1, 1, 1, 1};
                char name[256];
                int rank = d->rank;
                memcpy(shape, d->dim, (size_t)d->rank * sizeof *shape);
                snprintf(name, sizeof name, "%s", th_param_name(p));
                bool kept = rename(th_param_name(p), name, &rank);
                if (pass == 0) {
                    if (kept) th_safetensors_declare(w, name, TH_ST_F32, rank, shape);
                    break;
                }
                if (!kept || strcmp(name, t->name) != 0) continue;
                float *x = malloc((size_t)t->count * sizeof *x);
                assert_non_null(x);
                assert_ok(th_param_get(p, x));
                th_safetensors_add_f32(w, x, t->count);
                free(x);
            }
        }
        if (pass == 0) assert_ok(th_safetensors_begin(w));
    }
    assert_ok(th_safetensors_commit(w));
}

static bool old_names(const char *name, char out[256], int *rank) {
    static const char *const renamed[][2] = {
        {".to_q.", ".query."}, {".to_k.", ".key."}, {".to_v.", ".value."}, {".to_out.0.", ".proj_attn."}};
    for (size_t i = 0; i < 4; i++) {
        const char *at = strstr(name, renamed[i][0]);
        if (!at) continue;
        snprintf(out, 256, "%.*s%s%s", (int)(at - name), name, renamed[i][1], at + strlen(renamed[i][0]));
        if (strstr(name, "weight") && strstr(name, "encoder")) *rank = 4; /* as 1 × 1 convolutions, in one half */
    }
    return true;
}

static void old_names_and_shapes_are_read(void **state) {
    (void)state;
    th_vae *v = open_model("plain"), *w;
    assert_ok(th_vae_save(v, SCRATCH, "f32"));
    write_weights(v, old_names, WEIGHTS);
    assert_ok(load(SCRATCH, &w));
    assert_true(params_equal(th_vae_params(v), th_vae_params(w)));
    th_vae_free(v);
    th_vae_free(w);
}

static bool without_one(const char *name, char out[256], int *rank) {
    (void)out, (void)rank;
    return strcmp(name, "decoder.up_blocks.1.resnets.0.conv2.weight") != 0;
}

static bool flat_convolution(const char *name, char out[256], int *rank) {
    (void)out;
    if (!strcmp(name, "encoder.conv_in.bias")) *rank = 2;
    return true;
}

/* Loads the scratch folder, which is wrong. */
static void refused(th_status status, const char *text) {
    th_vae *w;
    assert_fails(load(SCRATCH, &w), status, text);
    th_vae_free(w);
}

static void missing_and_misshapen_tensors_are_named(void **state) {
    (void)state;
    th_vae *v = open_model("plain");
    assert_ok(th_vae_save(v, SCRATCH, "f32"));
    write_weights(v, without_one, WEIGHTS);
    refused(TH_E_INPUT, "diffusion_pytorch_model.safetensors: tensor 'decoder.up_blocks.1.resnets.0.conv2.weight' is "
                        "missing");
    write_weights(v, flat_convolution, WEIGHTS);
    refused(TH_E_INPUT, "tensor 'encoder.conv_in.bias' is [8, 1], [8] is wanted");
    th_vae_free(v);
}

static void a_tensor_without_a_place_is_named(void **state) {
    (void)state;
    th_vae *v = open_model("plain");
    th_vae_config c = *th_vae_get_config(v);
    assert_ok(th_vae_save(v, SCRATCH, "f32"));
    c.mid_attention = false;
    assert_ok(th_vae_write_config(&c, SCRATCH));
    refused(TH_E_INPUT, "mid_block.attentions.0.group_norm.bias' has no place in the model");
    th_vae_free(v);
}

static void the_only_variant_is_found(void **state) {
    (void)state;
    th_vae *v = open_model("bare"), *w;
    assert_ok(th_remove_tree(SCRATCH));
    assert_ok(th_vae_save(v, SCRATCH, "f32"));
    assert_int_equal(rename(WEIGHTS, SCRATCH "/diffusion_pytorch_model.fp16.safetensors"), 0);
    assert_ok(load(SCRATCH, &w));
    assert_true(params_equal(th_vae_params(v), th_vae_params(w)));
    assert_ok(th_vae_load(w, SCRATCH, "fp16"));
    assert_fails(th_vae_load(w, SCRATCH, "bf16"), TH_E_INPUT, "holds no model.bf16.safetensors");
    assert_ok(th_vae_save(v, SCRATCH, "f32"));
    assert_int_equal(rename(WEIGHTS, SCRATCH "/diffusion_pytorch_model.non_ema.safetensors"), 0);
    assert_fails(th_vae_load(w, SCRATCH, NULL), TH_E_INPUT, "holds the variants 'fp16' and 'non_ema'");
    th_vae_free(w);
    th_vae_free(v);
    assert_ok(th_remove_tree(SCRATCH));
}

static void configs_that_ask_for_more_are_refused_by_name(void **state) {
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"{\"_class_name\": \"AutoencoderTiny\"}", "field '_class_name' should be \"AutoencoderKL\""},
        {"{\"act_fn\": \"relu\"}", "field 'act_fn' should be \"silu\""},
        {"{\"down_block_types\": [\"AttnDownEncoderBlock2D\"]}", "field 'down_block_types'"},
        {"{\"up_block_types\": [\"UpDecoderBlock2D\", \"UpDecoderBlock2D\"]}", "field 'up_block_types'"},
        {"{\"latents_mean\": [1, 2, 3, 4]}", "field 'latents_mean'"},
        {"{\"block_out_channels\": [30]}", "30 channels are no multiple of its 32 groups"},
        {"{\"block_out_channels\": []}", "field 'block_out_channels'"},
        {"{\"block_out_channels\": [1e9]}", "field 'block_out_channels'"},
        {"{\"layers_per_block\": 65}", "field 'layers_per_block'"},
        {"{\"scaling_factor\": 0}", "scaling factor"},
        {"[]", "config.json"},
        {"{", "config.json"},
    };
    assert_ok(th_make_dirs(SCRATCH));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        th_vae_config c;
        assert_ok(th_file_write(SCRATCH "/config.json", rows[i].text, strlen(rows[i].text)));
        assert_fails(th_vae_read_config(SCRATCH, &c), TH_E_INPUT, rows[i].says);
    }
    assert_ok(th_remove_tree(SCRATCH));
}

static void wrong_shapes_fail_the_graph(void **state) {
    (void)state;
    th_vae *v = open_model("plain");
    th_graph *g = th_graph_new();
    assert_non_null(g);
    th_vae_encode(g, v, th_input(g, "x", TH_DESC(TH_F32, 1, 10, 8, 3)));
    assert_fails(th_graph_status(g), TH_E_SHAPE, "sides in multiples of 4");
    th_graph_free(g);
    th_vae_free(v);
}

static void random_values_depend_on_the_seed_alone(void **state) {
    (void)state;
    th_vae *a = open_model("plain"), *b = open_model("plain");
    assert_ok(th_vae_randomize(a, 7));
    assert_false(params_equal(th_vae_params(a), th_vae_params(b)));
    assert_ok(th_vae_randomize(b, 7));
    assert_true(params_equal(th_vae_params(a), th_vae_params(b)));
    th_vae_free(a);
    th_vae_free(b);
}

/* 83,653,863 in diffusers' AutoencoderKL of SD 1.5. */
static void sizes_are_those_of_stable_diffusion(void **state) {
    (void)state;
    th_vae_config c;
    th_vae *v;
    th_vae_config_init(&c);
    assert_ok(th_vae_new(&c, &v));
    assert_int_equal(th_params_elements(th_vae_params(v)), 83653863);
    assert_int_equal(th_vae_factor(&c), 8);
    th_vae_free(v);
}

/* Every allocation of loading and saving fails once: nothing is lost, and the status says so. */
static void failed_allocations_lose_nothing(void **state) {
    (void)state;
    th_vae *v = open_model("bare"), *w = NULL;
    assert_ok(th_vae_save(v, SCRATCH, "f16"));
    size_t before = th_bytes_in_use();
    int64_t n = 1;
    for (;; n++) {
        th_alloc_fail_at(n, true);
        th_status s = load(SCRATCH, &w);
        th_alloc_fail_at(0, false);
        th_vae_free(w);
        assert_int_equal(th_bytes_in_use(), before);
        if (s == TH_OK) break;
        if (s != TH_E_MEMORY) fail_msg("allocation %d: %s", (int)n, th_error_message());
    }
    th_vae_free(v);
    assert_ok(th_remove_tree(SCRATCH));
}

static int clean_up(void **state) {
    (void)state;
    return th_remove_tree(SCRATCH) != TH_OK;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_and_gradients_match_diffusers),
        cmocka_unit_test(outputs_in_bf16_are_near),
        cmocka_unit_test(a_saved_folder_is_read_back),
        cmocka_unit_test(old_names_and_shapes_are_read),
        cmocka_unit_test(missing_and_misshapen_tensors_are_named),
        cmocka_unit_test(a_tensor_without_a_place_is_named),
        cmocka_unit_test(the_only_variant_is_found),
        cmocka_unit_test(configs_that_ask_for_more_are_refused_by_name),
        cmocka_unit_test(wrong_shapes_fail_the_graph),
        cmocka_unit_test(random_values_depend_on_the_seed_alone),
        cmocka_unit_test(sizes_are_those_of_stable_diffusion),
        cmocka_unit_test(failed_allocations_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
