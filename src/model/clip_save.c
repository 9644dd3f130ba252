/* Weights out, in Hugging Face's layout. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "format/safetensors.h"
#include "model/clip_files.h"

/* [d, p · p · 3] → [d, 3, p, p]. */
static void unpatch(const th_desc *d, int64_t patch, const float *from, float *to) {
    int64_t columns = d->dim[1], area = patch * patch;
    for (int64_t i = 0; i < d->dim[0]; i++)
        for (int64_t c = 0; c < 3; c++)
            for (int64_t p = 0; p < area; p++) to[i * columns + c * area + p] = from[i * columns + p * 3 + c];
}

static void declare(th_safetensors_writer *w, const th_param *p, th_st_dtype dtype, int64_t patch) {
    const th_desc *d = th_param_desc(p);
    bool patches = strstr(th_param_name(p), "patch_embedding") != NULL;
    int64_t shape[4] = {d->dim[0], 3, patch, patch};
    th_safetensors_declare(w, th_param_name(p), dtype, patches ? 4 : d->rank, patches ? shape : d->dim);
}

static th_status add(th_safetensors_writer *w, const th_clip *m, const char *name) {
    th_param *p = th_params_find(m->params, name);
    const th_desc *d = th_param_desc(p);
    size_t bytes = (size_t)th_desc_count(d) * sizeof(float);
    float *a = th_alloc_big(bytes), *b = th_alloc_big(bytes);
    th_status s = a && b ? th_param_get(p, a) : th_fail_memory();
    if (s == TH_OK) {
        bool patches = strstr(name, "patch_embedding") != NULL;
        if (patches) unpatch(d, m->config.patch_size, a, b);
        th_safetensors_add_f32(w, patches ? b : a, th_desc_count(d));
    }
    th_free_big(a, bytes);
    th_free_big(b, bytes);
    return s;
}

th_status th_clip_save(const th_clip *m, const char *dir, const char *dtype) {
    static const struct {
        const char *name, *torch;
        th_st_dtype dtype;
    } types[] = {{"f32", "float32", TH_ST_F32}, {"f16", "float16", TH_ST_F16}, {"bf16", "bfloat16", TH_ST_BF16}};
    size_t k = 0;
    while (k < 3 && strcmp(types[k].name, dtype)) k++;
    if (k == 3) return th_fail(TH_E_USAGE, "'%s' is no dtype: f32, f16 or bf16", dtype);
    char path[TH_PATH_MAX];
    TH_TRY(th_make_dirs(dir));
    TH_TRY(th_path_join(path, dir, "model.safetensors"));
    th_safetensors_writer *w = NULL;
    TH_TRY(th_safetensors_writer_new(path, 0, &w));
    for (int64_t i = 0; i < th_params_count(m->params); i++)
        declare(w, th_params_at(m->params, i), types[k].dtype, m->config.patch_size);
    th_status s = th_safetensors_begin(w);
    for (const th_st_tensor *t; s == TH_OK && (t = th_safetensors_next(w));) s = add(w, m, t->name);
    if (s != TH_OK) {
        th_safetensors_abort(w);
        return s;
    }
    TH_TRY(th_safetensors_commit(w));
    return th_clip_write_config(&m->config, dir, types[k].torch);
}
