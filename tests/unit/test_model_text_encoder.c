/* The text encoder against transformers, by the folders of tests/data/text_encoder (tests/fixtures/text_encoder.py);
 * tokens beside the table; folders in and out. */
#include "test.h"

#include "base/file.h"
#include "base/memory.h"
#include "formula.h"
#include "model/text_encoder.h"
#include "params.h"
#include "theriac/plan.h"

#define SCRATCH "text_encoder_test"

static const char *const fixtures[] = {"quick", "gelu"};
enum { FIXTURES = sizeof fixtures / sizeof *fixtures, N = 3, T = 7 };

static const int32_t ids[N * T] = {18, 3, 7, 7, 19, 19, 19, 18, 0, 19, 1, 1, 1, 1, 18, 5, 6, 11, 4, 2, 19};
static const int32_t added_ids[2 * T] = {18, 20, 7, 21, 19, 19, 19, 18, 21, 21, 3, 20, 0, 19};

static th_text_encoder *open_model(const char *name) {
    char path[4096];
    th_text_encoder_config c;
    th_text_encoder *m;
    snprintf(path, sizeof path, TH_TEST_DATA "/text_encoder/%s", name);
    assert_ok(th_text_encoder_read_config(path, &c));
    assert_ok(th_text_encoder_new(&c, &m));
    formula_fill_all(th_text_encoder_params(m));
    return m;
}

static th_safetensors *open_expected(const char *name) {
    char path[4096];
    th_safetensors *f;
    snprintf(path, sizeof path, TH_TEST_DATA "/text_encoder/%s/expected.safetensors", name);
    assert_ok(th_safetensors_open(path, NULL, &f));
    return f;
}

/* The states of n texts, and the gradients of mean(states · numbers("m")). */
static th_plan *make_plan(const th_text_encoder *m, int64_t n, const int32_t *values, const th_params *wrt) {
    th_graph *g = th_graph_new();
    assert_non_null(g);
    th_tensor *y = th_text_encoder_apply(g, m, th_input(g, "ids", TH_DESC(TH_I32, n, T)));
    int64_t count = th_desc_count(th_tensor_desc(y));
    float *w = malloc((size_t)count * sizeof *w);
    assert_non_null(w);
    formula_numbers("m", count, w);
    th_output(g, "states", y);
    th_grad_params(g, th_mean_all(g, th_mul(g, y, th_constant(g, *th_tensor_desc(y), w))), wrt);
    free(w);
    th_plan_params params;
    th_plan_params_init(&params);
    th_plan *p;
    assert_ok(th_plan_new(g, &params, &p));
    th_graph_free(g);
    memcpy(th_plan_input(p, "ids"), values, (size_t)(n * T) * sizeof *values);
    assert_ok(th_plan_run(p, 0, 0));
    return p;
}

static void check(const char *what, double off) {
    printf("  %s: off by %.2e\n", what, off);
    if (!(off <= 1e-4)) fail_msg("%s: off by %.3g", what, off);
}

static void states_and_gradients_match_transformers(void **state) {
    (void)state;
    for (int i = 0; i < FIXTURES; i++) {
        th_text_encoder *m = open_model(fixtures[i]);
        th_safetensors *f = open_expected(fixtures[i]);
        th_plan *p = make_plan(m, N, ids, th_text_encoder_params(m));
        int64_t width = th_text_encoder_get_config(m)->tower.width;
        check(fixtures[i], formula_difference(f, "states", th_plan_output(p, "states"), N * T * width));
        formula_compare_gradients(f, th_text_encoder_params(m));
        th_plan_free(p);
        th_safetensors_close(f);
        th_text_encoder_free(m);
    }
}

static void added_tokens_lie_beside_the_table(void **state) {
    (void)state;
    for (int i = 0; i < FIXTURES; i++) {
        th_text_encoder *m = open_model(fixtures[i]);
        th_safetensors *f = open_expected(fixtures[i]);
        int64_t width = th_text_encoder_get_config(m)->tower.width;
        float *rows = malloc((size_t)(2 * width) * sizeof *rows), *row = malloc((size_t)width * sizeof *row);
        assert_true(rows && row);
        assert_ok(th_text_encoder_add_tokens(m, 2));
        th_params *added = th_text_encoder_added(m);
        th_param *table = th_params_find(added, "string_to_param");
        assert_non_null(table);
        formula_numbers("added", 2 * width, rows);
        assert_ok(th_param_set(table, rows));
        th_plan *p = make_plan(m, 2, added_ids, added);
        check(fixtures[i], formula_difference(f, "added_states", th_plan_output(p, "states"), 2 * T * width));
        assert_ok(th_text_encoder_get_row(m, 21, row));
        assert_memory_equal(row, rows + width, (size_t)width * sizeof *row);
        assert_ok(th_param_get_grad(table, rows));
        check("the gradient of its rows", formula_difference(f, "added_grad", rows, 2 * width));
        assert_fails(th_text_encoder_get_row(m, 22, row), TH_E_USAGE, "token 22 is outside");
        assert_fails(th_text_encoder_add_tokens(m, 1), TH_E_BUG, "once");
        free(rows);
        free(row);
        th_plan_free(p);
        th_safetensors_close(f);
        th_text_encoder_free(m);
    }
}

