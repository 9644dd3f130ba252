/* Stable Diffusion folders in and out, what is wrong with one, texts as the text encoder takes them, and decoding whole
 * and in tiles. */
#include "test.h"

#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "diffusion/decode.h"
#include "diffusion/sd_files.h"
#include "diffusion/sd_init.h"
#include "format/bpe_train.h"
#include "formula.h"
#include "params.h"

#define SCRATCH "sd_test"
#define OTHER "sd_test_other"

enum { CONTEXT = 6 };

static th_tokenizer *make_tokenizer(int64_t size, const char *text) {
    th_bpe_trainer *t;
    th_bpe_train_params p;
    th_tokenizer *out;
    th_bpe_train_params_init(&p);
    p.vocab_size = size;
    p.max_length = CONTEXT;
    assert_ok(th_bpe_trainer_new(&t));
    assert_ok(th_bpe_trainer_add(t, text, strlen(text), 2));
    assert_ok(th_bpe_trainer_run(t, &p, NULL, &out));
    th_bpe_trainer_free(t);
    return out;
}

static th_sd_config tiny(void) {
    th_sd_config c;
    assert_ok(th_sd_config_named("sd15", &c));
    c.unet.sample_size = 8;
    c.unet.levels = 2;
    c.unet.channels[0] = 8, c.unet.channels[1] = 16;
    c.unet.attends_down[1] = c.unet.attends_up[0] = false;
    c.unet.attends_up[1] = true;
    c.unet.heads[0] = c.unet.heads[1] = 2;
    c.unet.layers_per_block = 1;
    c.unet.cross_attention_dim = 8;
    c.unet.groups = 4;
    c.vae.levels = 2;
    c.vae.sample_size = 16;
    c.vae.channels[0] = c.vae.channels[1] = 8;
    c.vae.layers_per_block = 1;
    c.vae.groups = 4;
    c.text.tower = (th_clip_tower){.width = 8, .heads = 2, .layers = 1, .mlp = 16, .quick_gelu = true, .eps = 1e-5f};
    c.text.vocab_size = 514;
    c.text.context = CONTEXT;
    return c;
}

static th_sd make(const th_sd_config *c) {
    th_sd sd;
    assert_ok(th_sd_new(c, &sd));
    formula_fill_all(th_unet_params(sd.unet));
    formula_fill_all(th_vae_params(sd.vae));
    formula_fill_all(th_text_encoder_params(sd.text));
    sd.tokenizer = make_tokenizer(514, "a");
    return sd;
}

static void save_tiny(const char *dtype) {
    th_sd_config c = tiny();
    th_sd sd = make(&c);
    assert_ok(th_remove_tree(SCRATCH));
    assert_ok(th_sd_save(&sd, SCRATCH, dtype, 0));
    th_sd_free(&sd);
}

static bool same_models(const th_sd *a, const th_sd *b) {
    return params_equal(th_unet_params(a->unet), th_unet_params(b->unet)) &&
           params_equal(th_vae_params(a->vae), th_vae_params(b->vae)) &&
           params_equal(th_text_encoder_params(a->text), th_text_encoder_params(b->text));
}

static bool same_files(const char *a, const char *b) {
    th_bytes x, y;
    assert_ok(th_file_read(a, 1 << 24, &x));
    assert_ok(th_file_read(b, 1 << 24, &y));
    bool same = x.length == y.length && !memcmp(x.data, y.data, x.length);
    th_free(x.data);
    th_free(y.data);
    return same;
}

static void write_text(const char *path, const char *text) { assert_ok(th_file_write(path, text, strlen(text))); }

