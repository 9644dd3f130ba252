/* ViT folders against transformers (tests/fixtures/vit.py), and what their configs may say. */
#include "test.h"

#include <math.h>

#include "base/file.h"
#include "base/memory.h"
#include "format/safetensors.h"
#include "model/vit.h"
#include "theriac/plan.h"

#define VIT TH_TEST_DATA "/vit/"

/* Class tokens [n, width] of the fixture's pictures. */
static void run(const th_vit *m, const float *images, int64_t n, th_dtype compute, float *out) {
    const th_vit_config *c = th_vit_get_config(m);
    th_graph *g = th_graph_new();
    th_plan_params p;
    th_plan *plan;
    th_plan_params_init(&p);
    p.compute = compute;
    p.threads = 1;
    th_tensor *in = th_input(g, "images", TH_DESC(TH_F32, n, c->image_size, c->image_size, 3));
    th_output(g, "y", th_vit_apply(g, m, in));
    assert_ok(th_plan_new(g, &p, &plan));
    th_graph_free(g);
    assert_ok(th_plan_allocate(plan));
    memcpy(th_plan_input(plan, "images"), images, (size_t)(n * c->image_size * c->image_size * 3) * sizeof *images);
    assert_ok(th_plan_run(plan, 0, 0));
    memcpy(out, th_plan_output(plan, "y"), (size_t)(n * c->tower.width) * sizeof *out);
    th_plan_free(plan);
}

static float *values_of(const th_safetensors *f, const char *name) {
    const th_st_tensor *t = th_safetensors_find(f, name);
    assert_non_null(t);
    float *out = th_alloc((size_t)t->count, sizeof *out);
    assert_non_null(out);
    assert_ok(th_st_to_f32(t, 0, t->count, out));
    return out;
}

static void features_are_those_of_transformers(void **state) {
    (void)state;
    static const char *const folders[] = {"dino", "classifier"};
    for (int k = 0; k < 2; k++) {
        char dir[TH_PATH_MAX], path[TH_PATH_MAX];
        th_vit *m;
        th_safetensors *f;
        assert_ok(th_path_join(dir, VIT, folders[k]));
        assert_ok(th_path_join(path, dir, "expected.safetensors"));
        assert_ok(th_vit_load(dir, &m));
        assert_ok(th_safetensors_open(path, NULL, &f));
        float *images = values_of(f, "images"), *want = values_of(f, "features"), got[5 * 24];
        int64_t count = 5 * th_vit_get_config(m)->tower.width;
        run(m, images, 5, TH_F32, got);
        for (int64_t i = 0; i < count; i++)
            if (!(fabsf(got[i] - want[i]) <= 1e-5f * fmaxf(1, fabsf(want[i]))))
                fail_msg("%s: value %d is %.8g, transformers' is %.8g", folders[k], (int)i, (double)got[i],
                         (double)want[i]);
        run(m, images, 5, TH_BF16, got);
        for (int64_t i = 0; i < count; i++) assert_true(fabsf(got[i] - want[i]) < 0.15f);
        th_free(images);
        th_free(want);
        th_safetensors_close(f);
        th_vit_free(m);
    }
}

static void parse_fails(const char *text, const char *message) {
    th_vit_config c;
    assert_fails(th_vit_parse_config("c.json", text, strlen(text), &c), TH_E_INPUT, message);
}

