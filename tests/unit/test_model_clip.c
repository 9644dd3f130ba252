/* CLIP against transformers, by the folders of tests/data/clip (tests/fixtures/clip.py): embeddings, loss, gradients
 * and five steps of AdamW; folders in and out; what is wrong with a folder is said by file and field.
 *
 * Left out of the comparison of gradients and steps: key biases. A softmax does not see what all its scores have in
 * common, so their gradient is zero, and what PyTorch and we compute for it is noise, which AdamW blows up to whole
 * steps. */
#include "test.h"

#include "base/file.h"
#include "base/half.h"
#include "base/memory.h"
#include "clip_fixture.h"
#include "model/clip.h"
#include "model/clip_files.h"

#define SCRATCH "clip_test"

/* The largest difference, and the smallest cosine of two rows of unit length. */
static void compare_rows(const fixture *f, const th_plan *p, const char *name, double *most, double *cosine) {
    int64_t count, width = th_clip_get_config(f->model)->projection;
    float *want = expected_values(f, name, "", &count);
    const float *got = th_plan_output(p, name);
    assert_int_equal(count, f->n * width);
    *most = 0, *cosine = 2;
    for (int64_t i = 0; i < f->n; i++) {
        double dot = 0;
        for (int64_t k = 0; k < width; k++) {
            double x = (double)got[i * width + k], y = (double)want[i * width + k];
            dot += x * y;
            if (!(fabs(x - y) <= *most)) *most = fabs(x - y);
        }
        if (!(dot >= *cosine)) *cosine = dot;
    }
    free(want);
}

static void check_embeddings(const fixture *f, th_dtype compute, double tolerance, double least_cosine) {
    th_plan *p = make_plan(f, compute, false);
    assert_ok(th_plan_run(p, 0, 0));
    const char *const names[] = {"image_embeds", "text_embeds"};
    for (int i = 0; i < 2; i++) {
        double most, cosine;
        compare_rows(f, p, names[i], &most, &cosine);
        printf("  %s in %s: %s off by %.2e, cosine %.7f\n", f->name, th_dtype_name(compute), names[i], most, cosine);
        if (!(most <= tolerance && cosine >= least_cosine))
            fail_msg("%s in %s: %s off by %.3g, cosine %.6f", f->name, th_dtype_name(compute), names[i], most, cosine);
    }
    th_plan_free(p);
}

static void embeddings_match_transformers(void **state) {
    (void)state;
    for (int i = 0; i < FOLDERS; i++) {
        fixture f = open_fixture(folders[i], folders[i]);
        check_embeddings(&f, TH_F32, 1e-5, 0.999999);
        check_embeddings(&f, TH_BF16, 0.05, 0.999);
        close_fixture(&f);
    }
}

static void open_clip_folder_gives_the_same_embeddings(void **state) {
    (void)state;
    fixture f = open_fixture("open_clip", "legacy"), same = open_fixture("legacy", "legacy");
    check_embeddings(&f, TH_F32, 1e-5, 0.999999);
    th_params *a = th_clip_params(f.model), *b = th_clip_params(same.model);
    assert_int_equal(th_params_count(a), th_params_count(b));
    for (int64_t i = 0; i < th_params_count(a); i++) {
        const th_param *p = th_params_at(a, i), *q = th_params_find(b, th_param_name(p));
        int64_t n = th_desc_count(th_param_desc(p));
        float *x = malloc((size_t)n * sizeof *x), *y = malloc((size_t)n * sizeof *y);
        assert_true(q && x && y);
        assert_ok(th_param_get(p, x));
        assert_ok(th_param_get(q, y));
        assert_memory_equal(x, y, (size_t)n * sizeof *x);
        free(x);
        free(y);
    }
    close_fixture(&f);
    close_fixture(&same);
}