static void a_saved_folder_is_read_back(void **state) {
    (void)state;
    th_sd_config c = tiny();
    th_sd sd = make(&c), got;
    char before[TH_HASH_TEXT], after[TH_HASH_TEXT];
    assert_ok(th_remove_tree(SCRATCH));
    assert_ok(th_sd_save(&sd, SCRATCH, "f32", 0));
    assert_true(th_sd_is_folder(SCRATCH));
    assert_ok(th_sd_load(SCRATCH, NULL, &got));
    assert_true(same_models(&sd, &got));
    assert_string_equal(got.dir, SCRATCH);
    assert_int_equal(th_tokenizer_size(got.tokenizer), 514);
    assert_ok(th_sd_weights_hash(SCRATCH, before));
    assert_ok(th_vae_randomize(got.vae, 1));
    assert_ok(th_sd_save(&got, SCRATCH, "f32", TH_SD_UNET | TH_SD_TEXT)); /* over itself */
    assert_ok(th_sd_weights_hash(SCRATCH, after));
    assert_string_not_equal(before, after);
    th_sd_free(&got);
    assert_ok(th_sd_load(SCRATCH, NULL, &got));
    assert_false(same_models(&sd, &got));
    assert_true(params_equal(th_unet_params(sd.unet), th_unet_params(got.unet)));
    th_sd_free(&got);
    th_sd_free(&sd);
}

static void parts_that_stay_are_copied(void **state) {
    (void)state;
    th_sd sd;
    save_tiny("f16");
    assert_ok(th_remove_tree(OTHER));
    const th_sd_load_params p = {.parts = TH_SD_UNET};
    assert_ok(th_sd_load(SCRATCH, &p, &sd));
    assert_ok(th_sd_save(&sd, OTHER, "f32", TH_SD_VAE | TH_SD_TEXT));
    assert_true(same_files(SCRATCH "/vae/diffusion_pytorch_model.safetensors",
                           OTHER "/vae/diffusion_pytorch_model.safetensors"));
    assert_true(same_files(SCRATCH "/text_encoder/model.safetensors", OTHER "/text_encoder/model.safetensors"));
    assert_true(same_files(SCRATCH "/text_encoder/config.json", OTHER "/text_encoder/config.json"));
    assert_true(same_files(SCRATCH "/model_index.json", OTHER "/model_index.json"));
    assert_true(same_files(SCRATCH "/scheduler/scheduler_config.json", OTHER "/scheduler/scheduler_config.json"));
    assert_true(same_files(SCRATCH "/tokenizer/tokenizer.json", OTHER "/tokenizer/tokenizer.json"));
    th_sd_free(&sd);
}

/* Half precision as diffusers names it, the text encoder in one file and the UNet in shards. */
static void variants_are_read_and_lose_their_name(void **state) {
    (void)state;
    static const char index[] = "{\"weight_map\": {";
    th_sd sd, plain, copy;
    save_tiny("f16");
    assert_ok(th_sd_load(SCRATCH, NULL, &plain));
    assert_int_equal(rename(SCRATCH "/vae/diffusion_pytorch_model.safetensors",
                            SCRATCH "/vae/diffusion_pytorch_model.fp16.safetensors"),
                     0);
    assert_int_equal(rename(SCRATCH "/text_encoder/model.safetensors", SCRATCH "/text_encoder/model.fp16.safetensors"),
                     0);
    assert_int_equal(rename(SCRATCH "/unet/diffusion_pytorch_model.safetensors",
                            SCRATCH "/unet/diffusion_pytorch_model.fp16-00001-of-00001.safetensors"),
                     0);
    FILE *f = fopen(SCRATCH "/unet/diffusion_pytorch_model.safetensors.index.fp16.json", "w");
    assert_non_null(f);
    fputs(index, f);
    const th_params *ps = th_unet_params(plain.unet);
    for (int64_t i = 0; i < th_params_count(ps); i++)
        fprintf(f, "%s\"%s\": \"diffusion_pytorch_model.fp16-00001-of-00001.safetensors\"", i ? ", " : "",
                th_param_name(th_params_at(ps, i)));
    fputs("}}", f);
    assert_int_equal(fclose(f), 0);
    const char *const variants[] = {NULL, "fp16"};
    for (int i = 0; i < 2; i++) {
        const th_sd_load_params p = {.parts = TH_SD_ALL, .variant = variants[i]};
        assert_ok(th_sd_load(SCRATCH, &p, &sd));
        assert_true(same_models(&plain, &sd));
        assert_ok(th_remove_tree(OTHER));
        assert_ok(th_sd_save(&sd, OTHER, "f32", TH_SD_ALL));
        assert_true(th_path_exists(OTHER "/text_encoder/model.safetensors"));
        assert_true(th_path_exists(OTHER "/unet/diffusion_pytorch_model.safetensors.index.json"));
        assert_ok(th_sd_load(OTHER, NULL, &copy));
        assert_true(same_models(&plain, &copy));
        th_sd_free(&copy);
        th_sd_free(&sd);
    }
    const th_sd_load_params wrong = {.parts = TH_SD_VAE, .variant = "bf16"};
    assert_fails(th_sd_load(SCRATCH, &wrong, &sd), TH_E_INPUT, "sd_test/vae: holds no model.bf16.safetensors");
    th_sd_free(&plain);
}

