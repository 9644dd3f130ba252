/* Learned words in files. */
#include "personalize/embedding_file.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "format/json.h"
#include "format/safetensors.h"

#define ROWS_MOST 64

/* The added rows [rows, width] of all words; free with th_free. */
static th_status get_rows(const th_text_encoder *m, float **out, int64_t *width) {
    const th_params *ps = th_text_encoder_added(m);
    if (!ps || th_params_count(ps) != 1) return th_fail(TH_E_BUG, "the text encoder has no added rows");
    const th_param *p = th_params_at(ps, 0);
    *width = th_param_desc(p)->dim[1];
    if (!(*out = th_alloc((size_t)th_desc_count(th_param_desc(p)), sizeof **out))) return th_fail_memory();
    th_status s = th_param_get(p, *out);
    if (s != TH_OK) th_free(*out);
    return s;
}

th_status th_embedding_save(const th_sd *sd, int64_t i, const char *path) {
    const th_sd_word *word = &sd->words[i];
    th_safetensors_writer *w = NULL;
    float *rows;
    int64_t width = 0;
    TH_TRY(get_rows(sd->text, &rows, &width));
    th_status s = th_make_parents(path);
    if (s == TH_OK) s = th_safetensors_writer_new(path, 0, &w);
    if (s != TH_OK) return th_free(rows), s;
    int64_t first = word->first - th_text_encoder_get_config(sd->text)->vocab_size;
    th_safetensors_declare(w, word->text, TH_ST_F32, 2, (const int64_t[]){word->rows, width});
    s = th_safetensors_begin(w);
    if (s == TH_OK && th_safetensors_next(w)) th_safetensors_add_f32(w, rows + first * width, word->rows * width);
    th_free(rows);
    if (s != TH_OK) return th_safetensors_abort(w), s;
    return th_safetensors_commit(w);
}

/* ---- reading */

typedef struct {
    int64_t n, rows; /* files; rows of all */
    th_safetensors **files;
    const char **words;
    int64_t *counts;
} embeddings;

static void close_files(embeddings *e) {
    for (int64_t i = 0; e->files && i < e->n; i++) th_safetensors_close(e->files[i]);
    th_free(e->files);
    th_free(e->words);
    th_free(e->counts);
}

static th_status open_file(embeddings *e, int64_t i, const char *path, int64_t width) {
    char inside[TH_PATH_MAX], shape[TH_ST_SHAPE_TEXT];
    if (th_path_is_dir(path)) {
        TH_TRY(th_path_join(inside, path, TH_EMBEDDING_FILE));
        path = inside;
    }
    TH_TRY(th_safetensors_open(path, NULL, &e->files[i]));
    if (th_safetensors_count(e->files[i]) != 1)
        return th_fail(TH_E_INPUT, "%s: holds %lld tensors; a learned word is one, which bears its name", path,
                       (long long)th_safetensors_count(e->files[i]));
    const th_st_tensor *t = th_safetensors_at(e->files[i], 0);
    e->words[i] = t->name;
    e->counts[i] = t->rank == 2 ? t->shape[0] : 1;
    if ((t->rank != 1 && t->rank != 2) || t->shape[t->rank - 1] != width || e->counts[i] < 1 ||
        e->counts[i] > ROWS_MOST)
        return th_fail(TH_E_INPUT,
                       "%s: the word's rows are %s, the model's text encoder wants [rows, %lld], rows at most %d", path,
                       th_st_shape_text(shape, t->rank, t->shape), (long long)width, ROWS_MOST);
    e->rows += e->counts[i];
    return TH_OK;
}

static th_status fill(const embeddings *e, th_sd *sd, int64_t width) {
    float *rows = th_alloc((size_t)(e->rows * width), sizeof *rows), *at = rows;
    if (!rows) return th_fail_memory();
    th_status s = TH_OK;
    for (int64_t i = 0; i < e->n && s == TH_OK; i++) {
        const th_st_tensor *t = th_safetensors_at(e->files[i], 0);
        s = th_st_to_f32(t, 0, t->count, at);
        at += t->count;
    }
    if (s == TH_OK) s = th_param_set(th_params_at(th_text_encoder_added(sd->text), 0), rows);
    th_free(rows);
    return s;
}

th_status th_embeddings_load(const char *const *paths, int64_t n, th_sd *sd) {
    int64_t width = th_text_encoder_get_config(sd->text)->tower.width;
    embeddings e = {.n = n};
    if (n < 1) return TH_OK;
    e.files = th_alloc((size_t)n, sizeof *e.files);
    e.words = th_alloc((size_t)n, sizeof *e.words);
    e.counts = th_alloc((size_t)n, sizeof *e.counts);
    th_status s = e.files && e.words && e.counts ? TH_OK : th_fail_memory();
    for (int64_t i = 0; i < n && s == TH_OK; i++) s = open_file(&e, i, paths[i], width);
    if (s == TH_OK) s = th_sd_add_words(sd, e.words, e.counts, n);
    if (s == TH_OK) s = fill(&e, sd, width);
    close_files(&e);
    return s;
}