static void gradients_match_transformers(void **state) {
    (void)state;
    for (int k = 0; k < FOLDERS; k++) {
        fixture f = open_fixture(folders[k], folders[k]);
        th_params *ps = th_clip_params(f.model);
        th_plan *p = make_plan(&f, TH_F32, true);
        assert_ok(th_plan_run(p, 0, 0));
        float *loss = expected_values(&f, "loss", "", NULL), got = *(const float *)th_plan_output(p, "loss");
        if (!(fabsf(got - *loss) <= 1e-5f * *loss))
            fail_msg("%s: the loss is %.8f, not %.8f", f.name, (double)got, (double)*loss);
        free(loss);
        double all = 0, worst = 0;
        for (int64_t i = 0; i < th_params_count(ps); i++) {
            int64_t n;
            float *want = expected_values(&f, "grad.", th_param_name(th_params_at(ps, i)), &n);
            all += norm_of(want, n) * norm_of(want, n);
            free(want);
        }
        for (int64_t i = 0; i < th_params_count(ps); i++) {
            const th_param *q = th_params_at(ps, i);
            int64_t n;
            float *want = expected_values(&f, "grad.", th_param_name(q), &n),
                  *ours = param_values(&f, q, th_param_get_grad);
            double off = distance(want, ours, n), norm = norm_of(want, n),
                   share = off / (1e-4 * norm + 1e-6 * sqrt(all));
            if (is_noise(th_param_name(q)))
                assert_true(norm_of(ours, n) <= 1e-6 * sqrt(all));
            else if (!(share <= 1))
                fail_msg("%s: the gradient of %s is off by %.3g of %.3g", f.name, th_param_name(q), off, norm);
            else if (share > worst)
                worst = share;
            free(want);
            free(ours);
        }
        printf("  %s: the worst gradient is off by %.3f of what is allowed\n", f.name, worst);
        th_plan_free(p);
        close_fixture(&f);
    }
}

static void check_same_config(const th_clip_config *a, const th_clip_config *b) {
    const th_clip_tower *x[] = {&a->vision, &a->text}, *y[] = {&b->vision, &b->text};
    for (int i = 0; i < 2; i++) {
        assert_true(x[i]->width == y[i]->width && x[i]->heads == y[i]->heads && x[i]->layers == y[i]->layers);
        assert_true(x[i]->mlp == y[i]->mlp && x[i]->quick_gelu == y[i]->quick_gelu && x[i]->eps == y[i]->eps);
    }
    assert_true(a->image_size == b->image_size && a->patch_size == b->patch_size && a->vocab_size == b->vocab_size);
    assert_true(a->context == b->context && a->eos_token_id == b->eos_token_id && a->bos_token_id == b->bos_token_id);
    assert_true(a->pad_token_id == b->pad_token_id && a->projection == b->projection);
    assert_true(a->logit_scale == b->logit_scale);
}

static float rounded(float x, const char *dtype) {
    if (!strcmp(dtype, "f16")) return th_f16_to_f32(th_f32_to_f16(x));
    return !strcmp(dtype, "bf16") ? th_bf16_to_f32(th_f32_to_bf16(x)) : x;
}

static void saved_folder_loads_as_the_same_model(void **state) {
    (void)state;
    const char *const dtypes[] = {"f32", "f16", "bf16"};
    for (int i = 0; i < FOLDERS * 3; i++) {
        const char *dtype = dtypes[i % 3];
        th_clip *m, *again;
        assert_ok(th_clip_load(TH_TEST_DATA "/clip/gelu", &m));
        th_clip_free(m);
        char path[TH_PATH_MAX];
        snprintf(path, sizeof path, TH_TEST_DATA "/clip/%s", folders[i / 3]);
        assert_ok(th_clip_load(path, &m));
        assert_ok(th_clip_save(m, SCRATCH "/saved", dtype));
        assert_ok(th_clip_load(SCRATCH "/saved", &again));
        check_same_config(th_clip_get_config(m), th_clip_get_config(again));
        for (int64_t k = 0; k < th_params_count(th_clip_params(m)); k++) {
            const th_param *p = th_params_at(th_clip_params(m), k), *q = th_params_at(th_clip_params(again), k);
            int64_t n = th_desc_count(th_param_desc(p));
            float *x = malloc((size_t)n * sizeof *x), *y = malloc((size_t)n * sizeof *y);
            assert_true(x && y);
            assert_ok(th_param_get(p, x));
            assert_ok(th_param_get(q, y));
            for (int64_t e = 0; e < n; e++)
                if (rounded(x[e], dtype) != y[e])
                    fail_msg("%s in %s: %s[%lld] is %.9g, was %.9g", folders[i / 3], dtype, th_param_name(p),
                             (long long)e, (double)y[e], (double)x[e]);
            free(x);
            free(y);
        }
        th_clip_free(m);
        th_clip_free(again);
    }
    assert_ok(th_remove_tree(SCRATCH));
}