static void released_parts_give_their_memory_back(void **state) {
    (void)state;
    th_sd sd;
    save_tiny("f32");
    const th_sd_load_params p = {.parts = TH_SD_VAE};
    assert_ok(th_sd_load(SCRATCH, &p, &sd));
    size_t before = th_bytes_in_use();
    th_sd_release(&sd, TH_SD_ALL);
    size_t values = (size_t)th_params_elements(th_vae_params(sd.vae)) * sizeof(float);
    assert_true(before - th_bytes_in_use() >= values);
    assert_ok(th_vae_load(sd.vae, SCRATCH "/vae", NULL));
    th_sd_free(&sd);
}

static void what_a_folder_lacks_is_named(void **state) {
    (void)state;
    static const struct {
        const char *remove, *says;
    } rows[] = {
        {"/model_index.json", "sd_test: has no model_index.json"},
        {"/unet", "sd_test: has no folder 'unet'"},
        {"/vae", "sd_test: has no folder 'vae'"},
        {"/text_encoder", "sd_test: has no folder 'text_encoder'"},
        {"/tokenizer", "sd_test: has no folder 'tokenizer'"},
        {"/scheduler", "sd_test: has no folder 'scheduler'"},
        {"/vae/config.json", "sd_test/vae/config.json"},
        {"/unet/diffusion_pytorch_model.safetensors", "sd_test/unet: holds no model.safetensors"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char path[256];
        th_sd sd;
        save_tiny("bf16");
        snprintf(path, sizeof path, SCRATCH "%s", rows[i].remove);
        if (th_path_is_dir(path))
            assert_ok(th_remove_tree(path));
        else
            assert_int_equal(remove(path), 0);
        th_status s = th_sd_load(SCRATCH, NULL, &sd);
        if (s != TH_E_INPUT && s != TH_E_IO) fail_msg("%s: %s", rows[i].remove, th_status_text(s));
        if (!strstr(th_error_message(), rows[i].says)) fail_msg("%s: %s", rows[i].remove, th_error_message());
    }
    th_sd sd;
    assert_fails(th_sd_load("nowhere", NULL, &sd), TH_E_INPUT, "nowhere: is no folder with a model in it");
}

#define REST                                                                                                          \
    "\"text_encoder\": [\"transformers\", \"CLIPTextModel\"], \"tokenizer\": [\"transformers\", \"CLIPTokenizer\"], " \
    "\"unet\": [\"diffusers\", \"UNet2DConditionModel\"]"
#define KIND "\"_class_name\": \"StableDiffusionPipeline\", "
#define SCHEDULER "\"scheduler\": [\"diffusers\", \"PNDMScheduler\"], "
#define VAE ", \"vae\": [\"diffusers\", \"AutoencoderKL\"]"

static void pipelines_with_other_parts_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *says; /* NULL: it is read */
    } rows[] = {
        {"{" KIND SCHEDULER REST VAE "}", NULL},
        {"{" KIND SCHEDULER REST VAE ", \"safety_checker\": [\"stable_diffusion\", \"StableDiffusionSafetyChecker\"], "
         "\"feature_extractor\": [\"transformers\", \"CLIPImageProcessor\"], \"requires_safety_checker\": true, "
         "\"image_encoder\": [null, null]}",
         NULL},
        {"{" SCHEDULER REST VAE "}", "field '_class_name' is missing"},
        {"{\"_class_name\": \"StableDiffusionXLPipeline\"}", "'_class_name' should be \"StableDiffusionPipeline\""},
        {"{" KIND REST VAE "}", "field 'scheduler' should be [\"diffusers\", \"…Scheduler\"]"},
        {"{" KIND SCHEDULER REST ", \"vae\": [\"diffusers\", \"AutoencoderTiny\"]}",
         "field 'vae' should be [\"diffusers\", \"AutoencoderKL\"]: no other is supported"},
        {"{" KIND SCHEDULER REST ", \"vae\": [null, null]}", "field 'vae'"},
        {"{" KIND SCHEDULER REST VAE ", \"text_encoder_2\": [\"transformers\", \"CLIPTextModelWithProjection\"]}",
         "field 'text_encoder_2' should be left out"},
        {"[]", "should hold a JSON object"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].says)
            assert_fails(th_sd_parse_index("model_index.json", rows[i].text, strlen(rows[i].text)), TH_E_INPUT,
                         rows[i].says);
        else
            assert_ok(th_sd_parse_index("model_index.json", rows[i].text, strlen(rows[i].text)));
    }
}