static th_status load(const char *dir, th_text_encoder **out) {
    th_text_encoder_config c;
    *out = NULL;
    th_status s = th_text_encoder_read_config(dir, &c);
    if (s == TH_OK) s = th_text_encoder_new(&c, out);
    return s == TH_OK ? th_text_encoder_load(*out, dir, NULL) : s;
}

static void a_saved_folder_is_read_back(void **state) {
    (void)state;
    for (int i = 0; i < FIXTURES; i++) {
        th_text_encoder *m = open_model(fixtures[i]), *w;
        assert_ok(th_text_encoder_save(m, SCRATCH, "f32"));
        assert_ok(load(SCRATCH, &w));
        assert_true(params_equal(th_text_encoder_params(m), th_text_encoder_params(w)));
        char *a = text_of(SCRATCH "/config.json");
        assert_ok(th_text_encoder_write_config(th_text_encoder_get_config(w), SCRATCH, "f32"));
        char *b = text_of(SCRATCH "/config.json");
        assert_string_equal(a, b);
        th_free(a);
        th_free(b);
        th_text_encoder_free(m);
        th_text_encoder_free(w);
    }
}

/* transformers 5 writes "embeddings.…" where earlier versions wrote "text_model.embeddings.…", and very old ones a
 * buffer of positions and may have a projection. */
static void names_of_newer_and_older_libraries_are_read(void **state) {
    (void)state;
    th_text_encoder *m = open_model("quick"), *r;
    th_params *ps = th_text_encoder_params(m);
    assert_ok(th_text_encoder_save(m, SCRATCH, "f32"));
    for (int newer = 0; newer < 2; newer++) {
        const char *prefix = newer ? "" : "text_model.";
        th_safetensors_writer *w;
        char name[256];
        assert_ok(th_safetensors_writer_new(SCRATCH "/model.safetensors", 0, &w));
        for (int64_t i = 0; i < th_params_count(ps); i++) {
            const th_desc *d = th_param_desc(th_params_at(ps, i));
            snprintf(name, sizeof name, "%s%s", prefix, th_param_name(th_params_at(ps, i)) + strlen("text_model."));
            th_safetensors_declare(w, name, TH_ST_F32, d->rank, d->dim);
        }
        if (!newer) th_safetensors_declare(w, "text_model.embeddings.position_ids", TH_ST_I64, 1, (int64_t[]){T});
        if (!newer) th_safetensors_declare(w, "text_projection.weight", TH_ST_F32, 1, (int64_t[]){1});
        assert_ok(th_safetensors_begin(w));
        for (const th_st_tensor *t; (t = th_safetensors_next(w));) {
            snprintf(name, sizeof name, "%s%s", newer ? "text_model." : "", t->name);
            const th_param *p = th_params_find(ps, name);
            float *x = calloc((size_t)t->count, 8);
            assert_non_null(x);
            if (p) assert_ok(th_param_get(p, x));
            th_safetensors_add(w, x, t->bytes);
            free(x);
        }
        assert_ok(th_safetensors_commit(w));
        assert_ok(load(SCRATCH, &r));
        assert_true(params_equal(ps, th_text_encoder_params(r)));
        th_text_encoder_free(r);
    }
    th_text_encoder_free(m);
}

static void a_layer_that_the_config_does_not_have_is_named(void **state) {
    (void)state;
    th_text_encoder *m = open_model("quick"), *r;
    th_text_encoder_config c = *th_text_encoder_get_config(m);
    assert_ok(th_text_encoder_save(m, SCRATCH, "f32"));
    c.tower.layers--;
    assert_ok(th_text_encoder_new(&c, &r));
    assert_fails(th_text_encoder_load(r, SCRATCH, NULL), TH_E_INPUT, "has no place in the model");
    th_text_encoder_free(r);
    th_text_encoder_free(m);
}