static void failed_save_leaves_the_model_that_was_there(void **state) {
    (void)state;
    th_clip *m;
    assert_ok(th_clip_load(TH_TEST_DATA "/clip/defaults", &m));
    assert_ok(th_clip_save(m, SCRATCH "/kept", "f16"));
    assert_ok(th_param_set(th_params_find(th_clip_params(m), "logit_scale"), &(float){1e6f}));
    assert_fails(th_clip_save(m, SCRATCH "/kept", "f16"), TH_E_INPUT, "'logit_scale'");
    assert_fails(th_clip_save(m, SCRATCH "/kept", "int8"), TH_E_USAGE, "'int8' is no dtype");
    th_clip_free(m);
    assert_ok(th_clip_load(SCRATCH "/kept", &m));
    float scale = 0;
    assert_ok(th_param_get(th_params_find(th_clip_params(m), "logit_scale"), &scale));
    assert_true(scale == 2.0f);
    th_clip_free(m);
    assert_ok(th_remove_tree(SCRATCH));
}

static void config_has_the_defaults_of_transformers(void **state) {
    (void)state;
    th_clip_config want, got;
    assert_ok(th_make_dirs(SCRATCH));
    assert_ok(th_file_write(SCRATCH "/config.json", "{}", 2));
    th_clip_config_init(&want);
    assert_ok(th_clip_load_config(SCRATCH, &got));
    check_same_config(&got, &want);
    assert_int_equal(got.eos_token_id, 49407);
    assert_int_equal(got.vision.heads, 12);
    assert_true(got.text.quick_gelu);
    /* OpenCLIP has others. */
    const char text[] = "{\"model_cfg\": {\"embed_dim\": 512, \"vision_cfg\": {}, \"text_cfg\": {}}}";
    assert_ok(th_remove_tree(SCRATCH "/config.json"));
    assert_ok(th_file_write(SCRATCH "/open_clip_config.json", text, strlen(text)));
    assert_ok(th_clip_load_config(SCRATCH, &got));
    want.patch_size = 16, want.eos_token_id = 2;
    want.vision.quick_gelu = want.text.quick_gelu = false;
    check_same_config(&got, &want);
    assert_ok(th_remove_tree(SCRATCH));
}

static void end_of_a_text_follows_the_models_rule(void **state) {
    (void)state;
    th_clip_config c;
    th_clip_config_init(&c);
    const int32_t ids[] = {49406, 320, 49407, 5, 49407, 49408};
    assert_int_equal(th_clip_find_end(&c, ids, 6), 2);
    c.eos_token_id = 2; /* the largest, the first of equals */
    assert_int_equal(th_clip_find_end(&c, ids, 5), 2);
    assert_int_equal(th_clip_find_end(&c, ids, 6), 5);
    c.eos_token_id = 7; /* no end: the first place, as transformers takes it */
    assert_int_equal(th_clip_find_end(&c, ids, 6), 0);
}

/* A folder like `from` under tests/data/clip, where the first `old` of the config is `new`. */
static void write_folder(const char *from, const char *config, const char *weights, const char *old, const char *new) {
    char path[TH_PATH_MAX], text[8192];
    th_bytes b;
    assert_ok(th_remove_tree(SCRATCH));
    assert_ok(th_make_dirs(SCRATCH));
    snprintf(path, sizeof path, TH_TEST_DATA "/clip/%s/%s", from, config);
    assert_ok(th_file_read(path, sizeof text / 2, &b));
    const char *at = strstr(b.data, old);
    if (!at) fail_msg("%s has no '%s'", path, old);
    int n = snprintf(text, sizeof text, "%.*s%s%s", (int)(at - b.data), b.data, new, at + strlen(old));
    th_free(b.data);
    snprintf(path, sizeof path, SCRATCH "/%s", config);
    assert_ok(th_file_write(path, text, (size_t)n));
    snprintf(path, sizeof path, TH_TEST_DATA "/clip/%s/%s", from, weights);
    assert_ok(th_file_read(path, 1 << 20, &b));
    snprintf(path, sizeof path, SCRATCH "/%s", weights);
    assert_ok(th_file_write(path, b.data, b.length));
    th_free(b.data);
}