static void parts_that_do_not_fit_each_other_are_refused(void **state) {
    (void)state;
    th_sd sd;
    th_sd_config c = tiny();
    c.text.tower.width = 16;
    assert_fails(th_sd_new(&c, &sd), TH_E_INPUT, "cross_attention_dim is 8, the text encoder's hidden_size 16");
    c = tiny();
    c.unet.in_channels = 9;
    assert_fails(th_sd_new(&c, &sd), TH_E_INPUT, "the UNet takes 9 channels and gives 4");
    c = tiny();
    save_tiny("f32");
    c.vae.latent_channels = 3;
    assert_ok(th_vae_write_config(&c.vae, SCRATCH "/vae"));
    assert_fails(th_sd_read_config(SCRATCH, &c), TH_E_INPUT,
                 "sd_test: the UNet takes 4 channels and gives 4, the "
                 "autoencoder's latents have 3");
    save_tiny("f32");
    th_tokenizer *t = make_tokenizer(516, "a cat and a cat");
    assert_ok(th_tokenizer_save(t, SCRATCH "/tokenizer"));
    th_tokenizer_free(t);
    assert_fails(th_sd_load(SCRATCH, NULL, &sd), TH_E_INPUT,
                 "sd_test/tokenizer: the tokenizer has 516 tokens, the text encoder 514");
    save_tiny("f32");
    write_text(SCRATCH "/scheduler/scheduler_config.json", "{\"_class_name\": \"LCMScheduler\"}");
    assert_fails(th_sd_load(SCRATCH, NULL, &sd), TH_E_INPUT, "'LCMScheduler' is not supported");
    save_tiny("f32");
    write_text(SCRATCH "/unet/config.json", "{\"down_block_types\": [\"AttnDownBlock2D\"]}");
    assert_fails(th_sd_load(SCRATCH, NULL, &sd), TH_E_INPUT, "down_block_types");
}

static void texts_are_cut_and_padded(void **state) {
    (void)state;
    th_sd_config c = tiny();
    th_sd sd = make(&c);
    const char *texts[] = {"", "a", "aaaaaaaa"};
    int32_t ids[3 * CONTEXT], pad = th_tokenizer_pad(sd.tokenizer), bos = th_tokenizer_bos(sd.tokenizer),
                              eos = th_tokenizer_eos(sd.tokenizer), a = th_tokenizer_id(sd.tokenizer, "a</w>");
    int64_t cut = -1;
    assert_ok(th_sd_encode_texts(&sd, texts, 3, ids, &cut));
    assert_int_equal(cut, 1);
    const int32_t want[2 * CONTEXT] = {bos, eos, pad, pad, pad, pad, bos, a, eos, pad, pad, pad};
    assert_memory_equal(ids, want, sizeof want);
    assert_int_equal(ids[2 * CONTEXT], bos);
    assert_int_equal(ids[3 * CONTEXT - 1], eos);
    th_sd_free(&sd);
}

