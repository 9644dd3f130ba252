/* CLIP folders whole: what is written beside the weights, and what names them. */
#include "test.h"

#include <unistd.h>
#include <zlib.h>

#include "base/file.h"
#include "base/memory.h"
#include "format/safetensors.h"
#include "train/clip_bundle.h"

#define ROOT "bundle_test"
#define FROM ROOT "/from"
#define TO ROOT "/to"

/* A tiny model with OpenAI's kind of tokenizer in FROM. */
static int set_up(void **state) {
    (void)state;
    th_clip_bundle b = {0};
    th_clip_config c;
    th_clip_config_init(&c);
    c.vision = c.text = (th_clip_tower){8, 2, 1, 16, true, 1e-5f};
    c.image_size = 16, c.patch_size = 8, c.projection = 8, c.context = 16;
    assert_ok(th_remove_tree(ROOT));
    assert_ok(th_tokenizer_load(TH_TEST_DATA "/tokenizer/merges.txt", &b.tokenizer));
    c.vocab_size = th_tokenizer_size(b.tokenizer);
    assert_ok(th_clip_new(&c, &b.model));
    assert_ok(th_clip_randomize(b.model, 1));
    th_preprocess_params_init(&b.preprocess, 16);
    assert_ok(th_clip_bundle_save(&b, FROM, "f32"));
    th_clip_bundle_free(&b);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    return th_remove_tree(ROOT) == TH_OK ? 0 : -1;
}

static void load_and_save(void) {
    th_clip_bundle b;
    assert_ok(th_clip_bundle_load(FROM, &b));
    assert_ok(th_clip_bundle_save(&b, TO, "f32"));
    th_clip_bundle_free(&b);
}

static bool is_in(const char *folder, const char *name) {
    char path[TH_PATH_MAX];
    assert_ok(th_path_join(path, folder, name));
    return th_path_exists(path);
}

static void drop(const char *name) {
    char path[TH_PATH_MAX];
    assert_ok(th_path_join(path, FROM, name));
    assert_int_equal(unlink(path), 0);
}

/* OpenAI's list is read here, and by no one else: what is written has the tokenizer in files that all read. */
static void a_folder_with_openai_s_list_alone_is_written_with_all_files(void **state) {
    (void)state;
    th_bytes merges;
    drop("tokenizer.json"), drop("vocab.json"), drop("merges.txt"), drop("tokenizer_config.json");
    assert_ok(th_file_read(TH_TEST_DATA "/tokenizer/merges.txt", 1 << 20, &merges));
    gzFile f = gzopen(FROM "/bpe_simple_vocab_16e6.txt.gz", "wb");
    assert_int_equal(gzwrite(f, merges.data, (unsigned)merges.length), merges.length);
    assert_int_equal(gzclose(f), Z_OK);
    th_free(merges.data);
    load_and_save();
    static const char *const wanted[] = {"tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json"};
    for (int i = 0; i < 4; i++)
        if (!is_in(TO, wanted[i])) fail_msg("%s is missing", wanted[i]);
    th_tokenizer *a, *b;
    assert_ok(th_tokenizer_load(FROM, &a));
    assert_ok(th_tokenizer_load(TO, &b));
    assert_int_equal(th_tokenizer_size(a), th_tokenizer_size(b));
    assert_int_equal(th_tokenizer_pad(a), th_tokenizer_pad(b));
    for (int32_t i = 0; i < th_tokenizer_size(a); i++)
        assert_string_equal(th_tokenizer_token(a, i), th_tokenizer_token(b, i));
    th_tokenizer_free(a);
    th_tokenizer_free(b);
}

static void the_files_of_a_tokenizer_are_kept(void **state) {
    (void)state;
    char before[TH_HASH_TEXT], after[TH_HASH_TEXT];
    drop("vocab.json"), drop("merges.txt");
    assert_ok(th_hash_file(FROM "/tokenizer.json", before));
    load_and_save();
    assert_false(is_in(TO, "vocab.json"));
    assert_ok(th_hash_file(TO "/tokenizer.json", after));
    assert_string_equal(before, after);
}

static void the_weights_hash_is_that_of_their_files(void **state) {
    (void)state;
    char hash[TH_HASH_TEXT], file[TH_HASH_TEXT], again[TH_HASH_TEXT];
    assert_ok(th_clip_weights_hash(FROM, hash));
    assert_ok(th_hash_file(FROM "/model.safetensors", file));
    assert_string_equal(hash, file);
    th_clip_bundle b;
    assert_ok(th_clip_bundle_load(FROM, &b));
    float scale = 1;
    assert_ok(th_param_set(th_params_find(th_clip_params(b.model), "logit_scale"), &scale));
    assert_ok(th_clip_bundle_save(&b, FROM, "f32"));
    th_clip_bundle_free(&b);
    assert_ok(th_clip_weights_hash(FROM, again));
    assert_string_not_equal(hash, again);
    assert_fails(th_clip_weights_hash(ROOT, hash), TH_E_INPUT, ROOT);
}

static void the_hash_of_shards_is_of_one_after_the_other(void **state) {
    (void)state;
    static const int64_t shape[] = {64};
    static const char *const names[] = {"a", "b", "c"};
    float values[64] = {1};
    char hash[TH_HASH_TEXT], wanted[TH_HASH_TEXT];
    th_safetensors_writer *w;
    assert_ok(th_make_dirs(TO));
    assert_ok(th_safetensors_writer_new(TO "/model.safetensors", 300, &w));
    for (int i = 0; i < 3; i++) th_safetensors_declare(w, names[i], TH_ST_F32, 1, shape);
    assert_ok(th_safetensors_begin(w));
    while (th_safetensors_next(w)) th_safetensors_add_f32(w, values, 64);
    assert_ok(th_safetensors_commit(w));
    th_hash h;
    th_hash_init(&h);
    for (int i = 1; i <= 3; i++) {
        char path[64];
        th_bytes b;
        snprintf(path, sizeof path, TO "/model-%05d-of-00003.safetensors", i);
        assert_ok(th_file_read(path, 1 << 20, &b));
        th_hash_add(&h, b.data, b.length);
        th_free(b.data);
    }
    th_hash_text(&h, wanted);
    assert_ok(th_clip_weights_hash(TO, hash));
    assert_string_equal(hash, wanted);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_folder_with_openai_s_list_alone_is_written_with_all_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_files_of_a_tokenizer_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_weights_hash_is_that_of_their_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_hash_of_shards_is_of_one_after_the_other, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("train: CLIP folders", tests, NULL, NULL);
}