static void wrong_config_is_refused_by_field(void **state) {
    (void)state;
    static const struct {
        const char *old, *new, *message;
    } rows[] = {
        {"\"hidden_size\": 24", "\"hidden_size\": 25",
         "config.json: the vision tower's width 25 is no multiple of its 2"},
        {"\"hidden_size\": 24", "\"hidden_size\": -24", "config.json: field 'vision_config.hidden_size' is -24"},
        {"\"hidden_size\": 24", "\"hidden_size\": 2097152",
         "config.json: field 'vision_config.hidden_size' is 2097152"},
        {"\"hidden_size\": 24", "\"hidden_size\": 24.5", "'vision_config.hidden_size' should be an integer"},
        {"\"num_attention_heads\": 2", "\"num_attention_heads\": 0", "'text_config.num_attention_heads' is 0"},
        {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1000000", "'text_config.num_hidden_layers' is 1000000"},
        {"\"vocab_size\": 50", "\"vocab_size\": 4294967296", "'text_config.vocab_size' is 4294967296"},
        {"\"image_size\": 12", "\"image_size\": 1000000000", "'vision_config.image_size' is 1000000000"},
        {"\"patch_size\": 4", "\"patch_size\": 13", "config.json: images of 12 px are smaller than patches of 13 px"},
        {"\"num_channels\": 3", "\"num_channels\": 1", "'vision_config.num_channels' is 1"},
        {"\"model_type\": \"clip\"", "\"model_type\": \"siglip\"",
         "config.json: field 'model_type' should be \"clip\""},
        {"\"hidden_act\": \"quick_gelu\"", "\"hidden_act\": \"relu\"",
         "'text_config.hidden_act' should be \"quick_gelu\""},
        {"\"layer_norm_eps\": 1e-05", "\"layer_norm_eps\": -1", "'text_config.layer_norm_eps' should be in [0, 1)"},
        {"\"logit_scale_init_value\": 2.6592", "\"logit_scale_init_value\": 1e300",
         "field 'logit_scale_init_value' should be in [-80, 80]"},
        {"\"text_config\": {", "\"text_config\": 5, \"other\": {", "field 'text_config' should be an object"},
        {"\"projection_dim\": 16", "\"projection_dim\": \"16\"", "'projection_dim' should be an integer"},
        {"{", "[{", "config.json: line "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        write_folder("legacy", "config.json", "model.safetensors", rows[i].old, rows[i].new);
        th_clip *m;
        assert_fails(th_clip_load(SCRATCH, &m), TH_E_INPUT, rows[i].message);
        assert_non_null(strstr(th_error_message(), SCRATCH));
    }
    th_clip_config c;
    assert_ok(th_file_write(SCRATCH "/config.json", "[1]", 3));
    assert_fails(th_clip_load_config(SCRATCH, &c), TH_E_INPUT, "config.json: should hold a JSON object");
    assert_ok(th_file_write(SCRATCH "/config.json", "", 0));
    assert_fails(th_clip_load_config(SCRATCH, &c), TH_E_INPUT, "config.json: ");
    assert_ok(th_remove_tree(SCRATCH));
}

static void wrong_open_clip_config_is_refused_by_field(void **state) {
    (void)state;
    static const struct {
        const char *old, *new, *message;
    } rows[] = {
        {"\"vision_cfg\"", "\"vision\"", "field 'model_cfg.vision_cfg' is missing"},
        {"\"layers\": 2", "\"layers\": [3, 4, 6, 3]", "'model_cfg.vision_cfg.layers' should be a number"},
        {"\"head_width\": 12", "\"head_width\": 48", "'model_cfg.vision_cfg.head_width' is 48"},
        {"\"head_width\": 12", "\"head_width\": 11, \"pool_type\": \"avg\"",
         "'model_cfg.vision_cfg.pool_type' should be"},
        {"\"patch_size\": 4", "\"patch_size\": 4, \"ls_init_value\": 0.1", "'model_cfg.vision_cfg.ls_init_value'"},
        {"\"heads\": 2", "\"heads\": 2, \"no_causal_mask\": true", "'model_cfg.text_cfg.no_causal_mask' should be"},
        {"\"heads\": 2", "\"heads\": 3", "the text tower's width 16 is no multiple of its 3 heads"},
        {"\"mlp_ratio\": 1.0", "\"mlp_ratio\": 1e30", "'model_cfg.vision_cfg.mlp_ratio' should be between 0 and 64"},
        {"\"mlp_ratio\": 1.0", "\"mlp_ratio\": 1.5",
         "open_clip_model.safetensors: tensor 'visual.transformer.resblocks.0.mlp.c_fc.weight' is [24, 24], [36, 24]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        write_folder("open_clip", "open_clip_config.json", "open_clip_model.safetensors", rows[i].old, rows[i].new);
        th_clip *m;
        assert_fails(th_clip_load(SCRATCH, &m), TH_E_INPUT, rows[i].message);
        assert_non_null(strstr(th_error_message(), SCRATCH "/open_clip_"));
    }
    write_folder(
        "open_clip", "open_clip_config.json", "open_clip_model.safetensors", "\"heads\": 2",
        "\"heads\": 2, \"pool_type\": \"argmax\", \"no_causal_mask\": false, \"norm_kwargs\": {\"eps\": 1e-6}");
    th_clip *m;
    assert_ok(th_clip_load(SCRATCH, &m));
    assert_true(th_clip_get_config(m)->text.eps == 1e-6f && th_clip_get_config(m)->vision.eps == 1e-5f);
    th_clip_free(m);
    assert_ok(th_remove_tree(SCRATCH));
}

static void wrong_sizes_are_refused_by_tensor(void **state) {
    (void)state;
    static const struct {
        const char *old, *new, *message;
    } rows[] = {
        {"\"hidden_size\": 24", "\"hidden_size\": 26",
         "tensor 'vision_model.embeddings.class_embedding' is [24], [26] is wanted"},
        /* 32 TiB of weights, if they were there */
        {"\"hidden_size\": 16", "\"hidden_size\": 1048576",
         "tensor 'text_model.embeddings.token_embedding.weight' is [50, 16], [50, 1048576] is wanted"},
        {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3",
         "tensor 'text_model.encoder.layers.2.layer_norm1.weight' is missing"},
        {"\"patch_size\": 4", "\"patch_size\": 6",
         "tensor 'vision_model.embeddings.patch_embedding.weight' is [24, 3, 4, 4], [24, 3, 6, 6] is wanted"},
        {"\"projection_dim\": 16", "\"projection_dim\": 17", "tensor 'text_projection.weight' is [16, 16], [17, 16]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        write_folder("legacy", "config.json", "model.safetensors", rows[i].old, rows[i].new);
        size_t before = th_bytes_in_use();
        th_clip *m;
        assert_fails(th_clip_load(SCRATCH, &m), TH_E_INPUT, rows[i].message);
        assert_non_null(strstr(th_error_message(), SCRATCH "/model.safetensors"));
        assert_int_equal(th_bytes_in_use(), before);
    }
    assert_ok(th_remove_tree(SCRATCH));
}

/* legacy's weights with one of them left out, turned round, or of another type. */
static void write_weights(const char *changed, bool leave_out, bool turn, th_st_dtype dtype) {
    th_safetensors *from;
    th_safetensors_writer *w;
    assert_ok(th_safetensors_open(TH_TEST_DATA "/clip/legacy", NULL, &from));
    assert_ok(th_safetensors_writer_new(SCRATCH "/model.safetensors", 0, &w));
    for (int64_t i = 0; i < th_safetensors_count(from); i++) {
        const th_st_tensor *t = th_safetensors_at(from, i);
        bool own = !strcmp(t->name, changed);
        int64_t shape[TH_ST_RANK_MAX];
        for (int k = 0; k < t->rank; k++) shape[k] = t->shape[own && turn ? t->rank - 1 - k : k];
        if (!own || !leave_out) th_safetensors_declare(w, t->name, own ? dtype : t->dtype, t->rank, shape);
    }
    assert_ok(th_safetensors_begin(w));
    for (const th_st_tensor *t; (t = th_safetensors_next(w));) {
        const th_st_tensor *old = th_safetensors_find(from, t->name);
        th_safetensors_add(w, old->data, old->bytes);
    }
    assert_ok(th_safetensors_commit(w));
    th_safetensors_close(from);
}

static void wrong_weights_are_refused_by_tensor(void **state) {
    (void)state;
    th_clip *m;
    write_folder("legacy", "config.json", "model.safetensors", "{", "{");
    write_weights("visual_projection.weight", true, false, TH_ST_F16);
    assert_fails(th_clip_load(SCRATCH, &m), TH_E_INPUT,
                 "model.safetensors: tensor 'visual_projection.weight' is missing");
    write_weights("visual_projection.weight", false, true, TH_ST_F16);
    assert_fails(th_clip_load(SCRATCH, &m), TH_E_INPUT,
                 "model.safetensors: tensor 'visual_projection.weight' is [24, 16], [16, 24] is wanted");
    write_weights("logit_scale", false, false, TH_ST_I16);
    assert_fails(th_clip_load(SCRATCH, &m), TH_E_INPUT, "model.safetensors: tensor 'logit_scale' is I16");
    assert_ok(th_remove_tree(SCRATCH "/model.safetensors"));
    assert_fails(th_clip_load(SCRATCH, &m), TH_E_INPUT, SCRATCH ": holds no model.safetensors");
    assert_ok(th_remove_tree(SCRATCH "/config.json"));
    assert_fails(th_clip_load(SCRATCH, &m), TH_E_INPUT, SCRATCH ": has neither config.json nor open_clip_config.json");
    assert_ok(th_remove_tree(SCRATCH));
    assert_fails(th_clip_load(SCRATCH, &m), TH_E_INPUT, SCRATCH ": is no folder with a model in it");
}

static void impossible_sizes_make_no_model(void **state) {
    (void)state;
    th_clip_config c;
    th_clip *m;
    th_clip_config_init(&c);
    c.text.layers = INT64_MAX;
    assert_fails(th_clip_new(&c, &m), TH_E_INPUT, "the text tower's layers is 9223372036854775807");
    th_clip_config_init(&c);
    c.vision.width = INT64_MIN;
    assert_fails(th_clip_new(&c, &m), TH_E_INPUT, "the vision tower's width is -9223372036854775808");
    th_clip_config_init(&c);
    c.image_size = INT64_MAX;
    assert_fails(th_clip_new(&c, &m), TH_E_INPUT, "image size");
    th_clip_config_init(&c);
    c.projection = 0;
    assert_fails(th_clip_new(&c, &m), TH_E_INPUT, "projection");
    assert_fails(th_clip_config_named("clip-vit-b64", &c), TH_E_USAGE, "'clip-vit-b64' is no known model");
    /* The largest that is allowed: refused for its bytes, before any of them. */
    th_clip_config_init(&c);
    c.vision = c.text = (th_clip_tower){TH_CLIP_MOST_WIDTH, 1, 2, TH_CLIP_MOST_WIDTH, true, 1e-5f};
    c.image_size = TH_CLIP_MOST_SIDE, c.patch_size = 1, c.context = TH_CLIP_MOST_CONTEXT, c.vocab_size = INT32_MAX;
    assert_ok(th_clip_new(&c, &m));
    assert_true(th_params_elements(th_clip_params(m)) > (int64_t)1 << 50);
    assert_fails(th_clip_randomize(m, 1), TH_E_MEMORY, "out of memory");
    th_clip_free(m);
}

/* The first error of a recording is what planning returns, and it says where in the model it was. */
static void wrong_shapes_are_refused_with_their_place(void **state) {
    (void)state;
    fixture f = open_fixture("legacy", "legacy");
    static const struct {
        th_desc images, ids;
        const char *message;
    } rows[] = {
        {{TH_F32, 4, {5, 16, 16, 3}},
         {TH_I32, 2, {5, 10}},
         "vision: images [5, 16, 16, 3], the model takes [n, 12, 12, 3]"},
        {{TH_F32, 4, {5, 12, 12, 4}}, {TH_I32, 2, {5, 10}}, "vision: images [5, 12, 12, 4]"},
        {{TH_F32, 2, {5, 432}}, {TH_I32, 2, {5, 10}}, "vision: images [5, 432]"},
        {{TH_F32, 4, {5, 12, 12, 3}},
         {TH_I32, 2, {5, 11}},
         "text: ids [5, 11], the model takes [n, t] with t up to 10"},
        {{TH_F32, 4, {5, 12, 12, 3}}, {TH_I32, 1, {5}}, "text: ids [5]"},
        {{TH_F32, 4, {5, 12, 12, 3}}, {TH_F32, 2, {5, 10}}, "text: take_rows: rows of [50, 16] by f32 ids"},
        {{TH_F32, 4, {5, 12, 12, 3}}, {TH_I32, 2, {4, 10}}, "logits [5, 4] do not have a column for each row"},
        {{TH_F32, 4, {(int64_t)1 << 58, 12, 12, 3}}, {TH_I32, 2, {5, 10}}, "input: [288230376151711744, 12, 12, 3]"},
        {{TH_F32, 4, {-5, 12, 12, 3}}, {TH_I32, 2, {5, 10}}, "input: [-5, 12, 12, 3]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        th_graph *g = th_graph_new();
        th_tensor *ids = th_input(g, "ids", rows[i].ids),
                  *ends = th_input(g, "ends", TH_DESC(TH_I32, rows[i].ids.dim[0]));
        th_tensor *a = th_clip_embed_images(g, f.model, th_input(g, "images", rows[i].images));
        th_tensor *b = th_clip_embed_texts(g, f.model, ids, ends);
        th_tensor *loss = th_clip_contrastive(g, a, b, th_clip_scale(g, f.model)), *wrt[2] = {a, b}, *grad[2];
        th_grad(g, loss, 2, wrt, grad);
        th_output(g, "loss", th_add(g, loss, th_sum_all(g, grad[0])));
        th_plan_params params;
        th_plan_params_init(&params);
        th_plan *p;
        assert_fails(th_plan_new(g, &params, &p), TH_E_SHAPE, rows[i].message);
        th_graph_free(g);
    }
    /* Deep inside: a layer whose weight does not fit. */
    th_graph *g = th_graph_new();
    struct th_clip broken = *f.model;
    th_transformer_block blocks[2] = {broken.vision.blocks[0], broken.vision.blocks[1]};
    blocks[1].fc2.weight = broken.text.blocks[0].fc2.weight;
    broken.vision.blocks = blocks;
    th_output(g, "y", th_clip_embed_images(g, &broken, th_input(g, "images", TH_DESC(TH_F32, 5, 12, 12, 3))));
    th_plan_params params;
    th_plan_params_init(&params);
    th_plan *p;
    assert_fails(th_plan_new(g, &params, &p), TH_E_SHAPE, "vision.1: matmul: [50, 24] times [16, 16]ᵀ");
    th_graph_free(g);
    close_fixture(&f);
}

/* Loading and saving, with the n-th allocation and all after it failing, for every n. */
static void failed_allocations_lose_nothing(void **state) {
    (void)state;
    th_clip *m = NULL;
    size_t before = th_bytes_in_use();
    int64_t n = 0;
    th_status s;
    do {
        th_alloc_fail_at(++n, true);
        s = th_clip_load(TH_TEST_DATA "/clip/gelu", &m);
        th_alloc_fail_at(0, false);
        assert_true(s == TH_OK || s == TH_E_MEMORY);
        if (s != TH_OK) assert_int_equal(th_bytes_in_use(), before);
    } while (s != TH_OK);
    int64_t loading = n;
    before = th_bytes_in_use();
    n = 0;
    do {
        th_alloc_fail_at(++n, true);
        s = th_clip_save(m, SCRATCH "/full", "bf16");
        th_alloc_fail_at(0, false);
        assert_true(s == TH_OK || s == TH_E_MEMORY);
        assert_int_equal(th_bytes_in_use(), before);
    } while (s != TH_OK);
    printf("  %lld allocations to load, %lld to save\n", (long long)loading, (long long)n);
    th_clip_free(m);
    assert_ok(th_remove_tree(SCRATCH));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embeddings_match_transformers),
        cmocka_unit_test(open_clip_folder_gives_the_same_embeddings),
        cmocka_unit_test(gradients_match_transformers),
        cmocka_unit_test(saved_folder_loads_as_the_same_model),
        cmocka_unit_test(failed_save_leaves_the_model_that_was_there),
        cmocka_unit_test(config_has_the_defaults_of_transformers),
        cmocka_unit_test(end_of_a_text_follows_the_models_rule),
        cmocka_unit_test(wrong_config_is_refused_by_field),
        cmocka_unit_test(wrong_open_clip_config_is_refused_by_field),
        cmocka_unit_test(wrong_sizes_are_refused_by_tensor),
        cmocka_unit_test(wrong_weights_are_refused_by_tensor),
        cmocka_unit_test(impossible_sizes_make_no_model),
        cmocka_unit_test(wrong_shapes_are_refused_with_their_place),
        cmocka_unit_test(failed_allocations_lose_nothing),
    };
    return cmocka_run_group_tests_name("model: CLIP", tests, NULL, NULL);
}