static void what_a_vit_cannot_do_is_refused_by_name(void **state) {
    (void)state;
    parse_fails("{}", "c.json: field 'model_type' is missing");
    parse_fails("{\"model_type\": \"dinov2\"}", "c.json: field 'model_type' should be \"vit\"");
    parse_fails("{\"model_type\": \"vit\", \"hidden_act\": \"relu\"}", "field 'hidden_act' should be \"gelu\"");
    parse_fails("{\"model_type\": \"vit\", \"qkv_bias\": false}", "field 'qkv_bias' should be true");
    parse_fails("{\"model_type\": \"vit\", \"num_channels\": 1}", "field 'num_channels'");
    parse_fails("{\"model_type\": \"vit\", \"image_size\": 8}", "field 'image_size' should be no smaller than patch");
    parse_fails("{\"model_type\": \"vit\", \"image_size\": [224, 224]}", "field 'image_size'");
    parse_fails("{\"model_type\": \"vit\", \"hidden_size\": 100, \"num_attention_heads\": 3}", "field 'hidden_size'");
    parse_fails("{\"model_type\": \"vit\", \"layer_norm_eps\": 1}", "field 'layer_norm_eps' should be in [0, 1)");
    parse_fails("{\"model_type\": \"vit\", \"hidden_size\": 4194304}", "field 'hidden_size'");
    th_vit_config c;
    const char *least = "{\"model_type\": \"vit\"}";
    assert_ok(th_vit_parse_config("c.json", least, strlen(least), &c));
    assert_true(c.tower.width == 768 && c.patch_size == 16 && c.tower.eps == 1e-12f && !c.tower.quick_gelu);
}

static void missing_weights_are_named(void **state) {
    (void)state;
    static const char config[] = "{\"model_type\": \"vit\", \"hidden_size\": 24, \"num_attention_heads\": 3,"
                                 "\"num_hidden_layers\": %d, \"intermediate_size\": 36, \"image_size\": %d,"
                                 "\"patch_size\": 4}";
    char text[400];
    th_vit *m;
    th_bytes weights;
    assert_ok(th_make_dirs("vit_test"));
    assert_ok(th_file_read(VIT "dino/model.safetensors", 1 << 20, &weights));
    assert_ok(th_file_write("vit_test/model.safetensors", weights.data, weights.length));
    th_free(weights.data);
    snprintf(text, sizeof text, config, 3, 16);
    assert_ok(th_file_write("vit_test/config.json", text, strlen(text)));
    assert_fails(th_vit_load("vit_test", &m), TH_E_INPUT, "'encoder.layer.2.");
    snprintf(text, sizeof text, config, 2, 20);
    assert_ok(th_file_write("vit_test/config.json", text, strlen(text)));
    assert_fails(th_vit_load("vit_test", &m), TH_E_INPUT,
                 "'embeddings.position_embeddings' is [1, 17, 24], [1, 26, 24] is wanted");
    assert_ok(th_remove_tree("vit_test"));
}

static void pictures_of_another_size_fail_the_graph(void **state) {
    (void)state;
    th_vit *m;
    assert_ok(th_vit_load(VIT "dino", &m));
    th_graph *g = th_graph_new();
    th_vit_apply(g, m, th_input(g, "images", TH_DESC(TH_F32, 1, 8, 16, 3)));
    assert_fails(th_graph_status(g), TH_E_SHAPE, "images [1, 8, 16, 3], the model takes [n, 16, 16, 3]");
    th_graph_free(g);
    th_vit_free(m);
}

static void failed_allocations_lose_nothing(void **state) {
    (void)state;
    size_t before = th_bytes_in_use();
    th_status s = TH_E_MEMORY;
    for (int64_t at = 1; s != TH_OK; at++) {
        th_vit *m = NULL;
        th_alloc_fail_at(at, false);
        s = th_vit_load(VIT "dino", &m);
        th_alloc_fail_at(0, false);
        if (s == TH_OK) th_vit_free(m);
        assert_int_equal(th_bytes_in_use(), before);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(features_are_those_of_transformers), cmocka_unit_test(what_a_vit_cannot_do_is_refused_by_name),
        cmocka_unit_test(missing_weights_are_named),          cmocka_unit_test(pictures_of_another_size_fail_the_graph),
        cmocka_unit_test(failed_allocations_lose_nothing),
    };
    return cmocka_run_group_tests_name("vit", tests, NULL, NULL);
}