static int64_t elements(const th_sd *sd) {
    return th_params_elements(th_unet_params(sd->unet)) + th_params_elements(th_vae_params(sd->vae)) +
           th_params_elements(th_text_encoder_params(sd->text));
}

static void named_models_have_the_sizes_that_were_published(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int64_t elements; /* UNet, autoencoder, text encoder */
    } rows[] = {{"sd15", 859520964 + 83653863 + 123060480},
                {"sd21", 865910724 + 83653863 + 340387840},
                {"sd21-base", 865910724 + 83653863 + 340387840}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        th_sd_config c;
        th_sd sd;
        assert_ok(th_sd_config_named(rows[i].name, &c));
        assert_ok(th_sd_new(&c, &sd));
        assert_int_equal(elements(&sd), rows[i].elements);
        th_sd_free(&sd);
    }
    th_sd_config c;
    assert_fails(th_sd_config_named("sd3", &c), TH_E_USAGE, "'sd3' is no known model");
}

/* --- hashes --- */

static void name_variant(const char *part, const char *stem, const char *ending) {
    char from[TH_PATH_MAX], to[TH_PATH_MAX];
    snprintf(from, sizeof from, "%s/%s/%s.safetensors", SCRATCH, part, stem);
    snprintf(to, sizeof to, "%s/%s/%s.%s.safetensors", SCRATCH, part, stem, ending);
    assert_int_equal(rename(from, to), 0);
}

/* A folder of two variants, "a" of seed 1 and "b" of seed 2; hash: of each, before it was named so. */
static void make_variants(const th_tokenizer *t, char hash[2][TH_HASH_TEXT]) {
    th_sd_config c = tiny();
    for (int i = 0; i < 2; i++) {
        if (i) assert_int_equal(remove(SCRATCH "/model_index.json"), 0);
        assert_ok(th_sd_write_random(&c, t, SCRATCH, "f32", (uint64_t)i + 1, NULL));
        assert_ok(th_sd_weights_hash(SCRATCH, hash[i]));
        name_variant("unet", "diffusion_pytorch_model", i ? "b" : "a");
        name_variant("vae", "diffusion_pytorch_model", i ? "b" : "a");
        name_variant("text_encoder", "model", i ? "b" : "a");
        if (i) continue;
        char alone[TH_HASH_TEXT];
        assert_ok(th_sd_weights_hash(SCRATCH, alone)); /* the only variant needs not be named */
        assert_string_equal(alone, hash[0]);
    }
}

static void a_hash_beside_other_work_is_of_the_variant_asked_for(void **state) {
    (void)state;
    th_tokenizer *t = make_tokenizer(514, "a");
    char hash[2][TH_HASH_TEXT], got[TH_HASH_TEXT];
    th_sd_hasher *h = NULL;
    assert_ok(th_remove_tree(SCRATCH));
    make_variants(t, hash);
    for (int i = 0; i < 2; i++) {
        assert_ok(th_sd_hasher_start(SCRATCH, i ? "b" : "a", &h));
        assert_ok(th_sd_hasher_finish(h, got));
        assert_string_equal(got, hash[i]);
        th_sd_hasher_free(h);
    }
    assert_ok(th_sd_hasher_start(SCRATCH, NULL, &h));
    assert_fails(th_sd_hasher_finish(h, got), TH_E_INPUT, "holds the variants 'a' and 'b' of the weights");
    th_sd_hasher_free(h);
    th_sd_hasher_free(NULL);
    th_tokenizer_free(t);
}

static void a_hash_that_is_not_wanted_any_more_is_broken_off(void **state) {
    (void)state;
    th_sd_config c = tiny();
    th_tokenizer *t = make_tokenizer(514, "a");
    atomic_bool stop = true;
    char hash[TH_HASH_TEXT];
    th_sd_hasher *h = NULL;
    assert_ok(th_remove_tree(SCRATCH));
    assert_ok(th_sd_write_random(&c, t, SCRATCH, "f32", 1, NULL));
    assert_fails(th_sd_hash_parts(SCRATCH, NULL, &stop, hash), TH_E_INTERRUPTED, "was not hashed to its end");
    assert_ok(th_sd_hasher_start(SCRATCH, NULL, &h));
    th_sd_hasher_free(h);
    th_tokenizer_free(t);
}

