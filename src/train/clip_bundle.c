/* CLIP folders whole. */
#include "train/clip_bundle.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "model/weights.h"

static th_status load(const char *dir, th_clip_bundle *b) {
    b->dir = th_strdup(dir);
    if (!b->dir) return th_fail_memory();
    TH_TRY(th_clip_load(dir, &b->model));
    TH_TRY(th_tokenizer_load(dir, &b->tokenizer));
    const th_clip_config *c = th_clip_get_config(b->model);
    if (th_tokenizer_size(b->tokenizer) > c->vocab_size)
        return th_fail(TH_E_INPUT, "%s: the tokenizer has %lld tokens, the model %lld", dir,
                       (long long)th_tokenizer_size(b->tokenizer), (long long)c->vocab_size);
    return th_preprocess_load(dir, (int32_t)c->image_size, &b->preprocess);
}

th_status th_clip_bundle_load(const char *dir, th_clip_bundle *out) {
    *out = (th_clip_bundle){0};
    th_status s = load(dir, out);
    if (s != TH_OK) th_clip_bundle_free(out);
    return s;
}

void th_clip_bundle_free(th_clip_bundle *b) {
    th_clip_free(b->model);
    th_tokenizer_free(b->tokenizer);
    th_free(b->dir);
    *b = (th_clip_bundle){0};
}

static const char *const tokenizer_files[] = {
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "bpe_simple_vocab_16e6.txt.gz",
};

/* Copies the tokenizer's files; *whole: they are a tokenizer that others read too, and not OpenAI's list alone. */
static th_status copy_tokenizer(const char *from, const char *to, bool *whole) {
    bool json = false, vocab = false, merges = false;
    for (size_t i = 0; i < sizeof tokenizer_files / sizeof *tokenizer_files; i++) {
        char a[TH_PATH_MAX], b[TH_PATH_MAX];
        TH_TRY(th_path_join(a, from, tokenizer_files[i]));
        TH_TRY(th_path_join(b, to, tokenizer_files[i]));
        if (!th_path_exists(a)) continue;
        th_bytes bytes;
        TH_TRY(th_file_read(a, (size_t)256 << 20, &bytes));
        th_status s = th_file_write(b, bytes.data, bytes.length);
        th_free(bytes.data);
        if (s != TH_OK) return s;
        json |= !strcmp(tokenizer_files[i], "tokenizer.json");
        vocab |= !strcmp(tokenizer_files[i], "vocab.json");
        merges |= !strcmp(tokenizer_files[i], "merges.txt");
    }
    *whole = json || (vocab && merges);
    return TH_OK;
}

th_status th_clip_bundle_save(const th_clip_bundle *b, const char *dir, const char *dtype) {
    char path[TH_PATH_MAX];
    bool whole = false;
    TH_TRY(th_make_dirs(dir));
    if (b->dir) TH_TRY(copy_tokenizer(b->dir, dir, &whole));
    if (!whole) TH_TRY(th_tokenizer_save(b->tokenizer, dir));
    TH_TRY(th_path_join(path, dir, "preprocessor_config.json"));
    TH_TRY(th_preprocess_write(path, &b->preprocess));
    return th_clip_save(b->model, dir, dtype); /* last: a folder with config.json is whole */
}

th_status th_clip_weights_hash(const char *dir, char out[TH_HASH_TEXT]) {
    th_hash h;
    th_hash_init(&h);
    TH_TRY(th_weights_hash(dir, NULL, NULL, &h));
    th_hash_text(&h, out);
    return TH_OK;
}

th_status th_clip_bundle_encode(const th_clip_bundle *b, const char *const *texts, int64_t n, int64_t tokens,
                                int32_t *ids) {
    th_tokenizer_work *w = NULL;
    TH_TRY(th_tokenizer_work_new(b->tokenizer, &w));
    th_tokenizer_work_clean(w, b->cleaning);
    th_status s = TH_OK;
    for (int64_t i = 0; i < n && s == TH_OK; i++)
        s = th_tokenizer_encode(w, texts[i], strlen(texts[i]), tokens, ids + i * tokens, NULL);
    th_tokenizer_work_free(w);
    return s;
}

th_status th_clip_bundle_embed_texts(const th_clip_bundle *b, th_clip_embedder *e, const char *const *texts, int64_t n,
                                     float *out) {
    int64_t tokens = th_clip_get_config(b->model)->context;
    int32_t *ids = th_alloc((size_t)(n * tokens) + 1, sizeof *ids);
    if (!ids) return th_fail_memory();
    th_status s = th_clip_bundle_encode(b, texts, n, tokens, ids);
    if (s == TH_OK) s = th_clip_embedder_texts(e, ids, n, out);
    th_free(ids);
    return s;
}

th_status th_clip_bundle_embed_file(const th_clip_bundle *b, th_clip_embedder *e, const char *path, float *out) {
    int64_t side = th_clip_get_config(b->model)->image_size;
    th_preprocessor *p = NULL;
    th_image im = {0};
    th_image_params params;
    float *pixels = th_alloc((size_t)(side * side * 3), sizeof *pixels);
    th_status s = pixels ? th_preprocessor_new(&b->preprocess, &p) : th_fail_memory();
    th_image_params_init(&params);
    params.alpha = b->preprocess.alpha;
    if (s == TH_OK) s = th_image_read(NULL, path, &params, &im);
    if (s == TH_OK) s = th_fail_in(th_preprocess_apply(p, &im, pixels), "%s", path);
    if (s == TH_OK) s = th_clip_embedder_images(e, pixels, 1, out);
    th_image_free(&im);
    th_preprocessor_free(p);
    th_free(pixels);
    return s;
}