static void configs_are_read_as_transformers_reads_them(void **state) {
    (void)state;
    static const char whole[] =
        "{\"model_type\": \"clip\", \"text_config\": {\"hidden_size\": 24, \"hidden_act\": \"gelu\", "
        "\"num_attention_heads\": 4}, \"projection_dim\": 9}";
    th_text_encoder_config c;
    assert_ok(th_make_dirs(SCRATCH));
    assert_ok(th_file_write(SCRATCH "/config.json", "{}", 2));
    assert_ok(th_text_encoder_read_config(SCRATCH, &c));
    assert_int_equal(c.tower.width, 512);
    assert_int_equal(c.tower.layers, 12);
    assert_int_equal(c.projection_dim, 512);
    assert_true(c.tower.quick_gelu);
    assert_ok(th_file_write(SCRATCH "/config.json", whole, strlen(whole)));
    assert_ok(th_text_encoder_read_config(SCRATCH, &c));
    assert_int_equal(c.tower.width, 24);
    assert_int_equal(c.tower.heads, 4);
    assert_false(c.tower.quick_gelu);
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"{\"model_type\": \"t5\"}", "field 'model_type' should be \"clip_text_model\""},
        {"{\"hidden_act\": \"relu\"}", "field 'hidden_act'"},
        {"{\"hidden_size\": 10, \"num_attention_heads\": 3}", "width 10 is no multiple of its 3 heads"},
        {"{\"max_position_embeddings\": 0}", "field 'max_position_embeddings'"},
        {"{\"text_config\": {\"num_hidden_layers\": -1}}", "field 'text_config.num_hidden_layers'"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_ok(th_file_write(SCRATCH "/config.json", rows[i].text, strlen(rows[i].text)));
        assert_fails(th_text_encoder_read_config(SCRATCH, &c), TH_E_INPUT, rows[i].says);
    }
}

static void a_wrong_vocabulary_is_named(void **state) {
    (void)state;
    th_text_encoder *m = open_model("quick"), *w;
    th_text_encoder_config c = *th_text_encoder_get_config(m);
    assert_ok(th_text_encoder_save(m, SCRATCH, "bf16"));
    c.vocab_size = 21;
    assert_ok(th_text_encoder_write_config(&c, SCRATCH, "bf16"));
    assert_fails(load(SCRATCH, &w), TH_E_INPUT,
                 "model.safetensors: tensor 'text_model.embeddings.token_embedding.weight' is [20, 12], [21, 12] is "
                 "wanted");
    th_text_encoder_free(w);
    th_text_encoder_free(m);
}

static void too_many_tokens_fail_the_graph(void **state) {
    (void)state;
    th_text_encoder *m = open_model("quick");
    th_graph *g = th_graph_new();
    assert_non_null(g);
    th_text_encoder_apply(g, m, th_input(g, "ids", TH_DESC(TH_I32, 1, T + 1)));
    assert_fails(th_graph_status(g), TH_E_SHAPE, "with t up to 7");
    th_graph_free(g);
    th_text_encoder_free(m);
}

/* 123,060,480 in CLIPTextModel of SD 1.5, 340,387,840 in that of SD 2.1. */
static void sizes_are_those_of_stable_diffusion(void **state) {
    (void)state;
    th_text_encoder_config c;
    th_text_encoder *m;
    th_text_encoder_config_init(&c);
    assert_ok(th_text_encoder_new(&c, &m));
    assert_int_equal(th_params_elements(th_text_encoder_params(m)), 123060480);
    th_text_encoder_free(m);
    c.tower = (th_clip_tower){1024, 16, 23, 4096, false, 1e-5f};
    assert_ok(th_text_encoder_new(&c, &m));
    assert_int_equal(th_params_elements(th_text_encoder_params(m)), 340387840);
    th_text_encoder_free(m);
}

static void failed_allocations_lose_nothing(void **state) {
    (void)state;
    th_text_encoder *m = open_model("quick"), *w = NULL;
    assert_ok(th_text_encoder_save(m, SCRATCH, "f16"));
    size_t before = th_bytes_in_use();
    for (int64_t n = 1;; n++) {
        th_alloc_fail_at(n, true);
        th_status s = load(SCRATCH, &w);
        if (s == TH_OK) s = th_text_encoder_add_tokens(w, 2);
        th_alloc_fail_at(0, false);
        th_text_encoder_free(w);
        assert_int_equal(th_bytes_in_use(), before);
        if (s == TH_OK) break;
        if (s != TH_E_MEMORY) fail_msg("allocation %d: %s", (int)n, th_error_message());
    }
    th_text_encoder_free(m);
    assert_ok(th_remove_tree(SCRATCH));
}

static int clean_up(void **state) {
    (void)state;
    return th_remove_tree(SCRATCH) != TH_OK;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_and_gradients_match_transformers),
        cmocka_unit_test(added_tokens_lie_beside_the_table),
        cmocka_unit_test(a_saved_folder_is_read_back),
        cmocka_unit_test(names_of_newer_and_older_libraries_are_read),
        cmocka_unit_test(a_layer_that_the_config_does_not_have_is_named),
        cmocka_unit_test(configs_are_read_as_transformers_reads_them),
        cmocka_unit_test(a_wrong_vocabulary_is_named),
        cmocka_unit_test(too_many_tokens_fail_the_graph),
        cmocka_unit_test(sizes_are_those_of_stable_diffusion),
        cmocka_unit_test(failed_allocations_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