/* --- random folders --- */

static void random_folders_depend_on_the_seed_alone(void **state) {
    (void)state;
    th_sd_config c = tiny();
    th_tokenizer *t = make_tokenizer(514, "a");
    char hash[3][TH_HASH_TEXT];
    for (int i = 0; i < 3; i++) {
        assert_ok(th_remove_tree(SCRATCH));
        assert_ok(th_sd_write_random(&c, t, SCRATCH, "f32", i < 2 ? 7 : 8, NULL));
        assert_ok(th_sd_weights_hash(SCRATCH, hash[i]));
    }
    assert_string_equal(hash[0], hash[1]);
    assert_string_not_equal(hash[0], hash[2]);
    assert_fails(th_sd_write_random(&c, t, SCRATCH, "f32", 7, NULL), TH_E_USAGE, "sd_test: holds a model already");
    th_sd sd;
    assert_ok(th_sd_load(SCRATCH, NULL, &sd));
    const th_param *w = th_params_find(th_unet_params(sd.unet), "conv_in.weight"); /* [8, 4, 3, 3]: ±1/6 */
    float x[8 * 36];
    double sum = 0, most = 0;
    assert_ok(th_param_get(w, x));
    for (int i = 0; i < 8 * 36; i++) sum += (double)(x[i] * x[i]), most = fmax(most, fabs((double)x[i]));
    assert_true(most <= 1.0 / 6 && most > 0.15 && fabs(sum / (8 * 36) * 108 - 1) < 0.3);
    th_sd_free(&sd);
    th_tokenizer_free(t);
}

static void a_stopped_random_folder_is_not_whole(void **state) {
    (void)state;
    static const volatile sig_atomic_t stop = 1;
    th_sd_config c = tiny();
    th_tokenizer *t = make_tokenizer(514, "a");
    const th_watch watch = {.stop = &stop};
    assert_ok(th_remove_tree(SCRATCH));
    assert_fails(th_sd_write_random(&c, t, SCRATCH, "f32", 0, &watch), TH_E_INTERRUPTED, "interrupted");
    assert_false(th_sd_is_folder(SCRATCH));
    th_tokenizer_free(t);
}

static void made_up_tokenizers_have_the_size_that_is_asked_for(void **state) {
    (void)state;
    static const struct {
        int64_t size;
        const char *pad;
    } rows[] = {{514, "!"}, {3000, "!"}, {2000, "<|endoftext|>"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        th_tokenizer *t, *again;
        assert_ok(th_sd_make_tokenizer(rows[i].size, 77, rows[i].pad, NULL, &t));
        assert_ok(th_remove_tree(SCRATCH));
        assert_ok(th_tokenizer_save(t, SCRATCH));
        assert_ok(th_tokenizer_load(SCRATCH, &again));
        assert_int_equal(th_tokenizer_size(again), rows[i].size);
        assert_int_equal(th_tokenizer_max_length(again), 77);
        assert_string_equal(th_tokenizer_token(again, th_tokenizer_pad(again)), rows[i].pad);
        assert_int_equal(th_tokenizer_eos(again), rows[i].size - 1);
        if (rows[i].size > 1000) assert_true(th_tokenizer_id(again, "photo</w>") >= 0);
        th_tokenizer_free(t);
        th_tokenizer_free(again);
    }
    th_tokenizer *t;
    assert_fails(th_sd_make_tokenizer(514, 77, "nothing", NULL, &t), TH_E_INPUT, "the padding 'nothing' is not in the");
}

/* --- decoding --- */

static th_vae *make_vae(bool constant) {
    th_sd_config c = tiny();
    th_vae *v;
    assert_ok(th_vae_new(&c.vae, &v));
    formula_fill_all(th_vae_params(v));
    if (constant) /* the last convolution gives its bias, wherever it is */
        assert_ok(th_init_constant(th_params_find(th_vae_params(v), "decoder.conv_out.weight"), 0.0f));
    return v;
}

/* Decodes n pictures with latents of 20 × 28; the caller frees. */
static float *decode(const th_vae *v, int64_t n, const th_vae_decoder_params *p, int64_t *tile, int64_t *runs) {
    th_vae_decoder *d;
    float *z = malloc((size_t)(n * 20 * 28 * 4) * sizeof *z), *y = malloc((size_t)(n * 40 * 56 * 3) * sizeof *y);
    assert_true(z && y);
    formula_numbers("z", n * 20 * 28 * 4, z);
    assert_ok(th_vae_decoder_new(v, p, &d));
    assert_ok(th_vae_decoder_run(d, z, n, y));
    if (tile) *tile = th_vae_decoder_tile(d);
    if (runs) *runs = th_vae_decoder_runs(d, n);
    th_vae_decoder_free(d);
    free(z);
    return y;
}

static th_vae_decoder_params params_of(int64_t batch, int64_t tile, size_t memory) {
    th_vae_decoder_params p;
    th_vae_decoder_params_init(&p);
    p.height = 20, p.width = 28, p.batch = batch, p.tile = tile, p.memory = memory;
    return p;
}

static void a_batch_gives_what_single_pictures_give(void **state) {
    (void)state;
    th_vae *v = make_vae(false);
    th_vae_decoder_params one = params_of(1, 0, 0), two = params_of(2, 0, 0);
    int64_t runs;
    float *a = decode(v, 3, &one, NULL, &runs);
    assert_int_equal(runs, 3);
    float *b = decode(v, 3, &two, NULL, &runs);
    assert_int_equal(runs, 2);
    for (int64_t i = 0; i < 3 * 40 * 56 * 3; i++)
        if (!(fabsf(a[i] - b[i]) < 1e-4f))
            fail_msg("value %lld: %g, in a batch %g", (long long)i, (double)a[i], (double)b[i]);
    free(a);
    free(b);
    th_vae_free(v);
}

static void tiles_cover_each_pixel_once_in_all(void **state) {
    (void)state;
    th_vae *v = make_vae(true);
    float bias[3];
    assert_ok(th_param_get(th_params_find(th_vae_params(v), "decoder.conv_out.bias"), bias));
    for (int64_t tile = 8; tile < 30; tile += 3) {
        th_vae_decoder_params p = params_of(1, tile, 0);
        int64_t got;
        float *y = decode(v, 2, &p, &got, NULL);
        assert_int_equal(got, tile < 28 ? tile : 0);
        for (int64_t i = 0; i < 2 * 40 * 56 * 3; i++)
            if (!(fabsf(y[i] - bias[i % 3]) < 1e-6f))
                fail_msg("tiles of %lld: value %lld is %g, not %g", (long long)tile, (long long)i, (double)y[i],
                         (double)bias[i % 3]);
        free(y);
    }
    th_vae_free(v);
}

static void tiles_look_like_the_whole(void **state) {
    (void)state;
    th_vae *v = make_vae(false);
    th_vae_decoder_params whole = params_of(1, 0, 0), tiled = params_of(1, 16, 0);
    int64_t tile;
    float *a = decode(v, 1, &whole, NULL, NULL), *b = decode(v, 1, &tiled, &tile, NULL);
    double off = 0, norm = 0;
    assert_int_equal(tile, 16);
    for (int64_t i = 0; i < 40 * 56 * 3; i++)
        off += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]), norm += (double)a[i] * (double)a[i];
    printf("  off by %.3f of the whole\n", sqrt(off / norm));
    assert_true(off > 0 && off < 0.04 * norm);
    free(a);
    free(b);
    th_vae_free(v);
}

static void little_memory_makes_tiles(void **state) {
    (void)state;
    th_vae *v = make_vae(false);
    th_vae_decoder *d;
    th_plan_cost cost;
    th_vae_decoder_params p = params_of(1, 0, 0);
    assert_ok(th_vae_decoder_new(v, &p, &d));
    th_vae_decoder_get_cost(d, &cost);
    th_vae_decoder_free(d);
    p.memory = cost.bytes;
    assert_ok(th_vae_decoder_new(v, &p, &d));
    assert_int_equal(th_vae_decoder_tile(d), 0);
    th_vae_decoder_free(d);
    p.memory = cost.bytes - cost.tensor_bytes / 2;
    assert_ok(th_vae_decoder_new(v, &p, &d));
    th_vae_decoder_get_cost(d, &cost);
    assert_true(th_vae_decoder_tile(d) > 0 && cost.bytes <= p.memory);
    th_vae_decoder_free(d);
    p.memory = 1000;
    assert_fails(th_vae_decoder_new(v, &p, &d), TH_E_MEMORY, "");
    p = params_of(0, 0, 0);
    assert_fails(th_vae_decoder_new(v, &p, &d), TH_E_USAGE, "cannot be decoded");
    th_vae_free(v);
}

static void bytes_are_rounded_and_clamped(void **state) {
    (void)state;
    th_vae *v = make_vae(true);
    const uint8_t want[] = {0, 128, 255};
    const float bias[3] = {-3.0f, 0.0f, 1.5f}; /* 0.5 · 255 = 127.5 goes to the even 128 */
    th_vae_decoder_params p = params_of(2, 0, 0);
    th_vae_decoder *d;
    float *z = calloc(3 * 20 * 28 * 4, sizeof *z);
    uint8_t *rgb = malloc(3 * 40 * 56 * 3);
    assert_true(z && rgb);
    assert_ok(th_param_set(th_params_find(th_vae_params(v), "decoder.conv_out.bias"), bias));
    assert_ok(th_vae_decoder_new(v, &p, &d));
    assert_ok(th_vae_decoder_bytes(d, z, 3, rgb));
    for (int i = 0; i < 3 * 40 * 56 * 3; i++) assert_int_equal(rgb[i], want[i % 3]);
    th_vae_decoder_free(d);
    free(z);
    free(rgb);
    th_vae_free(v);
}

static void failed_allocations_lose_nothing(void **state) {
    (void)state;
    th_sd sd;
    save_tiny("f16");
    size_t before = th_bytes_in_use();
    int64_t n = 1;
    for (;; n += n < 2000 ? 7 : 31) {
        th_alloc_fail_at(n, true);
        th_status s = th_sd_load(SCRATCH, NULL, &sd);
        if (s == TH_OK) {
            s = th_sd_save(&sd, OTHER, "f32", TH_SD_VAE);
            th_sd_free(&sd);
        }
        th_alloc_fail_at(0, false);
        assert_int_equal(th_bytes_in_use(), before);
        if (s == TH_OK) break;
        if (s != TH_E_MEMORY) fail_msg("allocation %d: %s: %s", (int)n, th_status_text(s), th_error_message());
    }
    printf("  %d allocations\n", (int)n);
    assert_ok(th_remove_tree(SCRATCH));
    assert_ok(th_remove_tree(OTHER));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_saved_folder_is_read_back),
        cmocka_unit_test(parts_that_stay_are_copied),
        cmocka_unit_test(variants_are_read_and_lose_their_name),
        cmocka_unit_test(released_parts_give_their_memory_back),
        cmocka_unit_test(what_a_folder_lacks_is_named),
        cmocka_unit_test(pipelines_with_other_parts_are_refused),
        cmocka_unit_test(parts_that_do_not_fit_each_other_are_refused),
        cmocka_unit_test(texts_are_cut_and_padded),
        cmocka_unit_test(named_models_have_the_sizes_that_were_published),
        cmocka_unit_test(a_hash_beside_other_work_is_of_the_variant_asked_for),
        cmocka_unit_test(a_hash_that_is_not_wanted_any_more_is_broken_off),
        cmocka_unit_test(random_folders_depend_on_the_seed_alone),
        cmocka_unit_test(a_stopped_random_folder_is_not_whole),
        cmocka_unit_test(made_up_tokenizers_have_the_size_that_is_asked_for),
        cmocka_unit_test(a_batch_gives_what_single_pictures_give),
        cmocka_unit_test(tiles_cover_each_pixel_once_in_all),
        cmocka_unit_test(tiles_look_like_the_whole),
        cmocka_unit_test(little_memory_makes_tiles),
        cmocka_unit_test(bytes_are_rounded_and_clamped),
        cmocka_unit_test(failed_allocations_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
